#!/usr/bin/python3
"""kill -9 of one role in the middle of keying and updating, then a restart: all PNEs are keyed in the end, and no key was lost.

  kill_roles.py --role gateway --times 20 --seed 7

Each round has a home of its own. The moment of the kill is drawn from the seed: after so many events of the gateway, and some
milliseconds more. The stores are read after the kill, after the recovery and at the end, and compared with each other, with what was
read before, and with what the roles had said: no (set_id, epoch) names two keys, no acknowledged key is lost, no index goes into two
deliveries. Prints a line a round; exit code 0 if all went well. After a failure it keeps the home and says which seed it was."""

import argparse
import random
import sys
import threading
import time

from support.home import Home
from support.keys import ROLES, Account

# What each restarted role says once for every device that it serves again.
SIGNS_OF_LIFE = {"server": ("server", "assignment-answered"), "gateway": ("gateway", "confirmed"), "pne": ("pne", "key-accepted")}


class Round:
    def __init__(self, role: str, pnes: int, rekey: str, draw: random.Random):
        self.role, self.pnes, self.draw = role, pnes, draw
        self.home = Home(devices=pnes, rekey=rekey)
        self.account = Account(self.home)
        # The smallest sets, so that refills are under way all the time.
        self.home.server["keys"]["set_size"] = 2
        self.home.gateway["rekey"] = {"low_water": 2}
        self.home.gateway["healing_reserve"] = 1
        self.home.write()

    def run(self) -> str:
        home = self.home
        home.start()
        # A first contact is six events of a device, an update four.
        events, pause = self.draw.randint(1, 14 * self.pnes), self.draw.uniform(0, 0.02)
        home.events.wait(lambda e: "entity" in e, role="gateway", count=events, timeout=60)
        threading.Event().wait(pause)
        keyed = len({e["entity"] for e in home.events.find(role="gateway", event="confirmed")})
        code = home.role(self.role).kill9()
        assert code == -9, f"the {self.role} had ended with {code} before it was killed"
        self.account.take()
        since, began = home.events.mark(), time.monotonic()
        home.role(self.role).start()
        self.all_keyed_by_the_new_run(since)
        took = time.monotonic() - began
        self.account.take()
        for name in reversed(ROLES):
            code = home.role(name).terminate()
            assert code == 0, f"the {name} ended with {code} after SIGTERM"
        self.account.take()
        self.account.all_keyed()
        self.nobody_complained()
        assert not self.account.faults, "\n".join(self.account.faults)
        return (f"{self.role} killed after {events} events with {keyed} of {self.pnes} keyed; all {self.pnes} keyed again in "
                f"{took:.2f} s; {len(self.account.by_set)} keys seen in {self.account.cuts} cuts, each name one key, none lost")

    def all_keyed_by_the_new_run(self, since: int):
        """Each device has got a new key, and the role that was restarted had its part in it (the server's: a refill)."""
        entities = {entity for entity, _ in self.home.devices}
        missing = {("gateway", "confirmed"): set(entities), SIGNS_OF_LIFE[self.role]: set(entities)}

        def done(event):
            left = missing.get((event["role"], event["event"]))
            if left is not None and (event["role"] != self.role or event["run"] == 2):
                left.discard(event["entity"])
            return not any(missing.values())

        self.home.events.wait_until(done, since=since, timeout=90, what=f"a new key for each of {self.pnes} PNEs")

    def nobody_complained(self):
        bad = self.home.events.find(lambda e: e.get("level") == "error" or e["event"] == "raw")
        assert not bad, f"errors were logged: {bad[:5]}"
        ends = [e for e in self.home.events.find(event="process-ended") if e["code"] not in (0, -9)]
        assert not ends, f"a process died: {ends}"


def rounds(role: str, times: int, seed: int, pnes=40, rekey="1s", say=print) -> bool:
    for number in range(1, times + 1):
        one = Round(role, pnes, rekey, random.Random(f"{seed}/{role}/{number}"))
        good = False
        try:
            said = one.run()
            good = True
        except AssertionError as wrong:
            said = f"FAILED: {wrong}\nseed {seed}, role {role}, round {number}; {len(one.account.faults)} faults:\n" \
                   + "\n".join(one.account.faults[:20]) + "\n" + one.home.events.tail(15)
        finally:
            one.home.close(keep=not good)
        say(f"{role} {number}/{times} seed {seed}: {said}")
        if not good:
            return False
    return True


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--role", choices=ROLES, required=True)
    p.add_argument("--times", type=int, default=20)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--pnes", type=int, default=40)
    p.add_argument("--rekey", default="1s", help="how often each PNE gets its next key")
    a = p.parse_args()
    sys.exit(0 if rounds(a.role, a.times, a.seed, a.pnes, a.rekey, lambda line: print(line, flush=True)) else 1)


if __name__ == "__main__":
    main()
