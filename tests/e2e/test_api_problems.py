#!/usr/bin/env python3
"""Each operation of docs/openapi refuses what it cannot do, with the documented problem: requests that are malformed, foreign, too large,
without rights. The requests are made from the documents."""

import grp
import http.client
import json
import os
import pathlib
import shutil
import socket
import tempfile
import unittest

from support import openapi
from support.api_home import add_sockets, connect, document, path_with, socket_of
from support.api_probes import probes_of
from support.case import E2ECase
from support.home import free_port
from support.unix_http import exchange

NOBODY = 65534
# Groups that every Debian has. A client of these tests is the user nobody, in one of them.
GROUPS = {"viewer": "games", "operator": "news", "admin": "uucp"}


class Refused(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        add_sockets(self.place)
        self.place.write()
        self.place.start()
        self.place.wait_for_each()
        self.values = {"entity": self.place.devices[0][0]}

    def test_each_operation_refuses_with_the_documented_problem(self):
        count = 0
        for role in document.ROLES:
            operations = document.document(role).operations
            for o in operations:
                verbs = {p.verb for p in operations if p.path == o.path}
                other = next((v for v in ("POST", "PUT", "PATCH", "DELETE", "GET") if v not in verbs), "")
                for probe in probes_of(o, self.values, other):
                    with self.subTest(f"{role} {o.id}: {probe.name}"):
                        answer = connect(self.place, role).ask(probe.verb or o.verb, probe.target, probe.body, probe.headers)
                        self.assertEqual(answer.code, probe.code, answer.text)
                        if probe.field:
                            self.assertEqual(answer.json["field"], probe.field, answer.text)
                        if probe.code == "wrong-method":
                            self.assertEqual(set(answer.header("allow").split(", ")), verbs | ({"HEAD"} if "GET" in verbs else set()))
                        count += 1
        print(f"{count} requests", end=" ", flush=True)
        self.assertGreater(count, 300)

    def test_requests_that_reach_no_operation(self):
        for role in document.ROLES:
            with self.subTest(role):
                path = socket_of(self.place, role)
                self.assertEqual(connect(self.place, role).ask("GET", "/v1/nothing").code, "no-such-path")
                self.assertEqual(exchange(role, path, b"hello\r\n\r\n").code, "bad-request")
                large = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 20_000 + b"\r\n\r\n"
                self.assertEqual(exchange(role, path, large).code, "headers-too-large")
                brew = b"BREW /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
                self.assertEqual(exchange(role, path, brew, "BREW", "/v1/status").code, "wrong-method")

    def test_a_user_with_too_many_readers_and_then_too_many_connections(self):
        """Readers of events and requests whose body is on its way work; an idle connection would be closed for a new one."""
        path, held = socket_of(self.place, "gateway"), []

        def hold(head: bytes, first_line: bytes):
            s = socket.socket(socket.AF_UNIX)
            held.append(s)
            s.settimeout(20)
            s.connect(os.fspath(path))
            s.sendall(head)
            self.assertTrue(s.recv(64).startswith(first_line))

        try:
            events = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            for _ in range(24):
                hold(events, b"HTTP/1.1 200 ")
            self.assertEqual(exchange("gateway", path, events, "GET", "/v1/events").code, "too-many-readers")
            self.assertEqual(connect(self.place, "gateway").ask("GET", "/v1/status").status, 200)
            self.assertEqual(connect(self.place, "gateway").ask("GET", "/health/live").status, 200)
            for n in range(8):
                hold(b"PUT /v1/log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
                     b"Expect: 100-continue\r\nCpns-Request-Id: held-%d\r\n\r\n" % n, b"HTTP/1.1 100 ")
            self.assertEqual(exchange("gateway", path, b"", "GET", "/v1/status").code, "too-many-connections")
        finally:
            for s in held:
                s.close()

    def test_an_event_stream_that_continues(self):
        """Last-Event-ID of this run: no snapshot. Of another run: a snapshot again."""
        for role in document.ROLES:
            with self.subTest(role):
                head = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 00000000-1\r\n\r\n"
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(20)
                    s.connect(os.fspath(socket_of(self.place, role)))
                    s.sendall(head)
                    got = b""
                    while b"\n\n" not in got.partition(b"\r\n\r\n")[2]:
                        part = s.recv(65536)
                        self.assertTrue(part, "the role closed the stream")
                        got += part
                self.assertIn(b"event: snapshot", got)


@unittest.skipUnless(os.geteuid() == 0, "only root can act as other users")
class Rights(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        add_sockets(self.place)
        self.open = pathlib.Path(tempfile.mkdtemp(prefix="cpns-api-"))  # a folder that every user can enter
        self.open.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.open, ignore_errors=True)
        self.port = free_port(socket.SOCK_STREAM)
        for role in document.ROLES:
            getattr(self.place, role)["api"] = {"socket": str(self.open / f"{role}.sock"),
                                                "groups": {level: [g] for level, g in GROUPS.items()}}
        self.place.gateway["api"]["probes"] = f"127.0.0.1:{self.port}"
        self.place.write()
        self.place.start()
        self.values = {"entity": self.place.devices[0][0]}

    def test_each_operation_needs_the_level_of_its_document(self):
        levels = list(GROUPS)
        for role in document.ROLES:
            for o in document.document(role).operations:
                below = ["", *levels[:levels.index(o.level)]]
                for level in below:
                    with self.subTest(f"{role} {o.id} by {level or 'nobody'}"):
                        answer = self.ask_as(level, role, o)
                        self.assertEqual(answer.code, "forbidden", answer.text)
                        self.assertIn(f"needs {o.level}", answer.json["detail"])

    def test_a_viewer_may_read(self):
        for role in document.ROLES:
            for o in document.document(role).operations:
                if not o.changes and not o.streams and o.level == "viewer":
                    with self.subTest(f"{role} {o.id}"):
                        self.assertNotEqual(self.ask_as("viewer", role, o).code, "forbidden")

    def test_the_port_for_probes_has_health_and_metrics_alone(self):
        def ask(verb, target, host=f"127.0.0.1:{self.port}"):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request(verb, target, headers={"Host": host})
            got = connection.getresponse()
            body = got.read()
            openapi.check_answer("gateway", verb, target, got.status, got.getheaders(), body)
            return got.status, openapi.parse(body.decode()) if "json" in got.getheader("content-type") else {}

        for o in document.document("gateway").operations:
            with self.subTest(o.id):
                status, answer = ask(o.verb, path_with(o, self.values))
                self.assertEqual(answer.get("code"), None if o.node.get("x-probe") else "no-such-path")
        self.assertEqual(ask("GET", "/health/live", host="evil.example")[1]["code"], "wrong-host")
        self.assertEqual(ask("GET", "/health/live", host=f"localhost:{self.port}")[0], 200)

    def test_a_refused_read_is_in_the_audit_trail_within_its_bounds(self):
        """The minute may end in the middle: then a line has the count, and the next lines have a minute of their own."""
        read = next(o for o in document.document("server").operations if o.id == "listUsers")
        for _ in range(30):
            self.assertEqual(self.ask_as("", "server", read).code, "forbidden")
        lines = [json.loads(line) for line in (self.place.folder / "state/server.audit.jsonl").read_text().splitlines()]
        refused = [line for line in lines if line["kind"] == "refused"]
        self.assertIn(len(refused), range(10, 21))
        for line in refused:
            self.assertEqual((line["via"], line["action"], line["object"], line["who"]["uid"]), ("socket", "read", "/v1/users", NOBODY))
            self.assertRegex(line["reason"], "^forbidden: uid .* needs viewer")
        self.assertIn("\ncpns_audit_refusals_total 30\n", connect(self.place, "server").ask("GET", "/metrics").text)

    def ask_as(self, level, role, operation):
        group = grp.getgrnam(GROUPS[level]).gr_gid if level else NOBODY
        connection = connect(self.place, role, user=NOBODY, group=group)
        return connection.ask(operation.verb, path_with(operation, self.values))


if __name__ == "__main__":
    unittest.main()
