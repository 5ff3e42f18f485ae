"""A process of a test: its output becomes events and goes into files; it never outlives the test."""

import ctypes
import os
import pathlib
import signal
import subprocess
import threading

from support.events import Events

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def cpns_binary() -> str:
    """CPNS_BIN, which ctest sets, or the release build of this tree."""
    given = os.environ.get("CPNS_BIN")
    return given or str(pathlib.Path(__file__).resolve().parents[3] / "build/release/bin/cpns")


def roles_program() -> str:
    given = os.environ.get("CPNS_E2E_ROLES")
    return given or str(pathlib.Path(cpns_binary()).parents[1] / "tests/e2e_roles")


def _die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """`args` can be started repeatedly; every start is a new run with a number."""
    together = ()  # the roles that run in this process, if they are several

    def __init__(self, name: str, args: list, events: Events, folder: pathlib.Path, env=None):
        self.name, self.args, self.events, self.folder = name, [str(a) for a in args], events, folder
        self.env = {**os.environ, **(env or {})}
        self.run, self.child, self._readers = 0, None, []
        self.since = 0  # begin of the current run in `events`

    @property
    def pid(self) -> int:
        return self.child.pid

    def running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def spawn(self):
        assert not self.running(), f"{self.name} is already running"
        self.run += 1
        self.since = self.events.mark()
        self.child = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      cwd=self.folder, env=self.env, preexec_fn=_die_with_parent)
        left = [2]  # open streams; after the last one closes, the process has ended
        guard = threading.Lock()
        self._readers = [threading.Thread(target=self._read, args=(stream, kind, self.run, self.child, left, guard), daemon=True)
                         for stream, kind in ((self.child.stdout, "out"), (self.child.stderr, "err"))]
        for r in self._readers:
            r.start()
        return self

    def _read(self, stream, kind, run, child, left, guard):
        with stream, open(self.folder / f"{self.name}.{kind}", "ab", buffering=0) as file:
            for line in stream:
                file.write(line)
                self.events.add(self.name, run, line.decode("utf-8", "replace").rstrip("\n"), self.together)
        with guard:
            left[0] -= 1
            last = left[0] == 0
        if last:
            self.events.put(self.name, run, {"event": "process-ended", "code": child.wait()})

    def signal(self, number: int):
        self.child.send_signal(number)

    def wait(self, timeout=20.0) -> int:
        """Waits for the end and reads all output. Returns the exit code (negative: the signal that ended the process)."""
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) did not end within {timeout} s\n{self.events.tail()}") from None
        for r in self._readers:
            r.join(10)
        return code

    def terminate(self, timeout=20.0) -> int:
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill9(self) -> int:
        self.signal(signal.SIGKILL)
        return self.wait()

    def shut_down(self):
        """For the end of a test: never fails, and kills the process if it still runs."""
        if self.running():
            self.child.kill()
        if self.child is not None:
            self.child.wait()
            for r in self._readers:
                r.join(10)


class Role(Process):
    """`cpns server|gateway|pne --config FILE`."""

    def __init__(self, name: str, config: pathlib.Path, events: Events, folder: pathlib.Path, env=None):
        super().__init__(name, [cpns_binary(), name, "--config", config], events, folder, env)

    def start(self, timeout=20.0):
        """Returns when the role has logged that it is ready."""
        self.spawn()
        first = self.events.wait(lambda e: e["event"] in ("ready", "process-ended"), role=self.name, run=self.run,
                                 since=self.since, timeout=timeout)[0]
        if first["event"] != "ready":
            raise AssertionError(f"{self.name} ended with {first['code']} before it was ready\n{self.events.tail()}")
        return self

    def reload(self, timeout=10.0) -> dict:
        """Sends SIGHUP and returns the event that reports the result."""
        since = self.events.mark()
        self.signal(signal.SIGHUP)
        return self.events.wait(lambda e: e["event"] in ("reloaded", "reload-refused"), role=self.name, since=since,
                                timeout=timeout)[0]


class RolesTogether(Process):
    """Several roles in one process, by e2e_roles. Its events are those of the roles; what belongs to none of them has `name`."""

    def __init__(self, name: str, roles: tuple, events: Events, folder: pathlib.Path):
        super().__init__(name, [roles_program(), *(folder / f"{role}.yaml" for role in roles)], events, folder)
        self.together = tuple(roles)

    def start(self, timeout=20.0):
        """Returns when each role has logged that it is ready."""
        self.spawn()
        for role in self.together:
            signs = ((role, "ready"), (self.name, "process-ended"))
            self.events.wait(lambda e, signs=signs: (e["role"], e["event"]) in signs, run=self.run, since=self.since, timeout=timeout)
            if not self.running():
                raise AssertionError(f"{self.name} ended before it was ready\n{self.events.tail()}")
        return self
