#!/usr/bin/env python3
"""Temporary Keys from the service of a manufacturer: devices are keyed from it alone, and each of its faults ends in one refusal."""

import re
import secrets
import threading
import urllib.request
import unittest

from support.api_home import add_sockets, connect
from support.case import E2ECase
from support.home import poll
from support.key_service import EXPIRED, MakersService
from support.pki import Ca

RANGE = "urn:dev:os:32473-*"


class KeyService(E2ECase):
    def setUp(self):
        self.let_go = threading.Event()  # ends answers that hang

    def begin(self, devices=1, **settings):
        """The devices of the trial are taken out of the server's table; the manufacturer has them."""
        self.place = place = self.home(devices=devices)
        place.gateway["timers"] |= {"backoff_min": "300ms", "backoff_max": "1s", "request_timeout": "10s"}
        add_sockets(place)
        keys = {entity: bytes.fromhex(text.removeprefix("hex:")) for entity, text in place.devices}
        self.service = MakersService(place.folder / "maker", keys)
        self.addCleanup(self.service.stop)
        self.addCleanup(self.let_go.set)
        self.service.start()
        self.entity = place.devices[0][0]
        place.server["temporary_keys"] = {"services": [self.service.settings([self.prefix()], **settings)]}
        place.write()
        for entity, _ in place.devices:
            self.cli("device", "remove", entity)
        return place

    def prefix(self) -> str:
        """A range with the devices of the trial."""
        return self.place.devices[0][0][:-4] + "*"

    def cli(self, *args, **more):
        return self.place.cli(*args, "--config", "server.yaml", **more)

    def status(self) -> dict:
        return connect(self.place, "server").ask("GET", "/v1/status").json["key_services"]["maker"]

    def metric(self, name: str) -> dict:
        """{labels: value}"""
        text = connect(self.place, "server").ask("GET", "/metrics").text
        return {m[1]: float(m[2]) for m in re.finditer(rf"^cpns_server_key_service_{name}{{(.*)}} (\S+)$", text, re.M)}

    def refused(self, status, since=0, timeout=40):
        return self.place.events.wait(role="server", event="assignment-refused", entity=self.entity, status=status, since=since,
                                      timeout=timeout)

    def test_devices_are_keyed_by_the_service_alone(self):
        place = self.begin(devices=4)
        place.start()
        place.wait_for_each()
        asked = self.service.server.asked
        self.assertEqual(sorted(asked), sorted(e for e, _ in place.devices), "each device is asked for once")
        self.assertEqual(self.metric("queries_total")['outcome="ok",service="maker"'], 4)
        self.assertEqual((self.status()["breaker"], self.status()["keys"]), ("closed", 4))
        # The row of a device wins: blocked, it gets no keys, whatever the manufacturer says.
        self.cli("device", "block", self.entity)
        since = place.events.mark()
        self.assertEqual(place.role("gateway").terminate(), 0)
        for file in (place.folder / "state/gateway").iterdir():
            file.unlink()
        (place.folder / "state/gateway").rmdir()
        place.start("gateway")
        self.refused("unknown_entity", since)
        place.wait_for_each(entities=[e for e, _ in place.devices[1:]], since=since)
        self.assertEqual(len(asked), 4, "the keys were in memory")
        overlap = self.cli("batch", "add", "lot1", "--entities", self.prefix(), check=False)
        self.assertEqual(overlap.returncode, 1)
        self.assertIn("of the service maker", overlap.stderr)
        self.assertEqual(place.role("server").terminate(), 0)
        said = str(place.events.find(role="server"))
        for entity, text in place.devices:
            self.assertNotIn(text.removeprefix("hex:"), said)

    def test_each_failure_is_one_refusal_and_one_line(self):
        key = secrets.token_hex(32)
        let_go = self.let_go

        def hang(handler, entity):
            let_go.wait(20)
            handler.close()

        def trickle(handler, entity):
            handler.send_response(200)
            handler.send_header("Content-Length", "4000")
            handler.end_headers()
            while not let_go.wait(0.1):
                handler.wfile.write(b" ")

        def cut(handler, entity):
            handler.send_raw(handler.good(entity)[:30], length=200)
            handler.close()

        def no_http(handler, entity):
            handler.wfile.write(b"\0" * 100)
            handler.close()

        def changed(**changes):
            return lambda h, e: h.send_raw(h.good(e, **changes))

        faults = [
            ("timeout", "the time limit passed while it should answer", hang),
            ("timeout", "the time limit passed while it should answer", trickle),
            ("other_entity", "for another Entity ID", changed(named="urn:dev:mac:0024befffe804ff1")),
            ("bad_answer", "'encoding' is neither", changed(encoding="text")),
            ("bad_answer", "not base64", changed(encoding="base64", key="*" * 44)),
            ("bad_answer", "has 32 bytes", changed(key=key[:32])),
            ("bad_answer", "chosen rather than drawn", changed(key="00" * 32)),
            ("bad_answer", "a member that the contract does not have", changed(**{key: 1})),
            ("bad_answer", "each member once", lambda h, e: h.send_raw(h.good(e)[:-1] + b', "form": "derived"}')),
            ("bad_answer", "not one JSON object", lambda h, e: h.send_raw(b"<html>" + key.encode())),
            ("bad_answer", "it is empty", lambda h, e: h.send_raw(b"")),
            ("bad_answer", "Content-Type", lambda h, e: h.send_raw(h.good(e), kind="text/plain")),
            ("bad_answer", "larger than 4096 bytes", lambda h, e: h.send_raw(h.good(e) + b" " * 5000)),
            ("bad_answer", "not HTTP", no_http),
            ("status", "HTTP status 500", lambda h, e: h.send_raw(h.good(e), status=500)),
            ("status", "HTTP status 302", lambda h, e: h.send_raw(h.good(e), status=302, more=[("Location", "/elsewhere")])),
            ("closed", "in the middle of its answer", cut),
        ]
        place = self.begin(devices=len(faults) + 1, timeout="800ms", connections=20, breaker={"failures": 1000},
                           cache={"keep_unknown": "1s"})
        entities = [entity for entity, _ in place.devices]
        by_entity = dict(zip(entities, faults))
        stranger = entities[-1]
        known = self.service.devices.pop(stranger)
        self.service.server.fault = lambda h, e: by_entity[e][2](h, e) if e in by_entity else h.send_raw(b"", status=404)
        place.start()
        place.wait_for_each(entities=entities, role="server", event="assignment-refused")
        for entity, (outcome, why, _) in by_entity.items():
            with self.subTest(why):
                no, = place.events.find(role="server", event="assignment-refused", entity=entity)
                self.assertEqual(no["status"], "temporary_key_unavailable")
                line, = place.events.find(role="server", event="temporary-key-unavailable", entity=entity)
                self.assertIn("the service maker of the manufacturer: ", line["text"])
                self.assertIn(why, line["text"])
        no, = place.events.find(role="server", event="assignment-refused", entity=stranger)
        self.assertEqual(no["status"], "unknown_entity")
        counted = {k.split('"')[1]: v for k, v in self.metric("queries_total").items()}
        for outcome in {outcome for outcome, _, _ in faults}:
            self.assertEqual(counted[outcome], sum(o == outcome for o, _, _ in faults), outcome)
        said = str(place.events.find(role="server")) + str(self.status())
        for digits in (key, key[:32]):
            self.assertNotIn(digits, said)
        self.assertEqual(place.events.find(role="gateway", event="confirmed"), [])
        let_go.set()
        self.service.server.fault = None
        self.service.devices[stranger] = known
        self.restart_gateway()
        place.wait_for_each(timeout=60)
        place.events.wait(role="server", event="key-service-works")

    def restart_gateway(self):
        """It asks again at once."""
        self.assertEqual(self.place.role("gateway").terminate(), 0)
        self.place.start("gateway")

    def test_requests_share_one_query(self):
        place = self.begin(timeout="25s")
        self.service.server.fault = lambda h, e: (self.let_go.wait(20), h.send_raw(h.good(e)))
        place.start()
        poll(lambda: self.service.server.asked, what="a query")
        since = place.events.mark()
        self.restart_gateway()
        place.events.wait(role="server", event="store-slow", since=since)
        self.let_go.set()
        place.wait_for_each(timeout=40)
        self.assertEqual(len(self.service.server.asked), 1)

    def test_a_failing_service_is_left_alone_and_tried_by_one_query(self):
        place = self.begin(timeout="300ms", breaker={"failures": 2, "pause": "2s"})
        self.service.server.fault = lambda h, e: h.send_raw(b"", status=503, more=[("Retry-After", "3")])
        place.start()
        place.events.wait(role="server", event="key-service-left-alone")
        self.assertEqual(self.status()["breaker"], "open")
        self.assertIn("503", self.status()["last_failure"]["why"])
        doctor = self.cli("doctor", check=False)
        self.assertIn("left alone", doctor.stdout)
        self.service.server.fault = None
        poll(lambda: self.status()["failures"] == 1, what="the only failure")
        threading.Event().wait(3)  # what Retry-After asks for
        self.restart_gateway()
        place.wait_for_each(timeout=60)
        self.assertEqual(self.status()["breaker"], "closed")
        self.assertEqual(len(self.service.server.asked), 2, "Retry-After opened the breaker at once, then one query tried it")

    def test_certificates_of_both_sides_are_checked(self):
        place = self.begin(timeout="900ms", breaker={"failures": 1000})
        service = self.service
        service.another_certificate("stranger", ca=Ca())
        service.another_certificate("expired", **EXPIRED)
        service.another_certificate("elsewhere", ip="127.0.0.2")
        service.stop()
        place.start()
        place.events.wait(lambda e: "cannot be reached" in e["text"], role="server", event="key-service-failed", outcome="unreachable")
        for name, why in (("stranger", "certificate"), ("expired", "expired"), ("elsewhere", "certificate")):
            with self.subTest(name):
                since = place.events.mark()
                service.start(name)
                self.restart_gateway()
                line = place.events.wait(role="server", event="key-service-failed", outcome="tls", since=since)[0]
                self.assertIn(why, line["text"])
                doctor = self.cli("doctor", check=False)
                self.assertEqual(doctor.returncode, 1)
                self.assertRegex(doctor.stdout, r"key-service .*maker")
                service.stop()
        self.assertEqual(place.events.find(role="gateway", event="confirmed"), [])
        service.start()
        self.restart_gateway()
        place.wait_for_each(timeout=60)
        doctor = self.cli("doctor", check=False)
        self.assertRegex(doctor.stdout, r"key-service .*maker.* answers")
        # Without a certificate of the manufacturer's CA the service answers nobody.
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"https://127.0.0.1:{service.port}/cpns/v1/health", timeout=5)

    def test_a_changed_key_is_asked_for_once_more(self):
        place = self.begin(cache={"keep": "1h"})
        right, wrong = self.service.devices[self.entity], secrets.token_bytes(16)
        self.service.devices[self.entity] = wrong
        place.start("server", "gateway", "pne")
        self.refused("presence_failed")
        asked = self.service.server.asked
        poll(lambda: len(asked) == 2, what="a second query for the same key")
        self.refused("presence_failed", place.events.mark(), timeout=90)
        self.assertEqual(len(asked), 2, "the same key is asked for again once")
        self.assertEqual(place.role("server").terminate(), 0)
        place.start("server")  # with an empty memory
        since = place.events.mark()
        self.service.server.fault = lambda h, e: self.change(h, e, right)
        place.tell_pne("wake", self.entity, check=False)
        place.wait_for_each(timeout=90, since=since)
        place.events.wait(role="server", event="temporary-key-changed", since=since)
        self.assertEqual(len(asked), 4)

    def change(self, handler, entity, right):
        """Answers with the old key, and from then on with the new one."""
        old = handler.good(entity)
        self.service.devices[entity] = right
        self.service.server.fault = None
        handler.send_raw(old)

    def test_a_slow_answer_is_kept_for_the_repetition(self):
        place = self.begin(timeout="10s")
        self.service.server.fault = lambda h, e: (self.let_go.wait(3), h.send_raw(h.good(e)))
        place.start()
        place.events.wait(role="server", event="store-slow")
        place.wait_for_each(timeout=40)
        self.assertEqual(len(self.service.server.asked), 1)

    def test_the_configuration_is_checked(self):
        place = self.begin()
        good = place.server["temporary_keys"]["services"][0]

        def check(why, *, require_presence=True, more=(), **changes):
            place.server["temporary_keys"]["services"] = [{**good, **changes}, *more]
            place.server["require_presence"] = require_presence
            place.write()
            done = place.cli("config", "check", "server.yaml", check=False)
            self.assertEqual(done.returncode, 1, why)
            self.assertRegex(done.stdout + done.stderr, rf"server.yaml:\d+:\d+: .*{why}")

        check("plain HTTP", url="http://127.0.0.1:1/x")
        check("not a URL", url="127.0.0.1:1")
        check("is refused with", require_presence=False)
        check("overlaps", more=[{**good, "name": "other"}])
        check("overlaps", entities=[self.prefix(), self.prefix()])
        check("names must be unique", more=[{**good, "entities": ["urn:dev:mac:0024be*"]}])
        check("too short", entities=["urn:dev:mac:*"])
        check("is missing", url="https://127.0.0.1:1", tls={"certificate": "maker/client.pem", "key": "maker/client.key"})
        check("none.key", tls={**good["tls"], "key": "maker/none.key"})
        place.server["temporary_keys"]["services"] = [good]
        del place.server["require_presence"]
        place.write()
        place.cli("config", "check", "server.yaml")
        # A batch of the store that the service would hide.
        place.server.pop("temporary_keys")
        place.write()
        self.cli("batch", "add", "lot1", "--entities", self.prefix())
        place.server["temporary_keys"] = {"services": [good]}
        place.write()
        done = place.cli("server", "--config", "server.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("batch lot1", done.stdout + done.stderr)

    def test_a_request_with_a_wrong_proof_asks_for_nothing(self):
        place = self.begin()
        place.start("server", "gateway")
        place.events.wait(role="gateway", event="enrolled", timeout=20)
        asked = self.service.server.asked
        self.assertEqual(place.role("server").terminate(), 0)
        self.cli("user", "passwd", place.user, "--stdin", stdin="battery staple 9\n")
        place.start("server", "pne")  # the gateway proves the password of before
        self.refused("unknown_user_or_bad_proof")
        self.refused("unknown_user_or_bad_proof", place.events.mark())
        self.assertEqual(asked, [])
        self.assertEqual(sum(self.metric("lookups_total").values()), 0, "nor was it looked for in memory")
        (place.folder / "password").write_text("battery staple 9\n")
        place.role("gateway").reload()
        place.wait_for_each(timeout=60)
        self.assertEqual(asked, [self.entity])


if __name__ == "__main__":
    unittest.main()
