#!/usr/bin/python3
"""Measures how long a gateway stays with a dead server: frozen (the process stops, its connection stays open), or behind a link that was
cut silently, busy or idle. The cut link needs a network namespace (root, or user namespaces).

  dead_links.py --kind frozen --rounds 20 --request-timeout 10s
  dead_links.py --kind cut --rounds 20
  dead_links.py --kind idle --rounds 20 --probe 30s

Prints one line per round, then the median and the worst: seconds from the fault until the gateway is connected to the other server. In
rounds of `frozen` and `cut` a device asks for its next key at the moment of the fault, so that a request waits for the server; in rounds
of `idle` none does."""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

from support.machines import INSIDE, Machine
from support.two_servers import TwoServers

class Rounds:
    def __init__(self, options):
        self.kind = options.kind
        self.machine = Machine(7) if self.kind != "frozen" else None
        self.home = TwoServers(options.request_timeout, options.probe, self.machine.address if self.machine else None, devices=1)
        self.far = self.home.role("second")
        if self.machine:
            self.machine.takes(self.far)
        for name in ("server", "second", "gateway", "pne"):
            self.home.role(name).start()
        self.home.events.wait(role="gateway", event="confirmed", timeout=60)
        self.at = self.home.connected_to()

    def move_to(self, server):
        """Stops the current server until the gateway uses `server`."""
        while self.at is not server:
            since, left = self.home.events.mark(), self.at
            assert left.terminate() == 0
            self.at = self.home.connected_to(since)
            left.start()

    def one(self) -> float:
        home = self.home
        if self.machine:
            self.move_to(self.far)
        since, dead, began = home.events.mark(), self.at, time.monotonic()
        if self.machine:
            self.machine.cut()
        else:
            dead.signal(signal.SIGSTOP)
        if self.kind != "idle":
            home.cli("pnes", "update", home.devices[0][0], "--config", "gateway.yaml")
        event = home.events.wait(role="gateway", event="server-connected", since=since, timeout=300)[0]
        took, self.at = event["seen"] - began, home.by_address[event["server"]]
        assert self.at is not dead
        if self.machine:
            self.machine.mend()
        else:
            dead.signal(signal.SIGCONT)
        if self.kind != "idle":
            home.events.wait(role="gateway", event="confirmed", since=since, timeout=60)
        return took

    def close(self):
        self.home.close()
        if self.machine:
            self.machine.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("frozen", "cut", "idle"), default="frozen")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--request-timeout", default="10s")
    parser.add_argument("--probe", default="30s")
    options = parser.parse_args()
    if options.kind != "frozen" and INSIDE not in os.environ:
        unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
        os.execvpe("unshare", [*unshare, sys.executable, "-B", *sys.argv], {**os.environ, INSIDE: "1"})
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    rounds, took = Rounds(options), []
    try:
        for i in range(options.rounds):
            took.append(rounds.one())
            print(f"{options.kind} {i + 1}: left after {took[-1]:.1f} s", flush=True)
    finally:
        rounds.close()
    print(f"{options.kind}, request_timeout {options.request_timeout}, probe {options.probe}: p50 {statistics.median(took):.1f} s, "
          f"worst of {len(took)} {max(took):.1f} s")


if __name__ == "__main__":
    main()
