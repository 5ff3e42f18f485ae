#!/usr/bin/python3 -B
"""Bad input: does each role stay below its memory, answer, log at a bounded rate and live on?

Real processes over 127.0.0.0/8, each flooded role in a memory cgroup of its own, with `limits.memory` in its YAML:

  unknown      four gateways send a million reports and requests for entities that were never imported, and read no faster than they send
  parts        2,000 connections of gateways send all but the end of a frame of 64 KiB; gateways are served meanwhile
  links        four links of a gateway send as fast as they can; this costs less than 32 MiB, meanwhile and afterwards
  reconnects   a device connects, answers and leaves 1,000 times a second, half of the time under a new Entity ID
  damaged      a server has a million records of which ten are damaged, and all are asked for
  descriptors  server and gateway may open 1,024 descriptors, and 1,500 peers connect to each

Prints for each flooded role its memory before, at most and after, the answers, the log lines per second (mean, and the most after the
first five seconds), and whether it still gives a key to an honest device. A miss is printed, too."""

import argparse
import collections
import contextlib
import pathlib
import resource
import subprocess
import sys
import threading
import time

from support import floods, hostile
from support.confined import Cgroup, Watch, confine, why_not
from support.events import NotSeen
from support.home import Home
from support.process import cpns_binary

LONG_FLOOD = 500_000  # frames, which are more than the limits of a server let pass
EPILOG = """exit codes: 0 no miss; 1 a miss; 2 invalid command line, or no cgroup can be made

examples:
  sudo tests/e2e/floods.py all
  sudo tests/e2e/floods.py damaged --count 100000
  tests/e2e/floods.py links --seconds 10 --no-cgroup
needs: make build, or CPNS_BIN; for `damaged` also bench_fill beside cpns (preset bench). The group has --cgroup MiB."""

DAMAGED = 10  # records
LINES_MAX = 100  # of a role in a second
LINES_AT_FIRST = 5  # s, in which a role may write more
LINKS_COST_MAX = 32  # MiB
PAUSE = threading.Event()  # never set


class Flooded:
    """A trial folder, its roles in cgroups, and the judgement."""

    def __init__(self, options, **home):
        self.options, self.home = options, Home(**home)
        self.misses, self.groups, self.watches = [], [], []

    def limit(self, *names):
        if self.options.memory:
            for name in names:
                getattr(self.home, name).setdefault("limits", {})["memory"] = f"{self.options.memory}MiB"
        self.home.write()

    def start(self, name: str, files=0, timeout=20.0):
        role, group = self.home.role(name), None
        if self.options.cgroup:
            group = Cgroup(name, self.options.cgroup)
            self.groups.append(group)
        confine(role, group, files)
        role.start(timeout)
        return role

    def watch(self, *names):
        self.watches = [Watch(self.home, self.home.role(name)) for name in names]
        self.begun = time.monotonic()

    def miss(self, text: str):
        self.misses.append(text)

    def expect(self, good: bool, text: str):
        if not good:
            self.miss(text)

    def end(self, what: str, answers, cost_max=0, lines_max=LINES_MAX):
        """Ends the watch, waits until memory was given back, and judges."""
        took = time.monotonic() - self.begun
        for w in self.watches:
            w.stop()
        lives = self.lives()
        PAUSE.wait(self.options.after)
        for w in self.watches:
            name = w.role.name
            if not w.role.running():
                self.miss(f"the {name} ended with {w.role.wait()}")
                continue
            after, lines = hostile.rss_mib(w.role.pid), w.lines()
            first = int(w.home.events.find()[w.since - 1]["seen"])
            most = max((n for second, n in lines.items() if second > first + LINES_AT_FIRST), default=0)
            print(f"{what}, {name}: {took:.0f} s; memory {w.before:.0f} MiB before, {w.peak:.0f} at most, {after:.0f} after; "
                  f"{', '.join(f'{n} {k}' for k, n in answers.most_common()) or 'no answers'}; "
                  f"log lines per second {sum(lines.values()) / max(1, took):.1f}, at most {most}; alive {'yes' if lives else 'no'}",
                  flush=True)
            self.expect(most <= lines_max, f"the {name} wrote {most} log lines in a second")
            if self.options.memory:
                self.expect(max(w.peak, after) < self.options.memory, f"the {name} has more than {self.options.memory} MiB")
            if cost_max:
                self.expect(max(w.peak, after) - w.before < cost_max, f"the flood costs the {name} more than {cost_max} MiB")
        self.expect(lives, "no honest device got a key after the flood")
        self.expect(not sum(g.kills() for g in self.groups), "the kernel killed a process of a cgroup")
        self.expect(not self.home.events.find(event="device-died"), "an actor died")

    def lives(self) -> bool:
        """Whether each honest device gets a key now."""
        since = self.home.events.mark()
        try:
            if not self.home.role("pne").running():
                self.home.start("pne")
            else:
                self.home.tell_pne("sleep")
                self.home.tell_pne("wake")
            self.home.wait_for_each(since=since, timeout=60)
        except (AssertionError, NotSeen) as no:
            print(no, file=sys.stderr)
            return False
        return True

    def close(self):
        self.home.close(keep=self.options.keep)
        for g in self.groups:
            g.remove()


