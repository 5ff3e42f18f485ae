"""Faults on Bluetooth Low Energy: processes, bluetoothd and adapters end and return, also in the middle of a message. Each time all PNEs
must be served again, and no key may be lost."""

import signal
import unittest

from support import ble
from support.case import E2ECase


class BleFaults(E2ECase):
    def setUp(self):
        self.addCleanup(ble.begin_bluetoothd)

    def place(self, **options):
        home = ble.BleHome(**options)
        self._homes.append(home)
        home.start_all()
        self.entities = [entity for entity, _ in home.devices]
        home.wait_confirmed(self.entities)
        return home

    def all_served_again(self, home, since, what):
        begun = home.events.find()[-1]["seen"]
        ble.report(f"all keyed again after {what}", home.wait_confirmed(self.entities, since, timeout=60) - begun)

    def no_errors_logged(self, home):
        for role in (home.role("server"), home.role("gateway"), *home.pnes_by_entity.values()):
            self.assertTrue(role.running(), role.name)
        self.assertEqual(home.events.find(level="error"), [])
        self.assertEqual(home.events.find(event="amnesia"), [], "a key was lost")

    def renew_all(self, home):
        for entity in self.entities:
            home.cli("pnes", "update", entity, "--config", "gateway.yaml")

    def test_a_gateway_whose_adapter_is_missing_waits_and_logs_the_remedy(self):
        home = ble.BleHome(devices=1, central={"adapter": "hci9"})
        self._homes.append(home)

        def refusal():
            gateway = home.role("gateway").start()
            said = home.events.wait(role="gateway", event="radio-refused", since=gateway.since)[0]["text"]
            self.assertEqual(gateway.terminate(), 0)
            return said

        self.assertIn("Bluetooth adapter hci9 not found; available: hci", refusal())
        ble.end_bluetoothd()
        self.assertIn("bluetoothd does not run: install bluez and start it (systemctl start bluetooth)", refusal())

    def test_a_pne_is_killed_and_started_again(self):
        home = self.place(devices=3)
        pne = home.pnes_by_entity[self.entities[0]]
        for _ in range(3):
            since = home.events.mark()
            pne.kill9()
            pne.start(40)
            begun = home.events.find()[-1]["seen"]
            ble.report("a PNE keyed again after kill -9", home.wait_confirmed(self.entities[:1], since) - begun)
        self.assertEqual(len(home.confirmed(entity=self.entities[1])), 1, "the others were not disturbed")
        self.no_errors_logged(home)

    def test_the_gateway_is_killed_and_started_again(self):
        home = self.place(devices=3)
        gateway = home.role("gateway")
        since = home.events.mark()
        gateway.kill9()
        gateway.start(40)
        self.all_served_again(home, since, "kill -9 of the gateway")
        self.no_errors_logged(home)

    def test_bluetoothd_is_killed_and_started_again(self):
        home = self.place(devices=3)
        for how, name in ((signal.SIGKILL, "kill -9"), (signal.SIGTERM, "an orderly restart")):
            since = home.events.mark()
            ble.end_bluetoothd(how)
            home.events.wait(lambda e: "bluetoothd is gone" in e.get("text", ""), role="gateway", since=since, timeout=10)
            ble.begin_bluetoothd()
            home.events.wait(lambda e: "adapter hci0 is on" in e.get("text", ""), role="gateway", since=since, timeout=30)
            for entity in self.entities:  # whether or not the links survived
                home.tell(entity, "sleep")
            since = home.events.mark()
            for entity in self.entities:
                home.tell(entity, "wake")
            self.all_served_again(home, since, f"{name} of bluetoothd")
        self.no_errors_logged(home)

    def test_adapters_are_switched_off_and_on(self):
        home = self.place(devices=3)
        for adapter in ("hci0", "hci1"):
            since = home.events.mark()
            ble.power(adapter, False)
            home.events.wait(role="gateway", event="asleep", count=3 if adapter == "hci0" else 1, since=since, timeout=15)
            ble.power(adapter, True)
            home.events.wait(lambda e: f"adapter {adapter} is on" in e.get("text", ""), since=since)
            begun = home.events.find(lambda e: f"adapter {adapter} is on" in e.get("text", ""), since=since)[-1]["seen"]
            whom = self.entities if adapter == "hci0" else self.entities[:1]
            ble.report(f"keyed again after {adapter} was off", home.wait_confirmed(whom, since) - begun)
        self.no_errors_logged(home)

    def test_links_are_lost_in_the_middle_of_messages(self):
        self.links_are_lost_in_the_middle_of_messages("l2cap", 6)

    def test_links_over_gatt_are_lost_in_the_middle_of_messages(self):
        self.links_are_lost_in_the_middle_of_messages("gatt", 5)

    def links_are_lost_in_the_middle_of_messages(self, ways, rounds):
        """Small frames split a message; first the PNE's process, then its adapter ends during a delivery."""
        home = self.place(devices=2, rekey="1s", central={"mtu": "23"}, peripheral={"mtu": "23", "ways": ways})
        pne = home.pnes_by_entity[self.entities[0]]
        for round_ in range(rounds):
            home.events.wait(role="gateway", event=("detecting", "delivering")[round_ % 2], entity=self.entities[0],
                             since=home.events.mark(), timeout=60)
            since = home.events.mark()
            if round_ < 4:
                pne.kill9()
                pne.start(40)
            else:
                ble.power("hci1", False)
                ble.power("hci1", True)
            self.all_served_again(home, since, "an interrupted message")
        self.no_errors_logged(home)


if __name__ == "__main__":
    ble.main(controllers=4, seconds=700)
