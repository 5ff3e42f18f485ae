#!/usr/bin/python3
"""How long a gateway stays with a server that is dead: frozen (the process stops, its connection stays), or behind a link that was cut
without a word, busy or idle. Needs a network namespace (root, or user namespaces) for the cut link.

  dead_links.py --kind frozen --rounds 20 --request-timeout 10s
  dead_links.py --kind cut --rounds 20
  dead_links.py --kind idle --rounds 20 --probe 30s

Prints a line a round, then the median and the worst: seconds from the fault until the gateway is connected to the other server. In rounds
of `frozen` and `cut` a device asks for its next key at the moment of the fault, so that something waits for the server; in those of `idle`
nothing does."""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

from support.two_servers import TwoServers

INSIDE = "CPNS_E2E_NETWORK"
HERE, THERE = "10.9.7.1", "10.9.7.2"


def ip(*words, within=()):
    subprocess.run([*within, "ip", *(str(w) for w in words)], check=True)


class Machine:
    """A network namespace behind a cable."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdin.write(b"\n")
        self.holder.stdin.flush()
        self.holder.stdout.read(1)
        self.prefix = ["nsenter", "-t", str(self.holder.pid), "-n"]
        ip("link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        ip("addr", "add", f"{HERE}/24", "dev", "cable")
        self.cable("up")
        for words in (("addr", "add", f"{THERE}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            ip(*words, within=self.prefix)

    def cable(self, state):
        ip("link", "set", "cable", state)

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(10)


class Rounds:
    def __init__(self, options):
        self.kind = options.kind
        self.machine = Machine() if self.kind != "frozen" else None
        self.home = TwoServers(options.request_timeout, options.probe, THERE if self.machine else None, devices=1)
        self.far = self.home.role("second")
        if self.machine:
            self.far.args = [*self.machine.prefix, *self.far.args]
        for name in ("server", "second", "gateway", "pne"):
            self.home.role(name).start()
        self.home.events.wait(role="gateway", event="confirmed", timeout=60)
        self.at = self.home.connected_to()

    def move_to(self, server):
        """The gateway goes to the next server when the one that it uses stops."""
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
            self.machine.cable("down")
        else:
            dead.signal(signal.SIGSTOP)
        if self.kind != "idle":
            home.cli("pnes", "update", home.devices[0][0], "--config", "gateway.yaml")
        event = home.events.wait(role="gateway", event="server-connected", since=since, timeout=300)[0]
        took, self.at = event["seen"] - began, home.by_address[event["server"]]
        assert self.at is not dead
        if self.machine:
            self.machine.cable("up")
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
        ip("link", "set", "lo", "up")
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
