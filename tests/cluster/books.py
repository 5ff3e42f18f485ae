"""Reads what the roles of a cluster logged and stored, and compares: what was promised must be there, and nothing was promised twice."""

import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support.events import Events  # noqa: E402
from support.keys import Account, parsed, read_keys  # noqa: E402

# Events that say that a device or a store went back in time. None of them may happen, because nothing is restored here.
ALARMS = ("gateway-rolled-back", "stale-epoch", "quarantined", "row-unreadable", "incarnation-behind", "presence-failed", "bad-answer",
          "bad-frame")
ASSIGNED = ("answered", "refilled")


class Place:
    """What Account needs of an installation."""

    def __init__(self, devices: list):
        self.events, self.devices = Events(), [(d, "") for d in devices]


class Books:
    """`logs`: {name of a role: its log lines}, names end with .server, .gateway or .pne. `held`: {kind: keys, as e2e_keys prints them}.
    `reports`: the newest reported epoch of each Entity ID, as the server has it. check() fills `faults`."""

    def __init__(self, devices: list, logs: dict, held: dict, reports: dict):
        self.devices, self.logs, self.held, self.reports = devices, logs, held, reports
        self.faults = []

    def of(self, kind: str, *events) -> list:
        return [e for name, lines in self.logs.items() if name.endswith(f".{kind}") for e in lines if e["event"] in events]

    def check(self) -> list:
        self._as_one_installation()
        self._no_index_issued_twice()
        self._all_given_is_kept()
        self._alarms()
        return self.faults

    def _as_one_installation(self):
        """The checks of tests/e2e: PNE, gateway and server agree, no acknowledged key is lost, no index is delivered twice."""
        place = Place(self.devices)
        account = Account(place)
        for kind in ("gateway", "pne"):
            for e in self.of(kind, "delivering", "confirmed", "key-accepted"):
                place.events.put(kind, 1, dict(e))
        for kind, keys in self.held.items():
            for k in keys:
                account._name(kind, k)
        account._read_events()
        account._compare(self.held)
        account.all_keyed()
        self.faults += account.faults
        self.names = len(account.by_set)

    def _no_index_issued_twice(self):
        """An index belongs to one answer. The same answer may be sent again, to a repeated request."""
        issued = collections.defaultdict(dict)
        for e in self.of("server", "assignment-answered"):
            generation, first = parsed(e["epoch"])
            answer = (e["set"], first, int(e["keys"]))
            for index in range(first, first + int(e["keys"])):
                other = issued[e["entity"]].setdefault((generation, index), answer)
                if other != answer:
                    self.faults.append(f"{e['entity']}: {generation}.{index} was issued twice, by {other} and {answer}")

    def _all_given_is_kept(self):
        kept = {(k["entity"], k["epoch"], k["sha256"]) for k in self.held["server"]}
        newest = collections.defaultdict(lambda: (0, -1))
        for k in self.held["server"]:
            newest[k["entity"]] = max(newest[k["entity"]], parsed(k["epoch"]))
        for k in self.held["gateway"]:
            reported = parsed(self.reports.get(k["entity"]) or "0.0")
            if parsed(k["epoch"]) >= reported and (k["entity"], k["epoch"], k["sha256"]) not in kept:
                self.faults.append(f"{k['entity']}: the gateway was given {k['epoch']} of set {k['set']}, which the server lost; "
                                   f"the newest report is {self.reports.get(k['entity'])}")
        for e in self.of("gateway", *ASSIGNED):
            if e.get("epoch") and newest[e["entity"]] < parsed(e["epoch"]):
                self.faults.append(f"{e['entity']}: the gateway was answered {e['epoch']}, the server knows {newest[e['entity']]}")

    def _alarms(self):
        for name, lines in self.logs.items():
            found = [e for e in lines if e["event"] in ALARMS]
            if found:
                first = found[0]
                self.faults.append(f"{name} logged {first['event']} {len(found)} times: {first.get('text')}, {first.get('entity')}")


def read_held(cluster) -> dict:
    """The keys in all stores. The database runs, the roles do not."""
    roles = {"server": [f"{cluster.nodes[0]}.server"], "gateway": [f"{g}.gateway" for g in cluster.gateways],
             "pne": [f"{g}.pne" for g in cluster.gateways]}
    return {kind: [k for n in names for k in read_keys(cluster.folder, n) if k["what"] == "eukey"] for kind, names in roles.items()}
