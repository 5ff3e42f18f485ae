"""One side of the radio vanishes silently: the other side does not keep the connection forever, and a gateway that returns is found by its
beacons."""

import json
import os
import time
import unittest

from support import machines
from support.case import E2ECase
from support.home import poll

DEVICES = 2
ROUNDS = int(os.environ.get("CPNS_POWER_CUTS", "1"))


class PowerCut(E2ECase):
    def place(self, **params):
        """The gateway runs on a machine of its own, server and PNEs here. The links are idle, since no key is renewed by a timer."""
        home = self.home(devices=DEVICES, rekey="1d")
        self.machine = machines.Machine(7)
        self.addCleanup(self.machine.close)
        home.server["listen"] = f"0.0.0.0:{home.server_port}"
        home.gateway["servers"] = [f"{self.machine.here}:{home.server_port}"]
        home.gateway["transports"][0]["params"].update(
            {"listen": f"{self.machine.address}:{home.radio_port}", "announce": f"{self.machine.here}:{home.beacon_port}", **params})
        home.pne["transports"][0]["params"].update(params)
        home.write()
        self.machine.takes(home.role("gateway"))
        return home

    def test_a_gateway_that_comes_back_is_found_by_its_beacon(self):
        home = self.place()
        home.start("server", "pne", "gateway")
        home.wait_for_each(0, 60)
        back, renewed = [], []
        for _ in range(ROUNDS):
            begun = time.monotonic()
            self.machine.lose_power(home.role("gateway"))
            self.machine.restore_power()
            self.machine.takes(home.role("gateway"))
            since = home.events.mark()
            home.start("gateway")
            home.events.wait(role="gateway", event="detected", since=since, count=DEVICES, timeout=20)
            back.append(time.monotonic() - begun)
            for entity, _ in home.devices:
                home.cli("pnes", "update", entity, "--config", "gateway.yaml")
            home.wait_for_each(since, 60)
            renewed.append(time.monotonic() - begun)
        for what, all_of_them in (("detected", sorted(back)), ("renewed", sorted(renewed))):
            print(f"  {what} again after a power cut: p50 {all_of_them[len(all_of_them) // 2]:.2f} s, "
                  f"worst of {len(all_of_them)} {all_of_them[-1]:.2f} s", flush=True)

    def test_the_connection_to_a_gateway_that_stays_away_is_closed(self):
        home = self.place(dead_ms="3000")
        home.start("server", "pne", "gateway")
        home.wait_for_each(0, 60)
        here = home.role("pne").pid
        self.assertEqual(machines.links_to(here, home.radio_port), DEVICES)
        self.machine.lose_power(home.role("gateway"))
        poll(lambda: machines.links_to(here, home.radio_port) == 0, timeout=30, what="the PNEs gave the dead connections up")

    def test_a_pne_whose_machine_vanished_leaves_no_link(self):
        home = self.place(dead_ms="3000")
        home.start("server", "pne", "gateway")
        home.wait_for_each(0, 60)
        self.machine.cut()  # cuts the gateway off from the PNEs; its control socket needs no network
        poll(lambda: self.radio(home)["links"] == [], timeout=30, what="the gateway gave the dead links up")
        self.assertEqual(self.radio(home)["counters"]["radio_links_dead"], DEVICES)

    @staticmethod
    def radio(home) -> dict:
        return json.loads(home.cli("pnes", "radios", "--json", "--config", "gateway.yaml").stdout)["radios"][0]


if __name__ == "__main__":
    machines.main()
