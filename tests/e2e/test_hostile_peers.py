"""Hostile peers at every port of a role: PNEs are still keyed meanwhile, and the role's memory does not grow."""

import contextlib
import random
import struct
import unittest

from support import hostile
from support.case import E2ECase
from support.home import poll

QUIET_GROWTH_MIB = 48  # 200 connections, their TLS state and the allocator's slack
BIG = b"\xff\xff\xff\xff"


class HostilePeers(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2)
        self.radio = self.place.listen_at_fixed_port()
        self.place.gateway["transports"][0]["params"] |= {"handshake_ms": "2000", "frame_ms": "2000", "max_links": "64"}
        self.place.pne["transports"][0]["params"] = {"connect": self.radio, "network": self.place.network}
        self.place.server["handshake_timeout"] = "2s"
        self.place.write()
        self.place.start("server", "gateway")
        self.server = f"{self.place.address}:{self.place.server_port}"
        self.control = self.place.folder / "state/gateway.sock"
        self.before = {n: hostile.rss_mib(self.place.role(n).pid) for n in ("server", "gateway")}
        self.open = contextlib.ExitStack()
        self.addCleanup(self.open.close)

    def hold(self, s):
        """Keeps the socket open until the end of the test, unless the other side closes it."""
        return self.open.enter_context(s)

    def link(self):
        """Opens a radio link and waits for the DREQ of the gateway."""
        s = self.hold(hostile.dial(self.radio))
        s.sendall(hostile.hello(self.place.network))
        self.assertNotEqual(s.recv(4096), b"")
        return s

    def served_meanwhile(self, count=2):
        self.place.start("pne")
        self.place.events.wait(role="gateway", event="confirmed", count=count, timeout=25)

    def end_well(self):
        for name in ("server", "gateway"):
            role = self.place.role(name)
            self.assertLess(hostile.rss_mib(role.pid) - self.before[name], QUIET_GROWTH_MIB, name)
            self.assertEqual(role.terminate(), 0, name)
        self.assertEqual(self.place.events.find(event="device-died"), [])

    def test_a_header_that_announces_4_gib(self):
        tls, link = self.hold(hostile.dial_tls(self.place)), self.link()
        tls.sendall(BIG)
        link.sendall(BIG)
        stranger = self.hold(hostile.dial(self.radio))
        stranger.sendall(BIG)
        for s in (tls, link, stranger):
            self.assertTrue(hostile.closed_by_peer(s, 5), "at once")
        said = self.place.events.wait(role="server", event="bad-frame", timeout=5)[0]
        self.assertIn("announces more than 65536 bytes", said["text"])
        self.served_meanwhile()
        self.end_well()

    def test_peers_that_send_one_byte_per_second_or_half_a_frame_are_cut_off(self):
        """Each peer gets the time of one handshake, one frame or one line, no matter what it sends."""
        halves = [self.hold(hostile.dial_tls(self.place)), self.link()]
        for s in halves:
            s.sendall(hostile.frame(bytes(100))[:50])
        tls = self.hold(hostile.dial_tls(self.place))
        slow = {"stranger to the server": (hostile.dial(self.server), b"\x16\x03\x01\x02\x00" + bytes(100)),
                "gateway": (tls, hostile.frame(bytes(1000))),
                "stranger to the radio": (hostile.dial(self.radio), hostile.hello(self.place.network)),
                "radio link": (self.link(), hostile.frame(bytes(1000))),
                "control": (hostile.dial_unix(self.control), b'{"do":"list"}                  ')}
        running = {name: hostile.Dribble(self.hold(s), data) for name, (s, data) in slow.items()}
        self.served_meanwhile()
        self.assertEqual(len(self.place.pnes()), 2, "the control socket must serve others meanwhile")
        for name, peer in running.items():
            peer.join(20)
            self.assertIsNotNone(peer.lasted, f"{name} was never cut off")
            self.assertLess(peer.lasted, 13, name)
        for s in halves:
            self.assertTrue(hostile.closed_by_peer(s, 5))
        self.assertIn("the handshake took too long", [e["text"] for e in self.place.events.find(event="gateway-refused")])
        self.assertIn("a frame took too long to arrive", [e["text"] for e in self.place.events.find(event="slow-gateway")])
        self.end_well()

    def test_two_hundred_silent_connections_do_no_harm(self):
        silent = [self.hold(hostile.dial(at)) for at in (self.server, self.radio) for _ in range(200)]
        for _ in range(200):
            self.hold(hostile.dial_unix(self.control))
        self.assertEqual(self.place.pnes(), {}, "the control socket answers")
        self.served_meanwhile()
        for s in silent:
            self.assertTrue(hostile.closed_by_peer(s, 15))
        self.end_well()

    def test_more_connections_than_the_server_accepts_wait(self):
        """Connections beyond limits.connections wait to be accepted; a gateway among them is served when the flood is over."""
        self.place.role("gateway").terminate()
        self.place.role("server").terminate()
        self.place.server["limits"] = {"connections": 8}
        self.place.write()
        self.place.start("server")
        for _ in range(100):
            self.hold(hostile.dial(self.server))
        self.place.events.wait(role="server", event="connections-full", timeout=5)
        self.place.start("gateway")
        self.open.close()
        self.served_meanwhile()
        self.end_well()

    def test_random_bytes_at_every_port(self):
        dice = random.Random(3)
        for _ in range(20):
            noise = dice.randbytes(dice.randrange(1, 4000))
            for at in (self.server, self.radio):
                self.send_and_leave(hostile.dial(at), noise)
            self.send_and_leave(hostile.dial_unix(self.control), noise)
            self.send_and_leave(hostile.dial(self.radio), hostile.hello(self.place.network) + noise)
            s = self.link()
            for _ in range(20):
                s.sendall(hostile.frame(bytes([0, 0x80]) + dice.randbytes(dice.randrange(1, 1000))))
        self.served_meanwhile()
        self.assertEqual(len(self.place.pnes()), 2)
        self.end_well()

    @staticmethod
    def send_and_leave(s, data):
        with contextlib.suppress(OSError), s:
            s.sendall(data)
            hostile.closed_by_peer(s, 0.01)

    def test_bad_messages_behind_a_good_certificate(self):
        """A message with a readable request id is refused; any other ends the connection. The next connection is served."""
        request = bytes([0x83, 3, 0x50]) + bytes(range(16)) + b"\x00"  # IssuerNonce [3, request_id, incarnation]
        with hostile.dial_tls(self.place) as s:
            s.sendall(hostile.frame(request))
            self.assertEqual(self.answer(s)[:19], bytes([0x84, 4, 0x50]) + bytes(range(16)), "the unchanged request is answered")
        refused = {"truncated": request[:-1], "bytes behind it": request + b"\x00", "another shape": b"\x84" + request[1:],
                   "not minimal": request[:-1] + b"\x18\x00", "indefinite length": b"\x9f" + request[1:] + b"\xff",
                   "wrong type": request[:-1] + b"\x60", "largest frame": request + bytes(65536 - len(request)),
                   "deep": b"\x81" * 60000, "nothing": b"\xf6", "huge array": b"\x9b" + b"\xff" * 8}
        dice = random.Random(5)
        refused |= {f"random {i}": dice.randbytes(dice.randrange(1, 300)) for i in range(50)}
        for name, body in refused.items():
            with self.subTest(name), hostile.dial_tls(self.place) as s:
                s.sendall(hostile.frame(body))
                try:
                    answer = self.answer(s)
                except (ConnectionError, OSError):
                    continue  # the server closed the connection
                if answer:
                    self.assertEqual(answer[:3], b"\x87\x09\x50", "a Refusal")
                    self.assertIn(b"the request cannot be decoded", answer)
        reported = [0]  # requests with a log line of their own, or counted in refusals-held-back

        def all_reported(event):
            if event["role"] == "server":
                reported[0] += {"bad-request": 1, "refusals-held-back": int(event.get("lines", 0))}.get(event["event"], 0)
            return reported[0] >= len(refused)

        self.place.events.wait_until(all_reported, timeout=30, what="a log line or a count for each bad request")
        self.assertLessEqual(len(self.place.events.find(role="server", event="bad-request")), 40)
        for size in (0, 65537, 2**31):
            with hostile.dial_tls(self.place) as s:
                s.sendall(struct.pack(">I", size))
                self.assertTrue(hostile.closed_by_peer(s, 5), size)
        self.served_meanwhile()
        self.end_well()

    @staticmethod
    def answer(s) -> bytes:
        """The next frame; empty if the connection was closed."""
        got = b""
        while len(got) < 4 or len(got) < 4 + struct.unpack(">I", got[:4])[0]:
            more = s.recv(65536)
            if not more:
                return b""
            got += more
        return got[4:]

    def test_links_of_strangers_leave_no_state_behind(self):
        """Beyond max_links a connection is closed at once; the state of ended links is removed."""
        for _ in range(5):
            for s in [hostile.dial(self.radio) for _ in range(80)]:
                self.send_and_leave(s, hostile.hello(self.place.network))
        self.served_meanwhile()
        poll(lambda: len(self.place.pnes()) == 2, what="only the two devices are known")
        self.end_well()


if __name__ == "__main__":
    unittest.main()
