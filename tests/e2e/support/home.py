"""A trial installation in a temporary folder, created by `cpns init`, with its own ports and names, so that parallel tests do not meet."""

import csv
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from support import yaml
from support.events import Events
from support.process import Process, Role, RolesTogether, cpns_binary

MISSING_SHOWN = 4  # of the devices that did not have an event
PYTHON_PNE = pathlib.Path(__file__).resolve().parents[1] / "python_pne" / "pne.py"


def lasting_ports() -> list:
    """The ports that the kernel gives to nobody who asks for any port."""
    low, high = (int(n) for n in pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    return [*range(10_000, low), *range(high + 1, 65_536)]


def free_port(kind, host="127.0.0.1") -> int:
    """A port that stays free until the caller's process takes it: another test's process may ask for any port meanwhile, and keep it."""
    drawn = random.SystemRandom().sample(lasting_ports(), 100)
    for port in drawn:
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("" if kind == socket.SOCK_DGRAM else host, port))  # a PNE hears beacons at each address
                return port
            except OSError:
                continue
    raise AssertionError(f"none of these ports of {host} is free: {drawn}")


class Home:
    """`server`, `gateway` and `pne` are the configurations as dicts: change them, call write(), then start the roles."""

    def __init__(self, devices=3, rekey="1d", level="info", user="alice@example.org"):
        draw = random.SystemRandom()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-e2e-"))
        self.user, self.events, self.processes = user, Events(), []
        # Its own address, for ports that must be the same after a restart: no other process uses a port there.
        self.address = f"127.{draw.randrange(16, 250)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"
        self.server_port = free_port(socket.SOCK_STREAM, self.address)
        self.radio_port = free_port(socket.SOCK_STREAM, self.address)
        self.network = f"e2e-{draw.randrange(1 << 32):08x}"  # the hello, 11 bytes and this name, must fit into a frame of 23 bytes
        self.beacon_port = free_port(socket.SOCK_DGRAM)
        self.cli("init", self.folder, "--devices", devices, "--user", user, "--listen", f"{self.address}:{self.server_port}")
        self.devices = self._devices()
        log = {"format": "json", "level": level}
        tls = {n: {"certificate": f"tls/{n}.pem", "key": f"tls/{n}.key", "ca": "tls/ca.pem"} for n in ("server", "gateway")}
        # The PNEs find the gateway by its beacon, even if its port changes after a restart.
        self.server = {"role": "server", "name": "main", "listen": f"{self.address}:{self.server_port}", "tls": tls["server"],
                       "store": {"kind": "rocksdb", "path": "state/server"}, "protector": {"kind": "file", "file": "server.kek"},
                       "keys": {"rekey": rekey}, "log": dict(log)}
        self.gateway = {"role": "gateway", "name": "gw1", "user": user, "user_password_file": "password",
                        "servers": [f"{self.address}:{self.server_port}"], "server_uri": "urn:cpns:server:main",
                        "tls": tls["gateway"], "store": {"kind": "rocksdb", "path": "state/gateway"},
                        "protector": {"kind": "file", "file": "gateway.kek"},
                        "transports": [{"name": "radio", "plugin": "tcp", "params": {
                            "listen": "127.0.0.1:0", "announce": f"127.255.255.255:{self.beacon_port}", "announce_ms": "100",
                            "network": self.network}}],
                        "validation": {"policy": "auto"}, "timers": {"reconnect_max": "1s"},
                        "api": {"socket": "state/gateway.sock"}, "log": dict(log)}
        self.pne = {"role": "pne", "devices_file": "devices.csv", "keys_dir": "state/pne",
                    "transports": [{"name": "radio", "plugin": "tcp", "params": {
                        "discover": str(self.beacon_port), "network": self.network}}],
                    "protector": {"kind": "file", "file": "pne.kek"}, "api": {"socket": "state/pne.sock"}, "log": dict(log)}
        self.write()

    def listen_at_fixed_port(self):
        """For a PNE that dials: the gateway's radio listens at `address`:`radio_port`, also after a restart."""
        self.gateway["transports"][0]["params"]["listen"] = f"{self.address}:{self.radio_port}"
        return f"{self.address}:{self.radio_port}"

    def give_own_key_files(self, folder: str):
        """Each PNE of the process gets a key file of its own, `folder`/N.keys, in place of a row in the store of `keys_dir`."""
        for name in ("devices_file", "keys_dir"):
            del self.pne[name]
        self.pne["devices"] = []
        for number, (entity, key) in enumerate(self.devices):
            with open(os.open(self.folder / f"{number}.tk", os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(key + "\n")
            self.pne["devices"].append({"entity": entity, "temporary_key_file": f"{number}.tk", "key_file": f"{folder}/{number}.keys"})

    def write(self):
        for name in ("server", "gateway", "pne"):
            (self.folder / f"{name}.yaml").write_text(yaml.dump(getattr(self, name)))

    def _devices(self) -> list:
        """[(Entity ID, Temporary Key as text)] of the manufactured devices."""
        with open(self.folder / "devices.csv", newline="") as file:
            return [(row["entity_id"], row["temporary_key"]) for row in csv.DictReader(file)]

    def password(self) -> str:
        return (self.folder / "password").read_text().rstrip("\n")

    # ---- the command line

    def cli(self, *args, **options) -> subprocess.CompletedProcess:
        return self.cli_of(cpns_binary(), *args, **options)

    def cli_of(self, program, *args, check=True, stdin=None, timeout=60, env=None) -> subprocess.CompletedProcess:
        """The same by another build of cpns."""
        done = subprocess.run([program, *(str(a) for a in args)], capture_output=True, text=True, timeout=timeout,
                              input=stdin if stdin is not None else "", cwd=self.folder, env={**os.environ, **(env or {})})
        if check and done.returncode != 0:
            raise AssertionError(f"cpns {' '.join(str(a) for a in args)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def add_user(self, user: str, password: str):
        """Only while the server is stopped."""
        self.cli("user", "add", user, "--stdin", "--config", "server.yaml", stdin=password + "\n")

    def import_devices(self, rows: list, *options):
        """rows: (Entity ID, Temporary Key, strength). Only while the server is stopped. The list is deleted afterwards."""
        with tempfile.TemporaryDirectory(prefix="cpns-e2e-list-") as folder:
            file = pathlib.Path(folder) / "list.csv"
            with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", newline="") as out:
                csv.writer(out).writerows([("entity_id", "temporary_key", "strength"), *rows])
            self.cli("device", "import", file, "--config", "server.yaml", *options)

    def pnes(self) -> dict:
        """The PNEs of the running gateway: Entity ID to its entry in `cpns pnes list`."""
        listed = json.loads(self.cli("pnes", "list", "--json", "--config", "gateway.yaml").stdout)
        return {p["entity"]: p for p in listed["pnes"]}

    def tell_pne(self, what: str, entity="", check=True):
        return self.cli("pne", "--config", "pne.yaml", what, *([entity] if entity else []), check=check)

    def wait_for_each(self, since=0, timeout=30.0, entities=None, role="gateway", event="confirmed") -> float:
        """Waits until each of `entities` (default: every device) had this event. Returns the time of the last one."""
        missing = {entity for entity, _ in self.devices} if entities is None else set(entities)
        count, last = len(missing), [0.0]

        def done(e):
            if (e["role"], e["event"]) == (role, event) and e.get("entity") in missing:
                missing.discard(e["entity"])
                last[0] = e["seen"]
            return not missing

        def what():
            first = sorted(missing)[:MISSING_SHOWN]
            last_of = "\n".join(f"last events of {entity}:\n{self.events.tail(8, entity=entity)}" for entity in first)
            more = ", ..." if len(missing) > len(first) else ""
            return f"{event} of the {role} for {len(missing)} of {count} devices ({', '.join(first)}{more})\n{last_of}\n"

        self.events.wait_until(done, since=since, timeout=timeout, what=what)
        return last[0]

    # ---- processes

    def role(self, name: str) -> Role:
        """The server, gateway or pne of this home; the same object each time."""
        known = next((p for p in self.processes if p.name == name), None)
        return known or self._keep(Role(name, self.folder / f"{name}.yaml", self.events, self.folder))

    def use_loopback(self):
        """The radio of one process: gateway and PNEs must run in the same one, see together()."""
        for role in (self.gateway, self.pne):
            role["transports"][0] |= {"plugin": "loopback", "params": {"network": self.network}}

    def together(self, name: str, *roles) -> RolesTogether:
        """One process for these roles, in the order of their start."""
        return self._keep(RolesTogether(name, roles, self.events, self.folder))

    def start(self, *names) -> list:
        return [self.role(n).start() for n in names or ("server", "gateway", "pne")]

    def python_pne(self, entity: str, tk: str, *options, name="python-pne") -> Process:
        """Starts the PNE in Python; its JSON lines are events of the role `name`."""
        at = self.listen_at_fixed_port()
        return self._keep(Process(name, [sys.executable, "-B", PYTHON_PNE, at, "--entity", entity, "--tk", tk, "--keys",
                                         self.folder / f"{name}.json", "--network", self.network, *options],
                                  self.events, self.folder)).spawn()

    def _keep(self, process):
        self.processes.append(process)
        return process

    def close(self, keep=False):
        """Ends all processes and removes the folder."""
        for p in reversed(self.processes):
            p.shut_down()
        if keep:
            print(f"kept: {self.folder}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def poll(condition, timeout=20.0, every=0.05, what="a condition"):
    """For conditions without a log event: calls `condition()` until its result is true, and returns the result."""
    pause = threading.Event()
    for _ in range(max(1, round(timeout / every))):
        value = condition()
        if value:
            return value
        pause.wait(every)
    raise AssertionError(f"not within {timeout} s: {what}")
