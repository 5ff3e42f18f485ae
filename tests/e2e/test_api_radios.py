#!/usr/bin/env python3
"""GET /v1/radios of a process of PNEs and of a gateway with real roles, and the commands that print it."""

import json
import socket
import unittest

from support.api_home import connect, metrics_with
from support.case import E2ECase
from support.home import poll

SHOWN = 100  # links of a radio in one answer


class Radios(E2ECase):
    def start(self, devices, waiting_for=None):
        self.place = self.home(devices=devices)
        if waiting_for is not None:
            params = {"discover": str(waiting_for), "network": self.place.network}
            self.place.pne["transports"].append({"name": "spare", "plugin": "tcp", "params": params})
        self.place.write()
        self.place.start()
        self.place.wait_for_each()
        self.entities = sorted(entity for entity, _ in self.place.devices)

    def radios(self, role="pne"):
        answer = connect(self.place, role).ask("GET", "/v1/radios")
        self.assertEqual(answer.status, 200, answer.text)
        return {radio["name"]: radio for radio in answer.json["radios"]}

    def printed(self, role, *options):
        command = {"pne": "pne", "gateway": "pnes"}[role]
        return self.place.cli(command, "radios", "--config", f"{role}.yaml", *options).stdout

    def test_of_a_process_of_pnes_have_counters_and_links(self):
        self.start(devices=2)
        radio = poll(lambda: (r := self.radios()["radio"])["link_count"] == 2 and r, what="both links")
        self.assertEqual((radio["plugin"], radio["state"]), ("tcp", "open"))
        self.assertNotIn("reason", radio)
        self.assertEqual(sorted(link["entity"] for link in radio["links"]), self.entities)
        for link in radio["links"]:
            self.assertTrue(link["address"].startswith("tcp:127.0.0.1:"), link)
        self.assertGreater(radio["counters"]["radio_frames_received"], 0)
        shown, = json.loads(self.printed("pne", "--json"))["radios"]
        self.assertEqual([shown["name"], shown["links"]], ["radio", radio["links"]])
        text = self.printed("pne")
        self.assertIn("  open\n", text)
        for entity in self.entities:
            self.assertIn(entity, text)
        self.place.role("gateway").terminate()
        poll(lambda: self.radios()["radio"]["links"] == [], what="the end of the links")

    def test_of_a_process_of_pnes_say_why_they_wait(self):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
            other.bind(("::", 0))
            port = other.getsockname()[1]
            self.start(devices=1, waiting_for=port)
            spare = self.radios()["spare"]
            self.assertEqual((spare["state"], spare["links"], spare["link_count"]), ("waiting", [], 0))
            self.assertIn(f"UDP port {port}", spare["reason"])
            self.assertIn("  waiting: " + spare["reason"], self.printed("pne"))
            status = connect(self.place, "pne").ask("GET", "/v1/status").json["radios"]
            self.assertEqual(status, [{"name": "radio", "state": "open"},
                                      {"name": "spare", "state": "waiting", "reason": spare["reason"]}])
            line = 'cpns_radio_up{radio="spare"} 0'
            self.assertIn(line, metrics_with(connect(self.place, "pne"), [line]))
        poll(lambda: self.radios()["spare"]["state"] == "open", what="the radio opens by itself")

    def test_have_the_first_links_and_the_number_of_all(self):
        self.start(devices=SHOWN + 3)
        for role in ("gateway", "pne"):
            radio = poll(lambda r=role: (x := self.radios(r)["radio"])["link_count"] == SHOWN + 3 and x, what="all links")
            self.assertEqual(len({link["entity"] for link in radio["links"]}), SHOWN)
            self.assertTrue(self.printed(role).endswith("  and 3 links more\n"))


if __name__ == "__main__":
    unittest.main()
