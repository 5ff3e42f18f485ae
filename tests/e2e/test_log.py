"""The log of a role: nobody reads it, its disk is full, its file is rotated. None of this stops a key assignment or the end of a role."""

import json
import os
import select
import signal
import subprocess
import time
import unittest

from support import hostile
from support.case import E2ECase
from support.home import poll
from support.process import cpns_binary

DEVICES = 3


class FullPipe:
    """Standard error of one role: a pipe that is full and that nobody reads, until `until` is called."""

    def __init__(self, case: E2ECase, home, name: str):
        self.read, self.write = os.pipe()
        self.fill()
        self.child = subprocess.Popen([cpns_binary(), name, "--config", f"{name}.yaml"], stdin=subprocess.DEVNULL, stderr=self.write,
                                      cwd=home.folder)
        case.addCleanup(lambda: (self.child.kill(), self.child.wait(), os.close(self.read), os.close(self.write)))

    def fill(self):
        own = os.open(f"/proc/self/fd/{self.write}", os.O_WRONLY | os.O_NONBLOCK)  # the role's end stays blocking
        try:
            while True:
                os.write(own, b"\n" * 4096)
        except BlockingIOError:
            pass
        finally:
            os.close(own)

    def until(self, event: str) -> list:
        """Reads until a line has this event; all lines so far."""
        data, deadline = b"", time.monotonic() + 20
        while f'"event":"{event}"'.encode() not in data:
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no line with {event} in {data.decode()[-2000:]}"
            data += os.read(self.read, 65536)
        return [json.loads(line) for line in data.splitlines()[:-1] if line]


class NobodyReads(E2ECase):
    def key_with_stuck_logs(self, stuck, observed, event):
        home = self.home(devices=DEVICES)
        for name in stuck:
            getattr(home, name)["ready_file"] = f"{name}.ready"
        home.write()
        pipes = {}
        for name in ("server", "gateway", "pne"):
            if name in stuck:
                pipes[name] = FullPipe(self, home, name)
                poll((home.folder / f"{name}.ready").exists, what=f"the {name} is ready")
            else:
                home.role(name).start()
        home.wait_for_each(role=observed, event=event)
        return home, pipes

    def ends_with_0(self, pipe: FullPipe):
        begun = time.monotonic()
        pipe.child.send_signal(signal.SIGTERM)
        self.assertEqual(pipe.child.wait(20), 0)
        self.assertLess(time.monotonic() - begun, 10, "it waits for its log, but not for long")

    def test_server_and_gateway_assign_keys(self):
        home, pipes = self.key_with_stuck_logs(("server", "gateway"), "pne", "key-accepted")
        said = {name: pipe.until("assignment-answered" if name == "server" else "confirmed") for name, pipe in pipes.items()}
        for name, events in said.items():
            self.assertIn("ready", [e["event"] for e in events], f"the {name} loses no line as long as the queue has room")
        for pipe in pipes.values():
            pipe.fill()
            self.ends_with_0(pipe)
        self.assertEqual(home.role("pne").terminate(), 0)

    def test_a_pne_takes_its_keys(self):
        home, pipes = self.key_with_stuck_logs(("pne",), "gateway", "confirmed")
        self.ends_with_0(pipes["pne"])
        for name in ("gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0)


class Files(E2ECase):
    def begin(self, **settings):
        """All roles; the gateway logs into a file."""
        home = self.home(devices=DEVICES, rekey="1s")
        home.gateway["log"].update(settings, file="logs/gateway.log")
        home.gateway["ready_file"] = "gateway.ready"
        home.write()
        return home, home.folder / "logs" / "gateway.log"

    def start(self, home):
        home.start("server")
        home.role("gateway").spawn()
        poll((home.folder / "gateway.ready").exists, what="the gateway is ready")
        home.start("pne")

    @staticmethod
    def events_in(file) -> list:
        text = file.read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]  # a reader may see a part of a write

    def test_a_rotated_file_is_made_again(self):
        home, log = self.begin()
        self.start(home)
        home.wait_for_each(role="pne", event="key-accepted")
        poll(lambda: any(e["event"] == "confirmed" for e in self.events_in(log)), what="a confirmation")
        first = log.with_suffix(".log.1")
        log.rename(first)
        poll(log.exists, what="the file is made again, without a signal")
        self.assertEqual(first.stat().st_mode, log.stat().st_mode)
        second = log.with_suffix(".log.2")
        log.rename(second)
        home.role("gateway").signal(signal.SIGHUP)
        poll(lambda: log.exists() and any(e["event"] == "reloaded" for e in self.events_in(log)), what="a new file after SIGHUP")
        self.assertEqual(home.role("gateway").terminate(), 0)
        said = self.events_in(first) + self.events_in(second) + self.events_in(log)  # each line is whole
        self.assertEqual(said[-1]["event"], "stopped")
        self.assertEqual([home.role(n).terminate() for n in ("pne", "server")], [0, 0])

    def test_a_full_disk_stops_nothing_and_is_reported_when_it_has_space(self):
        home, log = self.begin()
        log.parent.mkdir()
        log.symlink_to("/dev/full")
        self.start(home)
        home.wait_for_each(role="pne", event="key-accepted")
        gateway = home.role("gateway")
        used, since = hostile.cpu_seconds(gateway.pid), time.monotonic()
        home.events.wait(role="pne", event="key-accepted", since=home.events.mark(), count=2 * DEVICES)
        self.assertLess(hostile.cpu_seconds(gateway.pid) - used, 0.5 * (time.monotonic() - since) + 0.5, "no busy loop")
        fresh = log.with_suffix(".new")
        fresh.symlink_to("real.log")
        fresh.rename(log)
        real = log.with_name("real.log")
        poll(lambda: real.exists() and any(e["event"] == "log-written-again" for e in self.events_in(real)), what="the report")
        said = self.events_in(real)
        self.assertIn("ready", [e["event"] for e in said], "the lines of the bad time are there")
        again = next(e for e in said if e["event"] == "log-written-again")
        self.assertEqual((again["component"], again["level"], again["cause"]), ("log", "warn", "No space left on device"))
        self.assertEqual([home.role(n).terminate() for n in ("pne", "gateway", "server")], [0, 0, 0])


if __name__ == "__main__":
    unittest.main()
