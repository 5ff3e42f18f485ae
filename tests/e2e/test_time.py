"""Machines that sleep, boot in 1970, or boot before their network: a role does what it can, and recovers by itself."""

import datetime
import json
import shutil
import socket
import subprocess
import sys
import unittest

from support import pki
from support.api_home import add_sockets, connect, metrics_with
from support.case import E2ECase
from support.clocks import Clocks
from support.home import poll

HOUR = 3600


class Time(E2ECase):
    def keyed(self, home, since, count=1, timeout=30):
        return home.events.wait(role="gateway", event="confirmed", since=since, count=count, timeout=timeout)

    def test_an_update_that_was_due_during_suspend_is_made_at_once(self):
        home = self.home(devices=2, rekey="1h")
        clocks = Clocks(home.role("gateway"))
        home.start()
        self.keyed(home, 0, 2)
        mark = home.events.mark()
        clocks.suspend(3 * HOUR)
        self.keyed(home, mark, 2, timeout=20)

    def test_a_step_of_the_wall_clock_renews_nothing(self):
        home = self.home(devices=1, rekey="8s")
        clocks = Clocks(home.role("gateway"))
        home.start()
        for step in (10 * HOUR, -20 * HOUR):
            mark = home.events.mark()
            clocks.step(step)
            first, second = self.keyed(home, mark, 2)[:2]
            self.assertGreater(second["seen"] - first["seen"], 5, "the interval is 8 s, minus jitter")

    def test_a_gateway_that_boots_in_1970_waits_and_recovers(self):
        home = self.home(devices=1)
        clocks = Clocks(home.role("gateway"))
        clocks.boots_in_1970()
        home.start()
        home.events.wait(role="gateway", event="certificate-out-of-time", level="error")
        poll(home.pnes, what="the control socket answers, and the radio finds the device")
        self.assertEqual(home.events.find(event="server-connected"), [])
        mark = home.events.mark()
        clocks.right()
        self.keyed(home, mark)

    def test_renewals_from_the_set_go_on_in_1970(self):
        home = self.home(devices=1, rekey="3s")
        clocks = Clocks(home.role("gateway"))
        home.start()
        self.keyed(home, 0)
        home.role("gateway").terminate()
        clocks.boots_in_1970()
        mark = home.events.mark()
        home.role("gateway").start()
        self.keyed(home, mark, 2)
        self.assertEqual(home.events.find(event="server-connected", since=mark), [])

    def test_expired_certificates_are_not_presented_and_new_ones_are_taken(self):
        home = self.home(devices=1)
        ca = pki.Ca(home.folder / "tls")
        for name, uri, usage in (("server", "urn:cpns:server:main", pki.SERVER), ("gateway", "urn:cpns:gw:gw1", pki.CLIENT)):
            ca.issue(home.folder / "tls", name, uri, usage, begin=-2 * pki.DAY, end=-pki.DAY)
        add_sockets(home)
        home.write()
        home.start()
        for name in ("server", "gateway"):
            said = home.events.wait(role=name, event="certificate-out-of-time", level="error")[0]
            self.assertIn("expired on", said["text"])
            ready = connect(home, name).ask("GET", "/health/ready")
            self.assertEqual(ready.status, 503)
            self.assertIn("expired on", ready.json["reasons"][0])
            self.assertIn("\ncpns_ready 0\n", metrics_with(connect(home, name), ["cpns_ready 0"]))
        for name, uri, usage in (("server", "urn:cpns:server:main", pki.SERVER), ("gateway", "urn:cpns:gw:gw1", pki.CLIENT)):
            ca.issue(home.folder / "tls", name, uri, usage, end=datetime.timedelta(hours=8))
            home.role(name).reload()
            home.events.wait(role=name, event="certificate-in-time")
        self.keyed(home, 0)
        for name in ("server", "gateway"):
            self.assertEqual(connect(home, name).ask("GET", "/health/ready").json, {"ready": True, "reasons": []})

    def test_a_fault_that_only_a_person_can_mend_ends_the_start(self):
        home = self.home(devices=1)
        (home.folder / "tls/gateway.pem").write_text("not a certificate")
        self.assertEqual(home.role("gateway").spawn().wait(), 1)
        self.assertIn("holds no PEM certificate", home.events.find(role="gateway", event="not-started")[0]["text"])


class Addresses(E2ECase):
    """Roles in a separate network namespace, to which the test gives an address later."""

    def setUp(self):
        if not shutil.which("ip") or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
            self.skipTest("needs iproute2 and a network namespace (root)")

    def alone(self, home, name):
        role = home.role(name)
        role.args = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *role.args]
        role.spawn()
        return role

    def give_address(self, role):
        subprocess.run(["nsenter", "-t", str(role.pid), "-n", "ip", "addr", "add", "10.77.0.1/32", "dev", "lo"], check=True)

    def test_a_server_waits_for_its_address(self):
        home = self.home(devices=1)
        home.server |= {"listen": "10.77.0.1:7443", "ready_file": "server.ready"}
        home.write()
        server = self.alone(home, "server")
        said = home.events.wait(role="server", event="not-listening", level="error")[0]
        self.assertIn("not an address of this machine", said["text"])
        self.assertFalse((home.folder / "server.ready").exists())
        self.give_address(server)
        home.events.wait(role="server", event="ready")
        poll((home.folder / "server.ready").exists)
        self.assertEqual((home.folder / "server.ready").read_text().splitlines()[0], "10.77.0.1:7443")
        self.assertEqual(server.terminate(), 0)

    def test_a_server_that_waits_ends_on_sigterm(self):
        home = self.home(devices=1)
        home.server["listen"] = "10.77.0.1:7443"
        home.write()
        server = self.alone(home, "server")
        home.events.wait(role="server", event="not-listening")
        self.assertEqual(server.terminate(), 0)

    def test_a_gateway_waits_for_the_address_of_its_radio(self):
        home = self.home(devices=1)
        home.gateway["transports"][0]["params"] |= {"listen": "10.77.0.1:7600", "announce": "10.77.0.1:7601"}
        home.write()
        gateway = self.alone(home, "gateway")
        said = home.events.wait(role="gateway", event="radio-refused", level="error")[0]
        self.assertIn("retrying every 5 s", said["text"])
        radios = json.loads(home.cli("pnes", "radios", "--json", "--config", "gateway.yaml").stdout)
        self.assertEqual([r["name"] for r in radios["radios"]], ["radio"])
        self.give_address(gateway)
        home.events.wait(role="gateway", event="radio-open")
        self.assertEqual(gateway.terminate(), 0)

    def test_pnes_wait_for_the_port_of_their_radio(self):
        home = self.home(devices=2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("", home.beacon_port))
            home.start()
            said = home.events.wait(role="pne", event="radio-refused", level="error")[0]
            self.assertIn("Address already in use; retrying every 5 s", said["text"])
        home.events.wait(role="pne", event="radio-open")
        home.wait_for_each()


if __name__ == "__main__":
    sys.exit(unittest.main())
