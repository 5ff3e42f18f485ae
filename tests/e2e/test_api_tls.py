#!/usr/bin/env python3
"""The HTTP API of real roles over TLS: curl and `cpns --url` with certificates of the development CA, each refusal, and new files while the
role runs. Every answer is checked against docs/openapi."""

import json
import re
import socket
import subprocess
import time
import unittest

from support import pki
from support.api_home import connect, document
from support.home import free_port, poll
from support.tls_case import OverTls

class Served(OverTls):
    def test_every_role_answers_curl_and_says_where(self):
        for role in document.ROLES:
            with self.subTest(role):
                status = self.ask(role, "carl", "GET", "/v1/status")
                self.assertEqual(status.status, 200, status.text)
                self.assertEqual(status.json["doors"], {"socket": str(self.place.folder / getattr(self.place, role)["api"]["socket"]),
                                                        "listen": f"{self.place.address}:{self.ports[role]}", "probes": None})
                self.assertEqual(connect(self.place, role).ask("GET", "/v1/status").json["doors"], status.json["doors"])
                # Without -N curl holds the events back; it ends by its time limit (28).
                events = self.curl(role, "carl", "-N", "--max-time", "2", self.url(role) + "/v1/events")
                self.assertEqual(events.returncode, 28, events.stderr)
                self.assertIn(b"event: snapshot", events.stdout)

    def test_the_metrics_of_each_role_have_the_end_of_each_of_its_certificates(self):
        now = time.time()
        for role in document.ROLES:
            parts = {"api.tls": {"own", "ca", "crl"}} | ({} if role == "pne" else {"tls": {"own", "ca"}})
            text = self.ask(role, "carl", "GET", "/metrics").text
            ends = {(setting, part): float(end) for part, setting, end in
                    re.findall(r'^cpns_certificate_end_time_seconds\{part="(\w+)",setting="([\w.]+)"\} (\S+)$', text, re.M)}
            with self.subTest(role):
                self.assertEqual(set(ends), {(setting, part) for setting, all_parts in parts.items() for part in all_parts}, text)
                self.assertGreater(min(ends.values()), now, text)

    def test_levels_follow_from_the_certificate_and_the_audit_trail_names_it(self):
        level = ["--json", '{"component": "audit", "level": "debug"}']
        refused = self.ask("server", "carl", "PUT", "/v1/log", *level)
        self.assertEqual((refused.status, refused.code), (403, "forbidden"))
        self.assertIn("urn:cpns:admin:carl at 127.", refused.json["detail"])
        self.assertIn("is viewer; this request needs operator (api.certificates)", refused.json["detail"])
        self.assertEqual(self.ask("server", "op-berta", "PUT", "/v1/log", *level).status, 200)
        lines = {line["kind"]: line for line in self.audit("server", "log-level")}
        self.assertEqual(lines["refused"]["who"]["certificate"], "urn:cpns:admin:carl")
        self.assertEqual(lines["intent"]["who"]["certificate"], "urn:cpns:admin:op-berta")
        self.assertEqual(lines["intent"]["via"], "tcp")
        self.assertRegex(lines["intent"]["who"]["address"], rf"^{self.place.address}:\d+$|^127\.0\.0\.1:\d+$")

    def test_commands_of_cpns_reach_a_role_by_its_url(self):
        home, entity = self.place, self.place.devices[0][0]
        home.wait_for_each()
        for command in (["pnes", "list"], ["pnes", "show", entity], ["pnes", "radios"]):
            here = home.cli(*command, "--json", "--config", "gateway.yaml")
            there = home.cli(*command, "--json", *self.remote("gateway"))
            self.assertEqual(json.loads(there.stdout).keys(), json.loads(here.stdout).keys())
        since = home.events.mark()
        self.assertEqual(home.cli("pnes", "update", entity, *self.remote("gateway")).stdout, "done\n")
        home.wait_for_each(since=since)
        self.assertIn(entity, home.cli("pne", *self.remote("pne"), "list").stdout)
        self.assertEqual(home.cli("pne", *self.remote("pne"), "sleep", entity).stdout, "done\n")
        self.assertEqual(home.cli("pne", "--socket", "pne.sock", "wake", entity).stdout, "done\n")

        def failed(code, text, *args):
            done = home.cli(*args, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)

        failed(1, "is viewer; this request needs operator", "pnes", "update", entity, *self.remote("gateway", "carl"))
        failed(2, "--url needs --cert FILE, --key FILE and --ca FILE", "pnes", "list", "--url", self.url("gateway"))
        failed(2, "write https://HOST:PORT", "pnes", "list", "--url", "http://localhost:1", *self.remote("gateway")[2:])
        failed(2, "the port is missing", "pnes", "list", "--url", "https://localhost", *self.remote("gateway")[2:])
        failed(2, "name the gateway with --config FILE", "pnes", "list")
        failed(2, "--config is required", "pne")
        nobody = f"https://{home.address}:{free_port(socket.SOCK_STREAM, home.address)}"
        failed(1, "no role listens at", "pnes", "list", "--url", nobody, *self.remote("gateway")[2:])


