"""Server, gateway and PNEs over Bluetooth Low Energy, with L2CAP and GATT: first contact, periodic update, sleep and wake-up."""

import json
import unittest

from support import ble
from support.case import E2ECase

FIRST_CONTACT = ["validated", "requested", "answered", "delivering", "confirmed"]  # of the gateway, in this order


class BleKeys(E2ECase):
    def place(self, **options):
        home = ble.BleHome(**options)
        self._homes.append(home)
        return home

    def end_well(self, home):
        for role in (*home.pnes_by_entity.values(), home.role("gateway"), home.role("server")):
            self.assertEqual(role.terminate(), 0, role.name)
        self.assertEqual(home.events.find(level="error"), [])
        self.assertEqual(home.events.find(event="raw"), [])

    def test_three_pnes_over_l2cap(self):
        self.from_first_contact_to_wake_up("l2cap")

    def test_three_pnes_over_gatt(self):
        self.from_first_contact_to_wake_up("gatt")

    def from_first_contact_to_wake_up(self, ways):
        home = self.place(devices=3, rekey="1d", peripheral={"ways": ways}).start_all()
        entities = [entity for entity, _ in home.devices]
        begun = home.events.find()[-1]["seen"]
        ble.report("3 PNEs keyed after the last process was ready", home.wait_confirmed(entities) - begun)
        for entity in entities:
            seen = [e["event"] for e in home.events.find(role="gateway", entity=entity) if e["event"] in FIRST_CONTACT]
            self.assertEqual(seen[:5], FIRST_CONTACT, entity)
            first = home.confirmed(entity=entity)[0]
            self.assertEqual(first["epoch"], "1.0")
            ble.report(f"{entity} from detection to confirmation", int(first["ms"]) / 1000)
        self.assertEqual(len(home.events.find(event="key-accepted")), 3)
        said = home.pnes()
        self.assertEqual({said[e]["address"] for e in entities}, {p["address"] for p in said.values()})
        self.assertTrue(all(p["address"].startswith("ble:00:AA:01:") for p in said.values()), said)

        since = home.events.mark()
        home.cli("pnes", "update", entities[0], "--config", "gateway.yaml")
        home.wait_confirmed(entities[:1], since)
        self.assertEqual(home.confirmed(since)[0]["epoch"], "1.1")

        since = home.events.mark()
        home.tell(entities[1], "wake")
        home.wait_confirmed(entities[1:2], since)
        self.assertEqual(home.confirmed(since, entity=entities[1])[0]["epoch"], "1.1")

        since = home.events.mark()
        home.tell(entities[2], "sleep")
        home.events.wait(role="gateway", event="asleep", entity=entities[2], since=since, timeout=20)
        home.tell(entities[2], "wake")
        woke = home.events.find()[-1]["seen"]
        ble.report("renewed after a wake-up by advertisement", home.wait_confirmed(entities[2:], since) - woke)
        self.end_well(home)

    def test_keys_are_renewed_by_the_timer_over_both_ways(self):
        """One gateway that saves power, one PNE with L2CAP and one with GATT."""
        home = self.place(devices=2, rekey="3s", peripheral=[{"ways": "l2cap"}, {"ways": "gatt"}])
        home.gateway["transports"][0]["power"] = "saving"
        home.write()
        home.start_all()
        entities = [entity for entity, _ in home.devices]
        home.wait_confirmed(entities)
        for _ in range(2):
            home.wait_confirmed(entities, home.events.mark(), timeout=60)
        self.assertEqual(home.events.find(role="gateway", event="link-closed"), [], "all updates used the first links")
        radio, = json.loads(home.cli("pnes", "radios", "--json", "--config", "gateway.yaml").stdout)["radios"]
        self.assertEqual((radio["plugin"], radio["counters"]["links"]), ("ble", 2))
        self.assertGreaterEqual(radio["counters"]["radio_frames_sent"], 6)
        self.assertEqual({link["entity"]: link.get("security", "not known") for link in radio["links"]},
                         dict(zip(entities, ["none", "not known"])))
        self.end_well(home)


if __name__ == "__main__":
    ble.main(controllers=4, seconds=400)
