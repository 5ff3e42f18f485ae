#!/usr/bin/env python3
"""Each command for a running server works over TLS as it does through the socket: the same output, also that of the stopped server; a
viewer changes nothing; and each mistake has one clear error."""

import json
import re
import socket
import unittest

from support import pki
from support.api_home import connect
from support.home import free_port, poll
from support.tls_case import OverTls

GATEWAY = "urn:cpns:gw:gw1"
NEW_DEVICE = "urn:dev:mac:0024befffe805000"
KEY = "hex:8f14e45fceea167a5a36dedd4bea2543\n"
PASSWORD = "correct horse battery staple\n"
LIVE = {"connections", "requests_per_minute", "in_flight"}  # of a gateway, while the server runs
COUNTERS = {"written", "dropped", "write_errors"}


def without(names: set, value):
    """The same JSON without these members, at any depth."""
    if isinstance(value, dict):
        return {k: without(names, v) for k, v in value.items() if k not in names}
    return [without(names, v) for v in value] if isinstance(value, list) else value


class RemoteCommands(OverTls):
    def setUp(self):
        super().setUp()
        self.entity = self.place.devices[0][0]
        self.place.wait_for_each()
        self.elsewhere = self.place.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.changes = [
            (("user", "add", "bob@example.org", "--stdin"), PASSWORD, "user-add"),
            (("user", "passwd", "bob@example.org", "--stdin"), PASSWORD, "user-password"),
            (("user", "remove", "bob@example.org"), "", "user-remove"),
            (("device", "add", NEW_DEVICE, "--stdin"), KEY, "device-add"),
            (("device", "remove", NEW_DEVICE), "", "device-remove"),
            (("device", "import", self.list_of_devices()), "", "device-import"),
            (("gateways", "block", GATEWAY), "", "gateway-block"),
            (("gateways", "unblock", GATEWAY), "", "gateway-unblock"),
            (("gateways", "disconnect", GATEWAY), "", "gateway-disconnect"),
            (("entity", "release", self.entity), "", "entity-release"),
            (("log", "level", "debug", "--component", "audit"), "", "log-level"),
            (("log", "reset"), "", "log-level"),
            (("store", "rewrap", "--new-file", "server-2.kek"), "", "store-rewrap"),
            (("server", "drain"), "", "server-drain")]

    def list_of_devices(self):
        file = self.place.folder / "more.csv"
        file.touch(mode=0o600)
        file.write_text("entity_id,temporary_key,strength\n"
                        + "".join(f"urn:dev:os:7-{i},{KEY[4:-3]}{i:02d},128bit\n" for i in range(3)))
        return file

    def calm(self):
        """Ends the others, so that nothing changes between two commands."""
        for role in ("gateway", "pne"):
            self.assertEqual(self.place.role(role).terminate(), 0)
        poll(lambda: not connect(self.place, "server").ask("GET", f"/v1/gateways/{GATEWAY}").json["connections"], what="no connection")

    def there(self, *command, name="anna", role="server", **more):
        return self.place.cli(*command, *self.remote(role, name), **more)

    def here(self, *command, **more):
        return self.place.cli(*command, "--config", "server.yaml", **more)

    # ---- what is read

    def test_lists_are_the_same_by_url_by_socket_and_of_the_stopped_server(self):
        self.calm()
        commands = [("user", "list"), ("device", "list"), ("device", "show", self.entity), ("entity", "list"),
                    ("entity", "list", "--held-by", GATEWAY), ("entity", "show", self.entity), ("gateways", "list"),
                    ("gateways", "list", "--blocked"), ("gateways", "show", GATEWAY)]
        self.here("gateways", "block", "urn:cpns:gw:lost")
        running = {}
        for command in commands:
            for form in ((), ("--json",)):
                with self.subTest(command + form):
                    told = running[command + form] = self.there(*command, *form, name="carl").stdout
                    self.assertEqual(self.here(*command, *form).stdout, told)
                    self.assertEqual(self.place.cli(*command, *form, "--socket", "state/server.sock").stdout, told)
                    self.assertNotEqual(told, "")
        self.assertEqual(self.place.role("server").terminate(), 0)
        for (*command, form), told in ((c, t) for c, t in running.items() if c[-1] == "--json"):
            self.assertEqual(json.loads(self.here(*command, form).stdout), without(LIVE, json.loads(told)), command)
        for command, told in ((c, t) for c, t in running.items() if c[-1] != "--json"):
            lines = [line for line in told.splitlines() if not line.startswith(("requests ", "connection "))]
            self.assertEqual(self.here(*command).stdout.splitlines(), lines, command)

    def test_the_pnes_of_a_stopped_gateway_are_those_of_the_running_one(self):
        for role in ("pne", "gateway"):
            self.assertEqual(self.place.role(role).terminate(), 0)
        self.place.start("gateway")  # no PNE is in reach, and none has events
        self.ports["gateway"] = self.door_of("gateway")
        commands = [("pnes", "list"), ("pnes", "list", "--prefix", "urn:none"), ("pnes", "show", self.entity)]
        running = {c + form: self.there(*c, *form, role="gateway", name="carl").stdout for c in commands for form in ((), ("--json",))}
        self.assertIn(self.entity, running[commands[0]])
        self.assertEqual(self.place.role("gateway").terminate(), 0)
        # A running gateway waits for a PNE that is asleep, and may have reported since; a stopped one has none in reach.
        live = re.compile(r'not_in_reach|asleep|"reported":(?:true|false)|reported: (?:true|false)')
        for command, told in running.items():
            stopped = self.place.cli(*command, "--config", "gateway.yaml").stdout
            self.assertEqual(live.sub("", stopped).split(), live.sub("", told).split(), command)
        self.assertIn(self.entity, self.place.cli("pnes", "list", "--state", "not_in_reach", "--config", "gateway.yaml").stdout)
        gateway = ("--config", "gateway.yaml")
        self.refused(1, "no PNE can be in the state 'happy'", "pnes", "list", "--state", "happy", *gateway)
        self.refused(1, "the gateway has no device urn:dev:os:1-1", "pnes", "show", "urn:dev:os:1-1", *gateway)
        for command in ("approve", "reject", "update", "forget"):
            self.refused(1, "cpns: the gateway of gateway.yaml is stopped: no role listens at", "pnes", command, self.entity, *gateway)
        self.refused(1, "start the role, or name the socket of a running one", "pnes", "list", "--socket", "state/gateway.sock")

    def test_what_only_a_running_role_tells_is_the_same_by_url_and_by_socket(self):
        self.calm()
        for *command, name in (("status", "carl"), ("log", "show", "carl"), ("config", "show", "carl"), ("audit", "verify", "anna")):
            with self.subTest(command):
                local = [*command, "--running"] if command[0] == "config" else command
                there, here = self.there(*command, name=name).stdout, self.here(*local).stdout
                if command[0] != "log":
                    self.assertEqual(there, here)
                if command[0] != "config":
                    there, here = self.there(*command, "--json", name=name).stdout, self.here(*local, "--json").stdout
                self.assertEqual(without(COUNTERS, json.loads(there)), without(COUNTERS, json.loads(here)))

    def test_status_tells_of_each_role(self):
        for role in ("server", "gateway", "pne"):
            told = json.loads(self.there("status", "--json", name="carl", role=role).stdout)
            self.assertEqual((told["role"], told["ready"]), (role, True))

    # ---- what is changed

    def test_an_admin_changes_everything_by_url_and_the_audit_trail_names_the_certificate(self):
        for command, stdin, action in self.changes:
            with self.subTest(command):
                since = len(self.audit("server", "kind"))
                self.assertNotEqual(self.there(*command, stdin=stdin).stdout, "")
                lines = [x for x in self.audit("server", "kind")[since:] if x["action"] == action]
                self.assertEqual([x["kind"] for x in lines], ["intent", "outcome"], lines)
                self.assertEqual((lines[0]["who"]["certificate"], lines[0]["via"]), ("urn:cpns:admin:anna", "tcp"))
                self.assertEqual(lines[1]["outcome"], "done", lines)
        self.assertIn("urn:dev:os:7-2", self.here("device", "list").stdout)
        self.assertTrue((self.place.folder / "server-2.kek").exists(), "beside the old key")
        self.here("audit", "verify")

    def test_an_import_tells_its_numbers_as_json(self):
        told = self.there("device", "import", self.list_of_devices(), "--json")
        self.assertEqual(json.loads(told.stdout), {"imported": 3, "bad": 0})
        again = self.there("device", "import", self.list_of_devices(), "--json", check=False)
        self.assertEqual((again.returncode, json.loads(again.stdout)), (1, {"imported": 0, "bad": 3}))
        self.assertIn("nothing was imported: 3 rows", again.stderr)

    def test_a_viewer_changes_nothing_and_each_attempt_is_in_the_audit_trail(self):
        def all_rows():
            return [self.here(*c, "--json").stdout for c in (("user", "list"), ("device", "list"))]

        before = all_rows()
        for n, (command, stdin, action) in enumerate(self.changes):
            name = f"viewer-{n // 5}"  # the trail counts more refusals of one peer, and writes no line for each
            if n % 5 == 0:
                self.place.cli("ca", "issue", "admin", name, "--ca", "tls")
            with self.subTest(command):
                self.refused(1, "is viewer; this request needs ", *command, *self.remote("server", name), stdin=stdin)
                line = self.audit("server", f"urn:cpns:admin:{name}")[-1]
                self.assertEqual((line["kind"], line["action"], line["via"]), ("refused", action, "tcp"))
                self.assertIn("forbidden", line["reason"])
        self.refused(1, "is viewer; this request needs admin", "audit", "verify", *self.remote("server", "carl"))
        self.assertEqual(all_rows(), before)
        self.assertEqual(json.loads(self.here("gateways", "list", "--blocked", "--json").stdout), {"gateways": []})
        self.assertFalse((self.place.folder / "server-2.kek").exists())

    # ---- mistakes

    def refused(self, code: int, text: str, *command, **more):
        done = self.place.cli(*command, check=False, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("cpns: "), done.stderr)

    def each_command(self) -> list:
        read = [("user", "list"), ("device", "show", self.entity), ("entity", "list"), ("gateways", "show", GATEWAY), ("status",),
                ("log", "show"), ("config", "show"), ("audit", "verify")]
        return [(command, "") for command in read] + [(command, stdin) for command, stdin, _ in self.changes]

    def test_each_mistake_has_one_error_in_each_command(self):
        home, good = self.place, self.remote("server")
        nobody = f"https://{home.address}:{free_port(socket.SOCK_STREAM, home.address)}"
        pki.Ca().issue(self.tls, "foreign", "urn:cpns:admin:anna", pki.CLIENT)
        (self.tls / "other-ca.pem").write_bytes((self.tls / "foreign.pem").read_bytes())
        mistakes = [
            (1, "no role listens at", ["--url", nobody, *good[2:]]),
            (1, "the peer refused our certificate", self.remote("server", "foreign")),
            (1, "comes from an unknown CA", [*good[:-1], self.tls / "other-ca.pem"]),
            (1, "is nobody; this request needs", self.remote("server", "gateway")),
            (1, "nothing.pem: No such file or directory", [*good[:-1], self.tls / "nothing.pem"]),
            (2, "write https://HOST:PORT", ["--url", "http://localhost:1", *good[2:]]),
            (2, "without a path", ["--url", self.url("server") + "/v1/users", *good[2:]]),
            (2, "--url needs --cert FILE, --key FILE and --ca FILE", good[:2]),
            (2, "--url and --config exclude each other", [*good, "--config", "server.yaml"]),
            (2, "--url and --socket exclude each other", [*good, "--socket", "state/server.sock"]),
            (2, "--cert, --key and --ca belong to --url", ["--config", "server.yaml", *good[2:]])]
        for command, stdin in self.each_command():
            for code, text, options in mistakes:
                with self.subTest(f"{command}: {text}"):
                    self.refused(code, text, *command, *options, stdin=stdin)
        for command, stdin in self.each_command():
            if command[0] in ("user", "device", "entity", "gateways"):
                with self.subTest(command):
                    other = "this is a gateway, but the command is for a server"
                    self.refused(1, other, *command, *self.remote("gateway"), stdin=stdin)

    def test_the_store_is_never_opened_for_a_url(self):
        """Although server.yaml is in the folder, and the server is stopped."""
        good = self.remote("server")
        self.assertEqual(self.place.role("server").terminate(), 0)
        before = (self.place.folder / "state/server.audit.jsonl").read_bytes()
        for command, stdin in self.each_command():
            with self.subTest(command):
                self.refused(1, "no role listens at", *command, *good, stdin=stdin)
                if command[0] in ("user", "device", "entity", "gateways"):
                    self.refused(1, "no role listens at", *command, "--socket", "state/server.sock", stdin=stdin)
        self.assertEqual((self.place.folder / "state/server.audit.jsonl").read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
