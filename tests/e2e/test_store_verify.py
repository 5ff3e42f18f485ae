"""`cpns store verify` reads every row of a stopped role, or of a server on a database while it runs, and finds what somebody changed in
a store."""

import json
import threading
import unittest

from support.case import E2ECase
from support.nodes_home import NodesHome

IDLE = 3000  # devices that make the check take some time
LAST_BYTE = "value = set_byte(value, length(value) - 1, get_byte(value, length(value) - 1) # 1)"
FIRST_DEVICE = "row = (SELECT row FROM cpns_devices ORDER BY row LIMIT 1)"


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


class VerifyBesideServers(E2ECase):
    def setUp(self):
        self.home = home = NodesHome(devices=12)
        self._homes.append(home)
        # The smallest sets, so that each few updates of a PNE need an assignment.
        home.server["keys"]["set_size"] = home.node2["keys"]["set_size"] = 2
        home.gateway.update(rekey={"low_water": 2}, healing_reserve=1, servers=[home.server["listen"], home.node2["listen"]])
        home.write()
        home.import_devices([(f"urn:dev:os:32473-7{n:05}", f"{n + 1:032x}", "128bit") for n in range(IDLE)])
        home.start("server", "node2", "gateway", "pne")
        home.wait_for_each()

    def verify(self, *args, config="server.yaml"):
        return self.home.cli("store", "verify", "--config", config, *args, check=False)

    def under_load(self, check):
        """Meanwhile each PNE gets a new key again and again, and a gateway is blocked and served again."""
        done, refused = threading.Event(), []

        def update(entities):
            while not done.is_set():
                for entity in entities:
                    self.home.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False)

        def block():
            while not done.is_set():
                for verb in ("block", "unblock"):
                    asked = self.home.cli("gateways", verb, "urn:cpns:gw:other", "--config", "node2.yaml", check=False)
                    if asked.returncode != 0:
                        refused.append(asked.stderr)

        entities = [entity for entity, _ in self.home.devices]
        threads = [threading.Thread(target=update, args=(entities,)), threading.Thread(target=block)]
        for t in threads:
            t.start()
        try:
            return check()
        finally:
            done.set()
            for t in threads:
                t.join()
            self.assertEqual(refused, [])

    def test_a_store_that_servers_work_on_is_good(self):
        def check():
            answered, runs = 0, 0
            while runs < 5 or (answered < 20 and runs < 40):
                since = self.home.events.mark()
                done = self.verify("--json", config=("server.yaml", "node2.yaml")[runs % 2])
                answered += len(self.home.events.find(event="assignment-answered", since=since))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                found = json.loads(done.stdout)
                self.assertEqual((found["faults"], found["listed"], found["lists_complete"]), (0, [], True))
                self.assertEqual(found["tables"]["devices"]["rows"], IDLE + 12)
                runs += 1
            print(f"{runs} runs, {answered} assignments meanwhile", end=" ", flush=True)
            self.assertGreaterEqual(answered, 20, "without changes the test shows nothing")

        self.under_load(check)
        self.assertEqual(self.home.events.find(level="error"), [])

    def test_a_damaged_row_beside_servers_that_work_is_found(self):
        def check():
            self.home.database.sql("cpns", f"UPDATE cpns_devices SET {LAST_BYTE} WHERE {FIRST_DEVICE}")
            found = self.verify()
            self.assertEqual(found.returncode, 1, found.stdout + found.stderr)
            faults = [line for line in found.stdout.splitlines() if line.startswith("fault: ")]
            self.assertEqual(len(faults), 1, found.stdout)
            self.assertIn("of table devices", faults[0])
            self.assertIn("devices: 3012 rows, 1 at fault", found.stdout)
            self.assertIn("has 1 fault; restore it from a backup", found.stdout)
            self.home.database.sql("cpns", f"UPDATE cpns_devices SET {LAST_BYTE} WHERE {FIRST_DEVICE}")
            self.assertEqual(self.verify().returncode, 0, "the row is as it was")

        self.under_load(check)


if __name__ == "__main__":
    unittest.main()
