#!/usr/bin/env python3
"""The CoAP examples over DTLS-PSK with real roles, from the PNE to the hub and from the hub to the PNE: requests while the keys rotate,
a caller without a key, a ticket of a session whose key is gone, a reset and a forgotten device."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import unittest

from support.home import free_port, poll
from test_application_keys import ROLES, Keys
from test_key_library import Program

BUILD = pathlib.Path(os.environ["CPNS_BUILD"])
SERVER, CLIENT = (BUILD / "examples" / name for name in ("coap_server", "coap_client"))
ADDRESS = "127.0.0.1"
PUT = b"\x40\x03\x00\x01\xb7reading\xffraw"  # a CoAP message: PUT /reading with the body "raw"
CHANGED, UNAUTHORIZED = 0x44, 0x81
REFUSED = b"alert unknown psk identity"


class Coap(Keys):
    def begin(self, *command):
        made = Program(*command)
        self.addCleanup(made.kill)
        return made

    def serve(self, role):
        """Returns the server beside `role`, and its port."""
        port = free_port(socket.SOCK_DGRAM)
        server = self.begin(SERVER, self.socket(role), "coap", ADDRESS, port)
        self.assertEqual(server.next(), "ready")
        return server, port

    def client(self, role, entity, port, *options):
        return self.begin(CLIENT, *options, self.socket(role), "coap", entity, ADDRESS, port)

    def epoch_of(self, client, entity, text) -> str:
        """The epoch with which the server knows the session of a request that it answers."""
        client.say(text)
        answer = client.next()
        self.assertRegex(answer, rf"^{entity} \d+\.\d+ said {text}$")
        return answer.split()[1]

    def end(self, client) -> dict:
        """What the client counted."""
        self.assertEqual(client.end(), 0)
        last = None
        while not client.fresh.empty():
            last = client.next()
        return {name: int(number) for name, number in (part.split() for part in last.split(", "))}

    def update(self, entity):
        since = self.place.events.mark()
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.place.wait_for_each(since=since, entities=[entity])


class Rotation(Coap):
    def test_costs_no_request_in_either_direction_and_no_session(self):
        self.start(devices=2)
        ports = {role: self.serve(role)[1] for role in ROLES}
        other = dict(zip(ROLES, ROLES[::-1], strict=True))
        each = {(role, entity): self.client(role, entity, ports[other[role]]) for role in ROLES for entity in self.entities}
        staying = {(role, entity): self.client(role, entity, ports[other[role]], "--stay") for role in ROLES for entity in self.entities}
        first = {key: self.epoch_of(client, key[1], "first") for key, client in staying.items()}
        seen = {key: set() for key in each}
        number = 0

        def talk():
            nonlocal number
            for key, client in each.items():
                number += 1
                seen[key].add(self.epoch_of(client, key[1], f"line {number}"))

        updates = threading.Thread(target=lambda: [self.update(entity) for entity in self.entities * 3])
        updates.start()
        while updates.is_alive():
            talk()
        updates.join()
        for entity in self.entities:
            self.agree(entity)
        talk()
        newest = {entity: self.in_use("gateway", entity, "coap")["epoch"] for entity in self.entities}
        for key, client in each.items():
            self.assertGreaterEqual(len(seen[key]), 4, seen)
            self.assertEqual(self.epoch_of(client, key[1], "last"), newest[key[1]])
            counted = self.end(client)
            self.assertEqual((counted["repeated"], counted["failed"]), (0, 0), key)
            self.assertEqual(counted["sessions"], counted["requests"])
        for key, client in staying.items():
            self.assertEqual(self.epoch_of(client, key[1], "the same session"), first[key])
            self.assertNotEqual(first[key], newest[key[1]])
            self.assertEqual(self.end(client), {"requests": 2, "sessions": 1, "repeated": 0, "failed": 0})
        self.assertGreater(number, 20)


class NoKey(Coap):
    def shake_hands(self, port, key, *options, limit=20) -> bytes:
        """Sends PUT with OpenSSL's client, and returns all that it wrote. It is stopped after the answer, or after `limit` s."""
        line = ["openssl", "s_client", "-dtls1_2", "-connect", f"{ADDRESS}:{port}", "-cipher", "ECDHE-PSK-CHACHA20-POLY1305",
                "-psk_identity", key["identity"], "-psk", key["key"], *options]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as made:
            text, looked = b"", False
            stop = threading.Timer(limit, made.kill)
            stop.start()
            while piece := made.stdout.read1(65536):
                text += piece
                if not looked and b"Verify return code" in text:
                    looked = True
                    made.stdin.write(PUT)
                    made.stdin.flush()
                if self.code_of(text):
                    made.kill()
            stop.cancel()
            with contextlib.suppress(BrokenPipeError):
                made.stdin.close()
        return text

    @staticmethod
    def code_of(text) -> int:
        """Of the answer to PUT, 0: there is none."""
        at = text.find(b"\x00\x01", text.find(b"---\n", text.find(b"Verify return code")))
        return text[at - 1] if at > 1 and text[at - 2] == 0x60 else 0

    def test_lets_nobody_in_not_even_with_a_ticket(self):
        self.start(devices=1)
        entity = self.entities[0]
        _, port = self.serve("gateway")
        key = self.in_use("pne", entity, "coap")
        ticket = self.place.folder / "ticket"
        good = self.shake_hands(port, key, "-sess_out", ticket)
        self.assertEqual(self.code_of(good), CHANGED, good)
        self.assertIn(entity.encode(), good)
        unknown = self.shake_hands(port, {**key, "identity": "nobody"})
        self.assertIn(REFUSED, unknown)
        self.assertEqual(self.code_of(self.shake_hands(port, {**key, "key": "00" * 16}, limit=2)), 0)
        self.place.role("pne").terminate()
        self.place.cli("pnes", "forget", entity, "--config", "gateway.yaml")
        poll(lambda: REFUSED in self.shake_hands(port, key), what="a refusal of the key of a forgotten device")
        resumed = self.shake_hands(port, key, "-sess_in", ticket)
        self.assertIn(b"Reused, ", resumed)
        self.assertEqual(self.code_of(resumed), UNAUTHORIZED, resumed)


