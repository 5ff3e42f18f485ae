"""The conformance test of the radio in the bench, over L2CAP; with CPNS_BLE_CHECK=gatt over GATT, which takes half as long again."""

import json
import os
import subprocess
import unittest

from support import ble
from support.process import cpns_binary

# A skipped test has to be one of these, for this reason.
SKIPPED = {"strangers-do-not-meet": "nothing in the parameters keeps two networks apart"}


class BleCheck(unittest.TestCase):
    def check(self, *options):
        done = subprocess.run([cpns_binary(), "transport", "check", "ble", "--format", "json", *options], capture_output=True,
                              text=True, timeout=690)
        said = json.loads(done.stdout)
        for t in said["tests"]:
            print(f"  {t['ms']:7} ms  {t['result']:8} {t['name']}  {t.get('reason', '')}", flush=True)
            for line in t.get("log", []):
                print(" " * 22 + line, flush=True)
        for t in said["tests"]:
            with self.subTest(t["name"]):
                if t["result"] == "skipped":
                    self.assertIn(SKIPPED.get(t["name"], "no reason is known"), t["reason"])
                else:
                    self.assertEqual(t["result"], "passed", t.get("reason"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_radio(self):
        way = os.environ.get("CPNS_BLE_CHECK", "l2cap")
        self.check("--param", f"ways={way}", "--peer-param", f"ways={way}")


if __name__ == "__main__":
    ble.main(controllers=6, seconds=700)
