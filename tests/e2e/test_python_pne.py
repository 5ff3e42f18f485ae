"""The real gateway and server serve the second PNE, written only from docs/protocol.md, through its whole life."""

import json
import unittest

from support.case import E2ECase

FIRST_CONTACT = ["validated", "requested", "answered", "delivering", "confirmed"]  # of the gateway, in this order


def epoch(index: int, generation=1) -> int:
    return generation << 16 | index


class PythonPne(E2ECase):
    def place(self, rekey="1s", lowest_suite=2, mtu=None, devices=1):
        """Starts server and gateway. Returns the home and its first device."""
        home = self.home(devices=devices, rekey=rekey, level="debug")
        home.gateway["lowest_suite"] = lowest_suite
        home.listen_at_fixed_port()
        if mtu:
            home.gateway["transports"][0]["params"]["mtu"] = str(mtu)
        home.write()
        home.start("server", "gateway")
        return home, *home.devices[0]

    def said(self, home, kind: str, field: str) -> list:
        return [e.get(field) for e in home.events.find(role="python-pne", event=kind)]

    def kinds(self, home, role: str, entity: str, among) -> list:
        return [e["event"] for e in home.events.find(role=role, entity=entity) if e["event"] in among]

    def end_well(self, home):
        """The roles still run, end with 0 on SIGTERM, and logged no error."""
        for name in ("gateway", "server"):
            self.assertTrue(home.role(name).running(), name)
            self.assertEqual(home.role(name).terminate(), 0, name)
        self.assertEqual(home.events.find(level="error"), [])
        self.assertEqual(home.events.find(event="raw"), [])

    def whole_life(self, suite: int, mtu=None):
        home, entity, tk = self.place(lowest_suite=suite, mtu=mtu)
        options = ["--wake-after", 2, "--stop-after", 3, "--timeout", 60, "--suites", suite]
        pne = home.python_pne(entity, tk, *options, *(["--mtu", mtu] if mtu else []))
        self.assertEqual(pne.wait(70), 0, home.events.tail())

        for kind in ("keyed", "confirmed", "retired"):
            self.assertEqual(self.said(home, kind, "epoch"), [epoch(0), epoch(1), epoch(2)], kind)
        self.assertEqual(self.said(home, "keyed", "suite"), [suite] * 3)
        self.assertEqual(self.said(home, "keyed", "chained"), [False, True, True])
        self.assertEqual(self.said(home, "keyed", "rekey_seconds"), [1, 1, 1])
        self.assertEqual(self.said(home, "detected", "epoch")[:2], [None, epoch(0)])
        self.assertEqual(self.said(home, "detected", "presence")[:2], [True, False], "only the first answer goes to the server")
        self.assertEqual(self.said(home, "rejected", "why"), [])

        gateway = home.events.find(role="gateway", entity=entity)
        self.assertEqual(self.kinds(home, "gateway", entity, FIRST_CONTACT)[:5], FIRST_CONTACT)
        for kind in ("delivering", "confirmed"):
            self.assertEqual([e["epoch"] for e in gateway if e["event"] == kind], ["1.0", "1.1", "1.2"], kind)
        retired = [e["epoch"] for e in gateway if e["event"] == "retired"]  # repeated at the next exchange, because it may have been lost
        self.assertEqual(sorted(set(retired)), ["1.0", "1.1", "1.2"])
        self.assertEqual([e["text"] for e in gateway if e["event"] == "requested"], ["first"], "updates need no server")
        self.assertIn("the device goes to sleep", [e["text"] for e in gateway if e["event"] == "asleep"])
        self.assertEqual([e for e in gateway if e["event"] in ("dropped", "amnesia", "server-refused")], [])
        steps = ["user-verified", "temporary-key-obtained", "set-stored", "assignment-answered"]
        self.assertEqual(self.kinds(home, "server", entity, steps), steps)
        self.end_well(home)

    def test_whole_life_with_forward_secrecy(self):
        self.whole_life(suite=2)

    def test_whole_life_with_symmetric_keys_alone(self):
        self.whole_life(suite=1)

    def test_whole_life_in_the_smallest_frames(self):
        self.whole_life(suite=2, mtu=23)

    def test_wake_up_renews_at_once(self):
        """The timer is a day away, so only the wake-up can cause the second key."""
        home, entity, tk = self.place(rekey="1d")
        pne = home.python_pne(entity, tk, "--wake-after", 1, "--stop-after", 2, "--timeout", 30)
        self.assertEqual(pne.wait(40), 0, home.events.tail())
        self.assertEqual(self.said(home, "keyed", "epoch"), [epoch(0), epoch(1)])
        self.assertEqual(self.said(home, "keyed", "chained"), [False, True])
        order = [e["event"] for e in home.events.find(role="python-pne") if e["event"] in ("keyed", "asleep", "awake")]
        self.assertEqual(order, ["keyed", "asleep", "awake", "keyed"])
        self.end_well(home)

    def test_a_forgetful_device_is_healed(self):
        """Its battery ran flat: the gateway delivers the next key of the set, unchained, without the server."""
        home, entity, tk = self.place(rekey="1d")
        pne = home.python_pne(entity, tk, "--wake-after", 1, "--stop-after", 2, "--forget", "--timeout", 30)
        self.assertEqual(pne.wait(40), 0, home.events.tail())
        self.assertEqual(self.said(home, "detected", "epoch")[0], None)
        self.assertEqual(self.said(home, "detected", "epoch")[-1], None)
        self.assertEqual(self.said(home, "keyed", "epoch"), [epoch(0), epoch(1)], "an index must not be delivered twice")
        self.assertEqual(self.said(home, "keyed", "chained"), [False, False])
        self.assertEqual(len(home.events.find(role="gateway", event="amnesia", entity=entity)), 1)
        self.assertEqual(len(home.events.find(role="gateway", event="requested", entity=entity)), 1)
        self.end_well(home)

    def test_a_device_that_was_off_goes_on_with_its_key(self):
        home, entity, tk = self.place(rekey="1d")
        first = home.python_pne(entity, tk, "--stop-after", 1, "--timeout", 30)
        self.assertEqual(first.wait(40), 0, home.events.tail())
        self.assertEqual(first.spawn().wait(40), 0, home.events.tail())
        self.assertEqual(self.said(home, "keyed", "epoch"), [epoch(0), epoch(1)])
        self.assertEqual(self.said(home, "keyed", "chained"), [False, True])
        kept = json.loads((home.folder / "python-pne.json").read_text())
        self.assertEqual((kept["current"]["epoch"], kept["pending"]), (epoch(1), None))
        self.end_well(home)

    def test_a_wrong_temporary_key_gets_no_key(self):
        """A peer that claims the Entity ID of a device without its Temporary Key gets no key; the gateway still serves others."""
        home, entity, tk = self.place(devices=2)
        home.python_pne(entity, bytes(b ^ 0xFF for b in bytes.fromhex(tk)).hex(), "--timeout", 60, name="impostor")
        refused = home.events.wait(role="server", event="assignment-refused", entity=entity, timeout=20)[0]
        self.assertEqual(refused["status"], "presence_failed")
        home.events.wait(role="gateway", event="presence-failed", entity=entity, timeout=10)
        # Another device, while the impostor keeps trying.
        pne = home.python_pne(*home.devices[1], "--stop-after", 2, "--timeout", 30)
        self.assertEqual(pne.wait(40), 0, home.events.tail())
        self.assertTrue(home.role("impostor").running())
        self.assertEqual(home.role("impostor").terminate(), 0)
        for kind in ("keyed", "confirmed", "retired"):
            self.assertEqual(home.events.find(role="impostor", event=kind), [], kind)
        self.assertEqual(home.events.find(role="gateway", event="delivering", entity=entity), [])
        kept = json.loads((home.folder / "impostor.json").read_text())
        self.assertEqual((kept["current"], kept["pending"]), (None, None))
        self.end_well(home)

    def test_a_suite_below_the_policy_is_refused(self):
        home, entity, tk = self.place(lowest_suite=2)
        pne = home.python_pne(entity, tk, "--suites", 1, "--timeout", 60)
        home.events.wait(role="python-pne", event="rejected", why="no common suite", timeout=20)
        self.assertEqual(pne.terminate(), 0)
        self.assertEqual(self.said(home, "keyed", "epoch"), [])
        self.assertEqual(home.events.find(role="gateway", event="requested"), [])
        self.end_well(home)


if __name__ == "__main__":
    unittest.main()
