"""Signals to the roles and to the demo, and exit codes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support.bad_disk import BadDiskCase
from support.case import E2ECase
from support.events import Events
from support.home import poll
from support.process import Process, cpns_binary

ROLES = ("server", "gateway", "pne")


def processes_of(folder: pathlib.Path) -> list:
    """(pid, command line) of the processes that were started with a path in `folder`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdigit() else ""
        except OSError:
            continue  # the process has ended
        if str(folder) in line:
            found.append((int(entry.name), line))
    return found


class Term(E2ECase):
    def at_work(self):
        home = self.home(devices=20, rekey="1s")
        home.start()
        home.events.wait(role="gateway", event="confirmed", count=30)
        return home

    def ends_with_0(self, home, name: str, number: int, text: str):
        role, begun = home.role(name), time.monotonic()
        since = home.events.mark()
        role.signal(number)
        self.assertEqual(role.wait(), 0, home.events.tail())
        self.assertLess(time.monotonic() - begun, 10)
        said = [e["event"] for e in home.events.find(role=name, since=since)]
        self.assertIn("draining", said)
        self.assertEqual(said[-2:], ["stopped", "process-ended"])
        self.assertTrue(home.events.find(lambda e: e.get("text", "").startswith(text), role=name, event="draining"))

    def test_each_role_ends_with_0_while_it_works_and_can_be_restarted(self):
        home = self.at_work()
        for name in ROLES:
            self.ends_with_0(home, name, signal.SIGTERM, "SIGTERM")
            since = home.events.mark()
            home.role(name).start()
            home.wait_for_each(since)
        for name in ROLES:
            self.ends_with_0(home, name, signal.SIGINT, "SIGINT")
        self.assertEqual(home.events.find(level="error"), [])
        self.assertEqual(home.events.find(event="raw"), [])


class SecondSignal(BadDiskCase):
    """A role whose disk hangs: it waits for the removal of its ready file, at its start (one that a killed role left) and at its end."""
    TERM, CHLD = (1 << (number - 1) for number in (signal.SIGTERM, signal.SIGCHLD))

    def spawn(self, name: str, hangs_at_start: bool):
        home = self.place(name)
        ready = home.folder / f"{name}.ready"
        getattr(home, name)["ready_file"] = ready.name
        home.write()
        if hangs_at_start:
            ready.write_text("left by a killed role\npid 1\n")
            self.hang(ready)
        child = subprocess.Popen([cpns_binary(), name, "--config", f"{name}.yaml"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 cwd=home.folder, env={**os.environ, **home.role(name).env})
        self.addCleanup(lambda: (child.kill(), child.wait()))
        return child, ready

    def signals(self, child, kind: str) -> int:
        for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines():
            if line.startswith(kind + ":"):
                return int(line.split()[1], 16)
        return 0

    def ends_at_the_second_one(self, child):
        child.send_signal(signal.SIGTERM)
        poll(lambda: not self.signals(child, "ShdPnd") & self.TERM, what="the first signal is heard")
        self.assertIsNone(child.poll(), "the role must be blocked")
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(10), 1)

    def test_ends_each_role_while_it_starts(self):
        for name in ROLES:
            with self.subTest(name):
                child, _ = self.spawn(name, hangs_at_start=True)
                # A library that starts a thread blocks all signals for a moment.
                poll(lambda of=child: self.signals(of, "SigBlk") & (self.TERM | self.CHLD) == self.TERM, what="signals are served")
                self.ends_at_the_second_one(child)

    def test_ends_each_role_while_it_ends(self):
        for name in ROLES:
            with self.subTest(name):
                child, ready = self.spawn(name, hangs_at_start=False)
                poll(ready.exists, what="the role is ready")
                self.hang(ready)
                self.ends_at_the_second_one(child)


