"""A disk that fails for a while: no acknowledged data is lost, and the role recovers by itself when the disk works again."""

import errno
import unittest

from support.bad_disk import BadDiskCase
from support.keys import Account

TROUBLE = {"server": "write-failed", "gateway": "record-not-written", "pne": "key-file-not-written"}


class BadDiskForAWhile(BadDiskCase):
    def for_a_while(self, role: str, calls: str, number: int):
        home = self.place(role)
        home.start()
        home.wait_for_each(0, 40)
        account = Account(home)
        account.take()
        since = home.events.mark()
        self.break_disk(home, role, calls, number)
        home.events.wait(role=role, event=TROUBLE[role], since=since, count=1)
        if role != "pne":
            home.events.wait(role=role, event="store-write-failed", since=since)
            self.assertTrue(home.role(role).running())
        else:
            home.events.wait(role=role, event=TROUBLE[role], since=since, count=3)
        self.assertEqual(set(home.pnes()), {e for e, _ in home.devices}, "the control socket still answers")
        account.take()
        self.assertEqual(account.faults, [], "while it fails")
        self.script.unlink()
        works = home.events.mark()
        if role != "pne":
            home.events.wait(role=role, event="store-resumed", since=works, timeout=20)
        account.take()
        self.assertEqual(account.faults, [], "a copy right after the store was reopened")
        home.wait_for_each(works, 40)
        # After a power failure, all acknowledged data is there.
        home.role(role).kill9()
        account.take()
        self.assertEqual(account.faults, [])
        again = home.events.mark()
        home.role(role).start()
        home.wait_for_each(again, 40)
        account.take()
        account.all_keyed()
        self.assertEqual(account.faults, [])

    def test_of_the_server_whose_syncs_fail(self):
        self.for_a_while("server", "sync", errno.EIO)

    def test_of_the_server_that_is_read_only(self):
        self.for_a_while("server", "write", errno.EROFS)

    def test_of_the_gateway_whose_syncs_fail(self):
        self.for_a_while("gateway", "sync", errno.EIO)

    def test_of_the_gateway_that_is_read_only(self):
        self.for_a_while("gateway", "write", errno.EROFS)

    def test_of_the_pnes_whose_syncs_fail(self):
        self.for_a_while("pne", "sync", errno.EIO)

    def test_of_the_pnes_that_are_read_only(self):
        self.for_a_while("pne", "write", errno.EROFS)


if __name__ == "__main__":
    unittest.main()
