"""A disk that fills up: requests are answered `overloaded`, only durable data is announced, and the role recovers when there is space."""

import shutil
import unittest

from support import hostile
from support.case import E2ECase
from support.home import poll
from support.keys import Account
from support.mount import Tmpfs

DEVICES = 12
ROOM = 10 << 20  # RocksDB must first write its buffer of 8 MiB to a table file


class FullDisk(E2ECase):
    def place(self, disk_of: str, size: str, **options):
        """A home in which the role `disk_of` has its state on a small separate disk."""
        home = self.home(devices=DEVICES, **options)
        home.gateway["timers"]["backoff_max"] = "2s"
        disk = Tmpfs(home.folder / "disk", size)
        self.addCleanup(disk.close)
        if disk_of == "pne":
            home.pne["keys_dir"] = "disk/keys"
        else:
            if (there := home.folder / "state" / disk_of).exists():
                shutil.move(there, disk.folder / disk_of)
            getattr(home, disk_of)["store"]["path"] = f"disk/{disk_of}"
        home.write()
        return home, disk

    def watched(self, home, role, trouble, count, since, logged_by=None):
        """Waits until `trouble` was logged `count` times since `since`, by `logged_by` or the role, which must run and use little CPU."""
        process = home.role(role)
        used = hostile.cpu_seconds(process.pid)
        seen = home.events.wait(trouble, role=logged_by or role, since=since, count=count, timeout=100)
        span = max(1.0, seen[-1]["seen"] - seen[0]["seen"])
        self.assertLess(hostile.cpu_seconds(process.pid) - used, 0.5 * span + 0.5, "no busy loop")
        self.assertTrue(process.running())
        return seen

    @staticmethod
    def account(home) -> Account:
        account = Account(home)
        account.take()
        return account

    def end_well(self, home):
        account = self.account(home)
        account.all_keyed()
        self.assertEqual(account.faults, [])
        self.assertEqual(home.events.find(event="device-died"), [])
        for name in ("pne", "gateway", "server"):
            self.assertEqual([e for e in home.events.find(role=name, event="process-ended")], [], name)
            self.assertEqual(home.role(name).terminate(), 0, name)

    def order(self, home, role, entity, kinds):
        return [e["event"] for e in home.events.find(role=role, entity=entity) if e["event"] in kinds]

    def test_of_the_server(self):
        home, disk = self.place("server", "28m", level="debug")
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=10)
        disk.fill()
        since = home.events.mark()
        home.start("pne")
        # The server logs refusals at a limited rate. The gateway repeats each request for 30 s, then its device backs off.
        def is_overloaded(e):
            return e["event"] == "server-refused" and e["text"].startswith("overloaded")

        home.events.wait(role="gateway", event="server-overloaded", since=since)
        full = self.watched(home, "server", is_overloaded, count=DEVICES, since=since, logged_by="gateway")
        self.assertTrue(home.events.find(lambda e: "free some space" in e.get("text", ""), role="server", event="write-failed"))
        self.assertEqual(len(home.events.find(role="server", event="store-write-failed")), 1, "logged once")
        refused = {e["entity"] for e in full}
        for entity in refused:
            stored, answered = (len(home.events.find(role="server", event=kind, entity=entity))
                                for kind in ("set-stored", "assignment-answered"))
            self.assertLessEqual(answered, stored, "no answer without a durable set")
        disk.make_room()
        self.assertGreaterEqual(disk.free(), ROOM)
        home.wait_for_each()
        self.assertTrue(home.events.find(role="server", event="store-resumed"))
        self.end_well(home)
        # Rows written while the disk was full and afterwards are there at the next start.
        home.start()
        home.wait_for_each(home.role("gateway").since)
        self.assertEqual(home.events.find(role="gateway", run=2, event="requested"), [])

    def test_of_the_gateway(self):
        home, disk = self.place("gateway", "28m")
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=10)
        disk.fill()
        since = home.events.mark()  # a device that failed to write its record waits for the disk, and says so once
        home.start("pne")
        self.watched(home, "gateway", lambda e: e["event"] == "record-not-written", count=DEVICES, since=since)
        self.assertIn("free some space", home.events.find(role="gateway", event="record-not-written")[0]["text"])
        self.assertEqual(len(home.events.find(role="gateway", event="store-write-failed")), 1, "logged once")
        self.assertEqual(set(home.pnes()), {e for e, _ in home.devices}, "the control socket still answers")
        delivered = {e["entity"] for e in home.events.find(role="gateway", event="delivering")}
        self.assertLess(len(delivered), DEVICES)
        disk.make_room()
        home.wait_for_each()
        self.assertTrue(home.events.find(role="gateway", event="store-resumed"))
        for entity, _ in home.devices:
            kinds = self.order(home, "gateway", entity, ("answered", "delivering", "confirmed"))
            self.assertEqual(sorted(set(kinds), key=kinds.index), ["answered", "delivering", "confirmed"])
        self.end_well(home)

    def test_of_the_pnes(self):
        home, disk = self.place("pne", "256k", rekey="2s")
        home.start()
        home.wait_for_each()
        before = {p.name: p.read_bytes() for p in (disk.folder / "keys").glob("*.key")}
        # Fill repeatedly: a file that was just being replaced frees its space again.
        poll(lambda: disk.fill() or len(home.events.find(role="pne", event="key-file-not-written")) >= 3, timeout=15, what="failed writes")
        said = home.events.find(role="pne", event="key-file-not-written")[0]
        self.assertIn("No space left on device", said["text"])
        self.assertIn(str(disk.folder), said["text"])
        self.assertEqual(self.account(home).faults, [], "accepted and confirmed keys are on the disk")
        kept = {p.name: p.read_bytes() for p in (disk.folder / "keys").glob("*.key")}
        self.assertEqual(set(kept), set(before), "the earlier files are intact")
        self.assertEqual([n for n, content in kept.items() if len(content) < len(before[n]) // 2], [])
        since = home.events.mark()
        disk.make_room()
        home.wait_for_each(since)
        self.end_well(home)


if __name__ == "__main__":
    unittest.main()
