"""A home in which the disk of one role can fail (by tests/support/bad_disk.c, preloaded)."""

import os
import pathlib

from support.case import E2ECase

DEVICES = 3


class BadDiskCase(E2ECase):
    def place(self, role: str, devices=DEVICES, rekey="2s"):
        shim = os.environ.get("CPNS_BAD_DISK_SHIM", "")
        if not pathlib.Path(shim).is_file():
            self.skipTest("the library bad_disk was not built (CPNS_BAD_DISK_SHIM)")
        home = self.home(devices=devices, rekey=rekey)
        home.gateway["timers"]["backoff_max"] = "1s"
        home.write()
        self.script = home.folder / "bad-disk"
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        home.role(role).env.update(LD_PRELOAD=shim, CPNS_BAD_DISK=str(self.script), ASAN_OPTIONS=sanitizer.lstrip(":"))
        return home

    def break_disk(self, home, role: str, calls: str, number: int, once=False):
        fresh = self.script.with_suffix(".new")
        fresh.write_text(f"{calls} {number} {home.folder}/state/{role}{' once' if once else ''}\n")
        fresh.rename(self.script)

    def hang(self, file: pathlib.Path):
        """From now on no call that writes, creates or removes `file` returns."""
        fresh = self.script.with_suffix(".new")
        fresh.write_text(f"write 0 {file.name}\n")
        fresh.rename(self.script)

    def end_well(self, home, account):
        account.take()
        account.all_keyed()
        self.assertEqual(account.faults, [])
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.events.find(role=name, event="process-ended"), [], name)
            self.assertEqual(home.role(name).terminate(), 0, name)
