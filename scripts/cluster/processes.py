"""Programs that outlive the command which started them, each with a file that says which process it is."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time


class Trouble(Exception):
    """Something is missing or failed; the text names the remedy."""


def start_of(pid: int) -> str | None:
    """Boot and start time, which no other process with this number has; None if the process has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def children_of(pid: int) -> list:
    out = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            out += [int(child) for child in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass  # the thread ended meanwhile
    return out


def wait_for(condition, seconds: float, what: str, every=0.1):
    """Returns the first true result of `condition()`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Trouble(f"not within {seconds:g} s: {what}")
        time.sleep(every)


class Processes:
    """The programs of one folder. FOLDER/run/NAME.json names the process, FOLDER/log/NAME.log has its output. PostgreSQL refuses to run as
    root, so a program that gets `user` runs as that user if this process is root."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._children = {}  # those that this process started: they must be waited for

    def _record(self, name: str) -> pathlib.Path:
        return self.folder / "run" / f"{name}.json"

    def log(self, name: str) -> pathlib.Path:
        return self.folder / "log" / f"{name}.log"

    def prepare(self):
        for part in ("run", "log"):
            (self.folder / part).mkdir(exist_ok=True)

    def start(self, name: str, args: list, user: str | None = None, env: dict | None = None, cwd=None) -> int:
        """Environment: PATH, and `env`. The program gets a session of its own, so that a terminal's Ctrl-C does not reach it."""
        if self.alive(name):
            raise Trouble(f"{name} is already running, process {self.pid(name)}")
        with open(self.log(name), "ab") as log:
            child = subprocess.Popen(as_user(user) + [str(a) for a in args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     cwd=cwd or self.folder, start_new_session=True,
                                     env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})})
        self._children[name] = child
        record = {"pid": child.pid, "started": start_of(child.pid), "args": [str(a) for a in args]}
        self._record(name).write_text(json.dumps(record) + "\n")
        return child.pid

    def names(self) -> list:
        """In the order of their first start."""
        found = sorted((self.folder / "run").glob("*.json"), key=lambda f: f.stat().st_mtime)
        return [f.stem for f in found]

    def _read(self, name: str) -> dict:
        try:
            return json.loads(self._record(name).read_text())
        except FileNotFoundError:
            return {}

    def pid(self, name: str) -> int:
        return self._read(name)["pid"]

    def alive(self, name: str) -> bool:
        """The process that was started under this name, and not another one with its number."""
        record = self._read(name)
        living = bool(record) and record["started"] is not None and start_of(record["pid"]) == record["started"]
        if not living and name in self._children:
            self._children.pop(name).wait()
        return living

    def signal(self, name: str, number: int) -> bool:
        if not self.alive(name):
            return False
        os.kill(self.pid(name), number)
        return True

    def kill(self, name: str):
        """kill -9, and waits for the end."""
        self.signal(name, signal.SIGKILL)
        wait_for(lambda: not self.alive(name), 10, f"the end of {name}", every=0.01)

    def end(self, names: list, seconds=20.0):
        """SIGTERM to all, a frozen one goes on first; after `seconds` kill -9."""
        for name in names:
            self.signal(name, signal.SIGTERM)
            self.signal(name, signal.SIGCONT)
        try:
            wait_for(lambda: not any(self.alive(n) for n in names), seconds, "the end of all", every=0.05)
        except Trouble:
            for name in names:
                if self.alive(name):
                    self.kill(name)
        for name in names:
            self._record(name).unlink(missing_ok=True)

    def must_live(self, name: str):
        if not self.alive(name):
            raise Trouble(f"{name} ended; its last lines:\n{self.tail(name)}")

    def tail(self, name: str, lines=12) -> str:
        try:
            return "\n".join("  " + line for line in self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "  (no output)"


def as_user(user: str | None) -> list:
    """Words in front of a command that drop root's rights."""
    if user is None or os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs"]


def program(name: str, package: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not found:
        raise Trouble(f"the program {name} is missing; scripts/install-deps --cluster installs it (apt-get install {package})")
    return found