class Refused(OverTls):
    def refused(self, name: str, why: str):
        since = self.place.events.mark()
        done = self.curl("server", name, self.url("server") + "/v1/status")
        self.assertIn(done.returncode, (35, 55, 56), done.stdout)
        line = self.place.events.wait(lambda e: why in e.get("text", ""), role="server", event="api-client-refused", since=since)[0]
        self.assertTrue(line["peer"].startswith("127."), line)
        who = self.audit("server", why)[-1]
        self.assertEqual((who["kind"], who["action"], who["via"]), ("refused", "connect", "tcp"))
        self.assertNotIn("certificate", who["who"], "it was not verified")

    def test_clients_that_the_handshake_refuses(self):
        self.refused("", "the peer sent no certificate")
        pki.Ca().issue(self.tls, "foreign", "urn:cpns:admin:anna", pki.CLIENT)
        self.refused("foreign", "comes from an unknown CA")
        pki.Ca(self.tls).issue(self.tls, "old", "urn:cpns:admin:anna", pki.CLIENT, begin=-2 * pki.DAY, end=-pki.DAY)
        self.refused("old", "has expired")
        self.refused("server", "is for another purpose")
        self.assertEqual(self.ask("server", "anna", "GET", "/v1/status").status, 200)

    def test_a_gateway_and_a_stranger_get_the_reason(self):
        for name, uri in (("gateway", "urn:cpns:gw:"), ("stranger", "urn:example:stranger")):
            if name == "stranger":
                pki.Ca(self.tls).issue(self.tls, name, uri, pki.CLIENT)
            answer = self.ask("server", name, "GET", "/v1/status")
            self.assertEqual((answer.status, answer.code), (403, "forbidden"))
            self.assertIn(f"{uri}", answer.json["detail"])
            self.assertIn("is nobody; this request needs viewer (api.certificates)", answer.json["detail"])
            # Two threads write the lines of the connection and of its request.
            poll(lambda of=uri: "connect" in {line["action"] for line in self.audit("server", of)}, what="the line of the connection")
        # The gateway itself is served by the server link, which has the same CA.
        self.place.wait_for_each()

    def test_hosts_and_pages_of_others(self):
        self.assertEqual(self.ask("server", "anna", "GET", "/v1/status", "-H", "Host: evil.example").code, "wrong-host")
        self.assertEqual(self.ask("server", "anna", "GET", "/v1/status", "-H", "Origin: https://evil.example").code, "foreign-origin")
        at = f"localhost:{self.ports['server']}"
        done = self.curl("server", "anna", "--resolve", f"{at}:{self.place.address}", f"https://{at}/v1/status")
        self.assertIn(b"HTTP/1.1 200 ", done.stdout)

    def test_what_is_not_tls_and_what_is_slow(self):
        with socket.create_connection((self.place.address, self.ports["server"])) as s:
            s.sendall(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.place.events.wait(lambda e: "does not speak TLS" in e.get("text", ""), role="server", event="api-client-refused")
            self.assertRegex(self.ask("server", "anna", "GET", "/metrics").text,
                             r'cpns_api_tls_handshakes_total\{outcome="accepted"\} [1-9](.|\n)*outcome="protocol"\} 1\n')
        held = [socket.create_connection((self.place.address, self.ports["server"])) for _ in range(50)]
        try:
            for s in held:
                s.sendall(b"\x16\x03\x01")
            self.assertEqual(self.ask("server", "anna", "GET", "/v1/status").status, 200)
        finally:
            for s in held:
                s.close()


class Changed(OverTls):
    def events_of(self, role: str) -> subprocess.Popen:
        """curl with the events of the role, as anna."""
        return subprocess.Popen(["curl", "-sSN", "--cacert", self.tls / "ca.pem", "--cert", self.tls / "anna.pem", "--key",
                                 self.tls / "anna.key", self.url(role) + "/v1/events"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def serial(self, role: str) -> str:
        at = f"{self.place.address}:{self.ports[role]}"
        done = subprocess.run(["openssl", "s_client", "-connect", at, "-CAfile", self.tls / "ca.pem", *pki.options(self.tls, "anna")],
                              input=b"", capture_output=True, timeout=30)
        pem = done.stdout[done.stdout.index(b"-----BEGIN"):]
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, check=True).stdout.decode()

    def test_a_new_certificate_serves_new_connections(self):
        before = self.serial("gateway")
        with self.events_of("gateway") as events:
            self.assertIn(b"id: ", events.stdout.readline())
            self.place.cli("ca", "issue", "server", "gateway-api", "--ca", "tls", "--ip", self.place.address, "--replace")
            self.place.role("gateway").reload()
            self.assertNotEqual(self.serial("gateway"), before)
            self.assertTrue(any(b"event: reloaded" in line for line in events.stdout), "the open connection goes on")
            events.kill()
        self.assertEqual(self.ask("gateway", "anna", "GET", "/v1/status").status, 200)

    def test_a_revoked_client_is_closed_and_refused(self):
        with self.events_of("server") as events:
            self.assertIn(b"id: ", events.stdout.readline())
            self.place.cli("ca", "revoke", "anna", "--ca", "tls")
            self.place.role("server").reload()
            events.wait(20)
        ended = self.place.events.wait(role="server", event="api-client-ended")[0]
        self.assertEqual(ended["certificate"], "urn:cpns:admin:anna")
        done = self.place.cli("pnes", "list", *self.remote("server"), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the peer refused our certificate: it was revoked", done.stderr)
        self.assertEqual(self.ask("server", "carl", "GET", "/v1/status").status, 200)

    def test_levels_change_at_sighup(self):
        self.assertEqual(self.ask("server", "carl", "DELETE", "/v1/log").status, 403)
        self.place.server["api"]["certificates"] = {"urn:cpns:admin:carl": "operator"}
        self.place.write()
        self.assertIn("api.certificates", self.place.role("server").reload()["changed"])
        self.assertEqual(self.ask("server", "carl", "DELETE", "/v1/log").status, 200)
        self.assertEqual(self.ask("server", "anna", "GET", "/v1/status").status, 403)

    def test_the_files_are_examined(self):
        home = self.place
        said = json.loads(home.cli("doctor", "--config", "pne.yaml", "--json", check=False).stdout)
        found = [line for line in said["lines"] if line["check"] == "api-certificate"]
        self.assertIn("urn:cpns:server:pne-api", found[0]["text"])
        self.assertEqual({line["state"] for line in found}, {"ok"}, found)
        (self.tls / "server-api.key").chmod(0o644)
        checked = home.cli("config", "check", "server.yaml", check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertRegex(checked.stderr, r"server\.yaml:\d+:\d+: 'api\.tls\.key': .*server-api\.key")
        home.role("server").terminate()
        with self.assertRaises(AssertionError):
            home.role("server").start()
        self.assertTrue(home.events.find(lambda e: "'api.tls.key'" in json.dumps(e)))


if __name__ == "__main__":
    unittest.main()
