"""Moves the clocks of one running role: a suspend, a step of the wall clock, a boot in 1970."""

import os
import pathlib
import struct
import time

BUILD = pathlib.Path(os.environ.get("CPNS_BUILD") or pathlib.Path(__file__).resolve().parents[3] / "build/release")
LIBRARY = BUILD / "tests/moved_clock.so"


class Clocks:
    """The clocks of `role` from its next start on, as offsets in seconds from the real clocks."""

    def __init__(self, role):
        self.file = role.folder / f"{role.name}.clocks"
        self.wall = self.boot = 0
        self._write()
        role.env |= {"LD_PRELOAD": str(LIBRARY), "CPNS_MOVED_CLOCK": str(self.file)}

    def _write(self):
        # Written in place: the role has mapped the file.
        with open(self.file, "r+b" if self.file.exists() else "w+b", buffering=0) as file:
            file.write(struct.pack("qq", self.wall, self.boot))

    def suspend(self, seconds: int):
        """The machine slept for this time."""
        self.wall += seconds
        self.boot += seconds
        self._write()

    def step(self, seconds: int):
        """The wall clock was set."""
        self.wall += seconds
        self._write()

    def boots_in_1970(self):
        self.wall = -int(time.time())
        self._write()

    def right(self):
        self.wall = 0
        self._write()