class Reload(E2ECase):
    def changed(self, said: dict) -> list:
        self.assertEqual(said["event"], "reloaded", said)
        return [k for k in said["changed"].split(", ") if k]

    def ignored(self, said: dict) -> list:
        return [k for k in said["ignored_until_restart"].split(", ") if k]

    def test_a_reload_reports_changed_and_ignored_settings(self):
        home = self.home(devices=1)
        home.start()
        said = {name: home.role(name).reload() for name in ROLES}
        for name in ROLES:
            self.assertEqual((self.changed(said[name]), self.ignored(said[name])), ([], []), name)

        home.server["keys"]["set_size"] = 16
        home.server["listen"] = "127.0.0.1:1"
        home.gateway["rekey"] = {"low_water": 9}
        home.gateway["timers"]["request_timeout"] = "3s"
        home.pne["log"]["level"] = "debug"
        home.pne["wake"] = {"every": "1h"}
        home.write()
        expected = {"server": (["keys.set_size"], ["listen"]), "gateway": (["rekey.low_water"], ["timers.request_timeout"]),
                    "pne": (["log.level"], ["wake.every"])}
        for name in ROLES:
            said = home.role(name).reload()
            self.assertEqual((self.changed(said), self.ignored(said)), expected[name], name)
        for name in ROLES:  # applied settings are no longer reported; ignored ones still are
            said = home.role(name).reload()
            self.assertEqual((self.changed(said), self.ignored(said)), ([], expected[name][1]), name)
        self.assertEqual([home.role(n).terminate() for n in reversed(ROLES)], [0, 0, 0])

    def test_another_memory_takes_a_restart_with_the_limits_that_follow_from_it(self):
        home = self.home(devices=1)
        home.server["limits"] = {**home.server.get("limits", {}), "memory": "200MiB"}
        home.gateway["limits"] = {**home.gateway.get("limits", {}), "memory": "200MiB"}
        home.write()
        home.start()
        shown = {name: home.cli("config", "show", "--running", "--config", f"{name}.yaml").stdout for name in ("server", "gateway")}
        for name in shown:
            getattr(home, name)["limits"]["memory"] = "1GiB"
        home.write()
        for name in shown:
            said = home.role(name).reload()
            self.assertEqual((self.changed(said), self.ignored(said)), ([], ["limits.memory"]), name)
            self.assertEqual(home.cli("config", "show", "--running", "--config", f"{name}.yaml").stdout, shown[name])
        home.gateway["limits"]["devices"] = 200_000
        home.write()
        said = home.role("gateway").reload()
        self.assertEqual(said["event"], "reload-refused", said)
        self.assertRegex(said["text"], r"gateway\.yaml:\d+:\d+: 'limits.memory' is 200MiB until a restart, but .* 'limits.devices' 200000")
        self.assertEqual(home.cli("config", "show", "--running", "--config", "gateway.yaml").stdout, shown["gateway"])
        self.assertEqual([home.role(n).terminate() for n in reversed(ROLES)], [0, 0, 0])

    def test_changed_settings_apply_at_once(self):
        home = self.home(devices=2, rekey="1d")
        known, new = (entity for entity, _ in home.devices)
        home.gateway["validation"]["deny"] = [new]
        home.write()
        home.start()
        home.events.wait(role="gateway", event="confirmed", entity=known)
        self.assertEqual(home.events.find(role="gateway", event="answered", entity=new), [])
        # Devices in reach are renewed at the new interval; the device that was denied before is served.
        home.gateway["rekey"] = {"interval": "1s"}
        home.gateway["validation"]["deny"] = []
        home.write()
        since = home.events.mark()
        self.assertEqual(self.changed(home.role("gateway").reload()), ["rekey.interval", "validation.deny"])
        home.events.wait(role="gateway", event="confirmed", entity=known, epoch="1.2", since=since)
        home.events.wait(role="gateway", event="confirmed", entity=new, since=since)
        # Debug lines begin with the new level, and end with the old one.
        self.assertEqual(home.events.find(role="gateway", level="debug"), [])
        home.gateway["log"]["level"] = "debug"
        home.write()
        home.role("gateway").reload()
        home.events.wait(role="gateway", level="debug", event="retired")

    def test_a_file_with_a_mistake_is_refused_and_the_role_goes_on(self):
        home = self.home(devices=1, rekey="1s")
        home.start()
        for name in ROLES:
            getattr(home, name)["log"]["levle"] = "info"
        home.write()
        for name in ROLES:
            said = home.role(name).reload()
            self.assertEqual(said["event"], "reload-refused", said)
            self.assertRegex(said["text"], rf"{name}\.yaml:\d+:\d+: .*'levle'.*level")
        since = home.events.mark()
        home.events.wait(role="gateway", event="confirmed", count=2, since=since)
        self.assertEqual([home.role(n).terminate() for n in reversed(ROLES)], [0, 0, 0])

    def test_a_file_with_an_unknown_group_is_refused_as_a_whole(self):
        home = self.home(devices=1)
        home.start()
        for name in ROLES:
            getattr(home, name).setdefault("api", {})["groups"] = {"viewer": ["nogrp9"]}
            getattr(home, name)["log"]["level"] = "debug"
        home.write()
        for name in ROLES:
            with self.subTest(name):
                since = home.events.mark()
                said = home.role(name).reload()
                self.assertEqual(said["event"], "reload-refused", said)
                self.assertRegex(said["text"], rf"{name}\.yaml:\d+:\d+: 'api.groups.viewer\[0\]': this machine has no group 'nogrp9'")
                checked = home.cli("config", "check", home.folder / f"{name}.yaml", check=False)
                self.assertEqual((checked.returncode, checked.stderr.strip()), (1, said["text"]))
                self.assertIn("has no group 'nogrp9'", home.cli("doctor", "--config", f"{name}.yaml", check=False).stdout)
                shown = json.loads(home.cli("config", "show", "--running", "--config", f"{name}.yaml").stdout)
                self.assertEqual((shown["api"]["groups"]["viewer"], shown["log"]["level"]), ([], "info"))
                self.assertEqual(home.events.find(role=name, event="reloaded", since=since), [])
                del getattr(home, name)["api"]["groups"]
        home.write()
        for name in ROLES:
            self.assertEqual(self.changed(home.role(name).reload()), ["log.level"], "the refused file changed nothing")


