"""`cpns store verify` reads every row of a stopped role, and finds what somebody changed in a store."""

import json
import unittest

from support.case import E2ECase


class Verify(E2ECase):
    def test_a_good_store_of_a_server_and_of_a_gateway(self):
        home = self.home(devices=2)
        home.start()
        home.events.wait(role="gateway", event="confirmed", timeout=20)
        running = home.cli("store", "verify", "--config", "server.yaml", check=False)
        self.assertEqual(running.returncode, 1)
        self.assertIn("the server is running; stop it", running.stderr)
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0, name)
        found = json.loads(home.cli("store", "verify", "--config", "server.yaml", "--json").stdout)
        self.assertEqual((found["faults"], found["listed"], found["lists_complete"]), (0, [], True))
        self.assertEqual(found["tables"]["devices"]["rows"], 2)
        self.assertGreaterEqual(found["tables"]["indexes"]["rows"], 2, "the entity with its owner and its holder")
        said = home.cli("store", "verify", "--config", "server.yaml").stdout
        self.assertIn(f" is good: {found['rows']} rows.", said)
        gateway = json.loads(home.cli("store", "verify", "--config", "gateway.yaml", "--json").stdout)
        self.assertEqual(gateway["faults"], 0)
        self.assertGreaterEqual(gateway["tables"]["peers"]["rows"], 1)

    def test_what_has_no_store(self):
        home = self.home(devices=1)
        home.write()
        pne = home.cli("store", "verify", "--config", "pne.yaml", check=False)
        self.assertEqual(pne.returncode, 2)
        self.assertIn("a PNE has key files and no store", pne.stderr)
        new = home.cli("store", "verify", "--config", "gateway.yaml", check=False)
        self.assertEqual(new.returncode, 1)


if __name__ == "__main__":
    unittest.main()
