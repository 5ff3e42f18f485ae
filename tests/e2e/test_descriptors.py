"""More links than file descriptors: each role raises its soft limit, survives without free descriptors, and accepts again later."""

import contextlib
import pathlib
import socket
import subprocess
import unittest

from support import hostile
from support.case import E2ECase
from support.home import free_port
from support.process import cpns_binary

SOFT, HARD = 64, 128


class Descriptors(E2ECase):
    def place(self, **options):
        home = self.home(**options)
        self.radio = home.listen_at_fixed_port()
        home.pne["transports"][0]["params"] = {"connect": self.radio, "network": home.network}
        home.gateway["transports"][0]["params"]["handshake_ms"] = "60000"
        home.gateway["timers"]["backoff_max"] = "2s"
        home.server["handshake_timeout"] = "1m"
        home.write()
        self.flood = contextlib.ExitStack()
        self.addCleanup(self.flood.close)
        return home

    def start_low(self, home, name, hard=HARD):
        role = home.role(name)
        if role.args[0] != "sh":
            role.args = ["sh", "-c", f'ulimit -Sn {min(SOFT, hard)} && ulimit -Hn {hard} && exec "$@"', "sh", *role.args]
        role.start()
        limit = next(line for line in pathlib.Path(f"/proc/{role.pid}/limits").read_text().splitlines() if "open files" in line)
        self.assertEqual(limit.split()[3:5], [str(hard)] * 2, "the soft limit was raised")
        return role

    def dial(self, at, count=150) -> list:
        return [self.flood.enter_context(hostile.dial(at)) for _ in range(count)]

    def open_files(self, role) -> int:
        return len(list(pathlib.Path(f"/proc/{role.pid}/fd").iterdir()))

    def end_well(self, home):
        self.end_well_of(home, "pne", "gateway", "server")

    def end_well_of(self, home, *names):
        for name in names:
            self.assertEqual(home.role(name).terminate(), 0, name)
        self.assertEqual(home.events.find(event="device-died"), [])

    def test_the_server_accepts_again_after_emfile(self):
        home = self.place(devices=1)
        server = self.start_low(home, "server")
        home.start("gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=10)
        told = home.events.find(role="server", event="limits-contradict")
        self.assertIn("limits.connections is 4096, and this process may open 128 files", told[0]["text"])
        self.dial(f"{home.address}:{home.server_port}")
        said = home.events.wait(role="server", event="accept-failed", timeout=10)[0]
        self.assertIn("Too many open files", said["text"])
        self.assertGreaterEqual(self.open_files(server), HARD - 1)
        used = hostile.cpu_seconds(server.pid)
        home.start("pne")  # over the existing connection
        confirmed = home.events.wait(role="gateway", event="confirmed", timeout=20)[0]
        home.role("gateway").terminate()
        home.start("gateway")  # must wait now
        spent, span = hostile.cpu_seconds(server.pid) - used, max(1.0, home.role("gateway").events.find()[-1]["seen"] - said["seen"])
        self.assertLess(spent, 0.5 * span, "no busy loop")
        self.assertLessEqual(len(home.events.find(role="server", event="accept-failed")), 3, "logged, but not ten times per second")
        self.flood.close()
        home.events.wait(role="gateway", event="server-connected", since=home.role("gateway").since, timeout=15)
        self.assertEqual(home.pnes()[confirmed["entity"]]["generation"], 1)
        self.assertEqual(home.events.find(role="gateway", run=2, event="requested"), [], "the acknowledged keys are still there")
        self.end_well(home)

    def test_radio_peers_cannot_take_the_last_descriptor_of_a_gateway(self):
        home = self.place(devices=1)
        home.start("server")
        gateway = self.start_low(home, "gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=10)
        at_start = "accepts at most 64 connections: the limit on open files of this process"
        self.assertTrue(home.events.find(lambda e: at_start in e.get("text", ""), role="gateway"))
        self.assertEqual(home.events.find(role="gateway", event="limits-contradict"), [], "the configuration sets no number of links")
        held = self.dial(self.radio)
        home.events.wait(lambda e: "closing further connections: the limit on open files" in e.get("text", ""), role="gateway", timeout=10)
        self.assertLess(self.open_files(gateway), HARD)
        self.assertEqual(sum(not hostile.closed_by_peer(s, 0.01) for s in held), 64, "unverified links may take only half of them")
        # Other uses of descriptors still work: the control socket, a new connection to the server.
        self.assertEqual(home.pnes(), {})
        home.role("server").kill9()
        home.start("server")
        home.events.wait(role="gateway", event="server-connected", count=2, timeout=15)
        self.flood.close()
        home.start("pne")
        home.events.wait(role="gateway", event="confirmed", timeout=20)
        self.end_well(home)

    def test_a_gateway_refuses_more_links_than_its_radios_allow(self):
        home = self.place(devices=1)
        home.gateway["limits"] = {"links": 65}
        home.write()
        self.assert_refused(home, r"gateway.yaml:\d+:\d+: 'limits.links' is 65, but the radios allow 64 links \(radio 64\)", "LimitNOFILE")
        home.gateway["limits"] = {"links": 64}
        home.write()
        gateway = self.start_low(home, "gateway")
        self.assertEqual(home.events.find(role="gateway", event="limits-contradict"), [])
        home.gateway["limits"] = {"links": 65}
        home.write()
        refused = gateway.reload()
        self.assertEqual(refused["event"], "reload-refused")
        self.assertIn("'limits.links' is 65, but the radios allow 64 links", refused["text"])
        self.assertEqual(gateway.terminate(), 0)

    def test_a_gateway_refuses_more_links_than_radios_hold_that_share_its_descriptors(self):
        home = self.place(devices=1)
        first = home.gateway["transports"][0]
        second = {"name": "second", "plugin": "tcp", "params": {
            "listen": f"{home.address}:{free_port(socket.SOCK_STREAM, home.address)}", "network": home.network}}
        kept = second | {"params": second["params"] | {"max_links": "14"}}
        share = "; the tcp radios in this process share its open files"
        for radios, each in (([first, second], "radio 64, second 64"), ([first, kept], "radio 64, second 14"),
                             ([kept, first], "second 14, radio 64")):
            with self.subTest(each):
                home.gateway |= {"transports": radios, "limits": {"links": 65}}
                home.write()
                self.assert_refused(home, rf"'limits.links' is 65, but the radios allow 64 links \({each}{share}\)")
        home.gateway["transports"][1] |= {"isolation": "process"}
        home.write()
        gateway = self.start_low(home, "gateway")
        self.assertEqual(gateway.terminate(), 0)

    def test_a_gateway_starts_although_only_a_radio_that_cannot_open_gives_the_links(self):
        home = self.place(devices=1)
        second = f"{home.address}:{free_port(socket.SOCK_STREAM, home.address)}"
        home.gateway["transports"].append({"name": "second", "plugin": "tcp",
                                           "params": {"listen": second, "network": home.network, "max_links": "65"}})
        home.gateway["limits"] = {"links": 100}
        home.write()
        gateway = self.start_low(home, "gateway")
        self.assertIn("at most 64, not 65", home.events.find(role="gateway", event="radio-refused")[0]["text"])
        self.assertEqual(gateway.reload()["event"], "reloaded")
        self.assertEqual(gateway.terminate(), 0)

    def test_a_gateway_takes_its_unchanged_file_after_a_radio_holds_fewer_links(self):
        home = self.place(devices=1)
        home.gateway["limits"] = {"links": 64}
        home.write()
        gateway = self.start_low(home, "gateway")
        home.cli("pnes", "reopen", "radio", "--set", "max_links=10", "--config", "gateway.yaml")
        self.assertEqual(gateway.reload()["event"], "reloaded")
        home.gateway["limits"] = {"links": 63}
        home.write()
        refused = gateway.reload()
        self.assertEqual(refused["event"], "reload-refused")
        self.assertIn("'limits.links' is 63, but the radios allow 10 links", refused["text"])
        home.gateway["limits"] = {"links": 10}
        home.write()
        self.assertEqual(gateway.reload()["event"], "reloaded")
        self.assertEqual(gateway.terminate(), 0)

    def test_a_gateway_refuses_a_radio_with_more_links_than_open_files(self):
        home = self.place(devices=1)
        home.gateway["transports"][0]["params"]["max_links"] = "65"
        home.write()
        for isolation in ("none", "process"):
            with self.subTest(isolation):
                home.gateway["transports"][0]["isolation"] = isolation
                home.write()
                self.assert_refused(home, r"gateway.yaml:\d+:\d+: .*max_links: it must be at most 64, not 65", "may open 128 files")

    def assert_refused(self, home, *words):
        """The gateway ends at its start, with one error that has these words."""
        ended = subprocess.run(["sh", "-c", f'ulimit -n {HARD} && exec "$@"', "sh", cpns_binary(), "gateway", "--config",
                                home.folder / "gateway.yaml"], capture_output=True, text=True, timeout=30)
        self.assertNotEqual(ended.returncode, 0)
        for word in words:
            self.assertRegex(ended.stderr, word)

    def test_two_radios_of_a_gateway_share_its_descriptors(self):
        home = self.place(devices=1)
        second = f"{home.address}:{free_port(socket.SOCK_STREAM, home.address)}"
        home.gateway["transports"].append({"name": "second", "plugin": "tcp",
                                           "params": {"listen": second, "network": home.network, "handshake_ms": "60000"}})
        home.write()
        home.start("server")
        gateway = self.start_low(home, "gateway")
        held = self.dial(self.radio, 50) + self.dial(second, 50)
        home.events.wait(lambda e: "closing further connections: the limit on open files" in e.get("text", ""), role="gateway", timeout=10)
        self.assertEqual(sum(not hostile.closed_by_peer(s, 0.01) for s in held), 64, "the limit holds for both together")
        self.assertLess(self.open_files(gateway), HARD)
        home.events.wait(role="gateway", event="server-connected", timeout=15)
        self.flood.close()
        self.end_well_of(home, "gateway", "server")

    def test_a_process_of_many_pnes_serves_as_many_as_fit_and_then_the_others(self):
        home = self.place(devices=60)
        home.start("server", "gateway")
        self.start_low(home, "pne", hard=80)  # for 40 links
        self.assertIn("60 devices, but the radio", home.events.find(role="pne", event="limits-contradict")[0]["text"])
        home.events.wait(role="gateway", event="confirmed", count=40, timeout=30)
        self.assertTrue(home.events.find(lambda e: "the other PNEs wait until one ends" in e.get("text", ""), role="pne"))
        first = {e["entity"] for e in home.events.find(role="gateway", event="confirmed")}
        for entity in first:
            home.tell_pne("sleep", entity)
        home.wait_for_each()
        self.assertEqual(home.events.find(role="pne", event="key-file-not-written"), [])
        self.end_well(home)


if __name__ == "__main__":
    unittest.main()
