"""A few rounds of kill_roles.py for each role, and tests that its account finds planted faults."""

import os
import random
import unittest

import kill_roles
from support.case import E2ECase
from support.keys import Account, read_keys

ENTITY = "urn:dev:mac:0024befffe804ff1"


class KillRoles(unittest.TestCase):
    def some_rounds(self, role: str, **options):
        seed = int(os.environ.get("CPNS_E2E_SEED", random.SystemRandom().randrange(1 << 31)))
        said = []
        self.assertTrue(kill_roles.rounds(role, times=2, seed=seed, pnes=20, say=said.append, **options), "\n".join(said))
        print("\n".join(said), flush=True)

    def test_the_server_is_killed(self):
        self.some_rounds("server")

    def test_the_gateway_is_killed(self):
        self.some_rounds("gateway")

    def test_the_pnes_are_killed(self):
        self.some_rounds("pne")

    def test_gateway_and_pnes_in_one_process_are_killed(self):
        self.some_rounds("gateway", transport="loopback")

    def test_all_roles_in_one_process_are_killed(self):
        self.some_rounds("all", transport="loopback")

    def test_pnes_with_key_files_are_killed(self):
        self.some_rounds("pne", own_key_files=True)


class Planted(E2ECase):
    """Each test plants a fault that a broken role would leave behind."""

    def setUp(self):
        self.place = self.home(devices=0)
        self.account = Account(self.place)

    def key(self, index: int, digest: str, **more) -> dict:
        return {"entity": ENTITY, "epoch": f"1.{index}", "sha256": digest, **more}

    def held(self, pne: list, gateway: list, server=None) -> dict:
        """The content of the stores at one moment; without `server` the server has the keys of the gateway."""
        cut = {"pne": pne, "gateway": gateway, "server": gateway if server is None else server}
        for role, keys in cut.items():
            for k in keys:
                self.account._name(role, k)
        self.account._read_events()
        self.account._compare(cut)
        return cut

    def log(self, role: str, event: str, index: int):
        self.place.events.put(role, 1, {"event": event, "entity": ENTITY, "epoch": f"1.{index}"})

    def own(self, index: int, digest: str) -> dict:
        return self.key(index, digest, set="5e7", use="own")

    def test_a_good_history_has_no_faults(self):
        for index, digest in enumerate("abc"):
            self.log("gateway", "delivering", index)
            self.log("pne", "key-accepted", index)
            self.log("gateway", "confirmed", index)
            self.held([self.key(index, digest, use="current")], [self.own(index, digest)])
        self.assertEqual(self.account.faults, [])
        self.assertEqual(self.account.cuts, 0)

    def test_one_name_of_two_keys(self):
        self.held([], [self.own(0, "a")])
        self.held([], [self.own(0, "b")])
        self.assertEqual(len(self.account.faults), 4, self.account.faults)  # by set and by epoch, in two stores

    def test_a_pne_with_another_key_than_the_gateway(self):
        self.held([self.key(0, "b", use="current")], [self.own(0, "a")])
        self.assertTrue(any("names two keys" in f for f in self.account.faults), self.account.faults)
        self.assertTrue(any("has lost that key" in f for f in self.account.faults), self.account.faults)

    def test_a_key_that_the_server_lost(self):
        self.held([self.key(0, "a", use="current")], [self.own(0, "a")], server=[])
        self.assertEqual(len(self.account.faults), 1, self.account.faults)
        self.assertIn("the server has lost that key", self.account.faults[0])

    def test_a_confirmed_key_that_the_gateway_forgot(self):
        self.log("gateway", "confirmed", 1)
        self.held([self.key(1, "b", use="pending")], [self.own(0, "a"), self.key(1, "b", set="5e7", use="handed_out")])
        self.assertEqual(len(self.account.faults), 1, self.account.faults)
        self.assertIn("the gateway's own key is (1, 0)", self.account.faults[0])

    def test_an_acknowledged_key_that_the_pne_forgot(self):
        self.log("pne", "key-accepted", 1)
        self.held([self.key(0, "a", use="current")], [self.own(0, "a")])
        self.assertEqual(len(self.account.faults), 1, self.account.faults)
        self.assertIn("the PNE holds 1.0", self.account.faults[0])

    def test_an_index_that_went_into_two_deliveries(self):
        self.log("gateway", "delivering", 3)
        self.log("gateway", "delivering", 3)
        self.held([], [])
        self.assertEqual(self.account.faults, [f"{ENTITY}: index 1.3 went into two deliveries"])

    def test_a_device_without_a_key_at_the_end(self):
        self.place.devices = [(ENTITY, "")]
        self.held([], [self.own(0, "a")])
        self.account.all_keyed()
        self.assertEqual(len(self.account.faults), 1, self.account.faults)

    def test_the_program_reads_what_the_roles_wrote(self):
        home = self.home(devices=2, rekey="1d")
        home.start()
        home.events.wait(role="gateway", event="confirmed", count=2)
        account = Account(home)
        account.take()
        self.assertEqual(account.faults, [])
        self.assertEqual(len(account.by_set), 64, "a set of 32 keys for each device")
        self.assertEqual({k["epoch"] for k in account.pne.values()}, {"1.0"})
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0)
        held = {role: read_keys(home.folder, role) for role in ("server", "gateway", "pne")}
        kinds = {role: sorted({k["what"] for k in keys}) for role, keys in held.items()}
        self.assertEqual(kinds, {"server": ["audit_key", "eukey", "issuer_key", "stored_key", "temporary_key"],
                                 "gateway": ["audit_key", "client_key", "eukey", "gateway_temporary_key"],
                                 "pne": ["audit_key", "eukey"]})


if __name__ == "__main__":
    unittest.main()
