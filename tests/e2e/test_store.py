"""A role whose store cannot be used reports it in one line, ends with 1, and does not change the files."""

import json
import pathlib
import shutil
import unittest

from support.case import E2ECase
from support.keys import change_pne_keys, read_keys
from support.mount import Tmpfs
from support.process import Process, cpns_binary


def bytes_of(folder: pathlib.Path) -> dict:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def flip(file: pathlib.Path, at: int):
    content = bytearray(file.read_bytes())
    content[at] ^= 0x55
    file.write_bytes(content)


class StoreCase(E2ECase):
    def refused(self, home, name: str, *says):
        """The role must not start, and report the reason in one line each in the log and on standard error."""
        role = home.role(name).spawn()
        self.assertEqual(role.wait(20), 1, home.events.tail())
        said = home.events.find(role=name, run=role.run, event="not-started")
        self.assertEqual(len(said), 1, home.events.tail())
        for text in says:
            self.assertIn(text, said[0]["text"])
        lines = [e["text"] for e in home.events.find(role=name, run=role.run, event="raw")]
        # An error in a named file is reported at its position in the configuration, as by `cpns config check`.
        located = said[0]["text"].startswith(f"{home.folder / name}.yaml:")
        self.assertEqual(lines, [said[0]["text"] if located else f"cpns: {said[0]['text']}"])
        return said[0]["text"]

    def keyed(self, **options):
        """A home whose PNEs are keyed and whose roles have ended with 0."""
        home = self.home(devices=1, **options)
        home.start()
        home.events.wait(role="gateway", event="confirmed", timeout=20)
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0, name)
        return home


class Unwritable(StoreCase):
    def test_a_file_where_a_folder_must_be(self):
        home = self.home(devices=1)
        (home.folder / "file").write_text("precious")
        for name in ("server", "gateway"):
            getattr(home, name)["store"]["path"] = "file/store"
        home.pne["keys_dir"] = "file/keys"
        home.write()
        for name in ("server", "gateway", "pne"):
            with self.subTest(name):
                self.refused(home, name, str(home.folder / "file"), "Not a directory")
        for name in ("server", "gateway"):
            getattr(home, name)["store"]["path"] = "file"
            home.write()
            with self.subTest(name):
                self.refused(home, name, str(home.folder / "file"), "is not a folder")
        self.assertEqual((home.folder / "file").read_text(), "precious")

    def test_a_read_only_disk(self):
        home = self.keyed()
        disk = Tmpfs(home.folder / "disk", "32m")
        self.addCleanup(disk.close)
        shutil.move(home.folder / "state", disk.folder / "state")
        for name in ("server", "gateway"):
            getattr(home, name)["store"]["path"] = f"disk/state/{name}"
        home.pne["keys_dir"] = "disk/state/pne"
        home.write()
        disk.make_read_only()
        for name in ("server", "gateway"):
            with self.subTest(name):
                self.refused(home, name, str(disk.folder), "Read-only file system")
        for name in ("server", "gateway"):
            getattr(home, name)["store"]["path"] = f"disk/fresh/{name}"
        home.write()
        for name in ("server", "gateway"):
            with self.subTest(f"{name}, a new one"):
                self.refused(home, name, str(disk.folder), "Read-only file system")


class Locked(StoreCase):
    def test_names_the_process_that_holds_it(self):
        home = self.home(devices=1)
        home.server["api"] = {"socket": "none"}  # so that a command cannot ask the running server
        home.write()
        home.start()
        for name in ("server", "gateway", "pne"):
            running = home.role(name)
            second = self.second_of(home, name)
            self.assertEqual(second.wait(20), 1)
            said = home.events.find(role=f"{name}-2", event="not-started")[0]["text"]
            self.assertIn(f"is held by process {running.pid}", said)
            self.assertIn("stop it, or give each role", said)
            self.assertTrue(running.running())
        command = home.cli("device", "list", "--config", "server.yaml", check=False)
        self.assertEqual(command.returncode, 1)
        self.assertIn("the server is running", command.stderr)
        home.events.wait(role="gateway", event="confirmed", timeout=20)

    def second_of(self, home, name):
        second = Process(f"{name}-2", [cpns_binary(), name, "--config", home.folder / f"{name}.yaml"], home.events, home.folder)
        home.processes.append(second)
        return second.spawn()


