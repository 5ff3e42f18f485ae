"""The conformance test of the radio in the bench, over L2CAP; with CPNS_BLE_CHECK=gatt over GATT, which takes half as long again. In
halves, each in a guest of its own, because most of it is waiting."""

import json
import os
import re
import subprocess
import unittest

from support import ble
from support.process import cpns_binary

HALVES = 2
# A skipped test has to be one of these, for this reason.
SKIPPED = {"strangers-do-not-meet": "nothing in the parameters keeps two networks apart",
           "simulated-time-goes-on": "it does not ask for cpns.clock/1"}
# The guest has a processor that is emulated and shared: what takes longer there than a radio should is told, and is no fault.
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
                    self.assertIn(SKIPPED.get(t["name"], "no reason is known"), t["reason"])
                elif not (t["result"] == "warning" and SLOW.search(t["reason"])):
                    self.assertEqual(t["result"], "passed", t.get("reason"))
        self.assertEqual(done.returncode, 0, done.stderr)


def main(half: int):
    Check.half = half
    ble.main(controllers=6, seconds=700)
