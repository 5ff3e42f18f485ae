#!/usr/bin/env python3
"""Requests that no documented client sends: numbers and members that JSON programs read in different ways, secrets in a wrong place,
control characters, broken bodies, empty parameters. Each is refused with its field, and the audit trail stays whole, without the
secret."""

import json
import pathlib
import socket
import unittest

from support.api_home import UNKNOWN, add_sockets, connect, socket_of
from support.case import E2ECase
from support.unix_http import exchange

CANARY = "5ec1e7aabbccddeeff00112233445566"
NEW_DEVICE = "urn:dev:mac:0024befffe805000"
GOOD = {"entity": NEW_DEVICE, "temporary_key": "hex:8f14e45fceea167a5a36dedd4bea2543", "strength": "128bit"}
JSON = {"Content-Type": "application/json"}
CHANGE = b" HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: r1\r\nContent-Type: application/json\r\n"


class Strict(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        add_sockets(self.place)
        (self.place.folder / "new_keys").mkdir()
        self.place.server["protector"]["new_keys"] = "new_keys"
        self.place.gateway["validation"]["policy"] = "ask"
        self.place.write()
        self.place.start()

    def ask(self, role, verb, target, body=None):
        sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return connect(self.place, role).ask(verb, target, sent, JSON if body is not None else {})

    def refused(self, role, verb, target, code, field, body=None):
        with self.subTest(f"{verb} {target} {body}"):
            answer = self.ask(role, verb, target, body)
            self.assertEqual((answer.code, answer.json.get("field")), (code, field), answer.text)
            return answer

    def trail(self, role) -> str:
        return (self.place.folder / f"state/{role}.audit.jsonl").read_text()

    def test_a_number_or_a_member_of_two_meanings_is_refused_and_the_trail_stays_whole(self):
        for role, verb, target, body, field in (
                ("gateway", "PUT", "/v1/permit", '{"minutes":1e400}', None),
                ("gateway", "PUT", "/v1/permit", '{"minutes":-1e400}', None),
                ("gateway", "PUT", "/v1/permit", '{"minutes":1,"minutes":2}', "minutes"),
                ("gateway", "POST", "/v1/radios/radio/reopen", '{"parameters":{"mtu":1e400}}', None),
                ("server", "PUT", "/v1/log", '{"level":1e400}', None),
                ("server", "POST", "/v1/users", '{"user":"a@x","user":"b@x","password":"12345678"}', "user")):
            self.refused(role, verb, target, "bad-json", field, body)
        for role in ("gateway", "server"):
            self.assertTrue(self.ask(role, "GET", "/v1/audit/verify").json["whole"], role)
            for line in self.trail(role).splitlines():
                self.assertNotIn("e400", line)
                json.loads(line, parse_constant=self.fail)

    def test_no_secret_in_a_wrong_place_is_in_the_trail(self):
        key = f"hex:{CANARY}"
        for role, verb, target, body in (
                ("server", "POST", "/v1/devices", {**GOOD, "entity": key}),
                ("server", "POST", "/v1/devices", {**GOOD, "strength": key}),
                ("server", "POST", "/v1/devices", {**GOOD, "owner": "a " + CANARY}),
                ("server", "POST", "/v1/devices", {**GOOD, CANARY: 1}),
                ("server", "POST", "/v1/users", {"user": "my " + CANARY, "password": CANARY}),
                ("server", "POST", "/v1/users", {CANARY: CANARY}),
                ("server", "POST", "/v1/imports", {"import": key, "batch": "a"}),
                ("server", "DELETE", f"/v1/imports/{key}", None),
                ("server", "DELETE", f"/v1/devices/{key}", None),
                ("server", "DELETE", f"/v1/users/my%20{CANARY}", None),
                ("server", "POST", f"/v1/gateways/{CANARY}0/block", None),
                ("server", "PUT", "/v1/log", {"level": CANARY}),
                ("server", "PUT", "/v1/log", {"level": "info", "component": CANARY}),
                ("server", "POST", "/v1/store/rewrap", {"new_file": "/" + CANARY}),
                ("server", "POST", "/v1/store/rewrap", {"passphrase": CANARY}),
                ("gateway", "PUT", "/v1/permit", {"minutes": CANARY}),
                ("gateway", "PUT", "/v1/permit", {CANARY: 1}),
                ("gateway", "PUT", "/v1/password", {"user": CANARY, "password": 7}),
                ("gateway", "POST", f"/v1/pnes/{key}/approve", None),
                ("gateway", "POST", f"/v1/radios/{CANARY}/reopen", None),
                ("gateway", "POST", "/v1/radios/radio/reopen", {"parameters": {"mtu": CANARY}}),
                ("gateway", "POST", "/v1/radios/radio/reopen", {"parameters": {CANARY: "1"}})):
            with self.subTest(f"{verb} {target} {body}"):
                self.assertGreaterEqual(self.ask(role, verb, target, body).status, 400)
        for role in ("server", "gateway"):
            self.assertNotIn(CANARY, self.trail(role))
            self.assertTrue(self.ask(role, "GET", "/v1/audit/verify").json["whole"], role)
        self.ask("server", "PUT", "/v1/log", {"level": "debug", "component": "audit"})
        intent = [json.loads(x) for x in self.trail("server").splitlines() if '"intent"' in x][-2]
        self.assertEqual((intent["action"], intent["after"]), ("log-level", {"level": "debug", "component": "audit"}))

    def test_texts_that_would_deceive_a_reader_are_refused(self):
        for odd in ("a\x1b[31mb", "a\nb", "a\x00b", "a\u0085b"):
            self.refused("server", "POST", "/v1/devices", "out-of-range", "batch", {**GOOD, "batch": odd})
            self.refused("server", "POST", "/v1/imports", "out-of-range", "batch", {"batch": odd})
        for odd in ("a\nbcdefgh", "abcdefgh\r", "abcd\x00efgh"):
            self.refused("server", "POST", "/v1/users", "out-of-range", "password", {"user": "a@x", "password": odd})
            self.refused("server", "PUT", f"/v1/users/{self.place.user}/password", "out-of-range", "password", {"password": odd})
            self.refused("gateway", "PUT", "/v1/password", "out-of-range", "password", {"password": odd})
        for name in (".", "..", "a b"):
            self.refused("server", "POST", "/v1/imports", "config-usage", "import", {"import": name, "batch": "a"})

    def test_a_fault_has_its_field_and_no_word_of_a_command_line(self):
        for target in ("/v1/gateways/foo", "/v1/users/a%20b", "/v1/devices/foo", "/v1/entities/foo"):
            field = {"g": "gateway", "u": "user", "d": "entity", "e": "entity"}[target[4]]
            answer = self.refused("server", "GET", target, "config-usage" if field == "gateway" else "wire-grammar", field)
            self.assertNotIn("command line", answer.text)
        self.refused("server", "GET", "/v1/entities?holder=foo", "config-usage", "holder")
        self.refused("server", "GET", "/v1/devices?owner=a%20b", "wire-grammar", "owner")
        self.refused("gateway", "GET", "/v1/pnes/foo", "wire-grammar", "entity")
        self.refused("pne", "POST", "/v1/devices/foo/wake", "wire-grammar", "entity")
        self.refused("pne", "POST", f"/v1/devices/{UNKNOWN['entity']}/wake", "state-unknown", None)
        again = self.refused("server", "POST", "/v1/users", "state-exists", None, {"user": self.place.user, "password": "12345678"})
        self.assertNotIn("cpns user", again.text)

    def test_an_empty_parameter_and_a_foreign_place_are_refused(self):
        for role, target, field in (("server", "/v1/gateways?blocked", "blocked"), ("server", "/v1/devices?after=", "after"),
                                    ("gateway", "/v1/pnes?state=", "state"),
                                    ("gateway", "/v1/pnes?after=garbage", "after"), ("pne", "/v1/devices?after=garbage", "after"),
                                    ("server", "/v1/imports?after=a%20b", "after"), ("server", "/v1/devices?after=garbage", "after")):
            self.refused(role, "GET", target, "out-of-range", field)

    def test_a_broken_body_is_answered(self):
        path = socket_of(self.place, "server")
        start = b"PUT /v1/log" + CHANGE
        chunked = start + b"Transfer-Encoding: chunked\r\n\r\n"
        for name, data, code in (("no number", chunked + b"zz\r\n{}\r\n0\r\n\r\n", "bad-request"),
                                 ("a negative number", chunked + b"-2\r\n{}\r\n0\r\n\r\n", "bad-request"),
                                 ("a wrong length", chunked + b"1\r\n{}\r\n0\r\n\r\n", "bad-request"),
                                 ("another coding", start + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "bad-request"),
                                 ("a coding like it", start + b"Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}", "bad-request"),
                                 ("compression", start + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "wrong-content-type"),
                                 ("two hosts", start + b"Host: a\r\nContent-Length: 2\r\n\r\n{}", "bad-request")):
            with self.subTest(name):
                self.assertEqual(exchange("server", path, data, "PUT", "/v1/log").code, code)
        self.assertIn('"reason":"bad-request"', self.trail("server"))

    def test_head_is_a_get_without_its_body(self):
        path = socket_of(self.place, "server")
        for target, status in (("/health/live", b"200 OK"), ("/v1/events", b"200 OK"), ("/v1/nothing", b"404 Not Found"),
                               ("/v1/devices/" + UNKNOWN["entity"], b"404 Not Found")):
            with self.subTest(target):
                answer = exchange_raw(path, b"HEAD " + target.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                head, _, body = answer.partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 " + status), head)
                self.assertEqual(body, b"")

    def test_a_key_file_that_cannot_be_used_is_the_fault_of_the_request(self):
        keys = pathlib.Path(self.place.folder, "new_keys")
        (keys / "open").write_text("0123456789abcdef\n")
        (keys / "open").chmod(0o644)
        (keys / "link").symlink_to("../tls/server.key")
        rewrap = ("server", "POST", "/v1/store/rewrap")
        self.refused(*rewrap, "config-file", "new_passphrase_file", {"new_passphrase_file": "open"})
        self.refused(*rewrap, "config-file", "new_passphrase_file", {"new_passphrase_file": "absent"})
        self.refused(*rewrap, "config-file", "new_file", {"new_file": "open"})
        for name in ("link", "a\nb", "a\x00b"):
            self.refused(*rewrap, "config-usage", "new_file", {"new_file": name})
        self.assertEqual({p.name for p in keys.iterdir()}, {"open", "link"})


def exchange_raw(path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(path))
        s.sendall(data)
        got = b""
        while part := s.recv(65536):
            got += part
    return got


if __name__ == "__main__":
    unittest.main()
