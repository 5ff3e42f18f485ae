"""The folders of a server, a gateway and PNEs that a release made whose rows have no version: they are opened with all their keys, and
migrated."""

import json
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

from support.process import cpns_binary

MADE_BEFORE = pathlib.Path(__file__).parent / "data/schema-1.tar.gz"
ENTITIES = ["urn:dev:mac:025d2c03a1000000", "urn:dev:mac:025d2c03a1000001"]


class Schema1(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        with tarfile.open(MADE_BEFORE) as archive:
            archive.extractall(self.folder)

    def cpns(self, *args, code=0):
        done = subprocess.run([cpns_binary(), *args], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def rows(self):
        """What the stopped roles have: the holder and the sets of each entity, and the epoch of each PNE."""
        users = json.loads(self.cpns("user", "list", "--config", "server.yaml", "--json"))
        devices = json.loads(self.cpns("device", "list", "--config", "server.yaml", "--json"))
        entities = [json.loads(self.cpns("entity", "show", e, "--config", "server.yaml", "--json")) for e in ENTITIES]
        pnes = [json.loads(self.cpns("pnes", "show", e, "--config", "gateway.yaml", "--json")) for e in ENTITIES]
        return users, devices, entities, pnes

    def marker(self, role):
        return (self.folder / f"state/{role}/CPNS_STORE").read_text()

    def test_the_keys_stay_and_no_row_is_left_without_a_version(self):
        before = self.rows()
        self.assertIn("alice@example.org", json.dumps(before[0]))
        for role in ("server", "gateway"):
            self.assertIn("schema 2", self.marker(role), "a release before must not open it any more")
            done = json.loads(self.cpns("store", "migrate", "--config", f"{role}.yaml", "--json"))
            self.assertTrue(done["complete"])
            self.assertEqual(done["unreadable"], 0)
            self.assertGreaterEqual(done["migrated"], 3, role)
            self.assertIn("Migrated 0 rows.", self.cpns("store", "migrate", "--config", f"{role}.yaml"))
            self.cpns("audit", "verify", "--config", f"{role}.yaml")
        self.assertEqual(self.rows(), before)

    def test_a_pne_has_nothing_to_migrate_and_keeps_its_keys(self):
        self.assertIn("nothing to migrate", self.error("store", "migrate", "--config", "pne.yaml", code=2))
        self.cpns("audit", "verify", "--config", "pne.yaml")

    def error(self, *args, code):
        done = subprocess.run([cpns_binary(), *args], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr


if __name__ == "__main__":
    unittest.main()
