"""Small and read-only disks, for tests that run as root; others are told why they are skipped."""

import os
import pathlib
import subprocess
import unittest


def _mount(*args) -> str:
    done = subprocess.run(["mount", *(str(a) for a in args)], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


class Tmpfs:
    """A disk of its own at `folder`, which is made; put away by close()."""

    def __init__(self, folder: pathlib.Path, size: str):
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wrong = _mount("-t", "tmpfs", "-o", f"size={size},mode=700", "cpns-test", folder)
        if wrong:
            raise unittest.SkipTest(f"a tmpfs cannot be mounted here (needs root): {wrong}")

    def make_read_only(self):
        wrong = _mount("-o", "remount,ro", self.folder)
        if wrong:
            raise unittest.SkipTest(f"a tmpfs cannot be made read-only here: {wrong}")

    def fill(self, leave=0):
        """Ballast, until at most `leave` bytes are free; zeros that are really there."""
        with open(self.folder / "ballast", "ab", buffering=0) as file:
            piece = bytes(1 << 16)
            while piece:
                room = self.free() - leave
                piece = piece[:max(0, room)] if room < len(piece) else piece
                try:
                    if not piece or not file.write(piece):
                        return
                except OSError:
                    piece = piece[:len(piece) // 2]

    def free(self) -> int:
        s = os.statvfs(self.folder)
        return s.f_bavail * s.f_frsize

    def make_room(self):
        (self.folder / "ballast").unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
