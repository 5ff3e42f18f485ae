"""What an administrator asks of a role that runs: another key for its store, its configuration, a check of its audit trail."""

import json
import os
import unittest

from support.api_home import add_sockets, connect
from support.case import E2ECase
from support.keys import ROLES, read_keys

PROBLEM = "config-usage"


class RunningRole(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2, rekey="1s")
        add_sockets(self.place)
        self.place.write()

    def start(self):
        self.place.start()
        self.place.wait_for_each()

    def ask(self, role, verb, target, body=None):
        if body is None:
            return connect(self.place, role).ask(verb, target)
        return connect(self.place, role).ask(verb, target, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def wait_for_a_new_key(self):
        """The roles still work, and write their stores."""
        self.place.wait_for_each(self.place.events.mark())

    def stop(self):
        for role in reversed(ROLES):
            self.assertEqual(self.place.role(role).terminate(), 0, role)


class Rewrap(RunningRole):
    def rewrap(self, role, *options, check=True):
        return self.place.cli("store", "rewrap", "--config", f"{role}.yaml", *options, check=check)

    def test_changes_the_key_of_each_role_while_it_works(self):
        self.start()
        for role in ROLES:
            with self.subTest(role):
                new = self.place.folder / f"{role}-2.kek"
                said = json.loads(self.rewrap(role, "--new-file", new.name, "--json").stdout)
                self.assertEqual((said["role"], said["rewrapped"], said["protector"], said["in_place"]),
                                 (role, 1, {"kind": "file", "file": str(new)}, False))
                self.assertEqual(said["old"], {"kind": "file", "file": str(self.place.folder / f"{role}.kek")})
                self.assertEqual(new.stat().st_mode & 0o777, 0o600)
                self.assertEqual(self.ask(role, "GET", "/v1/config").json["protector"]["file"], str(new))
        self.wait_for_a_new_key()
        self.stop()
        for role in ROLES:
            (self.place.folder / f"{role}.kek").unlink()
            getattr(self.place, role)["protector"]["file"] = f"{role}-2.kek"
        self.place.write()
        self.start()
        for role in ROLES:
            self.assertIn("rewrapped 1 data key", self.rewrap(role, "--new-file", f"{role}-3.kek").stdout)
            last = [json.loads(x) for x in (self.place.folder / f"state/{role}.audit.jsonl").read_text().splitlines()][-2:]
            self.assertEqual([(x["kind"], x["action"]) for x in last], [("intent", "store-rewrap"), ("outcome", "store-rewrap")])
            self.assertEqual(last[0]["via"], "socket")
            self.assertEqual(last[0]["before"]["file"], str(self.place.folder / f"{role}-2.kek"))
            self.assertEqual(last[1]["after"]["file"], str(self.place.folder / f"{role}-3.kek"))

    def test_says_the_same_on_a_running_and_on_a_stopped_role(self):
        self.start()
        running = self.rewrap("gateway", "--in-place").stdout
        self.place.role("gateway").kill9()
        (self.place.folder / "gateway.kek.old").unlink()
        self.assertEqual(self.rewrap("gateway", "--in-place").stdout, running)
        self.place.role("gateway").start()
        self.wait_for_a_new_key()

    def test_a_role_that_is_killed_afterwards_opens_with_the_new_key(self):
        self.start()
        for role in ROLES:
            with self.subTest(role):
                old = (self.place.folder / f"{role}.kek").read_bytes()
                self.rewrap(role, "--in-place")
                self.place.role(role).kill9()
                self.assertNotEqual((self.place.folder / f"{role}.kek").read_bytes(), old)
                self.assertEqual((self.place.folder / f"{role}.kek.old").read_bytes(), old)
                self.assertTrue(read_keys(self.place.folder, role))
                self.place.role(role).start()
        self.wait_for_a_new_key()

    def test_each_device_of_a_list_and_its_audit_trail_take_the_new_key(self):
        """The trail of such a process has a key file of its own."""
        (entity, key), self.place.pne["devices_file"] = self.place.devices[0], None
        with open(os.open(self.place.folder / "tk", os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write(key + "\n")
        for name in ("devices_file", "keys_dir"):
            del self.place.pne[name]
        self.place.pne["devices"] = [{"entity": entity, "temporary_key_file": "tk", "key_file": "state/one.key"}]
        self.place.write()
        self.place.start()
        self.place.wait_for_each(entities=[entity])
        self.assertEqual(json.loads(self.rewrap("pne", "--in-place", "--json").stdout)["rewrapped"], 2)
        self.assertEqual(self.place.role("pne").terminate(), 0)
        (self.place.folder / "pne.kek.old").unlink()
        self.assertIn("The chain is whole", self.place.cli("audit", "verify", "--config", "pne.yaml").stdout)
        self.place.role("pne").start()

    def test_a_client_can_name_no_file_outside_of_the_folder_of_keys(self):
        folder = self.place.folder
        (folder / "elsewhere").mkdir()
        (folder / "secret").write_text("0123456789\n")
        (folder / "secret").chmod(0o600)
        (folder / "inside").symlink_to("tls/server.key")
        self.start()
        before = {p.name for p in folder.rglob("*.kek*")}
        for wrong in ("elsewhere/new.kek", "/etc/new.kek", f"{folder}/elsewhere/../tls/new.kek", "..", ".", "/", "a/", "../new.kek"):
            with self.subTest(wrong):
                answer = self.ask("server", "POST", "/v1/store/rewrap", {"new_file": wrong})
                self.assertEqual((answer.code, answer.json["field"]), (PROBLEM, "new_file"), answer.text)
        for used in ("server.yaml", "inside"):
            with self.subTest(used):
                answer = self.ask("server", "POST", "/v1/store/rewrap", {"new_passphrase_file": used})
                self.assertEqual((answer.code, answer.json["field"]), (PROBLEM, "new_passphrase_file"), answer.text)
        for body in ({}, {"new_file": "a.kek", "in_place": True}, {"new_file": "a.kek", "new_passphrase_file": "secret"}):
            self.assertEqual(self.ask("server", "POST", "/v1/store/rewrap", body).code, PROBLEM)
        self.assertEqual({p.name for p in folder.rglob("*.kek*")}, before, "no file was made")
        refused = self.rewrap("server", "--new-file", "elsewhere/new.kek", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("stop the role and run `cpns store rewrap`", refused.stderr)
        self.stop()
        self.rewrap("server", "--new-file", "elsewhere/new.kek")

    def test_takes_a_key_from_the_folder_of_the_configuration(self):
        (self.place.folder / "new-keys").mkdir()
        self.place.server["protector"]["new_keys"] = "new-keys"
        self.place.write()
        self.start()
        self.assertEqual(self.ask("server", "POST", "/v1/store/rewrap", {"new_file": "new.kek"}).json["protector"]["file"],
                         str(self.place.folder / "new-keys/new.kek"))
        self.assertEqual(self.ask("server", "POST", "/v1/store/rewrap", {"new_file": str(self.place.folder / "b.kek")}).code, PROBLEM)

    def test_says_why_it_cannot_look_at_the_new_key(self):
        self.start()
        answer = self.ask("server", "POST", "/v1/store/rewrap", {"new_file": "k" * 300})
        self.assertEqual((answer.code, answer.json["field"]), ("config-file", "new_file"), answer.text)
        self.assertIn("File name too long", answer.text)

    def test_does_not_show_the_content_of_a_file_that_is_not_a_key(self):
        (self.place.folder / "notes").write_text("my-secret-note-of-today\n")
        (self.place.folder / "notes").chmod(0o600)
        self.start()
        answer = self.ask("server", "POST", "/v1/store/rewrap", {"new_file": "notes"})
        self.assertEqual((answer.code, answer.json["field"]), ("config-file", "new_file"), answer.text)
        self.assertNotIn("secret-note", answer.text)

    def test_without_an_api_the_command_says_how_to_go_on(self):
        self.place.server["api"] = {"socket": "none"}
        self.place.write()
        self.place.start("server")
        said = self.rewrap("server", "--in-place", check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn("stop it, repeat the command, start it again", said.stderr)
        self.assertIn("api.socket: none", said.stderr)


class Configuration(RunningRole):
    def test_is_that_of_the_file_with_all_defaults(self):
        self.start()
        for role in ROLES:
            with self.subTest(role):
                shown = json.loads(self.place.cli("config", "show", "--config", f"{role}.yaml").stdout)
                self.assertEqual(self.ask(role, "GET", "/v1/config").json, shown)
                self.assertEqual(self.place.cli("config", "show", "--config", f"{role}.yaml", "--running").stdout,
                                 self.place.cli("config", "show", "--config", f"{role}.yaml").stdout)
                self.assertEqual((shown["role"], shown["log"]["level"]), (role, "info"))

    def test_has_none_of_the_secrets_in_the_files_that_it_names(self):
        self.start()
        secrets = [self.place.password(), *(key for _, key in self.place.devices)]
        secrets += [(self.place.folder / f"{role}.kek").read_text().strip() for role in ROLES]
        secrets += [(self.place.folder / f"tls/{n}.key").read_text().splitlines()[1] for n in ("server", "gateway")]
        for role in ROLES:
            text = self.ask(role, "GET", "/v1/config").text
            self.assertEqual([s for s in secrets if s in text], [], role)

    def test_follows_what_a_role_reads_again_and_keeps_the_rest(self):
        self.start()
        self.place.server["keys"]["rekey"] = "2s"
        self.place.server["name"] = "other"
        self.place.write()
        self.place.role("server").reload()
        shown = self.ask("server", "GET", "/v1/config").json
        self.assertEqual((shown["keys"]["rekey"], shown["name"]), ("2s", "main"))
        self.assertEqual(json.loads(self.place.cli("config", "show", "--config", "server.yaml").stdout)["name"], "other")


class Audit(RunningRole):
    def trail(self, role="server"):
        return self.place.folder / f"state/{role}.audit.jsonl"

    def verify(self, *files, check=True):
        return self.place.cli("audit", "verify", "--json", "--config", "server.yaml", *files, check=check)

    def change(self, level):
        self.assertEqual(self.ask("server", "PUT", "/v1/log", {"component": "audit", "level": level}).status, 200)

    def test_a_running_role_checks_its_own_trail(self):
        self.start()
        self.change("debug")
        for role in ROLES:
            self.assertTrue(self.ask(role, "GET", "/v1/audit/verify").json["whole"], role)
        report = json.loads(self.verify().stdout)
        lines = len(self.trail().read_text().splitlines())
        self.assertEqual((report["whole"], report["lines"], report["head"]), (True, lines, lines))
        self.trail().write_bytes(self.trail().read_bytes().replace(b'"log-level"', b'"log-levex"', 1))
        bad = self.verify(check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertFalse(json.loads(bad.stdout)["whole"])

    def test_older_files_are_those_of_the_trail_alone(self):
        self.start()
        self.change("debug")
        older = self.trail().with_name(self.trail().name + ".1")
        self.trail().rename(older)
        self.change("info")
        self.assertIn("the files begin with line", json.loads(self.verify().stdout)["notes"][0])
        both = json.loads(self.verify(older).stdout)
        self.assertEqual((both["whole"], both["first"], len(both["files"]), both["notes"]), (True, 1, 2, []))
        for wrong in ("../server.kek", "server.yaml", f"{self.trail().name}.1/../x", "."):
            answer = self.ask("server", "GET", f"/v1/audit/verify?older={wrong.replace('/', '%2F')}")
            self.assertEqual((answer.code, answer.json["field"]), ("out-of-range", "older"), answer.text)
        self.assertEqual(self.ask("server", "GET", f"/v1/audit/verify?older={self.trail().name}.9").code, "config-file")
        self.assertIn("lie in", self.verify("server.yaml", check=False).stderr)


if __name__ == "__main__":
    unittest.main()
