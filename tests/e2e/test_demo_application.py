"""`cpns demo --application mqtt`: its last line, its exit code when a client is refused or a message is lost, what it says when a part is
missing, and that none of its processes outlives it."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from support.home import poll
from support.mosquitto import PLUGIN, PROGRAM
from support.process import cpns_binary
from support.rotation import CROWD

LINE = re.compile(r"  mqtt     handshakes (\d+), refused (\d+); messages: sent (\d+), received (\d+), lost (\d+); "
                  r"oldest key in use: epoch (\d+)\.(\d+), (\d+\.\d) s")


class DemoApplication(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cpns-appdemo-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)  # root's broker is another user
        self.environment = {**os.environ, "TMPDIR": str(self.folder)}

    def begin(self, *args, program=None) -> subprocess.Popen:
        demo = subprocess.Popen([program or cpns_binary(), "demo", "--application", "mqtt", *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(demo.kill)
        return demo

    def end(self, demo) -> str:
        """Its exit code is in `demo`. Returns what it said on standard output; `self.error`: on standard error."""
        said, self.error = demo.communicate(timeout=60)
        return said

    def broker_that(self, change: str) -> str:
        """The broker of this machine with a copy of its configuration, after a command of the shell in the folder of the copy."""
        copy = tempfile.TemporaryDirectory(prefix="cpns-appdemo-broker-")
        self.addCleanup(copy.cleanup)
        pathlib.Path(copy.name).chmod(0o777)
        program = self.folder / "broker"
        program.write_text(f'#!/bin/sh\ncp "$(dirname "$2")"/acl "$2" {copy.name} && cd {copy.name} '
                           '&& sed -i "s#^acl_file .*#acl_file $PWD/acl#" mosquitto.conf '
                           f'&& {change} && exec {PROGRAM} -c "$PWD/mosquitto.conf"\n')
        program.chmod(0o755)
        return str(program)

    def children(self, demo) -> dict:
        """The processes below it, by the first words of their command lines."""
        out = {}
        for pid in pathlib.Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split():
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            out[" ".join(w.decode() for w in words[:2])] = int(pid)
        return out

    def wait_for_clients(self, demo) -> dict:
        poll(lambda: "mqtt_crowd --socket" in self.children(demo), what="the clients", timeout=30)
        return self.children(demo)

    @staticmethod
    def alive(pid: int) -> bool:
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def test_keys_change_and_nobody_is_refused(self):
        demo = self.begin("--seconds", "7")
        said = self.end(demo).splitlines()
        self.assertEqual(demo.returncode, 0, self.error)
        counted = LINE.fullmatch(said[-1])
        self.assertTrue(counted, said[-1])
        handshakes, refused, sent, received, lost, generation, index = map(int, counted.groups()[:7])
        self.assertGreater(handshakes, 40)
        self.assertEqual((refused, lost, received), (0, 0, sent))
        self.assertGreaterEqual(sent, handshakes - 5)
        self.assertEqual(generation, 1)
        self.assertGreaterEqual(index, 0)
        self.assertLess(float(counted[8]), 7)
        rows = [line.split() for line in said if re.fullmatch(r" +\d+ s( +[\d.]+){6}", line)]
        self.assertGreaterEqual(int(rows[-1][2]), 10, "each of five PNEs got two more keys")
        self.assertEqual(rows[-1][4], str(handshakes))
        self.assertGreaterEqual(int(rows[-1][3].split(".")[1]), 2)
        self.assertTrue(any("step 10  PNE    -> PN GW" in line for line in said), "the steps of the assignment")
        self.assertEqual(os.listdir(self.folder), [])

    @unittest.skipIf(os.geteuid(), "root's broker has another user")
    def test_the_folder_in_which_root_writes_is_root_s(self):
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        demo = self.begin("--seconds", "3")
        os.umask(before)
        self.wait_for_clients(demo)
        (folder,) = self.folder.glob("cpns-broker-*")
        self.assertEqual((folder.stat().st_uid, folder.stat().st_mode & 0o777), (0, 0o750))
        own = {p.name: (p.stat().st_uid, oct(p.stat().st_mode & 0o777)) for p in folder.iterdir()}
        self.assertEqual({name for name, (uid, _) in own.items() if uid != 0}, {"hub"})
        self.assertEqual({name for name, (_, mode) in own.items() if mode == "0o640"}, {"acl", "mosquitto.conf", "cpns_mosquitto.so"})
        self.assertEqual(oct((folder / "hub").stat().st_mode & 0o777), "0o700")
        self.end(demo)
        self.assertEqual(demo.returncode, 0, self.error)

    def test_a_lost_message_and_a_refused_client_are_failures(self):
        lossy = self.begin("--seconds", "3", "--transport", "loopback", "--json", "--broker", self.broker_that("sed -i /^topic/d acl"))
        figures = json.loads(self.end(lossy))["application"]
        self.assertEqual(lossy.returncode, 1)
        self.assertGreater(figures["handshakes"], 5)
        self.assertEqual((figures["refused"], figures["received"], figures["lost"]), (0, 0, figures["sent"]))
        self.assertIn(f"{figures['lost']} messages were lost", self.error)

        strict = self.begin("--seconds", "3", "--json", "--broker",
                            self.broker_that("sed -i 's/^plugin_opt_socket .*/plugin_opt_socket nowhere/' mosquitto.conf"))
        figures = json.loads(self.end(strict))["application"]
        self.assertEqual(strict.returncode, 1)
        self.assertEqual((figures["handshakes"], figures["sent"], figures["oldest_key_epoch"]), (0, 0, ""))
        self.assertGreater(figures["refused"], 5)
        self.assertIn(f"{figures['refused']} handshakes were refused", self.error)

    def test_a_missing_part_is_named_before_anything_starts(self):
        alone = self.folder / "bin/cpns"
        alone.parent.mkdir()
        shutil.copy(cpns_binary(), alone)
        library = self.folder / "lib/cpns"
        library.mkdir(parents=True)
        self.environment["CPNS_PLUGIN_PATH"] = str(pathlib.Path(cpns_binary()).parents[1] / "lib/cpns/transports")

        def refused(code, *args, words):
            begun = time.monotonic()
            demo = self.begin(*args, program=str(alone))
            self.assertEqual(self.end(demo), "")
            self.assertEqual(demo.returncode, code, self.error)
            for word in words:
                self.assertIn(word, self.error)
            self.assertLess(time.monotonic() - begun, 5)

        refused(1, "--broker", "/nowhere/mosquitto", words=["/nowhere/mosquitto", "install the package mosquitto"])
        refused(1, "--broker", "no-such-broker", words=["no-such-broker in PATH", "install the package mosquitto"])
        refused(1, words=["lib/cpns/cpns_mosquitto.so; install the package cpns-mosquitto"])
        shutil.copy(PLUGIN, library)
        refused(1, words=["lib/cpns/mqtt_crowd; install the package cpns-mosquitto"])
        refused(2, "--pnes", "1001", words=["--pnes 1001", "1000 PNEs at most"])
        refused(2, "--rekey", "9", "--seconds", "9", words=["--seconds 9", "--rekey"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["bin", "lib"])
        alone_option = subprocess.run([cpns_binary(), "demo", "--seconds", "9"], capture_output=True, text=True, timeout=20)
        self.assertEqual(alone_option.returncode, 2)
        self.assertIn("--seconds requires --application", alone_option.stderr)

    def test_the_end_of_the_broker_is_reported(self):
        demo = self.begin()
        running = self.wait_for_clients(demo)
        os.kill(running["mosquitto -c"], signal.SIGKILL)
        self.end(demo)
        self.assertEqual(demo.returncode, 1)
        self.assertIn("the broker ended with exit code 137", self.error)
        self.assertEqual([pid for pid in running.values() if self.alive(pid)], [])

        demo = self.begin("--broker", self.broker_that("sed -i '$a nonsense 1' mosquitto.conf"))
        self.end(demo)
        self.assertEqual(demo.returncode, 1)
        self.assertRegex(self.error, r"the broker ended with exit code \d+: Error: .*nonsense")

    def test_nohup_keeps_it(self):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGHUP, signal.SIG_DFL)
        demo = self.begin("--seconds", "3")
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.wait_for_clients(demo)
        demo.send_signal(signal.SIGHUP)
        self.end(demo)
        self.assertEqual(demo.returncode, 0, self.error)

    def test_no_process_outlives_a_demo_and_none_was_told_a_key(self):
        demos = {number: self.begin() for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)}
        running = {number: self.wait_for_clients(demo) for number, demo in demos.items()}
        for number, demo in demos.items():
            with self.subTest(signal.Signals(number).name):
                self.assertEqual(len(running[number]), 5, running[number])
                for pid in running[number].values():
                    for file in ("cmdline", "environ"):
                        self.assertIsNone(re.search(rb"[0-9a-f]{64}", pathlib.Path(f"/proc/{pid}/{file}").read_bytes()))
                if os.geteuid() == 0:
                    self.assertNotEqual(pathlib.Path(f"/proc/{running[number]['mosquitto -c']}").stat().st_uid, 0)
                demo.send_signal(number)
                self.end(demo)
                self.assertEqual(demo.returncode, -signal.SIGKILL if number == signal.SIGKILL else 130)
                poll(lambda here=number: not any(map(self.alive, running[here].values())), what="the end of all processes")
        left = [name for name in os.listdir(self.folder) if name.startswith("cpns-broker")]
        self.assertEqual(len(left), 1, "the folder of the demo that was killed")


if __name__ == "__main__":
    lacks = [str(part) for part in (PROGRAM or "mosquitto", PLUGIN, CROWD) if not pathlib.Path(part).exists()]
    if lacks:
        print(f"skipped: this machine or build has no {', '.join(lacks)}", file=sys.stderr)
        sys.exit(77)
    unittest.main()
