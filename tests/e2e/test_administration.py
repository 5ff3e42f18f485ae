#!/usr/bin/env python3
"""Administration of a server that runs and assigns keys: by the commands and by its API. Each answer of the API is judged by
docs/openapi."""

import json
import threading
import unittest

from support.api_home import add_sockets, connect
from support.case import E2ECase
from support.home import poll

GATEWAY = "urn:cpns:gw:gw1"
NEW_DEVICE = "urn:dev:mac:0024befffe805000"
KEY = "8f14e45fceea167a5a36dedd4bea2543"
PASSWORD = "correct horse battery staple"


class Administration(E2ECase):
    def setUp(self):
        self.place = self.home(devices=3, rekey="1s")
        self.place.server["keys"]["set_size"] = 12  # so that the gateway asks for more every few seconds
        self.place.gateway["timers"]["backoff_max"] = "2s"
        add_sockets(self.place)
        self.place.write()
        self.place.start()
        self.entities = [entity for entity, _ in self.place.devices]
        self.place.wait_for_each()
        self.lines_before = len(self.audit_lines())  # `cpns init` added the user and the devices

    def cli(self, *args, **more):
        return self.place.cli(*args, "--config", "server.yaml", **more)

    def ask(self, verb, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return connect(self.place, "server").ask(verb, path, json.dumps(body).encode() if body is not None else b"", headers)

    def audit_lines(self):
        lines = (self.place.folder / "state/server.audit.jsonl").read_text()
        self.assertNotIn(PASSWORD, lines)
        self.assertNotIn(KEY, lines)
        return [json.loads(line) for line in lines.splitlines()]

    def outcomes(self, action):
        return [line for line in self.audit_lines()[self.lines_before:] if line["kind"] == "outcome" and line["action"] == action]

    # ---- users and devices

    def test_users_and_devices_running_and_stopped_look_the_same(self):
        self.cli("user", "add", "bob@example.org", "--stdin", stdin=PASSWORD + "\n")
        again = self.cli("user", "add", "bob@example.org", "--stdin", stdin=PASSWORD + "\n", check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn("already exists", again.stderr)
        self.cli("user", "passwd", "bob@example.org", "--stdin", stdin=PASSWORD + "!\n")
        self.cli("device", "add", NEW_DEVICE, "--stdin", "--owner", "bob@example.org", stdin=f"hex:{KEY}\n")
        commands = [("user", "list"), ("device", "list"), ("device", "show", NEW_DEVICE), ("user", "list", "--prefix", "bob"),
                    ("device", "list", "--prefix", NEW_DEVICE), ("entity", "list", "--held-by", GATEWAY),
                    ("gateways", "show", GATEWAY, "--json")]
        json_too = [(*c, "--json") for c in commands[:5]]
        running = {c: self.cli(*c).stdout for c in commands + json_too}
        self.assertIn("bob@example.org\t20", running["user", "list"])
        self.assertEqual(len(running["device", "list"].splitlines()), 4)
        pages = [("device", "list", "--owner", "bob@example.org", "--json"), ("entity", "list", "--owner", "alice@example.org", "--json"),
                 ("device", "list", "--limit", "2", "--json"), ("user", "list", "--limit", "1", "--json")]
        self.assertEqual(self.place.role("gateway").terminate(), 0)  # its reports would change "seen" meanwhile
        running.update({c: self.cli(*c).stdout for c in pages})
        self.assertEqual([d["entity"] for d in json.loads(running[pages[0]])["devices"]], [NEW_DEVICE])
        self.assertGreaterEqual(len(json.loads(running[pages[1]])["entities"]), 1)
        first = json.loads(running[pages[2]])
        rest = json.loads(self.cli("device", "list", "--limit", "3", "--after", first["next"], "--json").stdout)
        self.assertIsNone(rest["next"])
        self.assertEqual(len({d["entity"] for d in first["devices"] + rest["devices"]}), 4)
        first = json.loads(running[pages[3]])
        rest = json.loads(self.cli("user", "list", "--limit", "1", "--after", first["next"], "--json").stdout)
        self.assertEqual({u["user"] for u in first["users"] + rest["users"]}, {"alice@example.org", "bob@example.org"})
        gateways = json.loads(self.cli("gateways", "list", "--limit", "1", "--json").stdout)
        self.assertEqual((len(gateways["gateways"]), gateways["next"]), (1, None))
        self.assertEqual(self.place.role("server").terminate(), 0)
        for command in pages:
            self.assertEqual(self.cli(*command).stdout, running[command], command)
        for command in ("user", "device"):
            self.assertEqual(len(running[next(c for c in commands if c[0] == command and "--prefix" in c)].splitlines()), 1)
        for command in [*commands[:5], *json_too]:
            self.assertEqual(self.cli(*command).stdout, running[command], command)
        live = {"connections", "requests_per_minute", "in_flight"}
        before = json.loads(running["gateways", "show", GATEWAY, "--json"])
        after = json.loads(self.cli("gateways", "show", GATEWAY, "--json").stdout)
        self.assertEqual({k: v for k, v in before.items() if k not in live}, after)
        self.cli("device", "remove", NEW_DEVICE)
        self.cli("user", "remove", "bob@example.org")
        self.assertNotIn("bob", self.cli("user", "list").stdout)
        for action, count in {"user-add": 2, "user-password": 1, "device-add": 1, "device-remove": 1, "user-remove": 1}.items():
            self.assertEqual(len(self.outcomes(action)), count, action)
        self.assertEqual([o["outcome"] for o in self.outcomes("user-add")], ["done", "refused"])
        objects = {line["object"] for line in self.audit_lines()[self.lines_before:] if line["kind"] == "intent"}
        self.assertEqual(objects, {"bob@example.org", NEW_DEVICE})
        self.cli("audit", "verify")

    def test_a_removed_user_gets_no_keys_from_the_next_request_on(self):
        """And keys again after it was added with the same password, without a restart of the gateway."""
        since = self.place.events.mark()
        self.cli("user", "remove", self.place.user)
        self.place.events.wait(role="gateway", event="user-refused", since=since, timeout=40)
        since = self.place.events.mark()
        self.cli("user", "add", self.place.user, "--stdin", stdin=self.place.password() + "\n")
        password = self.place.folder / "password"
        password.write_text(self.place.password() + "\n")
        self.place.events.wait(role="gateway", event="enrolled", since=since, timeout=40)
        self.place.events.wait(role="server", event="assignment-answered", since=since, timeout=40)

    def test_the_api_checks_a_device_like_a_row_of_an_import(self):
        good = {"entity": NEW_DEVICE, "temporary_key": f"hex:{KEY}", "strength": "128bit"}
        for change, code, field in (({"temporary_key": KEY[:-1]}, "bad-temporary-key", "temporary_key"),
                                    ({"temporary_key": "hex:" + "ab" * 16}, "crypto-weak", "temporary_key"),
                                    ({"temporary_key": "text:abc"}, "bad-temporary-key", "temporary_key"),
                                    ({"strength": "strong"}, "out-of-range", "strength"),
                                    ({"entity": "a b"}, "wire-grammar", "entity"),
                                    ({"entity": KEY, "temporary_key": NEW_DEVICE}, "wire-grammar", "entity"),
                                    ({"strength": KEY, "temporary_key": "128bit"}, "out-of-range", "strength"),
                                    ({"owner": "a b"}, "wire-grammar", "owner")):
            answer = self.ask("POST", "/v1/devices", {**good, **change})
            self.assertEqual((answer.code, answer.json.get("field")), (code, field), answer.text)
            self.assertNotIn(KEY[:8], answer.text)
        trail = (self.place.folder / "state/server.audit.jsonl").read_text()
        self.assertIn('"device-add"', trail)
        self.assertNotIn(KEY[:8], trail)
        self.assertEqual(self.ask("GET", f"/v1/devices/{NEW_DEVICE}").code, "state-unknown")
        strange = {**good, "temporary_key": 'text:cor"rect \\ horse\u00fc', "strength": "stretch"}
        self.assertEqual(self.ask("POST", "/v1/devices", strange).status, 204)
        self.assertEqual(self.ask("POST", "/v1/devices", good).code, "state-exists")

    def test_pages(self):
        for i in range(25):
            self.assertEqual(self.ask("POST", "/v1/devices", {"entity": f"urn:dev:os:1-{i}", "temporary_key": f"hex:{KEY[2:]}{i:02d}",
                                                              "strength": "128bit", "batch": "lot7"}).status, 204)
        seen, after = [], ""
        while True:
            page = self.ask("GET", f"/v1/devices?limit=10&batch=lot7{after}").json
            seen += [d["entity"] for d in page["devices"]]
            self.assertLessEqual(len(page["devices"]), 10)
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        self.assertEqual(sorted(seen), sorted(f"urn:dev:os:1-{i}" for i in range(25)))
        self.assertEqual(len(self.ask("GET", "/v1/devices?prefix=urn:dev:os:1-2").json["devices"]), 6)
        wrong = self.ask("GET", "/v1/devices?after=nonsense")
        self.assertEqual((wrong.code, wrong.json["field"]), ("out-of-range", "after"))

    # ---- entities and gateways

    def test_an_entity_is_shown_without_its_keys(self):
        keys = self.ask("GET", f"/v1/entities/{self.entities[0]}").json
        self.assertEqual(keys["holder"]["uri"], GATEWAY)
        self.assertEqual(keys["owner"], self.place.user)
        self.assertGreater(keys["sets"][-1]["keys"], 0)
        shown = self.cli("entity", "show", self.entities[0]).stdout
        self.assertIn(f"generation        {keys['generation']}\n", shown)
        last, granted = keys["sets"][-1], keys["answered"][-1]
        self.assertIn(f"set               {last['set']} of generation {last['generation']} for gw {last['issued_to']}, "
                      f"keeps {last['keys']} key", shown)
        self.assertIn(f"of generation {granted['generation']} from index {granted['first_index']} to gw {granted['gw']}\n", shown)
        listed = self.ask("GET", f"/v1/entities?holder={GATEWAY}&owner={self.place.user}").json["entities"]
        self.assertEqual({e["entity"] for e in listed}, set(self.entities))
        self.assertEqual(self.ask("GET", "/v1/entities?holder=urn:cpns:gw:other").json["entities"], [])

    def test_a_blocked_gateway_is_refused_and_its_devices_keep_their_keys(self):
        place = self.place
        since = place.events.mark()
        said = self.cli("gateways", "block", GATEWAY).stdout
        self.assertIn("can still deliver the keys that it holds", said)
        place.events.wait(role="gateway", event="gateway-blocked", since=since, timeout=40)
        place.events.wait(role="server", event="gateway-blocked", since=since)
        self.assertIn(f"{GATEWAY}\tblocked", self.cli("gateways", "list", "--blocked").stdout)
        after = place.events.mark()
        place.wait_for_each(since=after, timeout=40)  # keys that it holds are delivered on
        self.assertEqual(place.events.find(role="server", event="assignment-answered", since=after), [])
        place.role("server").terminate()
        self.assertIn(f"{GATEWAY}\tblocked", self.cli("gateways", "list").stdout)
        restarted = place.events.mark()
        place.role("server").start()
        poll(lambda: self.ask("GET", f"/v1/gateways/{GATEWAY}").json["connections"], what="a connection of the blocked gateway")
        self.assertEqual(place.events.find(role="server", event="assignment-answered", since=restarted), [])
        since = place.events.mark()
        self.cli("gateways", "unblock", GATEWAY)
        place.events.wait(role="gateway", event="gateway-unblocked", since=since, timeout=40)
        self.cli("entity", "release", "--held-by", GATEWAY)
        self.assertEqual([o["outcome"] for o in self.outcomes("gateway-block")], ["done"])
        self.assertEqual([o["outcome"] for o in self.outcomes("gateway-unblock")], ["done"])

    def test_a_gateway_is_disconnected_and_comes_back(self):
        gateway = self.ask("GET", f"/v1/gateways/{GATEWAY}").json
        self.assertEqual(len(gateway["connections"]), 1)
        self.assertEqual(gateway["connections"][0]["protocol"], "cpns/1.1")
        for query, rows in {"state=connected": 1, "state=known": 0, "state=blocked": 0,
                            f"prefix={GATEWAY[:-1]}": 1, "prefix=urn:x": 0}.items():
            self.assertEqual(len(self.ask("GET", f"/v1/gateways?{query}").json["gateways"]), rows, query)
        for query, field in {"state=open": "state", "state=known&blocked=true": "blocked"}.items():
            wrong = self.ask("GET", f"/v1/gateways?{query}")
            self.assertEqual((wrong.status, wrong.code, wrong.json["field"]), (400, "out-of-range", field), query)
        for options, there in {("--state", "connected"): True, ("--state", "blocked"): False, ("--prefix", "urn:x"): False}.items():
            self.assertEqual(GATEWAY in self.cli("gateways", "list", *options).stdout, there, options)
        for options in (("--state", "open"), ("--state", "known", "--blocked")):
            self.assertEqual(self.cli("gateways", "list", *options, check=False).returncode, 2, options)
        self.assertIn(", protocol cpns/1.1\n", self.cli("gateways", "show", GATEWAY).stdout)
        since = self.place.events.mark()
        self.assertIn("Closed 1 connection of", self.cli("gateways", "disconnect", gateway["gw"]).stdout)
        self.place.events.wait(role="gateway", event="server-connected", since=since, timeout=40)
        self.assertEqual(self.cli("gateways", "show", "urn:cpns:gw:none", check=False).returncode, 1)
        self.assertEqual(self.cli("gateways", "show", "none", check=False).returncode, 2)

    def test_keys_are_assigned_while_lists_are_read(self):
        over, failures = threading.Event(), []

        def read():
            while not over.is_set():
                for path in ("/v1/devices?limit=1", "/v1/entities?limit=1", "/v1/users", "/v1/gateways", "/v1/status"):
                    answer = self.ask("GET", path)
                    if answer.status != 200:
                        failures.append(answer.text)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for r in readers:
            r.start()
        since = self.place.events.mark()
        try:
            for _ in range(3):
                self.place.wait_for_each(since=self.place.events.mark(), timeout=40)
        finally:
            over.set()
            for r in readers:
                r.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.place.events.find(role="server", event="assignment-refused", since=since), [])

    # ---- status

    def test_status_of_each_role(self):
        for role in ("server", "gateway", "pne"):
            text = self.place.cli("status", "--config", f"{role}.yaml").stdout
            self.assertRegex(text, r"(?m)^ready +yes$")
            state = json.loads(self.place.cli("status", "--json", "--config", f"{role}.yaml").stdout)
            self.assertEqual((state["role"], state["ready"]), (role, True))
        self.assertEqual(self.place.role("server").terminate(), 0)
        stopped = self.place.cli("status", "--config", "server.yaml", check=False)
        self.assertEqual((stopped.returncode, stopped.stdout), (1, ""))
        self.assertRegex(stopped.stderr, r"\Acpns: the role of server.yaml is stopped: no role listens at .*server.sock "
                                         r"\(No such file or directory\); start it, and repeat the command\n\Z")


if __name__ == "__main__":
    unittest.main()
