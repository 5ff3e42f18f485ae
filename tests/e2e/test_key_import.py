"""Key files of an earlier version: the process of PNEs moves them into its store, is killed while it does so, and loses no key."""

import os
import pathlib
import random
import shutil
import unittest

from support.bad_disk import BadDiskCase
from support.home import poll
from support.keys import Account, change_pne_keys, copied, read_keys

DEVICES = 300  # more than one group of the import


class KeyImport(BadDiskCase):
    def setUp(self):
        self.here = home = self.place("pne", devices=DEVICES, rekey="1d")
        home.start()
        home.wait_for_each(timeout=60)
        self.account = Account(home)
        self.account.take()
        self.end_the_roles()
        self.before = self.keys()
        self.assertEqual(len(self.before), DEVICES)
        change_pne_keys(home.folder, "--to-key-files")
        self.assertEqual(len(self.files()), DEVICES)
        self.assertEqual(self.keys(), self.before)

    def end_the_roles(self):
        """Without a gateway the keys stay as they are."""
        for name in ("gateway", "pne"):
            self.assertEqual(self.here.role(name).terminate(), 0)

    def keys(self) -> set:
        """Of each device its newest key, as the next start would find it."""
        with copied(self.here) as folder:
            held = [(k["entity"], k["epoch"], k["sha256"]) for k in read_keys(folder, "pne") if k["what"] == "eukey"]
        return set(held)

    def files(self) -> list:
        return sorted((self.here.folder / "state/pne").glob("urn_*.key"))

    def killed_while(self, reached):
        """Starts the process, kills it when `reached(its pid)`, and checks that each device still has its key."""
        pne = self.here.role("pne")
        pne.spawn()
        poll(lambda: reached(pne.pid), every=0.001, timeout=20, what="the moment of the kill")
        self.assertEqual(pne.kill9(), -9)
        self.script.unlink(missing_ok=True)
        self.assertEqual(self.keys(), self.before)

    def hangs(self, _) -> bool:
        """A call of the process never returns."""
        mark = pathlib.Path(f"{self.script}.hangs")
        return mark.exists() and not mark.unlink()

    def goes_on_with(self, keys: set):
        """The devices have these keys, and get the next ones."""
        home = self.here
        home.role("pne").start()
        self.assertEqual(self.keys(), keys)
        since = home.events.mark()
        home.role("gateway").start()
        home.wait_for_each(since, timeout=60)
        self.assertEqual(home.events.find(event="amnesia"), [])
        self.account.take()
        self.account.all_keyed()
        self.assertEqual(self.account.faults, [])

    def ends_well(self):
        self.goes_on_with(self.before)
        self.assertEqual(self.files(), [], "all keys are in the store")

    def test_a_kill_at_the_removal_of_a_file(self):
        files = self.files()
        for file in (files[0], files[255], files[256], files[-1]):
            self.hang(file)
            self.killed_while(self.hangs)
            self.assertTrue(file.exists())
        self.ends_well()

    def test_a_kill_at_a_flush(self):
        folder = self.here.folder / "state/pne"
        for what in ("store/CPNS_STORE", "store/MANIFEST", "store/0000"):  # the last one is RocksDB's log, with the rows
            self.script.write_text(f"sync 0 {folder}/{what}\n")
            self.killed_while(self.hangs)
        self.assertEqual(len(self.files()), DEVICES)
        self.ends_well()

    def test_kills_at_random_moments(self):
        seed = int(os.environ.get("CPNS_E2E_SEED", random.SystemRandom().randrange(1 << 31)))
        print("seed", seed, flush=True)
        draw = random.Random(seed)
        while files := self.files():
            until = draw.randrange(len(files))
            self.killed_while(lambda _, until=until: len(self.files()) <= until)
        self.ends_well()

    def test_an_old_file_that_is_put_back_is_never_used(self):
        file, old = self.files()[0], self.here.folder / "old.key"
        shutil.copy(file, old)
        self.ends_well()
        self.end_the_roles()
        newest = self.keys()
        self.assertFalse(newest & self.before, "each device has a newer key now")
        shutil.copy(old, file)
        self.goes_on_with(newest)
        said = self.here.events.wait(role="pne", event="key-files-ignored")
        self.assertEqual(len(said), 1)
        self.assertIn(str(file), said[0]["text"])
        self.assertTrue(file.exists(), "somebody put it there")


if __name__ == "__main__":
    unittest.main()
