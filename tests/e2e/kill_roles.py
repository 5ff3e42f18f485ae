#!/usr/bin/python3
"""Kills one role with kill -9 during key assignments and updates, then restarts it: in the end all PNEs are keyed, and no key is lost.

  kill_roles.py --role gateway --times 20 --seed 7
  kill_roles.py --role pne --times 5 --pnes 9800 --rekey 60s
  kill_roles.py --role gateway --transport loopback --times 5 --pnes 10000 --rekey 60s

Each round has its own home. The seed determines the moment of the kill: a number of events of the gateway, and some milliseconds more.
The stores are read after the kill, after the recovery and at the end, and compared with each other, with earlier readings, and with the
logs of the roles: no (set_id, epoch) names two keys, no acknowledged key is lost, no index goes into two deliveries. Prints one line per
round; exit code 0 on success.

Over loopback gateway and PNEs are one process, so either of them dies with the other, and the server is another process. With `--role all`
the three roles are one process, which is killed.

After a failure it keeps the home and prints the seed."""

import argparse
import random
import sys
import threading
import time

from support.home import Home
from support.keys import ROLES, Account

LINKS_AT_FIRST = 4096  # unverified ones by default
RADIOS = ("tcp", "loopback")
# The event that each restarted role logs for every device that it serves again.
SIGNS_OF_LIFE = {"server": ("server", "assignment-answered"), "gateway": ("gateway", "confirmed"), "pne": ("pne", "key-accepted")}


class Round:
    def __init__(self, role: str, pnes: int, rekey: str, draw: random.Random, own_key_files=False, transport="tcp"):
        self.role, self.pnes, self.draw = role, pnes, draw
        self.home = Home(devices=pnes, rekey=rekey)
        if own_key_files:
            self.home.give_own_key_files("state")
        self.account = Account(self.home)
        self.patience = max(60, pnes / 50)  # s
        if transport == "loopback":
            self.home.use_loopback()
        if pnes > LINKS_AT_FIRST:
            # Half of them for unverified ones. A tcp radio has as many as the open files of its process allow.
            self.home.gateway["limits"] = {"links": 2 * (pnes + 64)}
        # The smallest sets, to cause refills all the time.
        self.home.server["keys"]["set_size"] = 2
        self.home.gateway["rekey"] = {"low_water": 2}
        self.home.gateway["healing_reserve"] = 1
        self.home.write()
        self.processes = self._processes(transport)
        self.victim = next(p for roles, p in self.processes if role in (*roles, "all"))
        self.killed = next(roles for roles, p in self.processes if p is self.victim)

    def _processes(self, transport: str) -> list:
        """[(roles, process)] in the order of their start."""
        if self.role == "all":
            return [(ROLES, self.home.together("all", *ROLES))]
        if transport == "loopback":
            return [(("server",), self.home.role("server")), (("gateway", "pne"), self.home.together("devices", "gateway", "pne"))]
        return [((name,), self.home.role(name)) for name in ROLES]

    def run(self) -> str:
        home = self.home
        for _, process in self.processes:
            process.start()
        # A first contact is six events of a device, an update four.
        events, pause = self.draw.randint(1, 14 * self.pnes), self.draw.uniform(0, 0.02)
        home.events.wait(lambda e: "entity" in e, role="gateway", count=events, timeout=self.patience)
        threading.Event().wait(pause)
        keyed = len({e["entity"] for e in home.events.find(role="gateway", event="confirmed")})
        code = self.victim.kill9()
        assert code == -9, f"the process {self.victim.name} had ended with {code} before it was killed"
        self.account.take()
        since, began = home.events.mark(), time.monotonic()
        self.victim.start()
        self.all_keyed_by_the_new_run(since)
        took = time.monotonic() - began
        self.account.take()
        for _, process in reversed(self.processes):
            code = process.terminate()
            assert code == 0, f"the process {process.name} ended with {code} after SIGTERM"
        self.account.take()
        self.account.all_keyed()
        self.no_errors_logged()
        assert not self.account.faults, "\n".join(self.account.faults)
        return (f"{', '.join(self.killed)} killed after {events} events with {keyed} of {self.pnes} keyed; all keyed again in "
                f"{took:.2f} s; {len(self.account.by_set)} keys seen in {self.account.cuts} cuts, each name one key, none lost")

    def all_keyed_by_the_new_run(self, since: int):
        """Waits until each device has a new key and the restarted roles took part in it (the server: by a refill)."""
        entities = {entity for entity, _ in self.home.devices}
        missing = {("gateway", "confirmed"): set(entities), **{SIGNS_OF_LIFE[role]: set(entities) for role in self.killed}}

        def done(event):
            left = missing.get((event["role"], event["event"]))
            if left is not None and (event["role"] not in self.killed or event["run"] == 2):
                left.discard(event["entity"])
            return not any(missing.values())

        self.home.events.wait_until(done, since=since, timeout=1.5 * self.patience, what=f"a new key for each of {self.pnes} PNEs")

    def no_errors_logged(self):
        bad = self.home.events.find(lambda e: e.get("level") == "error" or e["event"] == "raw")
        assert not bad, f"errors were logged: {bad[:5]}"
        ends = [e for e in self.home.events.find(event="process-ended") if e["code"] not in (0, -9)]
        assert not ends, f"a process died: {ends}"


def rounds(role: str, times: int, seed: int, pnes=40, rekey="1s", say=print, own_key_files=False, transport="tcp") -> bool:
    for number in range(1, times + 1):
        one = Round(role, pnes, rekey, random.Random(f"{seed}/{role}/{number}"), own_key_files, transport)
        good = False
        try:
            report = one.run()
            good = True
        except AssertionError as wrong:
            report = f"FAILED: {wrong}\nseed {seed}, role {role}, round {number}; {len(one.account.faults)} faults:\n" \
                   + "\n".join(one.account.faults[:20]) + "\n" + one.home.events.tail(15)
        finally:
            one.home.close(keep=not good)
        say(f"{role} {number}/{times} seed {seed}: {report}")
        if not good:
            return False
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--role", choices=(*ROLES, "all"), required=True)
    p.add_argument("--transport", choices=RADIOS, default="tcp", help="the radio between gateway and PNEs")
    p.add_argument("--times", type=int, default=20)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--pnes", type=int, default=40)
    p.add_argument("--rekey", default="1s", help="how often each PNE gets its next key")
    p.add_argument("--own-key-files", action="store_true", help="each PNE has a key file of its own, in place of a row in a store")
    a = p.parse_args()
    if a.role == "all" and a.transport != "loopback":
        p.error("--role all: over tcp each role is a process; use --transport loopback")
    good = rounds(a.role, a.times, a.seed, a.pnes, a.rekey, lambda line: print(line, flush=True), a.own_key_files, a.transport)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
