"""`cpns keys exec` at a key socket that the test plays: when its program starts, gets its key, a signal, and ends."""

import os
import pathlib
import signal
import stat
import unittest

from support.home import poll
from support.key_commands import ENTITY, FIRST, OTHER, PROGRAM, SECOND, THIRD, Commands, children_of, gone, put, synced

LOSES_ITS_HANDLER = """
import os, select, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
print("began", open(os.environ["CPNS_KEY_FILE"]).read().split()[0], flush=True)
while not signal.sigpending(): select.poll().poll(10)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
"""


class Exec(Commands):
    def begun(self, epoch):
        return f"began dev.mac.0024befffe804ff1/{epoch}/mqtt"

    def folders(self) -> list:
        return list(self.folder.glob("cpns-keys-*"))

    def test_runs_its_program_with_the_key_of_now(self):
        role = self.role()
        program = self.exec()
        link = role.watch()
        role.send_to(link, put("1.0", SECOND, entity=OTHER))
        role.send_to(link, synced())
        role.until_acked("w0", 1)
        self.assertEqual(self.told(program, "began"), [])
        role.send_to(link, put("3.8", FIRST, 2))
        self.said(program, self.begun("3.8"))
        [folder] = self.folders()
        self.assertEqual([stat.S_IMODE((folder / n).stat().st_mode) for n in ("", "key")], [0o700, 0o600])
        self.assertEqual((folder / "key").read_text(), f"dev.mac.0024befffe804ff1/3.8/mqtt {FIRST}\n")
        role.until_acked("w0", 2)
        self.has_no_key_in_sight(program)
        role.send_to(link, put("3.9", SECOND, 3))
        self.said(program, self.begun("3.9"))
        role.until_acked("w0", 3)
        role.send_to(link, gone("unreadable", 4))
        role.until_acked("w0", 4)
        role.send_to(link, put("3.9", SECOND, 5))
        role.until_acked("w0", 5)
        self.assertEqual(len(self.told(program, "began")), 2, "a record that cannot be read ends nothing")
        role.send_to(link, gone("forgotten", 6))
        self.said(program, "has no key any more")
        role.until_acked("w0", 6)
        self.assertFalse((folder / "key").exists())
        role.send_to(link, put("4.0", THIRD, 7))
        self.said(program, self.begun("4.0"))
        self.assertEqual(program.terminate(), 7)
        self.assertEqual(self.folders(), [])

    def has_no_key_in_sight(self, program):
        for pid in (program.pid, children_of(program)[0]):
            for file in ("cmdline", "environ"):
                text = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
                self.assertNotIn(FIRST[:16].encode(), text)
                self.assertTrue(text)
        self.assertIn(b"CPNS_KEY_FILE=", text)

    def test_signals_a_program_that_reads_its_key_again(self):
        role = self.role()
        program = self.exec("--file", "./sensor.key", "--on-change", "HUP")
        link = role.watch()
        role.send_to(link, put("3.8", FIRST))
        role.send_to(link, synced())
        self.said(program, self.begun("3.8"))
        role.send_to(link, put("3.9", SECOND, 2))
        self.said(program, "again dev.mac.0024befffe804ff1/3.9/mqtt")
        role.until_acked("w0", 2)
        program.signal(signal.SIGHUP)
        self.said(program, "again ", count=2)
        self.assertEqual(program.terminate(), 7)
        self.assertFalse((self.folder / "sensor.key").exists())

    def test_signals_a_program_when_it_has_a_handler(self):
        role = self.role()
        script = PROGRAM.replace("trap 'read", "until [ -e go ]; do sleep 0.02; done; trap 'read")
        begin = 'read -r name rest <"{place}"; echo "first $name"\n'
        program = self.exec("--on-change", "HUP", program=begin + script)
        link = role.watch()
        role.send_to(link, put("3.8", FIRST))
        role.send_to(link, synced())
        self.said(program, "first dev.mac.0024befffe804ff1/3.8/mqtt")
        role.until_acked("w0", 1)
        for n in (2, 3, 4):
            role.send_to(link, put(f"3.{7 + n}", SECOND, n))
        [folder] = self.folders()
        poll(lambda: "/3.11/" in (folder / "key").read_text(), what="the newest key in its place")
        self.assertTrue(program.running())
        self.assertEqual(role.acked, [("w0", 1)], "the program does not know of it yet")
        (self.folder / "go").touch()
        role.until_acked("w0", 4)
        self.said(program, "again dev.mac.0024befffe804ff1/3.11/mqtt")
        self.assertEqual(len(self.told(program, "first")), 1)
        self.assertEqual(program.terminate(), 7)

    def test_starts_a_program_again_that_has_no_handler_or_loses_it(self):
        role = self.role()
        none = self.exec("--on-change", "USR1", program='read -r name rest <"{place}"; echo "began $name"; while :; do sleep 0.02; done')
        # The signal is blocked, as for a program that will ask for it, and then kills.
        lost = self.begin("exec", ENTITY, "--on-change", "USR2", "--", "/usr/bin/python3", "-c", LOSES_ITS_HANDLER,
                          env={"RUNTIME_DIRECTORY": str(self.folder)})
        for number in (1, 2):
            role.send_to(role.watch(number), put("3.8", FIRST))
            role.send_to(role.watch(number), synced())
        first = self.said(none, self.begun("3.8"))[0]["seen"]
        self.said(lost, self.begun("3.8"))
        for number in (1, 2):
            role.send_to(role.watch(number), put("3.9", SECOND, 2))
        self.said(lost, "died of the signal of a change; it is started again")
        self.said(lost, self.begun("3.9"))
        lost.signal(signal.SIGTERM)
        self.assertEqual(lost.wait(), 128 + signal.SIGTERM)
        self.said(none, "sh has no handler for the signal USR1; it is started again with the new key")
        self.assertGreater(self.said(none, self.begun("3.9"))[0]["seen"] - first, 9)
        [child] = children_of(none)
        os.kill(child, signal.SIGUSR1)
        self.assertEqual(none.wait(), 128 + signal.SIGUSR1, "not the signal of a change")

    def test_gives_the_key_by_a_descriptor_and_as_a_template_says(self):
        role = self.role()
        (self.folder / "raw").write_text("{each use}{key_base64}{end}")
        expected = ((("--fd", "3"), f"3 3 dev.mac.0024befffe804ff1/3.8/mqtt {FIRST}"),
                    (("--fd", "200", "--template", "raw"), "200 200 oaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaE="))
        for n, (options, text) in enumerate(expected):
            program = self.exec(*options, program='echo "{place} $CPNS_KEY_FD $(cat /proc/self/fd/$CPNS_KEY_FD)"; exit 5')
            role.send_to(role.watch(n + 1), put("3.8", FIRST))
            role.send_to(role.watch(n + 1), synced())
            self.assertEqual(program.wait(), 5)
            self.assertEqual(self.told(program, " "), [text])

    def test_leaves_the_wish_of_a_user_to_bind_at_once(self):
        role = self.role()
        for n, (given, seen) in enumerate((({}, "unset"), ({"LD_BIND_NOW": ""}, "unset"), ({"LD_BIND_NOW": "1"}, "1"))):
            program = self.begin("exec", ENTITY, "--", "sh", "-c", 'echo "is ${LD_BIND_NOW:-unset} ${CPNS_BOUND:-alone}"',
                                 env={"RUNTIME_DIRECTORY": str(self.folder), **given})
            role.send_to(role.watch(n + 1), put("3.8", FIRST))
            role.send_to(role.watch(n + 1), synced())
            self.assertEqual(program.wait(), 0)
            self.assertEqual(self.told(program, "alone"), [f"is {seen} alone"])

    def test_ends_as_its_program_ends(self):
        role = self.role()
        for program, code in (("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)):
            role.watches = []
            process = self.exec(program=program)
            role.send_to(role.watch(), put("3.8", FIRST))
            role.send_to(role.watch(), synced())
            self.assertEqual(process.wait(), code)
        role.watches = []
        process = self.begin("exec", ENTITY, "--file", "./k", "--", "./none")
        role.send_to(role.watch(), put("3.8", FIRST))
        role.send_to(role.watch(), synced())
        self.assertEqual(process.wait(), 1)
        self.said(process, "cannot start ./none: No such file or directory")
        self.assertFalse((self.folder / "k").exists())

    def test_kills_a_program_that_does_not_end_for_its_next_key(self):
        role = self.role()
        program = self.exec(program="""trap '' TERM; read -r name rest <"{place}"; echo "began $name"; while :; do sleep 0.05; done""")
        role.send_to(role.watch(), put("3.8", FIRST))
        role.send_to(role.watch(), synced())
        first = self.said(program, self.begun("3.8"))[0]["seen"]
        role.send_to(role.watch(), put("3.9", SECOND, 2))
        second = self.said(program, self.begun("3.9"))[0]["seen"]
        self.assertTrue(9 < second - first < 14, second - first)
        role.until_acked("w0", 2)
        [child] = children_of(program)
        os.kill(child, signal.SIGKILL)
        self.assertEqual(program.wait(), 128 + signal.SIGKILL)

    def test_refuses_what_it_cannot_do(self):
        for args, code, text in ((("--fd", "3", "--on-change", "HUP"), 2, "use --file"), (("--fd", "3", "--file", "x"), 2, "not both"),
                                 (("--on-change", "KILL"), 2, "restart, HUP, USR1 or USR2"), (("--fd", "1"), 2, "--fd"),
                                 (("--file", "none/key"), 1, "is not a folder")):
            process = self.exec(*args)
            self.assertEqual(process.wait(), code, args)
            self.said(process, text)
        process = self.begin("exec", "urn:none", "--", "true")
        self.assertEqual(process.wait(), 1)


if __name__ == "__main__":
    unittest.main()
