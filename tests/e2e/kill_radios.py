#!/usr/bin/python3
"""Kills the process of an isolated radio repeatedly under load: no key is lost, and the radio beside it is not disturbed.

  kill_radios.py --times 100 --seed 7

A gateway has two radios over tcp: `direct` runs in the gateway's process, `isolated` in a child process. Half of the PNEs use each radio,
in one process per radio; the second of these processes also has its radio in a child. Every PNE is renewed all the time. One of the two
children is killed with SIGKILL, or halted with SIGSTOP as if it hung; the seed determines which one, how and when. Afterwards the stores
must show that every PNE has a key that gateway and server also have; the epochs of a PNE only grew, none was enrolled again, and no
link of the direct radio went down.
Prints the times of the updates on the direct radio before and during the kills; exit code 0 on success. After a failure it keeps the home
and prints the seed."""

import argparse
import csv
import os
import pathlib
import random
import signal
import socket
import sys
import threading
import time

from support.home import Home, free_port, poll
from support.keys import Account, parsed
from support.process import Process, cpns_binary
from support import yaml

PNES = ("pne-direct", "pne-isolated")
REKEY = "2s"  # even with jitter slower than the one DREQ per second that a PNE answers; otherwise that wait would be measured
# Events of a device in the gateway's log that must not occur on an undisturbed direct radio ...
TROUBLE = ("link-down", "link-closed", "no-answer", "backing-off", "asleep")
# ... and events that mean a lost key, on any radio.
LOST = ("amnesia", "gateway-rolled-back", "stale-epoch", "presence-failed", "quarantined", "rejected", "revoked", "server-refused")


def radio_children(process: Process) -> list:
    """Ids of the processes that run a radio of `process`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"--cpns-radio-child" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue  # the process has ended
    return found


def percentile(values: list, percent: int) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0


class Trial:
    def __init__(self, pnes: int, rekey: str, seed: int, say):
        self.draw, self.say = random.Random(f"isolation/{seed}"), say
        self.home = Home(devices=pnes, rekey=rekey)
        self.account = Account(self.home, pnes=PNES)
        self.on = {}  # "direct" and "isolated" to their Entity IDs
        self.kills = {"gateway": 0, "pne-isolated": 0}
        self.halts = 0
        self._configure()

    def _configure(self):
        home, draw = self.home, random.SystemRandom()
        home.server["keys"]["set_size"] = 4  # causes refills all the time
        home.gateway.update(rekey={"low_water": 2}, healing_reserve=1)
        home.gateway["timers"]["backoff_max"] = "2s"
        home.gateway["log"]["components"] = {"gateway": "debug"}  # logs links that go down
        with open(home.folder / "devices.csv", newline="") as file:
            rows = list(csv.reader(file))
        half = 1 + (len(rows) - 1) // 2
        home.gateway["transports"] = []
        for name, part in (("direct", rows[1:half]), ("isolated", rows[half:])):
            self.on[name] = {row[rows[0].index("entity_id")] for row in part}
            with open(os.open(home.folder / f"devices-{name}.csv", os.O_WRONLY | os.O_CREAT, 0o600), "w", newline="") as out:
                csv.writer(out).writerows([rows[0], *part])
            network, beacon = f"e2e-{draw.randrange(1 << 32):08x}", free_port(socket.SOCK_DGRAM)
            isolation = "process" if name == "isolated" else "none"
            home.gateway["transports"].append({"name": name, "plugin": "tcp", "isolation": isolation, "params": {
                "listen": "127.0.0.1:0", "announce": f"127.255.255.255:{beacon}", "announce_ms": "100", "network": network}})
            pne = dict(home.pne, devices_file=f"devices-{name}.csv", keys_dir=f"state/pne-{name}",
                       api={"socket": f"state/pne-{name}.sock"},
                       transports=[{"name": name, "plugin": "tcp", "isolation": isolation,
                                    "params": {"discover": str(beacon), "network": network}}])
            (home.folder / f"pne-{name}.yaml").write_text(yaml.dump(pne))
        home.write()

    def start(self):
        home = self.home
        home.start("server", "gateway")
        for name in PNES:
            args = [cpns_binary(), "pne", "--config", home.folder / f"{name}.yaml"]
            home.processes.append(Process(name, args, home.events, home.folder).spawn())
        home.wait_for_each(timeout=60)
        poll(lambda: all(len(radio_children(home.role(n))) == 1 for n in ("gateway", "pne-isolated")), what="two radio processes")

    def latencies(self, since: int, until: int) -> list:
        """Milliseconds of each key update on the direct radio, from its first message to the PNE's confirmation."""
        events = self.home.events.find(role="gateway", event="confirmed", since=since)
        newest = self.home.events.find(since=until)
        last = newest[0]["seen"] if newest else float("inf")
        return [int(e["ms"]) for e in events if e["entity"] in self.on["direct"] and e["seen"] < last]

    def kill_one(self, number: int):
        events = self.home.events
        victim = self.draw.choice(sorted(self.kills))
        halt = self.draw.random() < 0.1
        # After this number of updates on the isolated radio and a short pause, to hit running exchanges.
        wanted, pause = self.draw.randint(1, 8), self.draw.uniform(0, 0.05)
        events.wait(lambda e: e.get("entity") in self.on["isolated"], role="gateway", event="confirmed", count=wanted,
                    since=events.mark(), timeout=60)
        threading.Event().wait(pause)
        process = self.home.role(victim)
        child, = poll(lambda: radio_children(process), what=f"the radio process of {victim}")
        since = events.mark()
        os.kill(child, signal.SIGSTOP if halt else signal.SIGKILL)
        ended = events.wait(role=victim, event="radio-ended", pid=str(child), since=since, timeout=20)[0]
        reason = "did not answer" if halt else "was killed by signal 9"
        assert reason in ended["text"] and ended["transport"] == "isolated", ended
        events.wait(role=victim, event="radio-restarted", transport="isolated", since=since, timeout=30)
        self.kills[victim] += 1
        self.halts += halt

    def run(self, times: int, calm_s: float) -> dict:
        home, events = self.home, self.home.events
        self.start()
        self.account.take()  # halts all processes for a moment, so before the measurement
        home.wait_for_each(events.mark(), 60)
        before = events.mark()
        threading.Event().wait(calm_s)
        during, begun = events.mark(), time.monotonic()
        for number in range(1, times + 1):
            self.kill_one(number)
            if number % 10 == 0:
                self.say(f"{number} of {times} killed, {self.halts} of them halted")
        after, took = events.mark(), time.monotonic() - begun
        calm, stormy = self.latencies(before, during), self.latencies(during, after)
        home.wait_for_each(after, 60)
        self.undisturbed(before)
        self.no_key_lost()
        self.account.take()
        for name in (*reversed(PNES), "gateway", "server"):
            code = home.role(name).terminate()
            assert code == 0, f"{name} ended with {code} after SIGTERM"
            assert not radio_children(home.role(name)), f"{name} left a process behind"
        self.account.take()
        self.account.all_keyed()
        assert not self.account.faults, "\n".join(self.account.faults)
        return {"seconds": took, "before": calm, "during": stormy, "cuts": self.account.cuts, "keys": len(self.account.by_set)}

    def no_key_lost(self):
        """No PNE lost a key or was enrolled again, and the epochs of each PNE only grew."""
        events = self.home.events
        lost = events.find(lambda e: e["event"] in LOST, role="gateway")
        assert not lost, f"a key was lost: {lost[:5]}"
        newest = {}
        for e in events.find(role="gateway", event="confirmed"):
            epoch = parsed(e["epoch"])
            assert epoch > newest.get(e["entity"], (0, -1)), f"{e['entity']} went from {newest[e['entity']]} to {epoch}"
            newest[e["entity"]] = epoch
        known = self.home.pnes()
        assert set(known) == set(newest), f"the gateway knows {len(known)} PNEs of {len(newest)}"
        reset = [entity for entity, p in known.items() if p["resets"] != 0]
        assert not reset, f"enrolled again: {reset}"

    def undisturbed(self, since: int):
        events = self.home.events
        trouble = events.find(lambda e: e["event"] in TROUBLE and e.get("entity") in self.on["direct"], role="gateway", since=since)
        assert not trouble, f"the direct radio was disturbed: {trouble[:5]}"
        moved = events.find(lambda e: e["event"] in ("radio-ended", "radio-restarted") and e["transport"] != "isolated")
        assert not moved, moved
        lost = events.find(lambda e: e.get("entity") in self.on["isolated"], role="gateway", event="link-down", since=since)
        assert lost, "no link of the isolated radio went down, so nothing was tested"
        bad = events.find(lambda e: e.get("level") == "error" or e["event"] in ("raw", "process-ended"))
        assert not bad, f"errors were logged: {bad[:5]}"


