"""Foreign Bluetooth peers: they advertise the cpns service and flood, are silent or hang up; one floods a PNE. The real PNE is served
all the time, and no role is harmed."""

import os
import unittest

from support import ble, ble_peer
from support.case import E2ECase
from support.hostile import cpu_seconds
from support.home import poll

STRANGER, PNE = "00:AA:01:02:00:02", "00:AA:01:01:00:01"


def flood(fd):
    while True:
        os.write(fd, os.urandom(200))


def silence(fd):
    os.read(fd, 1)
    while os.read(fd, 2000):
        pass


def hang_up(_):
    pass


class BleStrangers(E2ECase):
    def place(self):
        home = ble.BleHome(devices=1, rekey="2s", central={"max_links": "2"})
        self._homes.append(home)
        home.start_all()
        self.entity = home.devices[0][0]
        home.wait_confirmed([self.entity])
        return home

    def goes_on(self, home, rounds=3):
        for _ in range(rounds):
            home.wait_confirmed([self.entity], home.events.mark(), timeout=20)
        self.assertTrue(home.role("gateway").running())
        self.assertEqual(home.events.find(level="error"), [])

    def stranger(self, treat):
        home = self.place()
        gateway, begun = home.role("gateway"), cpu_seconds(home.role("gateway").pid)
        false = ble_peer.FalsePne(2, STRANGER, treat)
        self.addCleanup(false.stop)
        self.addCleanup(lambda: (ble.power("hci2", False), ble.power("hci2", True)))  # before stop
        poll(lambda: false.taken, timeout=30, what="the gateway connected to the stranger")
        self.goes_on(home)
        print(f"  channels taken: {false.taken}, gateway CPU: {cpu_seconds(gateway.pid) - begun:.2f} s", flush=True)
        self.assertLess(false.taken, 12, "failed attempts become rare")
        self.assertEqual(gateway.terminate(), 0)

    def test_one_that_floods(self):
        self.stranger(flood)

    def test_one_that_is_silent(self):
        self.stranger(silence)

    def test_one_that_hangs_up(self):
        self.stranger(hang_up)

    def test_one_that_floods_a_pne(self):
        """While the gateway is stopped: btvirt supports no second connection of the PNE's controller."""
        home = self.place()
        gateway, pne = home.role("gateway"), home.pnes_by_entity[self.entity]
        self.assertEqual(gateway.terminate(), 0)
        self.addCleanup(ble.power, "hci2", True)
        poll(self.attack, timeout=20, every=0.5, what="the stranger connected to the PNE")
        ble.power("hci2", False)
        self.assertTrue(pne.running())
        gateway.start(40)
        self.goes_on(home)
        self.assertEqual(home.events.find(event="amnesia"), [])

    def test_one_that_stays_connected_to_a_pne_without_a_channel(self):
        """As after a crash of the gateway; the PNE's controller does not advertise until this connection ends."""
        home = self.place()
        gateway = home.role("gateway")
        self.assertEqual(gateway.terminate(), 0)
        self.addCleanup(lambda: (ble.power("hci2", False), ble.power("hci2", True)))
        poll(lambda: self.attack(frames=0), timeout=20, every=0.5, what="the stranger connected to the PNE")
        gateway.start(40)
        home.wait_confirmed([self.entity], home.events.mark(), timeout=60)
        self.goes_on(home)

    def attack(self, frames=300) -> bool:
        """Sends frames of garbage; the connection stays open."""
        try:
            fd = ble_peer.dial(STRANGER, PNE)
        except OSError:
            return False
        for _ in range(frames):
            os.write(fd, os.urandom(300))
        os.close(fd)
        return True


if __name__ == "__main__":
    ble.main(controllers=3, seconds=500)
