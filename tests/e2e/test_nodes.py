"""A gateway of two servers: it learns the address of the second one, goes there when the first one is drained or stopped, without a failed
request, and when it is killed or frozen, within two seconds."""

import json
import signal
import threading
import time
import unittest

from support.two_servers import TwoServers

FAULTS = ("server-unreachable", "assignment-refused", "request-refused", "bad-answer", "bad-request", "bad-frame")


class Nodes(unittest.TestCase):
    def place(self, devices=1, **choices) -> TwoServers:
        home = TwoServers(request_timeout="10s", devices=devices, **choices)
        self.addCleanup(home.close)
        return home

    def start(self, home, *names):
        for name in ("server", "second", *names):
            home.role(name).start()

    def link(self, home) -> dict:
        return json.loads(home.cli("status", "--json", "--config", "gateway.yaml").stdout)["server"]

    def no_faults(self, home, since):
        self.assertEqual(home.events.find(lambda e: e.get("event") in FAULTS, since=since), [])

    def other(self, home, one):
        return next(r for r in home.by_address.values() if r is not one)

    def test_a_drain_moves_the_gateway_to_a_server_that_it_learned_and_no_request_fails(self):
        home = self.place(devices=40)
        first, second = home.gateway["servers"]
        home.server["cluster"] = {"advertise": first, "nodes": [first, second]}
        home.gateway["servers"] = [first]
        home.write()
        self.start(home, "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=30)
        server = self.link(home)
        self.assertEqual({s["address"]: s["source"] for s in server["servers"]}, {first: "configured", second: "learned"})
        since = home.events.mark()
        home.role("pne").start()
        home.events.wait(role="gateway", event="confirmed", since=since, count=5, timeout=30)
        answer = json.loads(home.cli("server", "drain", "--json", "--config", "server.yaml").stdout)
        self.assertEqual(answer["connections"], 1)
        self.assertEqual(home.connected_to(since), home.role("second"))
        home.wait_for_each(since=since, timeout=60)
        self.no_faults(home, since)
        self.assertTrue(home.role("server").running(), "it goes on without gateways")
        health = home.cli("status", "--config", "server.yaml", check=False)
        self.assertEqual(health.returncode, 1)
        self.assertIn("draining", health.stdout)
        shown = {s["address"]: s for s in self.link(home)["servers"]}
        self.assertTrue(shown[second]["in_use"] and shown[first]["draining"], shown)
        self.assertFalse(home.events.find(role="gateway", event="server-connected", since=since)[1:], "it stays there")

    def test_a_server_that_is_stopped_sends_its_gateway_to_the_other_one(self):
        home = self.place()
        self.start(home, "gateway")
        at = home.connected_to()
        home.events.wait(role="gateway", event="enrolled", timeout=30)
        since, began = home.events.mark(), time.monotonic()
        self.assertEqual(at.terminate(), 0)
        took = time.monotonic() - began
        self.assertIs(home.connected_to(since), self.other(home, at))
        self.no_faults(home, since)
        print(f"stopped after {took:.2f} s", end=" ", flush=True)
        self.assertLess(took, 5)

    def test_a_server_that_is_the_only_one_stops_at_once_and_gets_its_gateway_back(self):
        home = self.place()
        home.gateway["servers"] = home.gateway["servers"][:1]
        home.write()
        self.start(home, "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=30)
        since = home.events.mark()
        self.assertEqual(home.role("server").terminate(timeout=5), 0)
        home.role("server").start()
        self.assertIs(home.connected_to(since), home.role("server"))

    def leaves_within_two_seconds(self, how, what):
        home = self.place()
        self.start(home, "gateway", "pne")
        home.wait_for_each()
        at, took = home.connected_to(), []
        for _ in range(3):
            since, began = home.events.mark(), time.monotonic()
            how(at)
            asked = threading.Thread(target=home.cli, args=("pnes", "update", home.devices[0][0], "--config", "gateway.yaml"))
            asked.start()
            event = home.events.wait(role="gateway", event="server-connected", since=since, timeout=30)[0]
            took.append(event["seen"] - began)
            asked.join()
            home.events.wait(role="gateway", event="confirmed", since=since, timeout=30)
            self.assertIs(home.by_address[event["server"]], self.other(home, at))
            if at.running():
                at.signal(signal.SIGCONT)
                at.kill9()
            at.start()
            at = self.other(home, at)
        print(f"{what}: at the other server after {', '.join(f'{t:.2f}' for t in took)} s", end=" ", flush=True)
        self.assertLess(max(took), 2.0)

    def test_a_killed_server_is_left_within_two_seconds(self):
        self.leaves_within_two_seconds(lambda role: role.kill9(), "killed")

    def test_a_frozen_server_is_left_within_two_seconds(self):
        self.leaves_within_two_seconds(lambda role: role.signal(signal.SIGSTOP), "frozen")


if __name__ == "__main__":
    unittest.main()
