"""A PostgreSQL of a test, in a temporary folder, on a Unix socket and on a port of 127.0.0.1. It never outlives the test."""

import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from support.home import free_port, poll

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
OWNER, NODES = "cpns_owner", "cpns_node"
PASSWORD = "a password of the tests"


def programs() -> pathlib.Path:
    """The newest version; Debian keeps the programs of a server outside of PATH."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL is not installed; scripts/install-deps --tests installs it"
    return found[-1].parent


def _as_other_user():
    """PostgreSQL does not run as root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Postgres:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-e2e-db-"))
        self.folder.chmod(0o711)
        self.data = self.folder / "data"
        self.data.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres", "postgres")
        self.port, self.child = free_port(socket.SOCK_STREAM), None
        self._program("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                      "--no-instructions")
        (self.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.start()
        self.sql("postgres", f"CREATE ROLE {OWNER} LOGIN", f"CREATE ROLE {NODES} LOGIN PASSWORD '{PASSWORD}'",
                 f"CREATE DATABASE cpns OWNER {OWNER}")

    @property
    def socket(self) -> pathlib.Path:
        return self.data / f".s.PGSQL.{self.port}"

    def _program(self, name, *args):
        done = subprocess.run([programs() / name, *map(str, args)], capture_output=True, text=True, preexec_fn=_as_other_user,
                              cwd="/", timeout=60)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen([programs() / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.data,
                                           "-c", "listen_addresses=127.0.0.1"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd="/", preexec_fn=_as_other_user)
        poll(self._answers, what="PostgreSQL answers")

    def _answers(self) -> bool:
        return subprocess.run([programs() / "pg_isready", "-q", "-h", self.data, "-p", str(self.port)], check=False).returncode == 0

    def sql(self, database: str, *statements: str) -> str:
        """What the statements print, as a superuser."""
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.data, "-p", str(self.port), "-U",
                               "postgres", database, *(word for s in statements for word in ("-c", s))],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def stop(self):
        """At once, without its clients."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.send_signal(signal.SIGQUIT)
            self.child.wait(20)

    def freeze(self, on: bool):
        """All of its processes, with open sockets."""
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        for pid in [self.child.pid, *map(int, children)]:
            try:
                os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)
            except ProcessLookupError:
                pass

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
