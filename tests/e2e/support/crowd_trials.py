"""A trial: strangers claim to be one device, next to three other devices. Measures the delay of the key, and collects faults."""

import csv
import datetime
import os
import random
import shutil
import threading
import time

from support import yaml
from support.crowd import STAYS, Crowd, Loop, Relay
from support.events import NotSeen
from support.home import Home, free_port
from support.process import Process, cpns_binary

RETRIES = 5  # timers.retries of the gateway
LATE = 2.0  # seconds that an update may be late
KINDS = ("mixed", "no_key", "no_presence")
ALARMS = {"keyed": ("amnesia", "presence-failed", "stale-epoch", "gateway-rolled-back"), "unkeyed": ("stale-epoch", "gateway-rolled-back")}
ALARMS |= {"moved": ALARMS["keyed"], **dict.fromkeys(("lost", "reset", "hops"), ALARMS["unkeyed"])}
HOP = 0.2  # seconds that a stranger stays on a link in the case hops, on average


def seconds(duration: str) -> float:
    return float(duration[:-2]) / 1000 if duration.endswith("ms") else float(duration[:-1])


class CrowdedHome(Home):
    """A gateway with two radios. The claimed device uses a relay; the other devices are in a separate process."""

    def __init__(self, loop: Loop, answer_timeout: str, rekey: str, others=3):
        super().__init__(devices=1 + others, rekey=rekey)
        self.near, far_port = self.listen_at_fixed_port(), free_port(2, self.address)  # 2: SOCK_DGRAM
        self.far = f"{self.address}:{far_port}"
        self.gateway["transports"] = [{"name": name, "plugin": "tcp", "params": {"listen": at, "network": self.network}}
                                      for name, at in (("near", self.near), ("far", self.far))]
        self.gateway["timers"]["answer_timeout"] = answer_timeout
        self.relay = Relay(loop, f"{self.address}:{free_port(2, self.address)}", self.near)
        self.others = {**self.pne, "keys_dir": "state/others", "api": {"socket": "state/others.sock"}}
        for part, name, rows, at in ((self.pne, "claimed", self.devices[:1], self.relay.at),
                                     (self.others, "beside", self.devices[1:], self.near)):
            part["devices_file"] = f"{name}.csv"
            part["transports"] = [{"name": "radio", "plugin": "tcp", "params": {"connect": at, "network": self.network}}]
            with open(os.open(self.folder / f"{name}.csv", os.O_WRONLY | os.O_CREAT, 0o600), "w", newline="") as out:
                csv.writer(out).writerows([("entity_id", "temporary_key", "strength"), *((e, tk, "128bit") for e, tk in rows)])
        self.write()
        self._keep(Process("others", [cpns_binary(), "pne", "--config", self.folder / "others.yaml"], self.events, self.folder))
        self.claimed, self.own, self.looked = self.devices[0][0], 1 << 16, 0

    def write(self):
        super().write()
        if hasattr(self, "others"):
            (self.folder / "others.yaml").write_text(yaml.dump(self.others))

    def confirmed(self, entity: str, since=0) -> list:
        return self.events.find(role="gateway", event="confirmed", entity=entity, since=since)

    def own_epoch(self) -> int:
        """The epoch that the claimed device confirmed last, as a number. Called often, so it reads only new events."""
        self.looked, since = self.events.mark(), self.looked
        for last in self.confirmed(self.claimed, since)[-1:]:
            self.own = epoch_of(last)
        return self.own


def epoch_of(event) -> int:
    generation, index = event["epoch"].split(".")
    return int(generation) << 16 | int(index)


def longest_wait(seen: list, came: float, gone: float) -> float:
    """The longest time without a new key between `came` and `gone`; the last key before `came` counts."""
    times = [max((t for t in seen if t <= came), default=came), *(t for t in seen if came < t < gone), gone]
    return max(b - a for a, b in zip(times, times[1:]))


def lost_indexes(sent: list, kept: list) -> list:
    """Returns faults. Each delivered index must be confirmed, in order; only the last delivery may be pending."""
    faults = []
    if kept != list(range(kept[0], kept[0] + len(kept))):
        faults.append(f"indexes were skipped: {kept}")
    if sent[:len(kept)] != kept or len(sent) > len(kept) + 1:
        faults.append(f"indexes were lost: delivered {sent}, confirmed {kept}")
    return faults


def crowding(times: list) -> float:
    """Seconds by which the densest run of requests exceeds one request per second; 0 if all are a second apart."""
    # With u[i] = times[i] - i this is the largest u[i] - u[j], i before j.
    most, highest = 0.0, float("-inf")
    for i, t in enumerate(times):
        highest = max(highest, t - i)
        most = max(most, highest - (t - i))
    return most


def requests_most(span: float) -> int:
    """Largest number of requests about one refused claimant: waits begin at a second and double; half of a wait is random."""
    requests, at, wait = 0, 0.0, 0.5
    while at <= span:
        requests, at, wait = requests + 1, at + wait, 2 * wait
    return requests


def written(event) -> float:
    """Time at which the process wrote this line, by its own clock: on a busy machine the test may read it later."""
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