class Gone(Coap):
    def test_ends_the_sessions_of_that_device_alone(self):
        self.start(devices=2)
        place = self.place
        entity, other = self.entities
        hub, hub_port = self.serve("gateway")
        thing, thing_port = self.serve("pne")
        up, down = self.client("pne", entity, hub_port, "--stay"), self.client("gateway", entity, thing_port, "--stay")
        bystander = self.client("pne", other, hub_port, "--stay")
        before = self.epoch_of(up, entity, "before")
        self.assertEqual(self.epoch_of(down, entity, "before"), before)
        kept = self.epoch_of(bystander, other, "before")
        up.process.send_signal(signal.SIGSTOP)  # so that it does not end its session itself
        place.tell_pne("reset", entity)
        self.assertEqual(thing.next(), f"ended {entity} {before} reset")
        self.update(entity)  # in which the gateway learns of the reset
        self.assertTrue(hub.next().startswith(f"ended {entity} {before} "))
        up.process.send_signal(signal.SIGCONT)
        self.agree(entity)
        after = {self.epoch_of(client, entity, "after") for client in (up, down)}
        self.assertEqual(after, {self.in_use("gateway", entity, "coap")["epoch"]})
        place.role("pne").terminate()
        place.cli("pnes", "forget", entity, "--config", "gateway.yaml")
        self.assertEqual(hub.next(), f"ended {entity} {after.pop()} forgotten")
        for client in (up, down):
            client.say("forgotten")
            self.assertEqual(client.next(), "no answer")
        self.assertEqual(self.epoch_of(bystander, other, "after"), kept)
        self.assertEqual(self.end(bystander), {"requests": 2, "sessions": 1, "repeated": 0, "failed": 0})


if __name__ == "__main__":
    if not (SERVER.exists() and CLIENT.exists()):
        print("skipped: the CoAP examples are not built (scripts/install-deps --tests installs libcoap3-dev)", file=sys.stderr)
        sys.exit(77)
    unittest.main()
