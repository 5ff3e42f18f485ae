"""Reads the keys in the stores, by the test program e2e_keys from a copy of the files, and checks all readings for consistency."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict

from support.process import cpns_binary

ROLES = ("server", "gateway", "pne")


def keys_program() -> str:
    given = os.environ.get("CPNS_E2E_KEYS")
    return given or str(pathlib.Path(cpns_binary()).parents[1] / "tests/e2e_keys")


def read_keys(folder: pathlib.Path, role: str, reveal=False) -> list:
    done = subprocess.run([keys_program(), str(folder / f"{role}.yaml"), *(["--reveal"] if reveal else [])],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"the {role}'s store cannot be read: {done.stdout[-200:]}{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def change_pne_keys(folder: pathlib.Path, *options, pne="pne"):
    """--to-key-files: as an earlier version left them; --damage ENTITY: its row cannot be read. Only while the process does not run."""
    done = subprocess.run([keys_program(), str(folder / f"{pne}.yaml"), *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def halted(home):
    """Stops every process of the home meanwhile, so that no file changes."""
    running = [p for p in home.processes if p.running()]
    try:
        for p in running:
            p.signal(signal.SIGSTOP)
        for p in running:
            # The signal alone is not enough: a process writes until it has really stopped.
            os.waitid(os.P_PID, p.pid, os.WSTOPPED | os.WNOWAIT)
        yield
    finally:
        for p in running:
            p.signal(signal.SIGCONT)


@contextlib.contextmanager
def copied(home):
    """A consistent copy of the home."""
    with tempfile.TemporaryDirectory(prefix="cpns-e2e-cut-") as folder:
        copy = pathlib.Path(folder) / "home"
        with halted(home):
            shutil.copytree(home.folder, copy, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "*.err", "*.out"))
        yield copy


def parsed(epoch: str) -> tuple:
    generation, index = epoch.split(".")
    return int(generation), int(index)


class Account:
    """Records every key seen in a store under its name, every delivered index, and every acknowledged key, and checks them at each take().
    `faults` lists the violations as text. `pnes` are the names of the PNE processes, with NAME.yaml each."""

    def __init__(self, home, pnes=("pne",)):
        self.home, self.pnes, self.faults, self.cuts = home, pnes, [], 0
        self.by_set, self.by_epoch = {}, {}
        self._seen = 0  # number of events already read
        self._delivered = set()
        self._confirmed, self._accepted = defaultdict(lambda: (0, -1)), defaultdict(lambda: (0, -1))

    def fault(self, text: str):
        self.faults.append(text)

    def take(self):
        """Takes a copy now and checks it. Keys acknowledged before must be in the stores."""
        self._read_events()
        with copied(self.home) as folder:
            stores = {"server": ["server"], "gateway": ["gateway"], "pne": self.pnes}
            held = {role: [k for name in stores[role] for k in read_keys(folder, name) if k["what"] == "eukey"] for role in ROLES}
        self.cuts += 1
        for role, keys in held.items():
            for k in keys:
                self._name(role, k)
        self._compare(held)

    def _name(self, role: str, k: dict):
        """A name must stand for one key: (set_id, epoch), and also (entity, epoch), because no server was restored here."""
        for names, name in ((self.by_set, (k.get("set"), k["epoch"])), (self.by_epoch, (k["entity"], k["epoch"]))):
            if None not in name and names.setdefault(name, k["sha256"]) != k["sha256"]:
                self.fault(f"{name} names two keys; the second one is from the {role}, for {k['entity']}")

    def _read_events(self):
        events = self.home.events.find(since=self._seen)
        self._seen += len(events)
        for e in events:
            if "entity" not in e or not e.get("epoch"):
                continue
            name = e["entity"], parsed(e["epoch"])
            if (e["role"], e["event"]) == ("gateway", "delivering"):
                if name in self._delivered:
                    self.fault(f"{e['entity']}: index {e['epoch']} went into two deliveries")
                self._delivered.add(name)
            elif (e["role"], e["event"]) == ("gateway", "confirmed"):
                self._confirmed[e["entity"]] = max(self._confirmed[e["entity"]], name[1])
            elif e["role"] in self.pnes and e["event"] == "key-accepted":
                self._accepted[e["entity"]] = max(self._accepted[e["entity"]], name[1])

    def _compare(self, held: dict):
        pne, own = {}, {}
        known = {role: {(k["entity"], k["epoch"], k["sha256"]) for k in held[role]} for role in ("server", "gateway")}
        for k in held["pne"]:
            if k["entity"] not in pne or parsed(k["epoch"]) > parsed(pne[k["entity"]]["epoch"]):
                pne[k["entity"]] = k
        for k in held["gateway"]:
            if k["use"] == "own":
                own[k["entity"]] = parsed(k["epoch"])
        for entity, k in pne.items():
            for role, keys in known.items():
                if (entity, k["epoch"], k["sha256"]) not in keys:
                    self.fault(f"{entity}: the PNE holds {k['epoch']}, but the {role} has lost that key")
        for entity, epoch in self._confirmed.items():
            if own.get(entity, (0, -1)) < epoch:
                self.fault(f"{entity}: {epoch} was confirmed, but the gateway's own key is {own.get(entity)}")
        for acknowledged in (self._confirmed, self._accepted):
            for entity, epoch in acknowledged.items():
                if entity not in pne or parsed(pne[entity]["epoch"]) < epoch:
                    self.fault(f"{entity}: {epoch} was acknowledged, but the PNE holds {pne.get(entity, {}).get('epoch')}")
        self.pne, self.own = pne, own

    def all_keyed(self):
        """Checks the latest copy: each device has a key that the gateway knows as confirmed."""
        for entity, _ in self.home.devices:
            if entity not in self.pne or entity not in self.own:
                self.fault(f"{entity} is not keyed: PNE {self.pne.get(entity, {}).get('epoch')}, gateway {self.own.get(entity)}")
