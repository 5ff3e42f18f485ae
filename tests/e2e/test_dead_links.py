"""A server that freezes is left for the next one; the end of an idle connection and a health check are not an outage."""

import signal
import socket
import unittest

from support.home import Home
from support.two_servers import TwoServers


class DeadLinks(unittest.TestCase):
    def test_a_frozen_server_is_left_for_the_next_one(self):
        home = TwoServers(devices=1)
        self.addCleanup(home.close)
        for name in ("server", "second", "gateway"):
            home.role(name).start()
        frozen = home.connected_to()
        home.events.wait(role="gateway", event="enrolled", timeout=30)
        since = home.events.mark()
        frozen.signal(signal.SIGSTOP)
        self.addCleanup(lambda: frozen.running() and frozen.signal(signal.SIGCONT))
        home.role("pne").start()
        home.events.wait(role="gateway", event="confirmed", since=since, timeout=60)
        self.assertIsNot(home.connected_to(since), frozen)
        why = home.events.find(role="gateway", event="server-unreachable")[0]["text"]
        self.assertIn("nothing came from the server for 2000 ms", why)

    def test_a_quiet_night_and_health_checks_leave_no_warning(self):
        home = Home(devices=1)
        self.addCleanup(home.close)
        home.server["idle_timeout"] = "1s"
        home.write()
        home.start()
        home.events.wait(role="gateway", event="confirmed", timeout=30)
        since = home.events.mark()
        for _ in range(20):
            socket.create_connection((home.address, home.server_port)).close()
        home.events.wait(role="gateway", event="server-disconnected", count=3, since=since, timeout=60)
        home.events.wait(role="gateway", event="server-connected", count=3, since=since, timeout=60)
        self.assertEqual(home.role("server").terminate(), 0)
        loud = home.events.find(lambda e: e.get("level") in ("warn", "error") and e["role"] == "server", since=since)
        self.assertEqual(loud, [])
        ends = home.events.find(role="gateway", event="server-disconnected", since=since)
        self.assertTrue(all(e["level"] == "info" for e in ends), ends)
        told = home.events.find(role="server", event="connections-without-a-byte", since=since)
        self.assertEqual(len(told), 1, "once an hour")


if __name__ == "__main__":
    unittest.main()
