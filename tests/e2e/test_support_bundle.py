"""`cpns support-bundle`: one document about a role, which is shown before it is written, and names nobody."""

import json
import re
import unittest

from support.case import E2ECase
from support.home import poll
from support.keys import ROLES

PARTS = ["bundle", "made", "cpns", "system", "role", "running", "configuration", "status", "counts", "radios", "log", "audit", "doctor",
         "lines"]


class SupportBundle(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2)

    def bundle(self, role, *options, stdin="", check=True):
        return self.place.cli("support-bundle", "--config", f"{role}.yaml", *options, stdin=stdin, check=check)

    def made(self, role, *options) -> dict:
        name = f"{role}-{len(list(self.place.folder.glob('*.json')))}.json"
        done = self.bundle(role, "--output", name, "--yes", *options)
        text = (self.place.folder / name).read_text()
        self.assertEqual(done.stdout, text, "the same is shown")
        return json.loads(text)

    def test_of_a_running_role_has_all_parts(self):
        self.place.start()
        self.place.wait_for_each()
        for role in ROLES:
            with self.subTest(role):
                made = self.made(role)
                self.assertEqual((list(made), made["role"], made["running"]), (PARTS, role, True))
                self.assertEqual(made["log"]["level"], "info")
                self.assertEqual(made["audit"]["whole"], True)
                self.assertEqual(made["status"]["role"], role)
                self.assertIn("missing", made["counts"])
                self.assertTrue({"id", "kernel"} <= made["system"].keys())
                self.assertIn("ready", [line["event"] for line in made["lines"]])
                self.assertNotIn("text", {key for line in made["lines"] for key in line})
                self.assertTrue({"configuration", "store"} <= {line["check"] for line in made["doctor"]})
        for role in ("gateway", "pne"):
            self.assertEqual([r["plugin"] for r in self.made(role)["radios"]["radios"]], ["tcp"])

    def test_of_a_stopped_role_counts_its_rows_and_has_the_end_of_its_log_file(self):
        for form in ("text", "json"):
            self.place.server["log"] = {"format": form, "level": "info", "file": f"server-{form}.log"}
            self.place.write()
            file = self.place.folder / f"server-{form}.log"
            self.place.role("server").spawn()
            poll(lambda: file.exists() and "ready" in file.read_text(), what="the log file")
            self.assertEqual(self.place.role("server").terminate(), 0)
            made = self.made("server")
            self.assertEqual((made["running"], made["counts"]["users"], made["counts"]["devices"]), (False, 1, 2))
            self.assertIn("missing", made["status"])
            self.assertIn("ready", [line["event"] for line in made["lines"]], form)

    def test_gives_one_pseudonym_to_one_name_and_another_in_the_next_bundle(self):
        self.place.start()
        self.place.wait_for_each()
        first, second = self.made("gateway"), self.made("gateway")
        entities = {x["entity"] for x in first["lines"] if "entity" in x}
        self.assertEqual(len(entities), 2)
        for entity in entities:
            self.assertRegex(entity, r"^entity-[0-9a-f]{8}$")
        self.assertFalse(entities & {x["entity"] for x in second["lines"] if "entity" in x})
        linked = {link["entity"] for radio in first["radios"]["radios"] for link in radio["links"] if "entity" in link}
        self.assertLessEqual(linked, entities, "the same names in all parts")
        self.assertEqual(first["configuration"]["user"], first["status"]["user"])
        self.assertRegex(first["configuration"]["servers"][0], rf"^address-[0-9a-f]{{8}}:{self.place.server_port}$")
        text = json.dumps(first)
        hidden = [self.place.user, self.place.address, *(e for e, _ in self.place.devices), "urn:cpns:"]
        self.assertEqual([name for name in hidden if name in text], [])
        self.assertEqual(re.findall(r"\d+\.\d+\.\d+\.\d+", text), [])

    def test_has_the_names_if_they_are_wanted(self):
        self.place.start()
        self.place.wait_for_each()
        made = self.made("gateway", "--with-ids")
        self.assertEqual(made["configuration"]["user"], self.place.user)
        self.assertEqual({x["entity"] for x in made["lines"] if "entity" in x}, {e for e, _ in self.place.devices})

    def test_is_written_after_a_yes_alone_and_replaces_nothing(self):
        for answer in ("", "n\n", "yes please\n", "\n"):
            refused = self.bundle("pne", "--output", "a.json", stdin=answer, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertEqual(json.loads(refused.stdout)["role"], "pne", "it is shown")
            self.assertIn("nothing was written", refused.stderr)
        self.assertFalse((self.place.folder / "a.json").exists())
        self.bundle("pne", "--output", "a.json", stdin="y\n")
        file = self.place.folder / "a.json"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        before = file.read_bytes()
        again = self.bundle("pne", "--output", "a.json", "--yes", check=False)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertEqual(file.read_bytes(), before)

    def test_of_a_file_with_errors_does_not_quote_it(self):
        (self.place.folder / "pne.yaml").write_text("role: pne\npassword: hunter2-hunter2\n")
        said = self.bundle("pne", "--output", "a.json", "--yes").stdout
        self.assertNotIn("hunter2", said)
        self.assertIn("cpns config check", json.loads(said)["configuration"]["missing"])


if __name__ == "__main__":
    unittest.main()
