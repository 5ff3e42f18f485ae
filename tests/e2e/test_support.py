"""The harness itself: its ports stay free, and a wait that fails names what it missed."""

import pathlib
import socket
import unittest

from support.events import Events, NotSeen
from support.home import Home, free_port


class Support(unittest.TestCase):
    def test_a_free_port_is_never_one_that_the_kernel_gives_to_others(self):
        low, high = (int(n) for n in pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            drawn = {free_port(kind) for _ in range(100)}
            self.assertGreater(len(drawn), 50)
            self.assertEqual([port for port in drawn if low <= port <= high], [])

    def test_a_used_port_is_not_free(self):
        import support.home as home
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as used:
            used.bind(("127.0.0.1", 0))
            port = used.getsockname()[1]
            former, home.lasting_ports = home.lasting_ports, lambda: [port] * 100
            try:
                with self.assertRaisesRegex(AssertionError, "is free"):
                    free_port(socket.SOCK_DGRAM)
            finally:
                home.lasting_ports = former

    def test_a_wait_names_the_missing_devices_and_their_last_events(self):
        events = Events()
        home = Home.__new__(Home)
        home.events, home.devices = events, [(f"urn:dev:mac:{n:016x}", "") for n in range(7)]
        for entity, _ in home.devices:
            events.put("gateway", 1, {"event": "delivering" if entity[-1] in "36" else "confirmed", "entity": entity})
        with self.assertRaises(NotSeen) as seen:
            home.wait_for_each(timeout=0.05)
        said = str(seen.exception)
        self.assertIn("confirmed of the gateway for 2 of 7 devices (urn:dev:mac:0000000000000003, urn:dev:mac:0000000000000006)", said)
        self.assertEqual(said.count('"event": "delivering"'), 4, said)  # of each missing one, and at the end of all events


if __name__ == "__main__":
    unittest.main()