def trial(times: int, seed: int, pnes=40, rekey=REKEY, calm_s=10.0, say=print) -> bool:
    one = Trial(pnes, rekey, seed, say)
    good = False
    try:
        figures = one.run(times, calm_s)
        good = True
        say(f"seed {seed}: {one.kills['gateway']} times the gateway's radio process was ended and {one.kills['pne-isolated']} times "
            f"that of the PNEs, {one.halts} of them by a halt, in {figures['seconds']:.0f} s; all {pnes} PNEs have their keys, "
            f"{figures['keys']} keys seen in {figures['cuts']} cuts, none lost")
        for name in ("before", "during"):
            ms = figures[name]
            say(f"update on the direct radio {name}: p50 {percentile(ms, 50)} ms, p99 {percentile(ms, 99)} ms, "
                f"most {max(ms, default=0)} ms ({len(ms)} updates)")
    except AssertionError as wrong:
        say(f"FAILED: {wrong}\nseed {seed}; {len(one.account.faults)} faults:\n" + "\n".join(one.account.faults[:20]) + "\n"
            + one.home.events.tail(15))
    finally:
        one.home.close(keep=not good)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--times", type=int, default=100)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--pnes", type=int, default=40, help="half of them on each radio")
    p.add_argument("--rekey", default=REKEY, help="how often each PNE gets its next key")
    p.add_argument("--calm", type=float, default=30.0, help="seconds that are measured before the first kill")
    a = p.parse_args()
    sys.exit(0 if trial(a.times, a.seed, a.pnes, a.rekey, a.calm, lambda line: print(line, flush=True)) else 1)


if __name__ == "__main__":
    main()
