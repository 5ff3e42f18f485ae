"""The folders of a server, a gateway and PNEs that a release made whose rows have no version: they are opened with all their keys, served
by running roles, and migrated."""

import json
import pathlib
import random
import shutil
import socket
import subprocess
import tarfile
import tempfile
import unittest

from support.case import E2ECase
from support.events import Events
from support.home import Home, free_port
from support.keys import ROLES, Account, parsed, read_keys
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


class OldHome(Home):
    """The folders with the stores as they are, on ports of this test, and with certificates that do not end."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-e2e-"))
        self.events, self.processes = Events(), []
        with tarfile.open(MADE_BEFORE) as archive:
            archive.extractall(self.folder)
        self.devices = self._devices()
        self.cli("init", "new", "--devices", 1, "--gateway-name", "demo")
        for file in (self.folder / "new/tls").iterdir():
            shutil.copyfile(file, self.folder / "tls" / file.name)
        moved = {"127.0.0.1:53509": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}", "44064": str(free_port(socket.SOCK_DGRAM)),
                 "k2027-1": f"e2e-{random.SystemRandom().randrange(1 << 32):08x}"}
        for role in ROLES:
            file, text = self.folder / f"{role}.yaml", (self.folder / f"{role}.yaml").read_text()
            for before, now in moved.items():
                text = text.replace(before, now)
            file.write_text(text)


class RunningRoles(E2ECase):
    def held(self, home, role) -> dict:
        """The EUKeys in a store: (Entity ID, epoch) to a digest of the key."""
        return {(k["entity"], k["epoch"]): k["sha256"] for k in read_keys(home.folder, role) if k["what"] == "eukey"}

    def newest(self, pne: dict) -> dict:
        return {entity: max(parsed(epoch) for e, epoch in pne if e == entity) for entity in ENTITIES}

    def test_agree_on_the_old_keys_and_give_new_ones(self):
        home = OldHome()
        self._homes.append(home)
        before = self.held(home, "pne")
        self.assertEqual({entity for entity, _ in before}, set(ENTITIES))
        for role in ("server", "gateway"):
            self.assertLessEqual(before.items(), self.held(home, role).items(), f"the {role} has the keys of the PNEs")
        home.start()
        account, first = Account(home), home.events.mark()
        account.take()
        for entity in ENTITIES:
            since = home.events.mark()
            home.cli("pnes", "update", entity, "--config", "gateway.yaml")
            home.events.wait(role="gateway", event="confirmed", entity=entity, since=since)
        self.assertFalse(home.events.find(role="gateway", event="presence-failed", since=first))
        account.take()
        updated = self.newest(self.held_now(account))
        for entity, epoch in self.newest(before).items():
            self.assertGreater(updated[entity], epoch, "a new key, and no old index again")
        since = home.events.mark()
        home.cli("pnes", "forget", ENTITIES[0], "--config", "gateway.yaml")
        home.events.wait(role="server", event="assignment-answered", entity=ENTITIES[0], since=since)
        home.events.wait(role="gateway", event="confirmed", entity=ENTITIES[0], since=since)
        account.take()
        self.assertGreater(self.newest(self.held_now(account))[ENTITIES[0]], updated[ENTITIES[0]], "of the server")
        for role in reversed(ROLES):
            self.assertEqual(home.role(role).terminate(), 0, role)
        account.take()
        account.all_keyed()
        self.assertEqual(account.faults, [])
        for role in ("server", "gateway"):
            verified = json.loads(home.cli("store", "verify", "--config", f"{role}.yaml", "--json").stdout)
            self.assertEqual((verified["faults"], verified["listed"]), (0, []), role)

    def held_now(self, account) -> dict:
        return {(entity, k["epoch"]): k["sha256"] for entity, k in account.pne.items()}


if __name__ == "__main__":
    unittest.main()
