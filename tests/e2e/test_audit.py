"""The audit trail of each role in its processes: commands write it, a start closes what a crash left, rotations go on, a full disk refuses
changes and stops no assignment, and an editor without the key of the store is found."""

import hashlib
import hmac
import json
import os
import pathlib
import signal
import subprocess
import unittest

from support.case import E2ECase
from support.home import poll
from support.keys import read_keys
from support.mount import audit_on_small_disk
from support.process import cpns_binary

PASSWORD = "correct horse battery"


class Audit(E2ECase):
    def home(self, **options):
        home = super().home(**options)
        home.add_user("bob", PASSWORD)  # no gateway's user
        return home

    def trail(self, home, role="server") -> pathlib.Path:
        return home.folder / f"state/{role}.audit.jsonl"

    def lines(self, home, role="server") -> list:
        return [json.loads(line) for line in self.trail(home, role).read_text().splitlines()]

    def verify(self, home, role="server", *files, check=True):
        done = home.cli("audit", "verify", "--json", "--config", f"{role}.yaml", *files, check=check)
        return json.loads(done.stdout) if done.stdout else done

    def change(self, home, check=True):
        return home.cli("user", "passwd", "bob", "--stdin", "--config", "server.yaml", stdin=PASSWORD + "\n", check=check)

    def test_of_each_role_begins_and_is_whole(self):
        home = self.home(devices=2)
        home.start()
        home.wait_for_each()
        for role in ("server", "gateway", "pne"):
            self.assertEqual(self.lines(home, role)[0]["kind"], "began", role)
            self.assertEqual(self.trail(home, role).stat().st_mode & 0o777, 0o600)
            self.assertTrue(self.verify(home, role)["whole"], "while the role runs")
            self.assertIn("began", home.cli("audit", "show", "--config", f"{role}.yaml").stdout)
        for role in ("pne", "gateway", "server"):
            self.assertEqual(home.role(role).terminate(), 0, role)
            self.assertTrue(self.verify(home, role)["whole"])
        self.change(home)
        before = self.trail(home).read_bytes()
        home.start()
        home.wait_for_each(home.role("gateway").since)
        self.assertEqual(self.trail(home).read_bytes(), before, "a start that finds all in order writes nothing")

    def test_names_the_person_behind_a_command(self):
        home = self.home(devices=1)
        self.change(home)
        intent, outcome = self.lines(home)[-2:]
        who = intent["who"]
        self.assertEqual((intent["kind"], intent["action"], intent["via"]), ("intent", "user-password", "command"))
        self.assertEqual((who["uid"], who["gid"]), (os.getuid(), os.getgid()))
        self.assertEqual(who["executable"], str(pathlib.Path(cpns_binary()).resolve()))
        self.assertEqual((outcome["intent"], outcome["outcome"]), (intent["number"], "done"))
        self.assertNotEqual(intent["before"]["password_id"], intent["after"]["password_id"])

    def test_links_can_be_checked_without_a_key(self):
        """The check in docs/audit.md, and the MACs themselves with the key."""
        home = self.home(devices=1)
        self.change(home)
        before = None
        for line in self.lines(home):
            self.assertTrue(before is None or (line["number"], line["previous"]) == (before["number"] + 1, before["mac"]))
            before = line
        key = next(bytes.fromhex(k["value"]) for k in read_keys(home.folder, "server", reveal=True) if k["what"] == "audit_key")
        for text in self.trail(home).read_bytes().splitlines():
            body, mac = text.split(b',"mac":')
            self.assertEqual(mac, b'"' + hmac.digest(key, body, "sha256").hex().encode() + b'"}')

    def test_finds_an_editor_without_the_key(self):
        home = self.home(devices=1)
        self.change(home)
        whole = self.trail(home).read_bytes()
        kept = whole.splitlines(keepends=True)
        forged = json.loads(kept[-1])
        forged["outcome"] = "failed"
        for name, content in {"a word": whole.replace(b'"done"', b'"fail"', 1), "a dropped line": b"".join(kept[:3] + kept[4:]),
                              "a cut end": b"".join(kept[:-2]), "nothing": b"", "a line written again": b"".join(kept[:-1]) +
                              json.dumps(forged, separators=(",", ":")).encode() + b"\n"}.items():
            with self.subTest(name):
                self.trail(home).write_bytes(content)
                done = home.cli("audit", "verify", "--config", "server.yaml", check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn("the trail is not as the role wrote it", done.stderr)
        self.trail(home).write_bytes(whole)
        self.assertTrue(self.verify(home)["whole"])
        # A role that finds a cut end says so in the log and in the trail, and starts.
        self.trail(home).write_bytes(b"".join(kept[:-2]))
        home.start("server")
        self.assertTrue(home.events.find(role="server", event="audit-file-repaired"))
        self.assertEqual(home.role("server").terminate(), 0)
        self.assertEqual(self.lines(home)[-1]["found"], {"lines_end_with": len(kept) - 2})
        self.assertFalse(self.verify(home, check=False)["whole"])

    def test_goes_on_after_rotations_and_kills(self):
        home = self.home(devices=1)
        older = []
        for n in range(4):
            moved = self.trail(home).with_suffix(f".{n}")
            self.trail(home).rename(moved)
            older.append(moved)
            home.role("server").start()
            self.assertTrue(home.role("server").reload()["event"] == "reloaded")
            poll(self.trail(home).exists, what="the new file")
            home.role("server").kill9()
            self.change(home)
        self.assertTrue(self.verify(home, "server", *reversed(older))["whole"])
        self.assertFalse(self.verify(home, "server", *older[:2], check=False)["whole"])
        self.assertTrue(self.verify(home)["whole"], "older files may be elsewhere")

    def test_a_killed_command_leaves_an_outcome_at_the_next_start(self):
        home = self.home(devices=1)
        rows = "".join(f"urn:dev:os:1-{n},{hashlib.sha256(str(n).encode()).hexdigest()},128bit\n" for n in range(30_000))
        file = home.folder / "many.csv"
        file.write_text("entity_id,temporary_key,strength\n" + rows)
        file.chmod(0o600)
        command = subprocess.Popen([cpns_binary(), "device", "import", "many.csv", "--config", "server.yaml"], cwd=home.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        poll(lambda: b'"many.csv"' in self.trail(home).read_bytes(), every=0.001, what="the intent")
        command.send_signal(signal.SIGKILL)
        command.wait()
        begun = len(home.cli("device", "list", "--config", "server.yaml").stdout.splitlines()) > 1
        if self.lines(home)[-1]["kind"] == "outcome":
            self.skipTest("the import was faster than the kill")
        home.start("server")
        last = self.lines(home)[-1]
        self.assertEqual((last["action"], last["recovered"]), ("device-import", True))
        done = last["outcome"] == "done"
        self.assertTrue(done or (last["outcome"] == "not_done" and not begun), last)
        if done:  # it was decided, so the start goes on with it
            home.events.wait(lambda e: e["event"] == "import-ended", role="server", timeout=30)
        self.assertTrue(home.events.find(role="server", event="audit-outcome-recovered"))
        self.assertEqual(home.role("server").terminate(), 0)
        listed = home.cli("device", "list", "--config", "server.yaml").stdout.splitlines()
        self.assertEqual(len(listed), 30_001 if done else 1)
        self.assertTrue(self.verify(home)["whole"])

    def test_a_full_disk_refuses_changes_and_stops_no_assignment(self):
        home = self.home(devices=2)
        disk = audit_on_small_disk(self, home, self.trail(home))
        disk.fill()
        changes = []
        # The last page of the file has room for a few lines.
        while not changes or changes[-1].returncode == 0:
            changes.append(self.change(home, check=False))
            self.assertLess(len(changes), 20)
        self.assertIn("the audit trail cannot record the change, so it was not made: ", changes[-1].stderr)
        self.assertIn("No space left on device", changes[-1].stderr)
        home.start()
        home.wait_for_each()
        home.role("server").terminate()
        disk.make_room()
        self.change(home)
        self.assertTrue(self.verify(home)["whole"])
        kept = [json.loads(line) for line in (disk.folder / "server.jsonl").read_text().splitlines()]
        kept = [line for line in kept if line.get("action") == "user-password"]
        self.assertEqual([line["outcome"] for line in kept if line["kind"] == "outcome"], ["done"] * len(changes),
                         "the refused change left no line, and each other one has its outcome")
        self.assertEqual(len(kept), 2 * len(changes))

    def reloaded_with(self, home, set_size: int) -> dict:
        home.server["keys"] = {"set_size": set_size}
        home.write()
        return home.role("server").reload()

    def test_has_what_a_reload_changed(self):
        home = self.home(devices=1)
        home.start("server")
        before = len(self.lines(home))
        self.assertEqual(self.reloaded_with(home, 7)["event"], "reloaded")
        intent, outcome = self.lines(home)[before:]
        self.assertEqual((intent["action"], intent["via"], intent["object"]),
                         ("configuration-reload", "file", str(home.folder / "server.yaml")))
        self.assertEqual((intent["who"]["uid"], intent["who"]["pid"]), (os.getuid(), home.role("server").pid))
        self.assertEqual((list(intent["before"]), intent["after"]), (["keys.set_size"], {"keys.set_size": 7}))
        self.assertEqual((outcome["intent"], outcome["outcome"]), (intent["number"], "done"))
        self.assertEqual(self.reloaded_with(home, 7)["event"], "reloaded")
        self.assertEqual(len(self.lines(home)), before + 2, "nothing changed")
        home.server["api"] = {**home.server.get("api", {}), "groups": {"viewer": ["nogrp9"]}}
        self.assertEqual(self.reloaded_with(home, 7)["event"], "reload-refused")
        intent, outcome = self.lines(home)[before + 2:]
        self.assertEqual((intent["after"], outcome["outcome"]), ({"api.groups.viewer": ["nogrp9"]}, "refused"))
        self.assertIn("no group 'nogrp9'", outcome["reason"])
        self.assertEqual(home.role("server").terminate(), 0)
        self.assertTrue(self.verify(home)["whole"])

    def test_a_full_disk_refuses_a_reload_and_counts_it(self):
        home = self.home(devices=1)
        disk = audit_on_small_disk(self, home, self.trail(home))
        home.start("server")
        disk.fill()
        said = [self.reloaded_with(home, 5)]
        # The last page of the file has room for a few lines.
        while said[-1]["event"] == "reloaded":
            said.append(self.reloaded_with(home, 5 + len(said)))
            self.assertLess(len(said), 20)
        self.assertIn("the audit trail cannot record the change, so it was not made: ", said[-1]["text"])
        shown = json.loads(home.cli("config", "show", "--running", "--config", "server.yaml").stdout)
        self.assertNotEqual(shown["keys"]["set_size"], home.server["keys"]["set_size"])
        disk.make_room()
        file = disk.folder / "server.jsonl"
        poll(lambda: '"unwritten":true' in file.read_text(), what="the count")
        counted = next(line for line in map(json.loads, file.read_text().splitlines()) if line["kind"] == "refusals")
        self.assertEqual(counted["left_out"], 1)
        self.assertEqual(self.reloaded_with(home, 5 + len(said))["event"], "reloaded")

    def test_two_roles_may_not_share_a_file(self):
        home = self.home(devices=1)
        home.server["audit"] = home.gateway["audit"] = {"file": "state/shared.jsonl"}
        home.write()
        home.start("server")
        with self.assertRaises(AssertionError):
            home.role("gateway").start()
        said = home.events.find(role="gateway", event="not-started")[0]["text"]
        self.assertIn("is in use by another role; give each role a file of its own", said)


if __name__ == "__main__":
    unittest.main()
