#!/usr/bin/env python3
"""Two servers on one PostgreSQL: a change at one of them counts at the other one within seconds, and an import outlives its server."""

import concurrent.futures
import contextlib
import hashlib
import json
import time
import unittest

from support import hostile
from support.case import E2ECase
from support.home import poll
from support.nodes_home import NodesHome
from support.unix_http import Connection

SOON = 10  # seconds; two on a machine that is not busy
HEAD = "entity_id,temporary_key,strength\n"


def rows(count: int) -> str:
    keys = (hashlib.sha256(str(n).encode()).hexdigest() for n in range(count))
    return HEAD + "".join(f"urn:dev:os:32473-9{n},{key},128bit\n" for n, key in enumerate(keys))


class TwoNodes(E2ECase):
    def setUp(self):
        self.place = NodesHome(devices=2)
        self._homes.append(self.place)
        for node in ("server", "node2"):
            getattr(self.place, node)["api"] = {"socket": str(self.place.folder / f"{node}.api")}
        self.place.gateway["servers"] = [self.place.server["listen"], self.place.node2["listen"]]
        self.place.write()

    def ask(self, node: str, verb: str, target: str, body="", kind="application/json"):
        with contextlib.closing(Connection("server", self.place.folder / f"{node}.api")) as server:
            return server.ask(verb, target, body.encode(), {"Content-Type": kind} if body else None)

    def cli(self, node: str, *args, check=True):
        return self.place.cli(*args, "--config", f"{node}.yaml", check=check)

    def start(self):
        self.place.start("server", "node2", "gateway", "pne")
        self.place.wait_for_each()
        at = self.place.events.find(role="gateway", event="server-connected")[-1]["server"]
        return ("server", "node2") if at == self.place.server["listen"] else ("node2", "server")

    def test_a_gateway_blocked_at_one_server_gets_no_keys_at_the_other(self):
        at, other = self.start()
        listed = json.loads(self.cli(at, "gateways", "list", "--json").stdout)["gateways"]
        uri = listed[0]["uri"]

        def blocked(node):
            return json.loads(self.cli(node, "gateways", "show", uri, "--json").stdout)["blocked"]

        since = self.place.events.mark()
        self.cli(other, "gateways", "block", uri)
        poll(lambda: blocked(at), SOON, what="the block at the other server")
        self.cli("gateway", "pnes", "update", self.place.devices[0][0])
        self.place.events.wait(role="gateway", event="gateway-blocked", since=since)
        since = self.place.events.mark()
        self.cli(other, "gateways", "unblock", uri)
        poll(lambda: not blocked(at), SOON, what="the end of the block at the other server")
        self.place.events.wait(role="gateway", event="server-connected", since=since)

    def test_a_gateway_is_listed_and_disconnected_at_the_other_server(self):
        at, other = self.start()
        name = "node2" if at == "node2" else "node1"

        def gateway():
            listed = json.loads(self.cli(other, "gateways", "list", "--state", "connected", "--json").stdout)["gateways"]
            return listed[0] if listed else None

        seen = poll(gateway, SOON, what="the gateway at the server that it is not connected to")
        self.assertEqual([c["node"] for c in seen["connections"]], [name])
        self.assertEqual(seen["connections"][0]["protocol"], "cpns/1.1")
        shown = self.cli(other, "gateways", "show", seen["uri"]).stdout
        self.assertIn(f" to {name} since ", shown)
        self.assertIn(name, self.cli(other, "gateways", "list").stdout)
        since = self.place.events.mark()
        answer = self.ask(other, "POST", f"/v1/gateways/{seen['gw']}/disconnect")
        self.assertEqual(answer.json, {"closed": 1, "unconfirmed": []}, answer.text)
        self.place.events.wait(role=at, event="gateway-disconnect-ordered", since=since)
        self.place.events.wait(role="gateway", event="server-connected", since=since)

    def test_servers_are_both_listed_if_the_name_of_one_begins_with_that_of_the_other(self):
        self.place.node2["name"] = "node10"
        self.place.write()
        self.place.start("server", "node2")

        def servers() -> str:
            lines = self.cli("server", "gateways", "list").stdout.splitlines()
            return lines[0].split("\t")[2] if lines else ""

        with hostile.dial_tls(self.place, at=self.place.node2["listen"]):
            poll(lambda: servers() == "node10", SOON, what="the connection to node10")
            with hostile.dial_tls(self.place, at=self.place.server["listen"]):
                poll(lambda: servers() == "node10, node1", SOON, what="both servers, that of the newest connection last")

    def test_a_block_counts_within_two_seconds_with_hints_and_without(self):
        for statements in ("batch", "portable"):
            with self.subTest(statements=statements):
                for node in ("server", "node2"):
                    getattr(self.place, node)["store"]["postgresql"]["statements"] = statements
                self.place.write()
                self.place.start("server", "node2")
                uri = "urn:cpns:gw:" + statements

                def blocked(node):
                    found = self.ask(node, "GET", f"/v1/gateways/{uri}")
                    return found.status == 200 and found.json["blocked"]

                times = []
                for _ in range(5):
                    for verb, want in (("block", True), ("unblock", False)):
                        self.assertLess(self.ask("server", "POST", f"/v1/gateways/{uri}/{verb}").status, 300)
                        began = time.monotonic()
                        poll(lambda want=want: blocked("node2") == want, SOON, 0.005, f"the {verb} at the other server")
                        times.append(time.monotonic() - began)
                middle, most = sorted(times)[len(times) // 2] * 1000, max(times) * 1000
                print(f"{statements}: a change at the other server after {middle:.0f} ms, at most {most:.0f} ms")
                for node in ("server", "node2"):
                    self.place.role(node).terminate()

    def test_changes_at_both_servers_at_once_are_made_once(self):
        self.place.start("server", "node2")
        for n in range(5):
            with concurrent.futures.ThreadPoolExecutor() as both:
                def add(node):
                    ids = f"urn:dev:os:32473-8{n}*" if node == "server" else f"urn:dev:os:32473-8{n}7*"
                    return self.ask(node, "POST", "/v1/batches", json.dumps({"batch": f"{node}-{n}", "entities": [ids]}))
                done = list(both.map(add, ("server", "node2")))
            self.assertEqual(sorted(d.status for d in done), [204, 409], [d.text for d in done])

        def batches(node):
            return [b["batch"] for b in self.ask(node, "GET", "/v1/batches").json["batches"]]

        poll(lambda: len(batches("server")) == 5 and batches("server") == batches("node2"), SOON, what="the same batches at both")
        self.cli("server", "batch", "remove", batches("server")[0], "--yes")
        poll(lambda: len(batches("node2")) == 4, SOON, what="a batch less at the other server")

    def test_another_server_goes_on_with_the_import_of_one_that_is_killed(self):
        self.place.start("server", "node2")
        count = 20_000
        made = self.ask("server", "POST", "/v1/imports", json.dumps({"import": "lot7", "batch": "lot7"}))
        self.assertEqual(made.status, 201, made.text)
        sent = self.ask("server", "PUT", "/v1/imports/lot7/rows?offset=0", rows(count), "text/csv")
        self.assertEqual(sent.status, 200, sent.text)
        poll(lambda: self.ask("node2", "GET", "/v1/imports/lot7").status == 200, SOON, what="the import at the other server")
        refused = self.ask("node2", "POST", "/v1/imports/lot7/finish")
        self.assertEqual(refused.status, 409, refused.text)
        self.assertIn("node1", refused.text)
        self.assertLess(self.ask("server", "POST", "/v1/imports/lot7/finish").status, 300)
        poll(lambda: self.ask("server", "GET", "/v1/imports/lot7").json["imported"] > 0, 60, 0.01, "devices of the import")
        self.place.role("server").kill9()

        def at_the_other():
            return self.ask("node2", "GET", "/v1/imports/lot7").json

        done = poll(lambda: at_the_other()["state"] == "done" and at_the_other(), 90, what="the end of the import")
        self.assertEqual(done["imported"], count)
        self.assertTrue(self.place.events.find(event="imports-taken-over"))


if __name__ == "__main__":
    unittest.main()
