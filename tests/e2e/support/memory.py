"""Searches the memory of a running process for secrets, as root can read it."""

import contextlib
import dataclasses
import mmap
import os
import pathlib
import signal
import struct
from collections import Counter, defaultdict

from support.canary import PART, Search, base64_forms, needles
from support.process import LIBC

PRESENT, SWAPPED, OF_FILE = 1 << 63, 1 << 62, 1 << 61  # of an entry in /proc/PID/pagemap
PR_SET_DUMPABLE = 4
PIECE = 4096  # pages
OVERLAP = 128  # bytes; longer than a needle
AROUND = 48


def may_read_memory() -> bool:
    """Of a process that cannot be dumped."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_DUMPABLE, 0)
        os.write(ready[1], b"x")
        os.close(done[1])
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with open(f"/proc/{child}/mem", "rb"), open(f"/proc/{child}/pagemap", "rb"):
            return True
    except OSError:
        return False
    finally:
        for end in (*ready, *done):
            os.close(end)
        os.waitpid(child, 0)


def state_of_hash(secret: bytes) -> bytes:
    """As SHA-256 has its output in memory: a context that computed a key and was not wiped holds it in this form."""
    return b"".join(secret[i:i + 4][::-1] for i in range(0, len(secret) // 4 * 4, 4))


class MemorySearch(Search):
    """`secrets`: application keys, which also become text; `binary`: those that never do. A part of a key is a find, too."""

    def __init__(self, secrets: dict, binary=()):
        super().__init__({})
        for name, secret in {**secrets, **dict(binary)}.items():
            state = state_of_hash(secret)
            forms = {"raw": secret[:16], "raw end": secret[-16:], "state": state[:16], "state end": state[-16:]}
            if name in secrets:
                text = {f.replace(" end upper", " upper end"): n for f, n in needles(secret).items() if "hex" in f}
                forms = {**text, **forms}
                for urlsafe in (False, True):
                    forms[f"base64, {urlsafe}"] = base64_forms(secret[:PART], urlsafe)[0]
                    forms[f"base64 end, {urlsafe}"] = base64_forms(secret[-PART:], urlsafe)[(len(secret) - PART) % 3]
            for form, needle in forms.items():
                self.needles.setdefault(needle, f"{name}, {form}")


@dataclasses.dataclass(frozen=True)
class Copy:
    secret: str
    form: str  # "raw", "hex", "base64", ...; with " end": of the last bytes
    where: str  # the mapping, or the thread whose stack it is
    at: int
    around: bytes

    def __str__(self):
        return f"{self.secret}, {self.form}, in {self.where} at {self.at:#x}: {self.around!r}"


class Copies(list):
    def counted(self) -> dict:
        """Secret to {form: number}. A copy of which only the beginning or the end is left is one, too."""
        ends = defaultdict(Counter)
        for c in self:
            ends[c.secret, c.form.removesuffix(" end")][c.form.endswith(" end")] += 1
        found = defaultdict(dict)
        for (secret, form), numbers in sorted(ends.items()):
            found[secret][form] = max(numbers.values())
        return dict(found)

    def of(self, secrets) -> "Copies":
        return Copies(c for c in self if c.secret in secrets)

    def __str__(self):
        return "\n".join(str(c) for c in self[:20]) + (f"\nand {len(self) - 20} more" if len(self) > 20 else "")


@contextlib.contextmanager
def stopped(pid: int):
    """A process that is stopped by somebody else already stays so."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            pass
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stacks_of(pid: int) -> dict:
    """Thread to its stack pointer."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        words = (task / "syscall").read_text().split()
        if len(words) > 2:
            found[(task / "comm").read_text().strip()] = int(words[-2], 16)
    return found


def runs(pages, begin: int, end: int, is_file: bool):
    """Extents of pages that are in memory or in the swap, in pieces. Of a mapped file those alone that are not its content."""
    pages.seek(begin // mmap.PAGESIZE * 8)
    raw = pages.read((end - begin) // mmap.PAGESIZE * 8)
    wanted = [e & (PRESENT | SWAPPED) and not (is_file and e & OF_FILE) for (e,) in struct.iter_unpack("<Q", raw)]
    first = None
    for n, w in enumerate([*wanted, False]):
        if w and first is None:
            first = n
        if first is not None and (not w or n - first == PIECE):
            yield begin + first * mmap.PAGESIZE, (n - first) * mmap.PAGESIZE
            first = n if w else None


def pieces(pid: int):
    """(mapping, address, bytes) of all that the process can have written."""
    stacks = stacks_of(pid)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines():
            extent, rights, _, _, inode, *name = line.split(maxsplit=5)
            begin, end = (int(n, 16) for n in extent.split("-"))
            where = name[0] if name else "anonymous"
            if rights[0] != "r" or where.startswith(("[vvar", "[vsyscall")):
                continue
            where = next((f"the stack of {thread}" for thread, at in stacks.items() if begin <= at < end), where)
            for at, size in runs(pages, begin, end, inode != "0" and not where.endswith("(deleted)")):
                memory.seek(at)
                content = memory.read(size)
                assert len(content) == size, f"{where} at {at:#x} cannot be read"
                yield where, at, content


def copies_in(pid: int, search: MemorySearch) -> Copies:
    """Each copy of a secret, while the process stands still."""
    found, seen = Copies(), 0
    with stopped(pid):
        before, after = b"", 0
        for where, at, content in pieces(pid):
            seen += len(content)
            before = before if at == after else b""
            whole = before + content
            for needle, name in search.needles.items():
                place = whole.find(needle, max(0, len(before) - len(needle) + 1))
                while place >= 0:
                    secret, form = name.split(", ", 1)
                    around = whole[max(0, place - AROUND):place + len(needle) + AROUND]
                    found.append(Copy(secret, form.split(",")[0], where, at - len(before) + place, around))
                    place = whole.find(needle, place + 1)
            before, after = content[-OVERLAP:], at + len(content)
    assert seen > 1 << 16, f"only {seen} bytes were read"
    return found
