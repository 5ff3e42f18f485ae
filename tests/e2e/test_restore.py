"""A store that is restored from a backup, as docs/operations/backup.md describes it: what becomes of the keys and epochs."""

import shutil
import unittest

from support.case import E2ECase
from support.home import poll


def parsed(epoch: str) -> tuple:
    return tuple(int(part) for part in epoch.split("."))


class Restore(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2, rekey="1s")
        self.place.server["keys"]["set_size"] = 2  # many refills
        self.place.gateway["rekey"] = {"low_water": 1}
        self.place.gateway["healing_reserve"] = 0
        self.place.write()
        self.entities = [entity for entity, _ in self.place.devices]

    def epochs(self) -> dict:
        """The newest confirmed epoch of each device."""
        out = {}
        for e in self.place.events.find(role="gateway", event="confirmed"):
            out[e["entity"]] = max(out.get(e["entity"], (0, 0)), parsed(e["epoch"]))
        return out

    def wait_beyond(self, before: dict, steps: int):
        def beyond():
            now = self.epochs()
            return all(now.get(e, (0, 0)) > before.get(e, (0, 0)) for e in self.entities)

        for _ in range(steps):
            poll(beyond, timeout=30, what="a newer epoch of each device")
            before = self.epochs()

    def back_up(self, role: str):
        self.assertEqual(self.place.role(role).terminate(), 0)
        shutil.copytree(self.place.folder / f"state/{role}", self.place.folder / f"backup-{role}")
        self.place.role(role).start()

    def restore(self, role: str):
        self.assertEqual(self.place.role(role).terminate(), 0)
        shutil.rmtree(self.place.folder / f"state/{role}")
        shutil.copytree(self.place.folder / f"backup-{role}", self.place.folder / f"state/{role}")
        since = self.place.events.mark()
        self.place.role(role).start()
        return since

    def found(self, since: int) -> set:
        return {e["event"] for e in self.place.events.find(since=since)}

    def test_of_the_server_leads_to_newer_generations_alone(self):
        self.place.start()
        self.wait_beyond({}, 1)
        self.back_up("server")
        self.wait_beyond(self.epochs(), 3)
        before = self.epochs()
        since = self.restore("server")
        self.wait_beyond(before, 3)
        self.assertGreater(min(e[0] for e in self.epochs().values()), max(e[0] for e in before.values()), "a new generation")
        self.assertFalse(self.found(since) & {"stale-epoch", "quarantined", "amnesia", "presence-failed", "held-elsewhere"})

    def test_of_the_server_from_before_the_first_key_takes_the_devices_in_again(self):
        shutil.copytree(self.place.folder / "state/server", self.place.folder / "backup-server")
        self.place.start()
        self.wait_beyond({}, 2)
        before = self.epochs()
        since = self.restore("server")
        self.wait_beyond(before, 3)
        self.assertFalse(self.found(since) & {"stale-epoch", "quarantined", "presence-failed"})

    def test_of_the_gateway_finds_its_keys_older_and_goes_on_above_those_of_the_devices(self):
        self.place.start()
        self.wait_beyond({}, 1)
        self.back_up("gateway")
        self.wait_beyond(self.epochs(), 4)
        before = self.epochs()
        since = self.restore("gateway")
        self.wait_beyond(before, 3)
        self.assertFalse(self.found(since) & {"stale-epoch", "quarantined", "presence-failed"})

    def test_of_the_devices_gives_them_nothing(self):
        """As a copied device would; in the minute of the last report the server wants another answer, then it is a stale epoch."""
        self.place.start()
        self.wait_beyond({}, 1)
        self.back_up("pne")
        self.wait_beyond(self.epochs(), 2)
        before, since = self.epochs(), self.restore("pne")
        for entity in self.entities:
            self.place.events.wait(lambda e: e["status"].startswith("stale"), role="server", event="assignment-refused", entity=entity,
                                   since=since)
        self.assertEqual(self.epochs(), before)
        entity = self.entities[0]
        poll(lambda: self.place.pnes()[entity]["state"] == "quarantined", timeout=90, what="the quarantine")
        self.refused(("approve", entity), "it stays in quarantine (stale_epoch", "only a factory reset of the PNE helps")
        self.assertEqual(self.place.pnes()[entity]["state"], "quarantined")
        self.place.cli("pne", "reset", entity, "--config", "pne.yaml")
        poll(lambda: self.place.cli("pnes", "approve", entity, "--config", "gateway.yaml", check=False).returncode == 0, timeout=30,
             what="an approval after the reset")
        poll(lambda: self.epochs()[entity] > before[entity], timeout=30, what="a newer epoch")

    def refused(self, command, *texts):
        done = self.place.cli("pnes", *command, "--config", "gateway.yaml", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        for text in texts:
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
