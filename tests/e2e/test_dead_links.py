"""A gateway leaves a frozen server for the next one; each side notices that the machine of the other side vanished; the end of an idle
connection and a health check are not reported as outages."""

import hashlib
import signal
import socket
import unittest

from support import machines, pki
from support.home import Home
from support.two_servers import TwoServers


def first_of(servers: list, uri: str) -> str:
    """The server that the gateway with this URI tries first."""
    named = b"".join(bytes([0x60 + len(text)]) + text.encode() for text in ("cpns/1 gw", "x509", uri))
    gw_id = hashlib.sha256(b"\x83" + named).digest()[:16]
    return min(servers, key=lambda address: hashlib.sha256(gw_id + address.encode()).digest())


class DeadLinks(unittest.TestCase):
    def test_gateways_begin_at_the_server_that_their_name_chooses(self):
        home = TwoServers(devices=1)
        self.addCleanup(home.close)
        for name in ("server", "second"):
            home.role(name).start()
        ca = pki.Ca(home.folder / "tls")
        named = {first_of(home.gateway["servers"], uri): uri for uri in (f"urn:cpns:gw:hall-{i}" for i in range(64))}
        self.assertEqual(len(named), 2)
        for first, uri in sorted(named.items()):
            ca.issue(home.folder / "tls", "gateway", uri, pki.CLIENT)
            for servers in (home.gateway["servers"], home.gateway["servers"][::-1]):
                home.gateway["servers"] = servers
                home.write()
                since = home.events.mark()
                home.role("gateway").start()
                at = home.connected_to(since)
                self.assertIs(at, home.by_address[first], f"{uri} must begin at {first}")
                told = home.events.wait(role=at.name, event="gateway-connected", since=since)[0]
                self.assertEqual(told["gateway"], uri)
                self.assertEqual(home.events.find(role="gateway", event="server-unreachable", since=since), [])
                self.assertEqual(home.role("gateway").terminate(), 0)

    def test_each_side_notices_that_the_machine_of_the_other_one_vanished(self):
        home = Home(devices=1)
        self.addCleanup(home.close)
        machine = machines.Machine(8)
        self.addCleanup(machine.close)
        home.server.update(listen=f"0.0.0.0:{home.server_port}", probe="2s")
        home.gateway["servers"] = [f"{machine.here}:{home.server_port}"]
        home.gateway["timers"]["probe"] = "2s"
        home.write()
        machine.takes(home.role("gateway"))
        home.start("server", "gateway")
        home.events.wait(role="server", event="gateway-connected")
        home.events.wait(role="gateway", event="enrolled", timeout=30)
        since = home.events.mark()
        machine.cut()
        # Both sides are idle, and the idle timeout is five minutes; with the default probes of 30 s it would take 38 s.
        ends = ("server-disconnected", "server-unreachable")
        left = home.events.wait(role="server", event="gateway-disconnected", since=since, timeout=25)[0]
        lost = home.events.wait(lambda e: e["event"] in ends, role="gateway", since=since, timeout=25)[0]
        self.assertTrue(left["peer"].startswith(machine.address), left)
        for end in (left, lost):
            self.assertRegex(end["text"], "timed out|[Nn]o route|unreachable")

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
        self.assertIn("no data from the server for 1500 ms", why)

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
        self.assertEqual(len(told), 1, "logged at most once per hour")


if __name__ == "__main__":
    machines.main()