class Trial:
    """`case`: keyed, unkeyed, moved, lost, reset or hops. run() measures `took`, at most `most` seconds (for keyed: the delay of the
    worst update), and `figures`; `faults` must stay empty on any machine."""

    def __init__(self, case: str, strangers: int, seed, answer_timeout="1s", rekey=None, span=60.0, kind=None, roams=False):
        self.case, self.k, self.seed, self.span, self.roams = case, strangers, seed, span, roams
        self.draw = random.Random(f"{seed}/{case}")
        self.kind = kind or self.draw.choice(KINDS if case == "keyed" else KINDS[:2])
        self.rekey = rekey or ("2s" if case == "keyed" else "5s")
        among = 3.0 * (strangers + 1)
        exchange = seconds(answer_timeout) * (RETRIES + 1)
        self.most = {"unkeyed": among, "lost": exchange + 15 + among, "reset": exchange + 15 + among}.get(case, LATE)
        self.took, self.faults, self.figures = None, [], {}
        self.loop = Loop()
        self.home = CrowdedHome(self.loop, answer_timeout, self.rekey)
        self.events, self.entity = self.home.events, self.home.claimed

    def close(self, keep=False):
        self.home.relay.close()
        self.loop.close()
        self.home.close(keep)

    def run(self):
        self._begin()
        crowd = Crowd(self.loop, [self.home.near, self.home.far], self.home.network, self.entity, self.k, self.kind, self.seed,
                      self.home.own_epoch, self.roams, HOP if self.case == "hops" else STAYS)
        since, came = self.events.mark(), time.monotonic()
        try:
            getattr(self, "_" + self.case)()
        except NotSeen:
            self.faults.append("the device received no key")
        gone = time.monotonic()
        crowd.leave()
        self.figures.update(span=gone - came, links=crowd.links, answers=crowd.answers)
        self._check(since, came, gone)
        for name in ("pne", "others", "gateway", "server"):
            if self.home.role(name).terminate() != 0:
                self.faults.append(f"{name} did not end with exit code 0")
        return self

    # ---- the cases

    def _begin(self):
        home = self.home
        home.start("server", "gateway")
        self.events.wait(role="gateway", event="server-connected", timeout=20)
        home.role("others").spawn()
        present = [e for e, _ in home.devices[1:]]
        if self.case not in ("unkeyed", "hops"):
            home.start("pne")
            present.append(self.entity)
        for entity in present:
            self.events.wait(role="gateway", event="confirmed", entity=entity, timeout=60)

    @staticmethod
    def _pause(span: float):
        threading.Event().wait(span)

    def _keyed(self):
        self._pause(self.span)

    def _unkeyed(self):
        self._pause(self.draw.uniform(2, 6))
        mark = self.events.mark()
        self.home.start("pne")
        self._await_key(mark)

    def _hops(self):
        """The gateway remembers a refusal after the link ends; the device, never refused, is verified before all strangers."""
        self._pause(self.span)
        times = [written(e) for e in self._asked(0)]
        asked, most = sum(t - times[0] < self.span for t in times), self.k * requests_most(self.span)
        self.figures.update(asked=asked)
        if asked > most:
            self.faults.append(f"{asked} requests in {self.span:g} s about {self.k} refused strangers, allowed are at most {most}")
        mark = self.events.mark()
        self.home.start("pne")
        self._await_key(mark)

    def _half_open(self):
        """Cuts the device off at a random time between two renewals, so strangers may or may not begin an exchange first."""
        self._pause(self.draw.uniform(1, min(self.span, 15)))
        self.home.relay.leave_half_open()
        self._pause(0.5)

    def _comes_back(self):
        mark = self.events.mark()
        self.home.relay.go_on(self.home.far)
        self._await_key(mark)

    def _moved(self):
        self._half_open()
        self._comes_back()

    def _lost(self):
        self._half_open()
        self.home.role("pne").terminate()
        shutil.rmtree(self.home.folder / "state" / "pne")
        self.home.start("pne")
        self._comes_back()

    def _reset(self):
        self._half_open()
        self.home.tell_pne("reset", self.entity)
        self._comes_back()

    def _await_key(self, mark):
        """Measures from the time at which the device's link is up at the gateway."""
        event = self.events.wait(role="gateway", event="confirmed", entity=self.entity, since=mark, timeout=2 * self.most + 20)[0]
        self.took = event["seen"] - self.home.relay.up_since

    # ---- the checks

    def _check(self, since, came, gone):
        for alarm in ALARMS[self.case]:
            found = self.events.find(role="gateway", event=alarm, entity=self.entity, since=since)
            if found:
                self.faults.append(f"{alarm} was logged {len(found)} times: {found[0]['text']}")
        for e in self.events.find(lambda e: e.get("level") == "error" or e["event"] in ("device-died", "raw")):
            self.faults.append(f"{e['role']} logged {e['event']}: {e['text']}")
        late = max(self._lateness(entity, came, gone) for entity, _ in self.home.devices[1:])
        self.figures["others late"] = late
        if self.case == "keyed":
            self.took = self._lateness(self.entity, came, gone)
            self.figures["updates"] = len(self.home.confirmed(self.entity, since))
            self._no_index_lost()
        self._requests(since)

    def _lateness(self, entity, came, gone) -> float:
        return longest_wait([e["seen"] for e in self.home.confirmed(entity)], came, gone) - seconds(self.rekey)

    def _no_index_lost(self):
        sent = self.events.find(role="gateway", event="delivering", entity=self.entity)
        self.faults += lost_indexes([epoch_of(e) for e in sent], [epoch_of(e) for e in self.home.confirmed(self.entity)])

    def _asked(self, since) -> list:
        """The server's answers about the claimed device."""
        answers = ("assignment-refused", "assignment-answered")
        return self.events.find(lambda e: e["event"] in answers, role="server", entity=self.entity, since=since)

    def _requests(self, since):
        asked = self._asked(since)
        if self.events.find(role="server", event="refusals-held-back", since=since):
            self.faults.append("more requests than the server logs")
        self.figures.update(requests=len(asked), crowding=crowding([written(e) for e in asked]))
