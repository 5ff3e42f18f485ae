#!/usr/bin/env python3
"""The application key before the current one: both sides list it for the overlap, and not where the PNE had lost it."""

import time
import unittest

from support.home import poll
from test_application_keys import ROLES, Keys, Watch


class Previous(Keys):
    def watch(self, role, purpose="mqtt"):
        w = Watch(self.socket(role), purpose)
        self.addCleanup(w.close)
        return w

    def renewed(self, overlap):
        """The lines of `put` of both sides from an update on, until the new key is the only one that is listed: each as states and keys."""
        place = self.start(devices=1, overlap=overlap)
        entity = self.entities[0]
        first = self.agree(entity)
        watches = {role: self.watch(role) for role in ROLES}
        for w in watches.values():
            w.until(lambda x: x["event"] == "synced")
        poll(lambda: place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        lines = {}
        for role, w in watches.items():
            lines[role] = seen = []
            while not seen or [k["state"] for k in seen[-1]["keys"]] != ["current"] or seen[-1]["keys"][0]["key"] == first["key"]:
                seen.append({**w.until(lambda x: x["event"] == "put"), "at": time.monotonic()})
        return first, lines

    def test_has_the_previous_key_for_the_overlap(self):
        first, lines = self.renewed(overlap="3s")
        for role, seen in lines.items():
            with self.subTest(role=role):
                both = [line for line in seen if [k["state"] for k in line["keys"]] == ["previous", "current"]]
                self.assertTrue(both, seen)
                for line in both:
                    before, now = line["keys"]
                    self.assertEqual(before, {**{name: first[name] for name in before}, "state": "previous", "use": False})
                    self.assertTrue(now["use"])
                    self.assertNotEqual(now["key"], first["key"])
        # The lines of the gateway were read as they came.
        at = [line["at"] for line in lines["gateway"] if line["keys"][-1]["key"] != first["key"] and line["keys"][-1]["state"] == "current"]
        self.assertGreater(at[-1] - at[0], 2.5)

    def test_has_no_previous_key_without_an_overlap(self):
        first, lines = self.renewed(overlap="0s")
        for role, seen in lines.items():
            self.assertNotIn("previous", [k["state"] for line in seen for k in line["keys"]])
            self.logged(role, "no-overlap")
        self.assertNotIn(first["key"], [k["key"] for role in ROLES for k in self.keys(role, f"/v1/keys/mqtt/{self.entities[0]}")])

    def test_has_the_key_before_no_more_when_the_pne_had_lost_it(self):
        place = self.start(devices=1, overlap="1h")
        entity = self.entities[0]

        def states(role):
            return [k["state"] for k in self.keys(role, f"/v1/keys/mqtt/{entity}")]

        poll(lambda: place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        for role in ROLES:
            poll(lambda r=role: states(r) == ["previous", "current"], what=f"the previous key of the {role}")
        for what in ("reset", "sleep", "wake"):
            place.tell_pne(what, entity)
        for role in ROLES:
            poll(lambda r=role: states(r) == ["current"], what=f"one key of the {role}")
        self.agree(entity)


if __name__ == "__main__":
    unittest.main()
