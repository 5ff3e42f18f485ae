#!/usr/bin/env python3
"""A cluster is upgraded node by node under load. The releases are builds of this tree: `before` has the link features of the release before
(ALPN cpns/1 alone), `next` has a version of the schema more (tests/releases)."""

import json
import os
import pathlib
import signal
import sys
import unittest

from support.case import E2ECase
from support.home import poll
from support.keys import read_keys
from support.nodes_home import NodesHome
from support.postgres import NODES, OWNER
from support.process import cpns_binary

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "cluster"))
from books import ALARMS, Books  # noqa: E402

RELEASES = pathlib.Path(os.environ.get("CPNS_RELEASES", pathlib.Path(cpns_binary()).parents[1] / "tests"))
BEFORE, NEXT = RELEASES / "cpns_before", RELEASES / "cpns_next"


class Upgrade(E2ECase):
    def place(self, devices=8, **programs) -> NodesHome:
        """`programs`: of the roles that are not of this release."""
        home = NodesHome(devices=devices, rekey="1s")
        self._homes.append(home)
        for node in (home.server, home.node2):
            node["keys"]["set_size"] = 2  # refills all the time
        home.gateway.update(servers=[home.server["listen"], home.node2["listen"]], rekey={"low_water": 2}, healing_reserve=1)
        home.write()
        for name, program in programs.items():
            self.of(home, name, program)
        return home

    @staticmethod
    def of(home, name: str, program):
        home.role(name).args[0] = str(program)

    @staticmethod
    def migrate(home, *options, check=True, by=NEXT):
        return home.cli_of(by, "store", "migrate", "--config", "server.yaml", "--user", OWNER, "--node-role", NODES,
                                     *options, check=check)

    def replace(self, home, name: str, program, keyed=True):
        """Stops a node in order, and starts it as another release; then each device gets a new key."""
        self.assertEqual(home.role(name).terminate(), 0)
        self.of(home, name, program)
        since = home.events.mark()
        home.role(name).start()
        if keyed:
            home.wait_for_each(since=since, timeout=40)

    def protocol_at(self, home) -> str:
        """What the gateway and its server agreed on."""
        listed = json.loads(home.cli("gateways", "list", "--json", "--config", f"{self.node_of(home)}.yaml").stdout)["gateways"]
        return listed[0]["connections"][-1]["protocol"]

    def node_of(self, home) -> str:
        at = home.events.find(role="gateway", event="server-connected")[-1]["server"]
        return "server" if at == home.server["listen"] else "node2"

    def no_alarms(self, home):
        self.assertEqual(home.events.find(lambda e: e.get("event") in ALARMS), [])

    def end_and_balance(self, home):
        """The keys of PNEs, gateway and database agree, nothing that was given is lost, no epoch was issued twice."""
        listed = json.loads(home.cli("entity", "list", "--json", "--config", "server.yaml").stdout)["entities"]
        for name in ("pne", "gateway", "node2", "server"):
            self.assertEqual(home.role(name).terminate(), 0, name)
        reports = {e["entity"]: e["last_report"] for e in listed}
        held = {kind: [k for k in read_keys(home.folder, kind) if k["what"] == "eukey"] for kind in ("server", "gateway", "pne")}
        logs = {"gw1.gateway": home.events.find(role="gateway"), "gw1.pne": home.events.find(role="pne"),
                "node1.server": home.events.find(role="server"), "node2.server": home.events.find(role="node2")}
        books = Books([entity for entity, _ in home.devices], logs, held, reports)
        self.assertEqual(books.check(), [])
        answered = len(books.of("server", "assignment-answered"))
        self.assertGreater(answered, 3 * len(home.devices), "there was no load")
        print(f"{answered} assignments, {books.names} sets, none lost, no epoch twice", end=" ", flush=True)

    def test_two_nodes_are_replaced_under_load_and_the_schema_is_contracted_when_no_old_one_runs(self):
        home = self.place(server=BEFORE, node2=BEFORE, gateway=BEFORE)
        home.start("server")
        early = home.cli_of(NEXT, "server", "--config", "node2.yaml", check=False)
        self.assertIn("has schema 1, and this cpns needs 2", early.stderr + early.stdout)
        home.start("node2", "gateway", "pne")
        home.wait_for_each()
        self.assertIn("schema 2 now, and had schema 1 before. A server must know schema 1", self.migrate(home).stdout)
        self.replace(home, "server", BEFORE)  # a restart in the middle of the upgrade
        self.replace(home, "server", NEXT)
        nodes = json.loads(home.cli("status", "--json", "--config", "server.yaml").stdout)["nodes"]
        self.assertEqual({n["name"]: n["schema"] for n in nodes}, {"node1": 2, "node2": 1})
        refused = self.migrate(home, "--contract", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("the server 'node2'", refused.stderr)
        self.assertIn("knows schema 1 alone", refused.stderr)
        self.assertEqual(home.database.sql("cpns", "SELECT version, oldest FROM cpns_schema"), "2|1")
        self.replace(home, "node2", NEXT)
        contracted = json.loads(self.migrate(home, "--contract", "--json").stdout)
        self.assertEqual(contracted, {"schema_before": 2, "schema": 2, "oldest": 2})
        since = home.events.mark()
        home.wait_for_each(since=since, timeout=40)
        self.of(home, "gateway", NEXT)
        self.assertEqual(home.role("gateway").terminate(), 0)
        home.role("gateway").start()
        home.wait_for_each(since=home.events.mark(), timeout=40)
        os.environ["CPNS_E2E_KEYS"] = str(RELEASES / "e2e_keys_next")
        self.addCleanup(os.environ.pop, "CPNS_E2E_KEYS")
        self.end_and_balance(home)
        old = home.cli_of(BEFORE, "server", "--config", "server.yaml", check=False)
        self.assertEqual(old.returncode, 1)
        said = [line for line in old.stderr.splitlines() if line.startswith("cpns: ")]
        self.assertEqual(len(said), 1, old.stderr)
        self.assertIn("needs a cpns that knows schema 2; this one knows 1", said[0])

    def test_a_node_of_before_that_is_frozen_over_the_contraction_ends_when_it_wakes(self):
        home = self.place(devices=1, node2=BEFORE)
        self.migrate(home)
        home.start("node2")
        home.role("node2").signal(signal.SIGSTOP)
        self.migrate(home, "--contract")
        home.role("node2").signal(signal.SIGCONT)
        self.assertEqual(home.role("node2").wait(20), 1)
        self.assertTrue(home.events.find(role="node2", event="schema-refused"))

    def test_a_new_node_asks_nothing_of_an_old_gateway_which_leaves_when_its_connection_ends(self):
        home = self.place(devices=2, gateway=BEFORE)
        home.start("server", "node2", "gateway", "pne")
        home.wait_for_each()
        self.assertEqual(self.protocol_at(home), "cpns/1")
        first = self.node_of(home)
        since = home.events.mark()
        home.cli("server", "drain", "--config", f"{first}.yaml")
        home.events.wait(role="gateway", event="server-connected", since=since)
        self.assertEqual(home.role(first).terminate(), 0)
        poll(lambda: self.node_of(home) != first, what="the gateway is at the other node")
        home.wait_for_each(since=home.events.mark())
        self.no_alarms(home)

    def test_a_new_gateway_stays_with_an_old_node_and_leaves_it_when_its_connection_ends(self):
        home = self.place(devices=2, server=BEFORE, node2=BEFORE)
        home.start("server", "node2", "gateway", "pne")
        home.wait_for_each()
        self.assertEqual(self.protocol_at(home), "cpns/1")
        first, since = self.node_of(home), home.events.mark()
        self.assertEqual(home.role(first).terminate(), 0)
        home.events.wait(role="gateway", event="server-connected", since=since)
        self.assertNotEqual(self.node_of(home), first)
        self.replace(home, first, cpns_binary())
        second, since = self.node_of(home), home.events.mark()
        self.assertEqual(home.role(second).terminate(), 0)
        home.events.wait(role="gateway", event="server-connected", since=since)
        poll(lambda: self.protocol_at(home) == "cpns/1.1", what="the link has the new features")
        self.no_alarms(home)


if __name__ == "__main__":
    unittest.main()
