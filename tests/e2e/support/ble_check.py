"""The conformance tests of the ble radio in the virtual machine, over L2CAP, or with CPNS_BLE_CHECK=gatt over GATT, which takes half as
long again. Split into halves, each in its own guest, because most of the time is waiting."""

import json
import os
import re
import subprocess
import unittest

from support import ble
from support.process import cpns_binary

HALVES = 2
# The tests that may be skipped, with the expected reason.
SKIPPED = {"strangers-do-not-meet": "no parameter separates two networks",
           "simulated-time-goes-on": "the plugin does not use cpns.clock/1"}
# The processor of the guest is emulated and shared, so a warning about a slow call is not a fault.
SLOW = re.compile(r"it took \d+ ms$| took \d+ ms; a role waits for each of its radios$")


class Check(unittest.TestCase):
    half = None

    def cpns(self, *options):
        done = subprocess.run([cpns_binary(), "transport", "check", *options, "--format", "json"], capture_output=True, text=True,
                              timeout=690)
        return done, json.loads(done.stdout)

    def test_radio(self):
        way = os.environ.get("CPNS_BLE_CHECK", "l2cap")
        _, every = self.cpns("--list")
        mine = [t["name"] for t in every][self.half::HALVES]
        done, report = self.cpns("ble", "--param", f"ways={way}", "--peer-param", f"ways={way}",
                                *(word for name in mine for word in ("--test", name)))
        tests = report["tests"]
        self.assertEqual([t["name"] for t in tests], mine)
        for t in tests:
            print(f"  {t['ms']:7} ms  {t['result']:8} {t['name']}  {t.get('reason', '')}", flush=True)
            for line in t.get("log", []):
                print(" " * 22 + line, flush=True)
        for t in tests:
            with self.subTest(t["name"]):
                if t["result"] == "skipped":
                    self.assertIn(SKIPPED.get(t["name"], "this test must not be skipped"), t["reason"])
                elif not (t["result"] == "warning" and SLOW.search(t["reason"])):
                    self.assertEqual(t["result"], "passed", t.get("reason"))
        self.assertEqual(done.returncode, 0, done.stderr)


def main(half: int):
    Check.half = half
    ble.main(controllers=6, seconds=700)
