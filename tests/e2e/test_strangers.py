"""Strangers that answer a DREQ with an invalid Entity ID, one that was not imported, or that of another device, get no key; other devices
are served."""

import contextlib
import os
import threading
import unittest

from support import forged, hostile
from support.case import E2ECase

NO_ENTITY_IDS = ["headset", "", "urn:dev:mac:0024BEFFFE804FF1", "urn:dev:mac:0024befffe804ff", "urn:gsma:imei:35209900-176148-2",
                 "urn:uuid:00000000-0000-0000-0000-000000000000", "urn:dev:os:032473-1", "urn:dev:mac:0024befffe804ff1\n",
                 "urn:dev:os:1-\x1b[31mred", "urn:dev:os:1-" + "x" * 60]


class Strangers(E2ECase):
    def setUp(self):
        self.place = self.home(devices=3, level="debug")
        self.radio = self.place.listen_at_fixed_port()
        self.place.pne["transports"][0]["params"] = {"connect": self.radio, "network": self.place.network}
        self.place.write()
        self.place.start("server", "gateway")
        self.place.events.wait(role="gateway", event="server-connected", timeout=10)
        self.open = contextlib.ExitStack()
        self.addCleanup(self.open.close)

    def answer_as(self, entity: str, share=None):
        """Opens a link that answers every DREQ until the end of the test."""
        s = self.open.enter_context(hostile.dial(self.radio))
        s.sendall(hostile.hello(self.place.network))
        threading.Thread(target=self.answer, args=(s, entity, share or os.urandom(32)), daemon=True).start()

    @staticmethod
    def answer(s, entity, share):
        with contextlib.suppress(OSError), s.makefile("rb") as frames:
            s.settimeout(None)
            for number in range(256):
                head = frames.read(4)
                if len(head) < 4:
                    return
                message = frames.read(int.from_bytes(head, "big"))[2:]  # a DREQ is one fragment
                if forged.is_dreq(message):
                    s.sendall(hostile.frame(bytes([number, 0x80]) + forged.drsp(message, entity, share)))

    def served(self, claimed=()):
        """Waits until a device that no stranger claims, and those in `claimed`, are served."""
        self.place.start("pne")
        for entity in (self.place.devices[2][0], *claimed):
            self.place.events.wait(role="gateway", event="confirmed", entity=entity, timeout=30)
        for name in ("pne", "gateway", "server"):
            self.assertEqual(self.place.role(name).terminate(), 0, name)
        self.assertEqual(self.place.events.find(event="device-died"), [])
        delivered = {e["entity"] for e in self.place.events.find(role="gateway", event="delivering")}
        self.assertLessEqual(delivered, {e for e, _ in self.place.devices})

    def test_an_invalid_entity_id_is_ignored(self):
        for entity in NO_ENTITY_IDS:
            self.answer_as(entity)
        self.place.events.wait(role="gateway", event="dropped", count=len(NO_ENTITY_IDS), timeout=10)
        self.assertEqual(self.place.pnes(), {})
        self.assertEqual(self.place.events.find(role="gateway", event="validated"), [])
        self.served()

    def test_a_device_that_was_not_imported(self):
        entity = "urn:dev:mac:0024befffe804ff1"
        self.answer_as(entity)
        refused = self.place.events.wait(role="server", event="assignment-refused", entity=entity, timeout=15)[0]
        self.assertEqual(refused["status"], "unknown_entity")
        self.place.events.wait(lambda e: e["text"].startswith("unknown_entity"), role="gateway", event="server-refused", timeout=10)
        self.served()

    def test_the_name_of_another_device(self):
        """Also with a share of small order. The stranger must wait some seconds, and so must the device, which has the
        same address here; then it is served like all others."""
        for (entity, _), share in zip(self.place.devices, (os.urandom(32), bytes(32))):
            self.answer_as(entity, share)
            refused = self.place.events.wait(role="server", event="assignment-refused", entity=entity, timeout=15)[0]
            self.assertEqual(refused["status"], "presence_failed")
            self.place.events.wait(role="gateway", event="link-closed", timeout=10,
                                   text="the device on this link is not the one that it claims to be")
        self.served([e for e, _ in self.place.devices[:2]])

    def test_a_device_list_with_bad_names_does_not_start_a_pne(self):
        for entity, says in (("urn:gsma:imei:35209900-176148-2", "check digit"), ("headset", "has no known scheme")):
            (self.place.folder / "devices.csv").write_text(f"entity_id,temporary_key,strength\n{entity},{'5a' * 16},128bit\n")
            role = self.place.role("pne").spawn()
            self.assertEqual(role.wait(10), 1)
            said = self.place.events.find(role="pne", event="not-started")[-1]["text"]
            self.assertIn("devices.csv:2: ", said)
            self.assertIn(says, said)


if __name__ == "__main__":
    unittest.main()