class Damaged(StoreCase):
    """A damaged store is never repaired silently or recreated; with the damage undone all data is there."""

    def each_role(self, damage, *says, opened_before=False):
        home = self.keyed()
        for name in ("server", "gateway"):
            folder = home.folder / "state" / name
            with self.subTest(name):
                if opened_before:  # the next opening moves the log into a table file
                    home.start(name)
                    home.role(name).terminate()
                sound = bytes_of(folder)
                damage(folder)
                hurt = bytes_of(folder)
                for _ in range(2):
                    self.refused(home, name, str(folder), *says)
                self.assertEqual(set(hurt) - set(bytes_of(folder)), set(), "the refused start removed a file")
                for file in folder.iterdir():
                    file.unlink()
                for file, content in sound.items():
                    (folder / file).write_bytes(content)
        home.start()
        home.events.wait(role="gateway", event="confirmed", since=home.role("gateway").since, timeout=20)
        self.assertEqual(home.events.find(role="gateway", run=home.role("gateway").run, event="requested"), [],
                         "the assigned keys are still there")

    def test_files_but_no_current(self):
        self.each_role(lambda folder: (folder / "CURRENT").unlink(), "CURRENT", "restore it from a backup")

    def test_an_empty_current(self):
        self.each_role(lambda folder: (folder / "CURRENT").write_bytes(b""), "restore it from a backup")

    def test_a_damaged_manifest(self):
        self.each_role(lambda folder: flip(next(folder.glob("MANIFEST-*")), 20), "restore it from a backup")

    def test_a_manifest_that_is_gone(self):
        self.each_role(lambda folder: next(folder.glob("MANIFEST-*")).unlink(), "restore it from a backup")

    def test_a_damaged_log(self):
        def damage(folder):
            log = max(folder.glob("*.log"), key=lambda f: f.stat().st_size)
            flip(log, 40)
        self.each_role(damage, "restore")

    def test_a_damaged_table(self):
        """Damage anywhere in it is reported, at the start or when the row is read; no key is invented."""
        home = self.keyed()
        home.start("server", "gateway")  # moves the logs into tables
        for name in ("gateway", "server"):
            home.role(name).terminate()
        for name in ("server", "gateway"):
            with self.subTest(name):
                table = next((home.folder / "state" / name).glob("*.sst"))
                sound = table.read_bytes()
                table.write_bytes(bytes(b ^ 0x55 if at % 97 == 0 else b for at, b in enumerate(sound)))
                self.refused(home, name, "restore")
                table.write_bytes(sound)

    def test_a_folder_with_foreign_files(self):
        home = self.home(devices=1)
        notes = home.folder / "notes"
        notes.mkdir()
        (notes / "todo").write_text("milk")
        for name in ("server", "gateway"):
            getattr(home, name)["store"]["path"] = "notes"
        home.write()
        for name in ("server", "gateway"):
            self.refused(home, name, str(notes), "name an empty folder, or restore")
        self.assertEqual(bytes_of(notes), {"todo": b"milk"})

    def test_the_key_of_another_store(self):
        home = self.keyed()
        shutil.copy(home.folder / "gateway.kek", home.folder / "server.kek")
        self.refused(home, "server", "server")
        (home.folder / "gateway.kek").unlink()
        self.refused(home, "gateway", "gateway.kek")
        self.assertFalse((home.folder / "gateway.kek").exists(), "the key file must not be recreated")


class Rewrapped(StoreCase):
    """`cpns store rewrap` changes the key-encryption key of a stopped role and keeps its rows."""

    def rewrap(self, home, name, *options, check=True):
        return home.cli("store", "rewrap", "--config", f"{name}.yaml", *options, check=check)

    def test_each_role_opens_only_with_the_new_key_and_has_its_keys(self):
        home = self.keyed()
        before = {name: read_keys(home.folder, name) for name in ("server", "gateway", "pne")}
        for name in before:
            with self.subTest(name):
                new = home.folder / f"{name}-2.kek"
                said = json.loads(self.rewrap(home, name, "--new-file", new.name, "--json").stdout)
                self.assertEqual((said["role"], said["rewrapped"], said["protector"]),
                                 (name, 1, {"kind": "file", "file": str(new)}))
                self.assertEqual(new.stat().st_mode & 0o777, 0o600)
                self.refused(home, name, f"{name}.kek cannot unwrap the data key", "after `cpns store rewrap`: the old one")
                getattr(home, name)["protector"]["file"] = new.name
                home.write()
                self.assertEqual(read_keys(home.folder, name), before[name])
                (home.folder / f"{name}.kek").unlink()  # nothing needs the old key
        home.start()
        home.events.wait(role="gateway", event="confirmed", since=home.role("gateway").since, timeout=20)
        self.assertEqual(home.events.find(role="gateway", run=home.role("gateway").run, event="requested"), [],
                         "the assigned keys are still there")

    def test_a_role_names_the_command_that_finishes_an_interrupted_one(self):
        home = self.keyed()
        for name in ("server", "gateway", "pne"):
            with self.subTest(name):
                kek = home.folder / f"{name}.kek"
                self.rewrap(home, name, "--in-place")
                # As a crash before the last step leaves it: the old key is in FILE, the new one in FILE.rewrap.
                kek.rename(f"{kek}.rewrap")
                shutil.copy(f"{kek}.old", kek)
                self.refused(home, name, f"{kek}.rewrap opens it: `cpns store rewrap --in-place` was interrupted; repeat it")
                said = self.rewrap(home, name, "--in-place").stdout
                self.assertIn("An earlier call had rewrapped 1 data key", said)
        home.start()
        home.events.wait(role="gateway", event="confirmed", since=home.role("gateway").since, timeout=20)


class OldKeyFileOfAPne(StoreCase):
    def test_a_damaged_file_is_refused_and_not_recreated(self):
        home = self.keyed()
        change_pne_keys(home.folder, "--to-key-files")
        file = next((home.folder / "state/pne").glob("urn_*.key"))
        sound = file.read_bytes()
        hurts = {"a byte": bytes([*sound[:60], sound[60] ^ 1, *sound[61:]]), "cut": sound[:-1], "empty": b"", "other": b"hello"}
        for name, content in hurts.items():
            with self.subTest(name):
                file.write_bytes(content)
                self.refused(home, "pne", str(file), "restore it from a backup")
                self.assertEqual(file.read_bytes(), content)
        file.write_bytes(sound)
        shared = home.folder / "state/pne/data.key"
        kept = shared.read_bytes()
        shared.write_bytes(kept[:-1])
        self.refused(home, "pne", str(shared))
        shared.write_bytes(kept)
        # A power cut during a write leaves an incomplete FILE.new beside the complete file, which counts.
        file.with_name(file.name + ".new").write_bytes(sound[:50])
        home.start()
        home.events.wait(role="gateway", event="confirmed", since=home.role("gateway").since, timeout=20)
        self.assertEqual(home.events.find(event="amnesia"), [], "the device still had its key")
        self.assertFalse(file.exists(), "its keys are in the store")
        self.assertFalse(file.with_name(file.name + ".new").exists())


if __name__ == "__main__":
    unittest.main()
