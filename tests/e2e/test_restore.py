"""A store that is restored from a backup, as docs/operations/backup.md describes it: what becomes of the keys and epochs."""

import json
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

    def take_back(self, role: str):
        """The store of a stopped role is that of the backup."""
        shutil.rmtree(self.place.folder / f"state/{role}")
        shutil.copytree(self.place.folder / f"backup-{role}", self.place.folder / f"state/{role}")

    def restore(self, role: str, raise_incarnation=False):
        self.assertEqual(self.place.role(role).terminate(), 0)
        self.take_back(role)
        if raise_incarnation:
            self.place.cli("store", "restored", "--config", f"{role}.yaml")
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

    def expect_new_generations(self, since: int, before: dict):
        """Each device leaves at least 15 generations out, and no epoch comes twice: so no key index is used for two keys."""
        poll(lambda: all(e[0] > before[entity][0] + 15 for entity, e in self.epochs().items()), timeout=60, what="newer generations")
        after = [(e["entity"], parsed(e["epoch"])) for e in self.place.events.find(role="gateway", event="confirmed", since=since)]
        self.assertEqual(len(after), len(set(after)), after)
        for entity, epoch in after:
            self.assertGreater(epoch, before[entity])
            self.assertFalse(before[entity][0] < epoch[0] <= before[entity][0] + 15, after)
        bad = {"stale-epoch", "quarantined", "amnesia", "presence-failed", "held-elsewhere", "incarnation-behind"}
        self.assertFalse(self.found(since) & bad)

    def test_of_the_server_with_a_raised_incarnation_skips_generations(self):
        self.place.start()
        self.wait_beyond({}, 1)
        self.back_up("server")
        self.wait_beyond(self.epochs(), 3)
        before = self.epochs()
        since = self.restore("server", raise_incarnation=True)
        self.expect_new_generations(since, before)

    def test_of_server_and_gateway_at_once_uses_no_generation_twice(self):
        self.place.start()
        self.wait_beyond({}, 1)
        for role in ("server", "gateway"):
            self.back_up(role)
        self.wait_beyond(self.epochs(), 4)
        for role in ("gateway", "server"):
            self.assertEqual(self.place.role(role).terminate(), 0)
            self.take_back(role)
        before = self.epochs()
        self.place.cli("store", "restored", "--config", "server.yaml")
        since = self.place.events.mark()
        for role in ("server", "gateway"):
            self.place.role(role).start()
        self.expect_new_generations(since, before)

    def test_command_is_refused_by_a_running_server_and_for_a_lower_number(self):
        self.place.start("server")
        running = self.place.cli("store", "restored", "--config", "server.yaml", check=False)
        self.assertEqual(running.returncode, 1)
        self.assertIn("the server is running", running.stderr)
        self.assertEqual(self.place.role("server").terminate(), 0)
        raised = self.place.cli("store", "restored", "--config", "server.yaml", "--incarnation", "5", "--json")
        self.assertEqual(json.loads(raised.stdout), {"before": 1, "incarnation": 5})
        lower = self.place.cli("store", "restored", "--config", "server.yaml", "--incarnation", "5", check=False)
        self.assertEqual(lower.returncode, 1)
        self.assertIn("5 already", lower.stderr)
        self.assertIn("is 6, and was 5", self.place.cli("store", "restored", "--config", "server.yaml").stdout)
        self.assertIn("store-restored", self.place.cli("audit", "show", "--config", "server.yaml").stdout)

    def test_of_a_backup_from_before_an_earlier_restore_is_reported(self):
        self.place.start()
        self.wait_beyond({}, 1)
        self.back_up("server")
        before = self.epochs()
        self.restore("server", raise_incarnation=True)
        self.wait_beyond(before, 3)
        before = self.epochs()
        since = self.restore("server")
        behind = self.place.events.wait(role="server", event="incarnation-behind", since=since)[0]
        self.assertEqual((behind["seen_incarnation"], behind["own_incarnation"]), ("2", "1"))

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
