"""Simulated machines for roles: network namespaces, each behind one cable that can be cut. The test itself also runs in a namespace,
isolated from the host's network."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

INSIDE = "CPNS_E2E_NETWORK"


def _run(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=20)


def main():
    """Call at the end of a test file: runs the file again in a network namespace, in a user namespace if the user is not root."""
    if INSIDE not in os.environ:
        unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
        if shutil.which("ip") and _run(*unshare, "true").returncode == 0:
            sys.stdout.flush()
            os.execvpe("unshare", [*unshare, sys.executable, "-B", *sys.argv], {**os.environ, INSIDE: "1"})
    else:
        _run("ip", "link", "set", "lo", "up")
    unittest.main()


class Machine:
    """A machine with the address 10.9.`number`.2; the test has 10.9.`number`.1."""

    def __init__(self, number: int):
        if INSIDE not in os.environ:
            raise unittest.SkipTest("cannot create a network namespace: unshare -n, or ip of iproute2, is missing or not allowed")
        self.number, self.cable = number, f"cable{number}"
        self.here, self.address = f"10.9.{number}.1", f"10.9.{number}.2"
        self._on()

    def _on(self):
        self.holder = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdin.write(b"\n")
        self.holder.stdin.flush()
        self.holder.stdout.read(1)  # the process is in its namespace now
        self._ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        self._ip("addr", "add", f"{self.here}/24", "dev", self.cable)
        self._ip("link", "set", self.cable, "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up"), ("link", "set", "lo", "up")):
            self._ip(*words, within=self.prefix())

    @staticmethod
    def _ip(*words, within=()):
        done = _run(*within, "ip", *words)
        if done.returncode != 0:
            raise unittest.SkipTest(f"ip {' '.join(str(w) for w in words)}: {done.stderr.strip()}")

    def prefix(self) -> list:
        """Command prefix that runs a command on this machine."""
        return ["nsenter", "-t", str(self.holder.pid), "-n"]

    def takes(self, process):
        """Runs the Process on this machine from its next start on."""
        bare = process.args[process.args.index("--") + 1:] if "--" in process.args else process.args
        process.args = [*self.prefix(), "--", *bare]
        return process

    def cut(self):
        """Cuts the cable: nothing arrives any more, and neither side is notified."""
        self._ip("link", "set", self.cable, "down")

    def mend(self):
        """Connects the cable again."""
        self._ip("link", "set", self.cable, "up")

    def lose_power(self, *processes):
        """Cuts the cable, then kills the processes, so that the other side is not notified of their end."""
        self.cut()
        for p in processes:
            p.kill9()
        self.close()

    def restore_power(self):
        """Starts a new kernel state under the same address."""
        self._on()

    def close(self):
        """Removes the namespace, which ends with its last process, and the cable."""
        self.holder.stdin.close()
        self.holder.wait(10)
        self.holder.stdout.close()
        _run("ip", "link", "del", self.cable)


def links_to(pid: int, port: int) -> int:
    """Number of established TCP connections to that port in the network namespace of the process."""
    rows = (row.split() for row in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
    return sum(1 for row in rows if row[3] == "01" and row[2].endswith(f":{port:04X}"))
