"""A role in a memory cgroup of its own (v1 or v2), and what it needs while a test floods it: memory, log lines, descriptors."""

import collections
import os
import pathlib
import threading

from support import hostile

ROOT = pathlib.Path("/sys/fs/cgroup")


def _hierarchy() -> tuple:
    """(folder in which memory cgroups are made, name of the file with the limit); PermissionError, FileNotFoundError."""
    if (ROOT / "memory/memory.limit_in_bytes").exists():
        return ROOT / "memory", "memory.limit_in_bytes"
    if "memory" in (ROOT / "cgroup.controllers").read_text().split():
        (ROOT / "cgroup.subtree_control").write_text("+memory")
        return ROOT, "memory.max"
    raise FileNotFoundError("no memory controller")


def why_not() -> str:
    """Why no cgroup can be made; empty if one can."""
    if os.geteuid() != 0:
        return "a cgroup needs root: repeat the command with sudo, or pass --no-cgroup to measure without the limit"
    try:
        folder, limit = _hierarchy()
        probe = folder / f"cpns-probe-{os.getpid()}"
        probe.mkdir()
        try:
            (probe / limit).write_text(str(64 << 20))
        finally:
            probe.rmdir()
    except OSError as no:
        return f"no memory cgroup can be made in {ROOT} ({no}): mount one, or pass --no-cgroup to measure without the limit"
    return ""


class Cgroup:
    """Limits the memory of what runs in it: page cache included, which the kernel takes back; over it with the rest, it kills."""

    def __init__(self, name: str, mib: int):
        folder, limit = _hierarchy()
        self.folder = folder / f"cpns-{name}-{os.getpid()}"
        self.folder.mkdir()
        (self.folder / limit).write_text(str(mib << 20))

    def kills(self) -> int:
        for name in ("memory.events", "memory.oom_control"):
            if (self.folder / name).exists():
                counts = dict(line.split() for line in (self.folder / name).read_text().splitlines())
                return int(counts.get("oom_kill", 0))
        return 0

    def remove(self):
        """Once its processes have ended."""
        pause = threading.Event()
        for _ in range(100):
            try:
                return self.folder.rmdir()
            except OSError:
                pause.wait(0.05)
        raise AssertionError(f"{self.folder} still has processes")


def confine(role, cgroup=None, files=0):
    """The role starts in `cgroup`, and may open `files` descriptors (0: as many as this process)."""
    steps = [f'echo $$ > "{cgroup.folder}/cgroup.procs"'] if cgroup else []
    steps += [f"ulimit -n {files}"] if files else []
    role.args = ["sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *role.args]


class Watch(threading.Thread):
    """Follows a running role until stop(): the most memory, and the most log lines of one second."""

    def __init__(self, home, role):
        super().__init__(daemon=True)
        self.home, self.role, self.since = home, role, home.events.mark()
        self.before = self.peak = hostile.rss_mib(role.pid)
        self._end = threading.Event()
        self.start()

    def run(self):
        while not self._end.wait(0.02):
            try:
                self.peak = max(self.peak, hostile.rss_mib(self.role.pid))
            except (OSError, IndexError):  # it ended
                return

    def stop(self):
        self._end.set()
        self.join()

    def lines(self) -> collections.Counter:
        """Log lines of the role by second."""
        return collections.Counter(int(e["seen"]) for e in self.home.events.find(role=self.role.name, since=self.since))
