"""Files written by people: each error is one line with its position; the daemon prints the same line as the check; no import is half
done."""

import contextlib
import os
import subprocess
import unittest

from support.case import E2ECase
from support.process import cpns_binary

KEY = "8f14e45fceea167a5a36dedd4bea2543"


class Configuration(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        self.file = self.place.folder / "server.yaml"
        self.good = self.file.read_text()

    def errors_of(self, *args):
        done = self.place.cli(*args, check=False, timeout=20)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(done.stdout, "")
        return done.stderr.splitlines()

    def refused(self, content, *says, place="{line}:1", line=1):
        self.file.write_bytes(content if isinstance(content, bytes) else content.encode())
        checked = self.errors_of("config", "check", self.file)
        self.assertEqual(len(checked), 1, checked)
        self.assertTrue(checked[0].startswith(f"{self.file}:{place.format(line=line)}"), checked[0])
        for text in says:
            self.assertIn(text, checked[0])
        self.assertEqual(self.errors_of("server", "--config", self.file), checked, "the daemon must print the same")

    def test_each_kind_of_error_is_reported_with_its_position(self):
        lines = self.good.count("\n") + 1
        cases = {
            "unknown key": (self.good + "lisen: x\n", "'lisen' is not a key here; did you mean 'listen'?"),
            "wrong type": (self.good + "limits: {connections: many}\n", "must be a whole number, not 'many'", "{line}:23"),
            "out of range": (self.good + "handshake_timeout: 2h\n", "must be from 100ms to 1m, not '2h'", "{line}:20"),
            "environment": (self.good + "drain: ${CPNS_NOWHERE}\n", "CPNS_NOWHERE is not set", "{line}:8"),
            "given twice": (self.good + "role: server\n", "'role' is given twice, first in line 1; remove one"),
            "tab": (self.good + "limits:\n\tconnections: 5\n", "this is not YAML"),
            "anchor": (self.good + "drain: &a 5s\n", "an anchor (&a) is not allowed; write the value out", "{line}:8"),
            "second document": (self.good + "---\nrole: server\n", "a second document begins here"),
        }
        for name, (content, says, *place) in cases.items():
            with self.subTest(name):
                self.refused(content, says, place=place[0] if place else "{line}:1", line=lines + (name in ("tab", "second document")))
        for name, content, says in (("empty", "", "not nothing"), ("missing key", "role: server\n", None),
                                    ("UTF-16", b"\xff\xfer\0", "UTF-16"), ("binary", bytes(range(256)) * 40, "")):
            with self.subTest(name):
                if says is None:
                    self.file.write_text(content)
                    checked = self.errors_of("config", "check", self.file)
                    self.assertEqual([c.split("'")[1] for c in checked], ["tls", "protector", "store.path"])
                else:
                    self.refused(content, says)

    def test_a_path_that_is_not_a_regular_file_is_refused(self):
        for what, says in ((self.place.folder, "this is a folder, not a file"), ("/dev/zero", "the file is larger than 1 MiB"),
                           (self.place.folder / "none.yaml", "the file cannot be opened; is the path right")):
            for command in (("config", "check", what), ("server", "--config", what), ("gateway", "--config", what)):
                with self.subTest(command):
                    lines = self.errors_of(*command)
                    self.assertEqual(len(lines), 1, lines)
                    self.assertTrue(lines[0].startswith(f"{what}: {says}"), lines)

    def test_all_errors_are_reported_and_a_running_role_is_not_disturbed(self):
        self.place.start("server")
        self.file.write_text(self.good + "lisen: x\ndrain: soon\n")
        self.assertEqual(len(self.errors_of("config", "check", self.file)), 2)
        self.assertEqual(self.place.role("server").reload()["event"], "reload-refused")
        self.place.start("gateway", "pne")
        self.place.events.wait(role="gateway", event="confirmed", timeout=20)

    def test_the_file_of_another_role(self):
        self.assertIn("this is the configuration of a gateway, not of a server",
                      self.errors_of("server", "--config", self.place.folder / "gateway.yaml")[0])

    def test_wrong_command_lines(self):
        for args in ((), ("frobnicate",), ("server",), ("server", "--config"), ("config", "check"), ("pnes", "show"),
                     ("demo", "--pnes", "x"), ("device", "import"), ("user", "add"),
                     ("device", "show", "headset", "--config", "server.yaml")):
            with self.subTest(args):
                done = self.place.cli(*args, check=False, timeout=20)
                self.assertEqual(done.returncode, 2, done)
                self.assertNotEqual(done.stdout + done.stderr, "")


class DeviceLists(E2ECase):
    HEAD = "entity_id,temporary_key,strength,owner"

    def setUp(self):
        self.place = self.home(devices=1)
        self.list = self.place.folder / "list.csv"
        self.list.touch(mode=0o600)
        self.known = self.devices()

    def devices(self) -> set:
        return set(self.place.cli("device", "list", "--config", "server.yaml").stdout.splitlines())

    def new(self) -> list:
        return sorted(line.split("\t")[0] for line in self.devices() - self.known)

    def entity(self, n: int) -> str:
        return f"urn:dev:mac:02000000{n:04x}"

    def row(self, n: int) -> str:
        return f"{self.entity(n)},{KEY[:-2]}{n:02x},128bit,"

    def load(self, content: bytes, *options):
        self.list.write_bytes(content)
        done = self.place.cli("device", "import", self.list, "--config", "server.yaml", *options, check=False, timeout=20)
        self.assertNotIn(KEY[:-2], done.stdout + done.stderr)
        return done.returncode, done.stdout + done.stderr

    def test_a_bad_row_in_the_middle(self):
        content = "\n".join([self.HEAD, self.row(1), f"urn:dev:mac:XYZ,{KEY},128bit,", self.row(3), ""]).encode()
        code, text = self.load(content)
        self.assertEqual(code, 1)
        self.assertIn(f"{self.list}:3: ", text)
        self.assertIn("nothing was imported: 1 row cannot be used", text)
        self.assertEqual(self.new(), [], "an import takes all rows or none")
        code, text = self.load(content, "--partial")
        self.assertEqual((code, self.new()), (1, [self.entity(1), self.entity(3)]))
        self.assertIn(f"{self.list}:3: ", text)
        self.assertIn("Imported 2 devices, left out 1.", text)

    def test_a_bad_check_digit_and_a_device_that_is_listed_twice(self):
        content = "\n".join([self.HEAD, f"urn:gsma:imei:35209900-176148-2,{KEY},128bit,", self.row(1), self.row(1), ""]).encode()
        code, text = self.load(content)
        self.assertEqual((code, self.new()), (1, []))
        self.assertIn(f"{self.list}:2: ", text)
        self.assertIn(f"{self.list}:4: {self.entity(1)}: the device is in line 3 already", text)

    def test_crlf_and_a_byte_order_mark(self):
        code, text = self.load(b"\xef\xbb\xbf" + "\r\n".join([self.HEAD, self.row(1), self.row(2), ""]).encode())
        self.assertEqual((code, self.new()), (0, [self.entity(1), self.entity(2)]), text)

    def test_a_key_that_a_spreadsheet_changed_an_owner_that_is_not_a_user_and_a_pipe(self):
        for damaged in (KEY[1:], ":".join(KEY[i:i + 2] for i in range(0, 32, 2)), "0x" + KEY, KEY[:-1] + "O", "0" * 32):
            with self.subTest(damaged):
                code, text = self.load(f"{self.HEAD}\n{self.entity(1)},{damaged},128bit,\n".encode())
                self.assertEqual((code, self.new()), (1, []), text)
                self.assertIn(f"{self.list}:2: {self.entity(1)}: the temporary key ", text)
        code, text = self.load(f"{self.HEAD}\n{self.row(1)}nobody@example.org\n".encode())
        self.assertEqual((code, self.new()), (0, [self.entity(1)]), text)
        self.assertIn(f"{self.list}:2: {self.entity(1)}: warning: the owner nobody@example.org is not a user", text)
        done = subprocess.run([cpns_binary(), "device", "import", "/dev/stdin", "--config", "server.yaml"], cwd=self.place.folder,
                              input=f"{self.HEAD}\n{self.row(2)}\n".encode(), capture_output=True, check=False)
        self.assertEqual((done.returncode, len(self.new())), (0, 2), done)

    def test_ten_million_bytes_without_a_newline(self):
        for content in (b"x" * 10_000_000, self.HEAD.encode() + b"\n" + self.row(1).encode() + b"\n" + b"x" * 10_000_000):
            code, text = self.load(content)
            self.assertEqual((code, self.new()), (1, []))
            self.assertIn("the line is longer than 4096 bytes", text)
            self.assertLess(len(text), 300)

    def test_an_endless_line_is_read_no_further_than_a_line_may_be(self):
        """Uses a pipe, which shows how much was read."""
        tube = self.place.folder / "tube"
        os.mkfifo(tube, 0o600)
        child = subprocess.Popen([cpns_binary(), "device", "import", tube, "--config", "server.yaml"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.place.folder)
        taken = 0
        with child, open(tube, "wb", buffering=0) as out, contextlib.suppress(BrokenPipeError):
            while taken < 10_000_000:
                taken += out.write(bytes(4096))
        self.assertEqual(child.returncode, 1)
        self.assertLess(taken, 1_000_000)

    def test_binary_and_empty_files(self):
        for content in (b"", b"\n\n", bytes(range(256)) * 100, b"\0" * 5000, b"\x7fELF" + os.urandom(5000)):
            with self.subTest(content[:8]):
                code, text = self.load(content)
                self.assertEqual((code, self.new()), (1, []), text)
                self.assertLess(len(text.splitlines()), 4)


if __name__ == "__main__":
    unittest.main()
