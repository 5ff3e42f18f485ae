"""The demo ends by itself, with a message, if the requested setup is not possible; of a long run it shows the progress."""

import contextlib
import json
import os
import pathlib
import pty
import signal
import subprocess
import tempfile
import time
import unittest

from support.home import poll
from support.process import cpns_binary


class Demo(unittest.TestCase):
    def run_demo(self, *args, limit=None) -> subprocess.CompletedProcess:
        command = [cpns_binary(), "demo", "--json", *args]
        if limit:
            command = ["sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh", *command]
        return subprocess.run(command, capture_output=True, text=True, timeout=100)

    def assert_ends_with(self, ended, *words):
        self.assertEqual(ended.returncode, 1, ended.stderr)
        for word in words:
            self.assertIn(word, ended.stderr)
        self.assertNotIn("terminate called", ended.stderr)

    def test_more_pnes_than_the_radio_presents(self):
        for isolation in ("none", "process"):
            with self.subTest(isolation):
                ended = self.run_demo("--pnes", "30", "--peer-param", "max_links=20", "--isolation", isolation)
                self.assert_ends_with(ended, "presents 20 PNEs at most", "30", "max_links")
        ended = self.run_demo("--pnes", "30", "--transport", "loopback", "--peer-param", "max_links=20")
        self.assert_ends_with(ended, "30 devices", "allows 20 links")

    def test_more_pnes_than_open_files(self):
        self.assert_ends_with(self.run_demo("--pnes", "300", limit=200), "300 devices", "ulimit -n")

    def test_more_pnes_than_ports_or_links_is_refused_before_anything_starts(self):
        begun = time.monotonic()
        self.assert_ends_with(self.run_demo("--pnes", "10000", limit=4096), "10000 devices need as many links", "at most", "ulimit -n")
        self.assert_ends_with(self.run_demo("--pnes", "300", "--transport", "loopback", "--param", "max_links=200"),
                              "300 devices", "--param max_links=200 allows fewer")
        self.assertLess(time.monotonic() - begun, 5, "no role was started, no device made")

    def test_a_long_run_shows_its_progress_and_ends_when_a_part_is_updated_and_woken(self):
        ended = self.run_demo("--pnes", "3000", "--transport", "loopback", "--rekey", "13")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        figures = json.loads(ended.stdout)
        self.assertEqual((figures["keyed"], figures["failed"], figures["woken"]), (3000, 0, 4))
        self.assertGreaterEqual(figures["updated"], 30)
        # One of the two steps lasts longer than six seconds, whichever speed the machine has.
        self.assertRegex(ended.stderr, r"\.\.\. (keyed|updated) \[[#-]{20}\] \d+ of \d+, \d+ per second")

    def test_a_terminal_shows_one_line_that_is_rewritten(self):
        ours, theirs = pty.openpty()
        demo = subprocess.Popen([cpns_binary(), "demo", "--pnes", "200", "--transport", "loopback"], stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.addCleanup(demo.kill)
        said = b""
        with contextlib.suppress(OSError):  # EIO: the demo has ended
            while chunk := os.read(ours, 65536):
                said += chunk
        os.close(ours)
        self.assertEqual(demo.wait(timeout=60), 0, said)
        self.assertRegex(said.decode(), r"\r\x1b\[Kupdated \[-{20}\] 0 of 2, \d+ per second; the first is due in about \d s")
        self.assertNotIn("  ... ", said.decode(), "no lines besides it")

    def test_all_steps_are_shown(self):
        for transport in ("tcp", "loopback"):
            with self.subTest(transport):
                ended = subprocess.run([cpns_binary(), "demo", "--rekey", "2", "--transport", transport], capture_output=True, text=True,
                                       timeout=60)
                self.assertEqual(ended.returncode, 0, ended.stderr)
                for step in range(11):
                    self.assertRegex(ended.stdout, rf"ms  step {step:2}  ")
                self.assertNotIn("  ... ", ended.stdout, "no progress of a short run")

    def test_a_role_that_ends(self):
        for role in ("server", "gateway", "pne"):
            with self.subTest(role), tempfile.TemporaryDirectory() as folder:
                home = pathlib.Path(folder) / "kept"
                demo = subprocess.Popen([cpns_binary(), "demo", "--json", "--rekey", "3600", "--keep", str(home)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.addCleanup(demo.kill)
                os.kill(self.child(demo, role), signal.SIGKILL)
                _, said = demo.communicate(timeout=60)
                self.assertEqual(demo.returncode, 1, said)
                self.assertIn(f"the {role} ended with exit code 137", said)

    def child(self, demo, role) -> int:
        def found():
            for pid in pathlib.Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split():
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if role.encode() in words and b"--config" in words:
                    return int(pid)
            return None

        return poll(found, what=f"the {role} of the demo", timeout=30)

    def test_the_update_waits_for_no_more_than_its_timer(self):
        ended = self.run_demo("--pnes", "2000", "--transport", "loopback")
        self.assertEqual(ended.returncode, 0, ended.stderr)
        figures = json.loads(ended.stdout)
        self.assertEqual(figures["keyed"], 2000)


if __name__ == "__main__":
    unittest.main()