class CtrlC(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-e2e-demo-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.events = Events()

    def start(self, *options) -> Process:
        demo = Process("demo", [cpns_binary(), "demo", "--rekey", "60", *options], self.events, self.folder,
                       env={"TMPDIR": str(self.temporary)})
        self.addCleanup(demo.shut_down)
        return demo.spawn()

    def wait_for_line(self, part: str):
        self.events.wait(lambda e: part in e.get("text", ""), timeout=60)

    def nothing_is_left(self):
        self.assertEqual(processes_of(self.temporary), [])
        self.assertEqual([str(p) for p in self.temporary.rglob("*")], [])

    def test_ctrl_c_leaves_nothing_running_and_nothing_on_disk(self):
        demo = self.start("--pnes", "5")
        self.wait_for_line("step 10")
        self.assertEqual(len(processes_of(self.temporary)), 3, "server, gateway, PNEs")
        self.assertNotEqual(list(self.temporary.iterdir()), [])
        demo.signal(signal.SIGINT)
        self.assertEqual(demo.wait(), 130, self.events.tail())
        self.nothing_is_left()

    def test_ctrl_c_at_the_very_beginning(self):
        for _ in range(5):  # each round hits another moment of the first milliseconds
            demo = self.start("--pnes", "300")
            poll(lambda: list(self.temporary.iterdir()), what="the demo has begun to make its folders", every=0.0005)
            demo.signal(signal.SIGINT)
            self.assertEqual(demo.wait(), 130, self.events.tail())
            self.nothing_is_left()

    def test_ctrl_c_of_the_demo_in_one_process(self):
        demo = self.start("--pnes", "5", "--transport", "loopback")
        self.wait_for_line("step 10")
        demo.signal(signal.SIGINT)
        self.assertEqual(demo.wait(), 130, self.events.tail())
        self.nothing_is_left()

    def test_a_demo_that_is_killed_leaves_nothing_running(self):
        demo = self.start("--pnes", "5")
        self.wait_for_line("step 10")
        demo.kill9()
        poll(lambda: not processes_of(self.temporary), what="the roles ended with the demo")


    def test_ctrl_c_of_a_check_ends_the_test_that_runs(self):
        check = Process("check", [cpns_binary(), "transport", "check", "tcp", "--output", "report.txt"], self.events, self.folder,
                        env={"TMPDIR": str(self.temporary)})
        self.addCleanup(check.shut_down)
        check.spawn()
        poll(lambda: processes_of(self.temporary), what="a test runs")
        check.signal(signal.SIGINT)
        self.assertEqual(check.wait(), 130, self.events.tail())
        self.events.wait(lambda e: "interrupted, after" in e.get("text", "") and "report.txt is not written" in e["text"])
        self.assertFalse((self.folder / "report.txt").exists())
        self.nothing_is_left()

    def test_ctrl_c_of_init_leaves_no_incomplete_folder(self):
        init = Process("init", [cpns_binary(), "init", "home", "--devices", "100000"], self.events, self.folder)
        self.addCleanup(init.shut_down)
        init.spawn()
        poll(lambda: (self.folder / "home").exists(), what="the home is begun", every=0.0005)
        init.signal(signal.SIGINT)
        self.assertEqual(init.wait(), 130, self.events.tail())
        self.events.wait(lambda e: "interrupted, home was not made" in e.get("text", ""))
        self.assertFalse((self.folder / "home").exists())


class SecondDaemon(E2ECase):
    def second(self, home, name: str):
        return subprocess.run([cpns_binary(), name, "--config", home.folder / f"{name}.yaml"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30, cwd=home.folder)

    def test_two_of_a_kind_on_the_same_store_are_refused(self):
        home = self.home(devices=1, rekey="1s")
        home.start()
        home.pne["api"] = {"socket": "none"}  # so that the lock on the key files refuses the second process, not the socket
        home.write()
        since = home.events.mark()
        for name in ROLES:
            done = self.second(home, name)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"is held by process {home.role(name).pid}", done.stderr.splitlines()[-1])
            self.assertNotIn('"event":"ready"', done.stderr)
        # Commands that need the server's store, because it has no API, report the remedy; the first processes keep running.
        home.server["api"] = {"socket": "none"}
        home.write()
        done = home.cli("user", "list", "--config", "server.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the server is running", done.stderr)
        home.events.wait(role="gateway", event="confirmed", since=since, count=2)
        # A kill leaves no lock behind.
        for name in ROLES:
            home.role(name).kill9()
            home.role(name).start()


class ExitCodes(E2ECase):
    def test_done_failed_and_wrong_command_lines(self):
        home = self.home(devices=1)
        entity = home.devices[0][0]
        done = [("--help",), ("--version",), ("server", "--help"), ("config", "check", "server.yaml", "gateway.yaml", "pne.yaml"),
                ("user", "list"), ("device", "list"), ("device", "show", entity), ("config", "schema", "gateway")]
        failed = [("server", "--config", "none.yaml"), ("gateway", "--config", "server.yaml"),
                  ("device", "show", "urn:dev:mac:0024befffe804ff1"), ("user", "remove", "nobody@example.org"),
                  ("pnes", "list", "--config", "gateway.yaml"), ("pne", "--config", "pne.yaml", "wake"),
                  ("config", "check", "none.yaml"), ("demo", "--transport", "none")]
        usage = [(), ("unknown",), ("server",), ("server", "--config"), ("init",), ("init", home.folder), ("init", "x", "--devices", "-1"),
                 ("demo", "--pnes", "0"), ("user", "add"), ("pnes", "approve"), ("server", "--config", "a", "--unknown")]
        for code, lines in ((0, done), (1, failed), (2, usage)):
            for line in lines:
                with self.subTest(line=line):
                    said = home.cli(*line, check=False, timeout=30)
                    self.assertEqual(said.returncode, code, said.stdout + said.stderr)
                    if code != 0:
                        self.assertTrue(said.stderr.strip(), "a failure must have a message")
        self.assertFalse((home.folder / "x").exists())
        self.assertEqual(sorted(os.listdir(home.folder / "state")), ["server", "server.audit.jsonl"])


if __name__ == "__main__":
    unittest.main()
