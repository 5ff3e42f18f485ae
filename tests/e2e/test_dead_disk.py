"""Disks that are read-only or full, permanently or for seconds, under each role: real file systems, while test_bad_disk.py uses failing
calls (docs/adr/0014). The tested roles run in parallel, each in its own home."""

import shutil
import subprocess
import unittest

from support.bad_disk import DEVICES
from support.case import E2ECase
from support.events import NotSeen
from support.home import poll
from support.keys import ROLES, Account
from support.mount import FailingDisk, Tmpfs

TROUBLE = {"server": "write-failed", "gateway": "record-not-written", "pne": "key-file-not-written"}
GIVE_UP_AFTER = 1  # s


class Place:
    """A home in which `role` has its state on a separate disk. All devices are keyed, and renewed every two seconds."""

    def __init__(self, test, role, disk, own_key_files=False):
        self.role, self.home = role, test.home(devices=DEVICES, rekey="2s")
        self.home.gateway["timers"]["backoff_max"] = "1s"
        self.disk = disk(self.home.folder / "disk")
        test.addCleanup(self.disk.close)
        if own_key_files:
            self.home.give_own_key_files("disk")
        elif role == "pne":
            self.home.pne["keys_dir"] = "disk/keys"
        else:
            if (there := self.home.folder / "state" / role).exists():
                shutil.move(there, self.disk.folder / role)
            getattr(self.home, role)["store"] |= {"path": f"disk/{role}", "give_up_after": f"{GIVE_UP_AFTER}s"}
        subprocess.run(["sync", "-f", self.disk.folder], check=True)  # the files that the test wrote
        self.home.write()
        self.home.start()
        self.account = Account(self.home)

    @property
    def process(self):
        return self.home.role(self.role)

    def said(self, event, **options):
        return self.home.events.wait(role=self.role, event=event, since=self.broken, timeout=60, **options)

    def breaks(self):
        self.broken = self.home.events.mark()

    def keyed(self, since):
        self.home.wait_for_each(since, 60)


class DeadDisk(E2ECase):
    def places(self, disk) -> list:
        made = [Place(self, role, disk) for role in ROLES]
        for place in made:
            place.keyed(0)
            self.nothing_is_lost(place)
        return made

    def nothing_is_lost(self, place):
        place.account.take()
        self.assertEqual(place.account.faults, [], place.role)

    def live_on(self, places):
        """Runs for much longer than the time limit for a failing disk, and checks that the failure was logged."""
        for place in places:
            place.said(TROUBLE[place.role])
        with self.assertRaises(NotSeen):
            places[0].home.events.wait(event="process-ended", since=places[0].broken, timeout=4 * GIVE_UP_AFTER)
        for place in places:
            self.assertTrue(place.process.running(), place.role)
            self.assertEqual(place.home.events.find(role=place.role, event="store-lost"), [])
            self.assertEqual(set(place.home.pnes()), {entity for entity, _ in place.home.devices}, "the control socket still answers")

    def begins_again(self, places):
        """Restarts with a working disk: every acknowledged row is there."""
        for place in places:
            place.process.start()
        for place in places:
            place.keyed(place.process.since)
            place.account.take()
            place.account.all_keyed()
            self.assertEqual(place.account.faults, [], place.role)

    def test_read_only_for_ever(self):
        places = self.places(lambda folder: FailingDisk(folder, "64M"))
        for place in places:
            place.breaks()
            place.disk.fail()
        *stores, pnes = places
        for place in stores:
            self.assertEqual(place.process.wait(60), 1, "a service manager restarts the role after this exit code")
            lost = place.home.events.find(role=place.role, event="store-lost")
            self.assertEqual(len(lost), 1, place.role)
            self.assertIn("Read-only file system", lost[0]["text"])
        self.live_on([pnes])
        self.assertIn("Read-only file system", pnes.said(TROUBLE["pne"])[0]["text"])
        self.nothing_is_lost(pnes)
        self.assertEqual(pnes.home.tell_pne("reset", pnes.home.devices[0][0], check=False).returncode, 1)
        self.assertEqual(pnes.process.terminate(), 0)
        for place in places:
            place.disk.mount_again()
        self.begins_again(places)

    def test_full_for_ever(self):
        places = self.places(lambda folder: Tmpfs(folder, "28m"))
        for place in places:
            place.breaks()
        for place in places:
            # Fill repeatedly: a file that was just being replaced frees its space again.
            poll(lambda p=place: p.disk.fill() or p.home.events.find(role=p.role, event=TROUBLE[p.role], since=p.broken),
                 timeout=60, what=f"a write of the {place.role} that failed")
        self.live_on(places)
        for place in places:
            text = place.said(TROUBLE[place.role])[0]["text"]
            self.assertIn("free some space", text)
            self.nothing_is_lost(place)
            place.process.kill9()
            place.disk.make_room()
        self.begins_again(places)

    def test_pnes_with_key_files_on_a_disk_that_is_read_only_for_seconds(self):
        place = Place(self, "pne", lambda folder: Tmpfs(folder, "8m"), own_key_files=True)
        place.keyed(0)
        place.breaks()
        place.disk.cover()
        place.said(TROUBLE["pne"], count=3)
        self.assertIn("Read-only file system", place.said(TROUBLE["pne"])[0]["text"])
        self.nothing_is_lost(place)
        since = place.home.events.mark()
        place.disk.uncover()
        place.keyed(since)
        self.nothing_is_lost(place)
        place.process.kill9()
        self.begins_again([place])


if __name__ == "__main__":
    unittest.main()
