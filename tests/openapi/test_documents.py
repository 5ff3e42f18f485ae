#!/usr/bin/env python3
"""Rules of the documents that a validator does not know, and the freshness of the pages that are made from them."""

import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/openapi"))
import document  # noqa: E402
import reference  # noqa: E402

LEVELS = ("viewer", "operator", "admin")
LEVELS_OF_KEYS = ("purpose",)


def operations():
    for role in document.DOCUMENTS:
        yield from document.document(role).operations


class Rules(unittest.TestCase):
    def each(self):
        for o in operations():
            with self.subTest(f"{o.role}: {o.verb} {o.path}"):
                yield o

    def test_an_operation_has_a_level_and_known_problems(self):
        for o in self.each():
            self.assertIn(o.level, LEVELS_OF_KEYS if o.role == "keys" else LEVELS)
            for code in o.node.get("x-problems", ()):
                self.assertIn(code, document.problem_codes())
                self.assertFalse(document.problem_codes()[code].of, f"{code}: any operation of its kind has it")

    def test_a_change_has_a_request_id_and_a_level_over_viewer(self):
        for o in self.each():
            named = [p["name"] for p in o.parameters_in("header") if p.get("required")]
            self.assertEqual(named, ["Cpns-Request-Id"] if o.changes else [])
            if o.changes:
                self.assertNotEqual(o.level, "viewer")

    def test_an_operation_describes_its_refusals(self):
        for o in self.each():
            self.assertIn("application/problem+json", o.answer(400)["content"])

    def test_an_operation_can_be_tried(self):
        """Examples: of each value in the path, and of the body."""
        for o in self.each():
            for p in o.parameters_in("path"):
                self.assertIn("example", p)
            for kind, body in o.body.items():
                self.assertTrue({"example", "x-file"} & body.keys(), kind)
                if kind == "application/json":
                    self.assertEqual(body["schema"].get("type"), "object")

    def test_a_stream_describes_its_events(self):
        for o in self.each():
            if o.streams:
                self.assertIn("cut-off", o.answer(200)["content"]["text/event-stream"]["x-events"])

    def test_a_summary_has_no_full_stop(self):
        for o in self.each():
            self.assertNotRegex(o.node["summary"], r"\.$")  # the pages add it


class Pages(unittest.TestCase):
    def test_they_are_fresh(self):
        with tempfile.TemporaryDirectory() as folder:
            for role in document.DOCUMENTS:
                (pathlib.Path(folder) / f"{role}.md").write_text(reference.role_page(role))
            (pathlib.Path(folder) / "problems.md").write_text(reference.problems_page())
            for page in sorted(pathlib.Path(folder).iterdir()):
                with self.subTest(page.name):
                    self.assertEqual((ROOT / "docs/api" / page.name).read_text(), page.read_text(), "stale; run: make docs")

    def test_a_link_to_a_heading_of_the_same_page_has_its_heading(self):
        for page in sorted((ROOT / "docs/api").glob("*.md")):
            text = page.read_text()
            headings = {reference.anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
            for link in re.findall(r"\]\(#([^)]+)\)", text):
                with self.subTest(f"{page.name}: {link}"):
                    self.assertIn(link, headings)


if __name__ == "__main__":
    unittest.main()
