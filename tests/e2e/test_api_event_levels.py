#!/usr/bin/env python3
"""The events of the API do not depend on the levels of the log."""

import json
import threading
import unittest

from support.api_home import add_sockets, connect
from support.case import E2ECase
from support.home import poll

JSON = {"Content-Type": "application/json"}


class Reader:
    """Collects the names of the events of a role."""

    def __init__(self, place, role):
        self.names, self.connection = [], connect(place, role)
        self.connection.request("GET", "/v1/events")
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while line := self.answer.readline():
            if line.startswith(b"event: "):
                self.names.append(line[7:].strip().decode())

    def wait(self, *names):
        poll(lambda: set(names) <= set(self.names), what=f"{names} among the events; there are {self.names}")
        self.names.clear()


class Events(E2ECase):
    def start(self, log):
        self.place = self.home(devices=1)
        for role in ("gateway", "pne"):
            getattr(self.place, role)["log"] = {"format": "json", **log}
        self.place.write()
        self.place.start("server")
        for role in ("gateway", "pne"):
            self.place.role(role).spawn()  # its line `ready` is below the level
        self.entity = self.place.devices[0][0]
        poll((self.place.folder / "state/gateway.sock").exists, what="the socket of the gateway")
        poll((self.place.folder / "state/pne.sock").exists, what="the socket of the process of PNEs")
        poll(lambda: self.state() == "keyed", what="the first key")
        self.readers = {role: Reader(self.place, role) for role in ("gateway", "pne")}

    def state(self):
        answer = connect(self.place, "gateway").ask("GET", f"/v1/pnes/{self.entity}")
        return answer.status == 200 and answer.json["state"]

    def update(self):
        answer = connect(self.place, "gateway").ask("POST", f"/v1/pnes/{self.entity}/update")
        self.assertEqual(answer.status, 204, answer.text)
        self.readers["gateway"].wait("detecting", "delivering", "confirmed")
        self.readers["pne"].wait("key-accepted")

    def test_of_a_gateway_and_its_pnes_come_although_the_log_has_only_errors(self):
        self.start({"level": "error"})
        self.update()
        logged = self.place.events.find(lambda e: e.get("level") in ("info", "warn"), role="gateway")
        self.assertEqual(logged, [])

    def test_of_a_component_come_while_its_level_is_off(self):
        self.start({"level": "info"})
        self.update()
        # Lines come later than events: those of the first key and of this update must not count below.
        self.place.events.wait(role="gateway", event="confirmed", count=2)
        for body in ({"component": "gateway", "level": "off"}, {"component": "gateway", "level": "warn"}, {"level": "error"}):
            answer = connect(self.place, "gateway").ask("PUT", "/v1/log", json.dumps(body).encode(), JSON)
            self.assertEqual(answer.status, 200, answer.text)
            since = self.place.events.mark()
            self.update()
            self.assertEqual(self.place.events.find(role="gateway", event="confirmed", since=since), [])


if __name__ == "__main__":
    unittest.main()
