"""Small, read-only and failing disks, for tests that run as root; otherwise the test is skipped with the reason."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest


def _mount(*args) -> str:
    done = subprocess.run(["mount", *(str(a) for a in args)], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def audit_on_small_disk(case, home, trail):
    """Moves the file `trail` of the server to a small disk of its own, which it returns; writes the configuration."""
    disk = Tmpfs(home.folder / "disk", "256k")
    case.addCleanup(disk.close)
    shutil.move(trail, disk.folder / "server.jsonl")
    home.server["audit"] = {"file": "disk/server.jsonl"}
    home.write()
    return disk


def server_store_on_disk(case, home, size):
    """Moves the store of the server to a disk of `size`, which it returns. The caller writes the configuration."""
    disk = Tmpfs(home.folder / "disk", size)
    case.addCleanup(disk.close)
    shutil.move(home.folder / "state/server", disk.folder / "server")
    home.server["store"]["path"] = "disk/server"
    return disk


class Tmpfs:
    """A small disk in memory, mounted at `folder`, which is created; close() unmounts it."""

    def __init__(self, folder: pathlib.Path, size: str):
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wrong = _mount("-t", "tmpfs", "-o", f"size={size},mode=700", "cpns-test", folder)
        if wrong:
            raise unittest.SkipTest(f"cannot mount a tmpfs (needs root): {wrong}")

    def make_read_only(self):
        wrong = _mount("-o", "remount,ro", self.folder)
        if wrong:
            raise unittest.SkipTest(f"cannot make a tmpfs read-only: {wrong}")

    def cover(self):
        """Makes files opened from now on read-only. A remount would fail while a file is open for writing, such as a lock."""
        for options in (("--bind", self.folder), ("-o", "remount,bind,ro")):
            wrong = _mount(*options, self.folder)
            if wrong:
                raise unittest.SkipTest(f"cannot cover a tmpfs: {wrong}")

    def uncover(self):
        subprocess.run(["umount", str(self.folder)], capture_output=True, check=True)

    def fill(self, leave=0):
        """Writes ballast until at most `leave` bytes are free; the zeros take real space."""
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


class FailingDisk:
    """An ext4 file system at `folder`, which fail() makes read-only like a disk error, also for open files. It stays so until
    mount_again(), which needs that no file is open."""

    def __init__(self, folder: pathlib.Path, size: str):
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._image = tempfile.NamedTemporaryFile(prefix="cpns-e2e-disk-")
        try:
            for command in (["truncate", "-s", size, self._image.name], ["mkfs.ext4", "-q", "-F", self._image.name]):
                subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as wrong:
            raise unittest.SkipTest(f"cannot create an ext4: {wrong}") from None
        wrong = self._mount()
        if wrong:
            raise unittest.SkipTest(f"cannot mount an ext4 from a file (needs root and loop devices): {wrong}")

    def _mount(self) -> str:
        wrong = _mount("-o", "loop", self._image.name, self.folder)
        if not wrong:
            self.folder.chmod(0o700)
        return wrong

    def fail(self):
        wrong = _mount("-o", "remount,abort", self.folder)
        if wrong:
            raise unittest.SkipTest(f"cannot make an ext4 fail: {wrong}")

    def mount_again(self):
        subprocess.run(["umount", str(self.folder)], capture_output=True, check=True)
        wrong = self._mount()
        if wrong:
            raise AssertionError(f"cannot mount the disk again: {wrong}")

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
        self._image.close()