def unknown(f: Flooded):
    f.limit("server")
    names = floods.issue_gateways(f.home, 4)
    f.start("server")
    f.home.start("gateway", "pne")
    f.home.wait_for_each()
    f.watch("server")
    until, each = f.begun + f.options.seconds, f.options.count // len(names)
    all_of = [floods.GatewayFlood(f.home, name, floods.frames_of_unknown(each, i * each, f.home.user), until)
              for i, name in enumerate(names)]
    for one in all_of:
        one.join()
    answers = sum((one.answers for one in all_of), collections.Counter())
    sent = sum(one.sent for one in all_of)
    answered = sum(answers.values()) - answers["outcomes"]
    f.expect(answered == sent, f"{sent} frames were sent, and {answered} answered")
    # Wrong proofs are throttled first. A fast server is done with a short flood before its limits are reached.
    f.expect(answers["throttled"] + answers["overloaded"] > 0, "nothing was answered `throttled` or `overloaded`")
    f.expect(sent < LONG_FLOOD or answers["overloaded"] > 0, "nothing was answered `overloaded`")
    f.expect(not sum(one.closed for one in all_of), "the server closed a connection")
    f.end("unknown", answers)


def parts(f: Flooded):
    raise_descriptors()
    f.limit("server")
    names = floods.issue_gateways(f.home, 2000 // floods.OF_ONE_GATEWAY)
    f.start("server")
    f.home.start("gateway", "pne")
    f.home.wait_for_each()
    f.watch("server")
    all_of = [floods.Parts(f.home, names[i::8], 65_536) for i in range(8)]
    f.expect(f.lives(), "no honest device got a key meanwhile")
    for one in all_of:
        one.join()
    f.expect(f.lives(), "no honest device got a key meanwhile")
    for one in all_of:
        one.close()
    count = sum(len(one.open) for one in all_of)
    f.end("parts", collections.Counter({"connections": count}), lines_max=count)  # each connection and its end is a line


def flood_of_devices(f: Flooded, what: str, make, cost_max=0):
    f.limit("gateway")
    at = f.home.listen_at_fixed_port()
    f.home.pne["transports"][0]["params"] = {"connect": at, "network": f.home.network}
    f.home.write()
    f.home.start("server")
    f.start("gateway")
    f.home.start("pne")
    f.home.wait_for_each()
    f.watch("gateway")
    all_of = make(at, f.home.devices[0][0], f.begun + f.options.seconds)
    for one in all_of:
        one.join()
    f.end(what, collections.Counter({"sent": sum(one.sent for one in all_of)}), cost_max)


def links(f: Flooded):
    flood_of_devices(f, "links", lambda at, entity, until: [
        floods.LinkFlood(f.home, at, entity, kind, until) for kind in ("junk", "answers") * 2], LINKS_COST_MAX)


def reconnects(f: Flooded):
    flood_of_devices(f, "reconnects", lambda at, entity, until: [
        floods.ReconnectFlood(f.home, at, name, 250, until) for name in (entity, "") * 2])


def damaged(f: Flooded):
    fill = pathlib.Path(cpns_binary()).parent / "bench_fill"
    for words in (["server", f.home.folder, f.options.count], ["damage", f.home.folder, DAMAGED]):
        subprocess.run([fill, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (name,) = floods.issue_gateways(f.home, 1)
    f.limit("server")
    f.start("server", timeout=120)
    f.home.start("gateway", "pne")
    f.home.wait_for_each()
    f.watch("server")
    names = (f"urn:dev:os:32473-a{i}" for i in range(f.options.count))
    one = floods.GatewayFlood(f.home, name, floods.frames_of_reports(names), f.begun + f.options.seconds, window=3)
    one.join()
    whole = f.options.count - DAMAGED
    f.expect(one.answers["outcomes"] == whole, f"{one.answers['outcomes']} of {whole} whole records had an outcome in the time")
    f.end(f"damaged, {f.options.count} records", one.answers)


def raise_descriptors():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def descriptors(f: Flooded):
    raise_descriptors()
    f.limit("server", "gateway")
    at = f.home.listen_at_fixed_port()
    f.home.pne["transports"][0]["params"] = {"connect": at, "network": f.home.network}
    f.home.write()
    f.start("server", files=1024)
    f.start("gateway", files=1024)
    f.home.events.wait(role="gateway", event="server-connected", timeout=20)
    f.watch("server", "gateway")
    with contextlib.ExitStack() as open_ones:
        dialled = collections.Counter()
        for name, where in (("server", f"{f.home.address}:{f.home.server_port}"), ("gateway", at)):
            for _ in range(1500):
                with contextlib.suppress(OSError):
                    open_ones.enter_context(hostile.dial(where, 5))
                    dialled[f"dialled the {name}"] += 1
        PAUSE.wait(f.options.seconds / 3)
    f.end("descriptors", dialled)


FLOODS = {f.__name__: f for f in (unknown, parts, links, reconnects, damaged, descriptors)}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("flood", choices=("all", *FLOODS))
    p.add_argument("--seconds", type=float, default=0, help="how long a flood lasts; default 30, and at most 240 where --count ends it")
    p.add_argument("--count", type=int, default=1_000_000, help="entities of `unknown`, records of `damaged`; default 1000000")
    p.add_argument("--memory", type=int, default=256, metavar="MiB", help="limits.memory of the role; 0: it has none; default 256")
    p.add_argument("--cgroup", type=int, default=300, metavar="MiB", help="default 300")
    p.add_argument("--after", type=float, default=25, help="seconds until the memory after a flood is read; default 25")
    p.add_argument("--no-cgroup", action="store_true", help="without cgroups, so without root")
    p.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    o = p.parse_args()
    o.cgroup = 0 if o.no_cgroup else o.cgroup
    if o.cgroup and (no := why_not()):
        print(f"floods.py: {no}", file=sys.stderr)
        return 2
    missed, seconds = False, o.seconds
    for name in FLOODS if o.flood == "all" else [o.flood]:
        o.seconds = seconds or (240 if name in ("unknown", "damaged") else 30)
        f = Flooded(o, devices=2)
        try:
            FLOODS[name](f)
        finally:
            f.close()
        for text in f.misses:
            print(f"  MISS {name}: {text}", flush=True)
        missed |= bool(f.misses)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
