#!/usr/bin/env python3
"""packaging/pages.py: each command has its part in a page and its words in the completion, and a --help of unknown form is refused."""
import gzip
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "packaging/pages.py"
CPNS = os.environ["CPNS_BIN"]
sys.path.insert(0, str(PAGES.parent))
sys.dont_write_bytecode = True
import pages  # noqa: E402


def make(program, folder):
    return subprocess.run(["/usr/bin/python3", "-B", PAGES, program, folder], capture_output=True, text=True, timeout=100)


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.held = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.held.name) / "pages"
        done = make(CPNS, cls.folder)
        assert done.returncode == 0, done.stderr
        cls.tree = pages.read(CPNS)
        cls.texts = {path.stem: gzip.decompress(path.read_bytes()).decode() for path in cls.folder.rglob("*.gz")}

    @classmethod
    def tearDownClass(cls):
        cls.held.cleanup()

    def complete(self, *words):
        script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _cpns; printf "%s\\n" "${COMPREPLY[@]}"'
        command = ["bash", "-c", script, self.folder / "completion", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_each_command_has_a_page_and_each_option_is_in_it(self):
        self.assertGreater(len(list(self.tree.walk())), 30)
        for command in self.tree.walk():
            name = "-".join(("cpns", *command.path[:1])) + (".8" if command.path[:1] and command.path[0] in pages.ROLES else ".1")
            with self.subTest(command.name):
                text = self.texts[name]
                self.assertIn(pages.roff(command.summary), text)
                for section in ("Positionals", "Options"):
                    for entry in command.lists.get(section, []):
                        self.assertIn(pages.roff(entry.names[-1]), text)
                        self.assertIn(pages.roff(entry.text), text)

    def test_each_group_shows_examples_of_its_own_commands(self):
        groups = [c for c in self.tree.walk() if c.path and c.subcommands]
        self.assertGreater(len(groups), 10)
        for group in groups:
            with self.subTest(group.name):
                said = subprocess.run([CPNS, *group.path, "--help"], capture_output=True, text=True, timeout=20).stdout
                examples = [line.strip() for line in said.partition("Examples:\n")[2].splitlines() if line.strip()]
                self.assertTrue(examples)
                self.assertEqual([e for e in examples if not e.startswith(group.name + " ")], [])

    def test_a_page_is_the_same_each_time(self):
        again = self.folder.parent / "again"
        self.assertEqual(make(CPNS, again).returncode, 0)
        for path in self.folder.rglob("*.gz"):
            self.assertEqual(path.read_bytes(), (again / path.relative_to(self.folder)).read_bytes())

    def test_man_has_no_complaint(self):
        if not shutil.which("man") or not shutil.which("groff"):
            self.skipTest("man or groff is not installed; tests/packages/run does the same")
        for path in self.folder.rglob("*.gz"):
            man = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path]
            done = subprocess.run(man, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), path)

    def test_completion_proposes_commands_and_options_of_each_command(self):
        for command in self.tree.walk():
            with self.subTest(command.name):
                words = command.name.split()
                options = [name for option in command.lists["Options"] for name in option.names]
                self.assertEqual(self.complete(*words, "-"), options)
                if command.subcommands:
                    self.assertEqual(self.complete(*words, ""), [sub.path[-1] for sub in command.subcommands])

    def test_completion_proposes_values(self):
        (self.folder / "a file.yaml").touch()
        self.assertEqual(self.complete("cpns", "ca", "issue", "s"), ["server"])
        self.assertEqual(self.complete("cpns", "transport", "check", "tcp", "--format", "j"), ["json", "junit"])
        self.assertEqual(self.complete("cpns", "transport", "check", "--format", "=", "te"), ["text"])
        self.assertEqual(self.complete("cpns", "pne", "--config", "a.yaml", "wa"), ["wake"])
        self.assertEqual(self.complete("cpns", "server", "--config", "a"), ["a", "file.yaml"])
        self.assertEqual(self.complete("cpns", "user", "add", "--stdin", ""), [])
        self.assertEqual(self.complete("cpns", "nothing", ""), [])

    def test_a_help_of_another_form_is_refused_and_writes_nothing(self):
        good = "Sum\nUsage: cpns [OPTIONS]\n\nOptions:\n  -h,--help   Help\n"
        for name, text in (("no-usage", good.replace("Usage", "Use")), ("no-help", good.replace("-h,--help", "--other")),
                           ("odd-option", good + "  what is this   A text\n"), ("short", "Sum\n")):
            with self.subTest(name):
                program = self.folder.parent / name
                program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1 || printf "%s" \'{text}\'\n')
                program.chmod(0o755)
                refused = make(program, self.folder.parent / f"{name}-out")
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertTrue(refused.stderr.startswith("pages.py: "), refused.stderr)
                self.assertFalse((self.folder.parent / f"{name}-out").exists())

    def test_a_program_that_fails_is_reported(self):
        refused = make("/bin/false", self.folder.parent / "false-out")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("pages.py: ", refused.stderr)


if __name__ == "__main__":
    unittest.main()
