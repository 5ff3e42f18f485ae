#!/usr/bin/env python3
"""docs/openapi/problems.yaml lists the codes that the program has, and no others."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/openapi"))
import document  # noqa: E402

MODULES = ("api", "actors", "server", "cli")
# refuse(404, "code", ...), problem{404, "code", ...}, and {404, "code", ...} where a problem is returned.
NAMED = re.compile(r'(?:[({]|^)\s*([45]\d\d),\s*"([a-z][a-z-]*)"\s*,', re.M)
REFUSED = re.compile(r"\brefuse\(\s*[45]\d\d,\s*(\S+)")


def sources():
    for module in MODULES:
        for file in sorted((ROOT / module).rglob("*.cpp")):
            yield file.relative_to(ROOT), file.read_text()


class Codes(unittest.TestCase):
    def setUp(self):
        self.listed = {c.code: c.status for c in document.problem_codes().values()}
        out = subprocess.run([os.environ["CPNS_ERROR_CODES"]], check=True, capture_output=True, text=True).stdout
        self.errors = {code: int(status) for code, status in (line.split() for line in out.splitlines())}

    def test_every_error_is_listed_with_its_status(self):
        self.assertGreater(len(self.errors), 40)
        self.assertEqual({code: self.listed.get(code) for code in self.errors}, self.errors)

    def test_every_code_of_the_sources_is_listed_with_its_status(self):
        used = set()
        for name, text in sources():
            for status, code in NAMED.findall(text):
                with self.subTest(f"{name}: {code}"):
                    self.assertEqual(self.listed.get(code), int(status), "see docs/openapi/problems.yaml")
                    used.add(code)
        self.assertIn("bad-json", used)
        self.assertIn("too-many-connections", used)
        self.assertFalse(self.listed.keys() - used - self.errors.keys(), "listed, but nowhere in the program")

    def test_a_code_is_written_as_a_literal(self):
        """Otherwise the test above would not see it."""
        for name, text in sources():
            for first in REFUSED.findall(text):
                with self.subTest(f"{name}: {first}"):
                    self.assertRegex(first, r'^"[a-z-]+",$')

    def test_a_listed_code_is_unique(self):
        tree = document.Files().tree("problems.yaml")["components"]["schemas"]["ProblemCode"]["oneOf"]
        self.assertEqual(len(tree), len(self.listed))


if __name__ == "__main__":
    unittest.main()
