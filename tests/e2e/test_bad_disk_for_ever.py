"""A disk that fails once or permanently, and damaged keys: a role that cannot continue logs the reason and ends; a command that
reports success has succeeded."""

import errno
import unittest

from support.bad_disk import DEVICES, BadDiskCase
from support.home import poll
from support.keys import Account, change_pne_keys


class BadDiskOnceAndForEver(BadDiskCase):
    def test_one_sync_that_failed_at_the_server_and_at_the_gateway(self):
        for role in ("server", "gateway"):
            with self.subTest(role):
                home = self.place(role)
                home.start()
                home.wait_for_each(0, 40)
                account = Account(home)
                account.take()
                since = home.events.mark()
                self.break_disk(home, role, "sync", errno.EIO, once=True)
                home.events.wait(role=role, event="store-resumed", since=since, timeout=20)
                home.wait_for_each(home.events.mark(), 40)
                self.end_well(home, account)

    def test_a_role_whose_disk_never_works_again_logs_it_and_ends(self):
        for role in ("server", "gateway"):
            with self.subTest(role):
                home = self.place(role)
                getattr(home, role)["store"]["give_up_after"] = "1s"
                home.write()
                home.start()
                home.wait_for_each(0, 40)
                account = Account(home)
                account.take()
                self.break_disk(home, role, "all", errno.EIO)
                self.assertEqual(home.role(role).wait(40), 1, "a service manager restarts the role after this exit code")
                lost = home.events.find(role=role, event="store-lost")
                self.assertEqual(len(lost), 1)
                self.assertIn("Input/output error", lost[0]["text"])
                self.script.unlink()
                home.role(role).start()
                home.wait_for_each(home.role(role).since, 40)
                account.take()
                account.all_keyed()
                self.assertEqual(account.faults, [])

    def test_a_command_reports_success_only_when_it_is_durable(self):
        home = self.place("gateway")
        home.start()
        home.wait_for_each(0, 40)
        entity = home.devices[0][0]

        def reject():
            return home.cli("pnes", "reject", entity, "--config", "gateway.yaml", check=False)

        self.break_disk(home, "gateway", "all", errno.EIO)
        home.events.wait(role="gateway", event="store-write-failed", timeout=20)
        said = reject()
        self.assertEqual(said.returncode, 1)
        self.assertIn("nothing was changed", said.stderr, "the intent in the audit trail comes before the change")
        self.assertEqual(said.stdout, "")
        self.script.unlink()
        home.events.wait(role="gateway", event="store-resumed", timeout=20)
        # Works as soon as the device has noticed that the store is writable.
        poll(lambda: reject().returncode == 0, what="a rejection that is done")
        home.role("gateway").kill9()
        home.role("gateway").start()
        self.assertEqual(home.pnes()[entity]["state"], "rejected", "the reported rejection is durable")


class BadDiskOfPnes(BadDiskCase):
    def test_a_permanent_failure_is_logged_and_nothing_is_announced(self):
        home = self.place("pne")
        home.start()
        home.wait_for_each(0, 40)
        account = Account(home)
        account.take()
        self.break_disk(home, "pne", "all", errno.EIO)
        home.events.wait(role="pne", event="key-file-not-written", count=2 * DEVICES, timeout=40)
        entity = home.devices[0][0]
        said = home.tell_pne("reset", entity, check=False)
        self.assertEqual(said.returncode, 1)
        self.assertIn("nothing was changed", said.stderr)
        account.take()
        self.assertEqual(account.faults, [])
        self.assertTrue(home.role("pne").running())
        self.assertEqual(home.role("pne").terminate(), 0)

    def test_one_damaged_row_affects_only_its_device(self):
        home = self.place("pne")
        home.start()
        home.wait_for_each(0, 40)
        self.assertEqual(home.role("pne").terminate(), 0)
        entity = home.devices[0][0]
        change_pne_keys(home.folder, "--damage", entity)
        home.role("pne").start()
        said = home.events.wait(role="pne", run=2, event="key-file-unreadable")
        self.assertEqual([e["entity"] for e in said], [entity])
        self.assertIn(f"`cpns pne reset {entity}`", said[0]["text"])
        since = home.events.mark()
        home.wait_for_each(since, 40, entities=[e for e, _ in home.devices[1:]])
        self.assertEqual(home.events.find(role="gateway", event="confirmed", entity=entity, since=since), [])
        self.assertEqual(home.tell_pne("button", entity, check=False).returncode, 1)
        since = home.events.mark()
        home.tell_pne("reset", entity)
        home.wait_for_each(since, 40, entities=[entity])
        self.assertEqual(home.role("pne").terminate(), 0)
        for other, _ in home.devices:
            change_pne_keys(home.folder, "--damage", other)
        home.role("pne").spawn()
        self.assertEqual(home.role("pne").wait(), 1, "no device is left")


if __name__ == "__main__":
    unittest.main()
