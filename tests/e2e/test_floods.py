"""Some seconds of the worst floods (floods.py has all of them, for longer and as root): memory, answers, log lines, a key afterwards."""

import pathlib
import subprocess
import sys
import unittest

FLOODS = pathlib.Path(__file__).resolve().parent / "floods.py"


class Floods(unittest.TestCase):
    def flood(self, *words):
        done = subprocess.run([sys.executable, "-B", FLOODS, *words, "--no-cgroup", "--after", "1"], capture_output=True, text=True,
                              timeout=100, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("alive yes", done.stdout)
        self.assertNotIn("MISS", done.stdout)

    def test_a_server_is_asked_for_entities_that_were_never_imported(self):
        self.flood("unknown", "--count", "60000")

    def test_four_links_send_without_a_pause(self):
        self.flood("links", "--seconds", "3")

    def test_a_device_reconnects_without_a_pause(self):
        self.flood("reconnects", "--seconds", "3")

    def test_an_invalid_command_line_is_told(self):
        done = subprocess.run([sys.executable, "-B", FLOODS, "unknwon"], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("reconnects", done.stderr)


if __name__ == "__main__":
    unittest.main()
