"""A disk that fails once, or for ever, and damaged key files: a role that cannot go on ends and says so; what a person is told to be
done is done."""

import errno
import unittest

from support.bad_disk import DEVICES, BadDiskCase
from support.home import poll
from support.keys import Account


class BadDiskOnceAndForEver(BadDiskCase):
    def test_one_sync_that_failed_at_the_server_and_at_the_gateway(self):
        for role in ("server", "gateway"):
            with self.subTest(role):
                home = self.place(role)
                home.start()
                self.keyed(home, 0)
                account = Account(home)
                account.take()
                since = home.events.mark()
                self.break_disk(home, role, "sync", errno.EIO, once=True)
                home.events.wait(role=role, event="store-resumed", since=since, timeout=20)
                self.keyed(home, home.events.mark())
                self.end_well(home, account)

    def test_a_role_whose_disk_never_works_again_ends_and_says_so(self):
        for role in ("server", "gateway"):
            with self.subTest(role):
                home = self.place(role)
                getattr(home, role)["store"]["give_up_after"] = "1s"
                home.write()
                home.start()
                self.keyed(home, 0)
                account = Account(home)
                account.take()
                self.break_disk(home, role, "all", errno.EIO)
                self.assertEqual(home.role(role).wait(40), 1, "an exit code that a service manager restarts after")
                lost = home.events.find(role=role, event="store-lost")
                self.assertEqual(len(lost), 1)
                self.assertIn("Input/output error", lost[0]["text"])
                self.script.unlink()
                home.role(role).start()
                self.keyed(home, home.role(role).since)
                account.take()
                account.all_keyed()
                self.assertEqual(account.faults, [])

    def test_what_a_person_told_is_done_or_not_known_to_be_done(self):
        home = self.place("gateway")
        home.start()
        self.keyed(home, 0)
        entity = home.devices[0][0]

        def reject():
            return home.cli("pnes", "reject", entity, "--config", "gateway.yaml", check=False)

        self.break_disk(home, "gateway", "all", errno.EIO)
        home.events.wait(role="gateway", event="store-write-failed", timeout=20)
        said = reject()
        self.assertEqual(said.returncode, 1)
        self.assertIn("done", said.stdout + said.stderr)
        self.assertNotIn('"done":true', said.stdout)
        self.script.unlink()
        home.events.wait(role="gateway", event="store-resumed", timeout=20)
        # As soon as the device has seen that the store is well.
        poll(lambda: reject().returncode == 0, what="a rejection that is done")
        home.role("gateway").kill9()
        home.role("gateway").start()
        self.assertEqual(home.pnes()[entity]["state"], "rejected", "what was said to be done holds")


class BadDiskOfPnes(BadDiskCase):
    def test_for_ever_nothing_is_announced_and_it_is_said(self):
        home = self.place("pne")
        home.start()
        self.keyed(home, 0)
        account = Account(home)
        account.take()
        self.break_disk(home, "pne", "all", errno.EIO)
        home.events.wait(role="pne", event="key-file-not-written", count=2 * DEVICES, timeout=40)
        entity = home.devices[0][0]
        said = home.tell_pne("reset", entity, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn("done", said.stdout)
        account.take()
        self.assertEqual(account.faults, [])
        self.assertTrue(home.role("pne").running())
        self.assertEqual(home.role("pne").terminate(), 0)

    def test_one_damaged_key_file_costs_its_own_device(self):
        home = self.place("pne")
        home.start()
        self.keyed(home, 0)
        self.assertEqual(home.role("pne").terminate(), 0)
        entity = home.devices[0][0]
        file = home.folder / "state/pne" / (entity.replace(":", "_") + ".key")
        whole = file.read_bytes()
        file.write_bytes(whole[:40])
        home.role("pne").start()
        said = home.events.wait(role="pne", run=2, event="key-file-unreadable")
        self.assertEqual([e["entity"] for e in said], [entity])
        since, missing = home.events.mark(), {e for e, _ in home.devices[1:]}

        def others(e):
            if (e["role"], e["event"]) == ("gateway", "confirmed"):
                self.assertNotEqual(e["entity"], entity)
                missing.discard(e["entity"])
            return not missing

        home.events.wait_until(others, since=since, timeout=40, what="new keys of the others")
        self.assertEqual(home.tell_pne("reset", entity, check=False).returncode, 1)
        self.assertEqual(home.role("pne").terminate(), 0)
        for other, _ in home.devices[1:]:
            (home.folder / "state/pne" / (other.replace(":", "_") + ".key")).write_bytes(b"damaged")
        home.role("pne").spawn()
        self.assertEqual(home.role("pne").wait(), 1, "no device is left")


if __name__ == "__main__":
    unittest.main()
