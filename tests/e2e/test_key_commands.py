"""`cpns keys watch`, `render` and `exec` at a key socket that the test plays: what it says, refuses, and does not know."""

import os
import pathlib
import signal
import stat
import unittest

from support.case import E2ECase
from support.home import poll
from support.key_role import KeyRole, key
from support.process import Process, cpns_binary

ENTITY = "urn:dev:mac:0024befffe804ff1"
OTHER = "urn:dev:mac:0024befffe804ff2"
FIRST, SECOND, THIRD = "a1" * 32, "b2" * 32, "c3" * 32
LINES = "{each}\n{identity}:{key}\n{end}\n"
# Tells its key, and ends with code 7 when it is told to.
PROGRAM = """trap 'exit 7' TERM; trap 'read -r name rest <"$CPNS_KEY_FILE"; echo "again $name"' HUP
read -r name rest <"{place}"; echo "began $name"
while :; do sleep 0.02; done"""


def put(epoch, secret, revision=1, entity=ENTITY, **more):
    return {"event": "put", "revision": revision, "entity": entity, "keys": [key(entity, epoch, secret)], **more}


def gone(reason, revision, entity=ENTITY):
    return {"event": "gone", "revision": revision, "entity": entity, "reason": reason, "text": "a sentence"}


def synced(revision=1, unreadable=0):
    return {"event": "synced", "revision": revision, "unreadable": unreadable}


def children_of(process) -> list:
    return [int(p) for p in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


class Commands(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        self.events, self.folder = self.place.events, self.place.folder
        (self.folder / "form").write_text(LINES)
        self.numbers = 0

    def role(self, **options) -> KeyRole:
        role = KeyRole(self.folder / "keys.sock", **options)
        self.addCleanup(role.close)
        return role

    def begin(self, command, *args, env=None) -> Process:
        """Its lines are events `raw` of its name."""
        self.numbers += 1
        line = [cpns_binary(), "keys", command, "mqtt", "--socket", "keys.sock", *args]
        made = Process(f"{command}{self.numbers}", line, self.events, self.folder, env)
        self.addCleanup(made.shut_down)
        return made.spawn()

    def render(self, *command, once=False):
        return self.begin("render", "--template", "form", "--output", "./psk", *(["--once"] if once else []), "--", *command)

    def exec(self, *options, program=PROGRAM):
        return self.begin("exec", ENTITY, *options, "--", "sh", "-c", program, env={"RUNTIME_DIRECTORY": str(self.folder)})

    def said(self, process, text, count=1, since=0):
        """Waits until the process said `text` so often."""
        return self.events.wait(lambda e: text in e.get("text", ""), role=process.name, since=since, count=count)

    def told(self, process, text) -> list:
        return [e["text"] for e in self.events.find(lambda e: text in e.get("text", ""), role=process.name)]

    def content(self):
        file = self.folder / "psk"
        return file.read_text() if file.exists() else None

    def until_content(self, *lines):
        wanted = "".join(line + "\n" for line in lines)
        poll(lambda: self.content() == wanted, what=f"a file with {wanted}")

    @staticmethod
    def line(epoch, secret, entity=ENTITY):
        return f"{key(entity, epoch, secret)['identity']}:{secret}"


class Watch(Commands):
    def test_goes_on_from_its_revision(self):
        role = self.role()
        process = self.begin("watch")
        link = role.watch()
        for line in (put("3.8", FIRST), put("1.0", SECOND, entity=OTHER), {**synced(1), "run": "00c0ffee"}, put("3.9", THIRD, 7)):
            role.send_to(link, line)
        self.said(process, "/3.9/mqtt")
        link.close()
        link = role.watch(2)
        self.assertEqual(role.requests[-1][1], "/v1/keys/mqtt?watch=true&since=00c0ffee.7")
        role.send_to(link, {"event": "resumed", "revision": 7})
        role.send_to(link, put("3.10", FIRST, 9))
        role.send_to(link, {"event": "synced", "revision": 9, "run": "00c0ffee"})
        self.said(process, "synced  2 devices", count=2)
        role.send_to(link, b"{}\n")
        link = role.watch(3)
        self.assertEqual(role.requests[-1][1], "/v1/keys/mqtt?watch=true", "a damaged line needs a list of all devices")
        role.send_to(link, put("3.10", FIRST, 9))
        role.send_to(link, synced(9))
        self.said(process, f"end  {OTHER}  1.0  none")

    def test_prints_a_line_for_each_change(self):
        role = self.role()
        plain, raw = self.begin("watch", ENTITY), self.begin("watch", ENTITY, "--json")
        with_keys = self.begin("watch", "--with-keys")
        for number in (1, 2, 3):
            link = role.watch(number)
            role.send_to(link, put("3.8", FIRST), parts=40)
            role.send_to(link, put("1.0", SECOND, entity=OTHER))
            role.send_to(link, {"event": "of a later version", "revision": 1})
            role.send_to(link, synced(1, unreadable=2), parts=3)
            role.send_to(link, put("3.9", THIRD, 2, sessions_from="3.9"))
            role.send_to(link, put("3.10", FIRST, 3))
            role.send_to(link, gone("moved", 4))
        for process in (plain, with_keys):
            self.said(process, "moved")
        self.events.wait(role=raw.name, event="gone")
        name = "dev.mac.0024befffe804ff1"
        self.assertEqual([e["text"] for e in self.events.find(role=plain.name)], [
            f"key  {ENTITY}  3.8  current  use  {name}/3.8/mqtt", "synced  1 device, and 2 that cannot be read",
            f"end  {ENTITY}  3.8  replaced  -  {name}/3.8/mqtt", f"key  {ENTITY}  3.9  current  use  {name}/3.9/mqtt",
            f"end  {ENTITY}  3.9  retired  -  {name}/3.9/mqtt", f"key  {ENTITY}  3.10  current  use  {name}/3.10/mqtt",
            f"end  {ENTITY}  3.10  moved  -  {name}/3.10/mqtt"])
        self.assertEqual(len(self.told(with_keys, f"/3.8/mqtt  {FIRST}")), 1)
        self.assertEqual(len(self.told(with_keys, f"/1.0/mqtt  {SECOND}")), 1)
        self.assertEqual([e["event"] for e in self.events.find(role=raw.name)],
                         ["put", "of a later version", "synced", "put", "put", "gone"])
        self.assertEqual(plain.terminate(), 0)
        for process in (raw, with_keys):
            process.signal(signal.SIGINT)
            self.assertEqual(process.wait(), 0)

    def test_waits_for_a_role_and_follows_it_over_a_restart(self):
        watch = self.begin("watch")
        self.said(watch, "no role listens at keys.sock")
        role = self.role()
        link = role.watch()
        role.send_to(link, put("3.8", FIRST))
        role.send_to(link, put("1.0", SECOND, entity=OTHER))
        role.send_to(link, synced())
        self.said(watch, "the role answers again")
        role.close()
        self.said(watch, "closed the connection")
        role.open()
        link = role.watch()
        role.send_to(link, put("3.8", FIRST))
        role.send_to(link, synced())
        self.said(watch, "the role answers again", count=2)
        self.assertEqual(len(self.told(watch, "key  ")), 2, "a key that is the same is not a change")
        self.said(watch, f"end  {OTHER}  1.0  none")
        since = self.events.mark()
        for bad in (b"no JSON\n", b'{"event":"put"}\n', b"x" * (2 << 20)):
            link = role.watch()
            role.watches = []
            try:
                role.send_to(link, bad)
            except OSError:
                self.assertGreater(len(bad), 1 << 20)
            self.said(watch, "trying again", since=since)
            role.send_to(role.watch(), synced())
            self.said(watch, "answers again", since=since)
            since = self.events.mark()
        self.assertEqual(watch.terminate(), 0)

    def test_ends_when_it_is_refused_at_its_start_alone(self):
        problem = {"code": "keys-not-allowed", "detail": "uid 1 gets no keys: application_keys.purposes.mqtt.allow"}
        role = self.role()
        later = self.begin("watch")
        role.send_to(role.watch(), synced())
        self.said(later, "synced")
        role.close()
        role.refusal = (403, problem)
        role.open()
        self.said(later, "application_keys.purposes.mqtt.allow; trying again")
        for process in (self.begin("watch"), self.render("true"), self.exec()):
            self.assertEqual(process.wait(), 1)
            self.said(process, "application_keys.purposes.mqtt.allow")
        role.refusal = (503, {"code": "too-many-readers", "detail": "24 read already"})
        patient = self.begin("watch")
        self.said(patient, "24 read already; trying again")
        role.refusal = None
        role.send_to(role.watch(), synced())
        role.send_to(role.watch(2), synced())
        self.said(patient, "the role answers again")
        self.assertTrue(later.running())

    def test_ends_at_a_frozen_role_when_it_is_told_to(self):
        role = self.role()
        watch, render, program = self.begin("watch"), self.render("true"), self.exec()
        role.watch(3)
        self.assertEqual([p.terminate(2) for p in (watch, render, program)], [0, 0, 130])


class Render(Commands):
    def test_acknowledges_what_its_command_has_taken(self):
        role = self.role()
        (self.folder / "code").write_text("3")
        render = self.render("sh", "-c", 'echo "ran $(cat psk | tr -dc 0-9./:)"; exit "$(cat code)"')
        link = role.watch()
        role.send_to(link, put("3.8", FIRST, 4))
        role.send_to(link, synced(4))
        self.said(render, "sh ended with code 3; trying again")
        self.said(render, "ran ", count=3)
        self.until_content(self.line("3.8", FIRST))
        self.assertEqual(stat.S_IMODE((self.folder / "psk").stat().st_mode), 0o640)
        self.assertEqual(role.acked, [])
        self.assertEqual(len(self.told(render, "code 3")), 1, "said once")
        role.refuse_acks = 2
        (self.folder / "code").write_text("0")
        role.until_acked("w0", 4)
        self.assertEqual(role.refuse_acks, 0, "acknowledged again after a failure that may pass")
        runs = len(self.told(render, "ran "))
        role.send_to(link, put("3.8", FIRST, 5))
        role.until_acked("w0", 5)
        role.send_to(link, {"event": "progress", "revision": 6})
        role.until_acked("w0", 6)
        self.assertEqual(len(self.told(render, "ran ")), runs, "nothing changed")
        role.send_to(link, put("3.9", SECOND, 7))
        role.until_acked("w0", 7)
        self.until_content(self.line("3.9", SECOND))
        role.close()
        self.said(render, "trying again", count=2)
        self.until_content(self.line("3.9", SECOND))
        role.open()
        role.send_to(role.watch(), put("3.9", SECOND, 2))
        role.send_to(role.watch(), synced(2))
        role.until_acked("w1", 2)
        role.send_to(role.watch(), gone("reset", 3))
        role.until_acked("w1", 3)
        self.until_content()
        self.assertEqual(render.terminate(), 0)

    def test_stops_its_acknowledgements_where_they_are_refused(self):
        role = self.role()
        render = self.render("true")
        link = role.watch()
        role.final_refusal = 404
        role.send_to(link, put("3.8", FIRST))
        role.send_to(link, synced())
        self.said(render, "the role refuses acknowledgements with status 404")
        role.final_refusal = 0
        role.send_to(link, put("3.9", SECOND, 2))
        self.until_content(self.line("3.9", SECOND))
        role.close()
        role.open()
        role.send_to(role.watch(), put("3.9", SECOND, 1))
        role.send_to(role.watch(), synced())
        role.until_acked("w1", 1)
        self.assertEqual(role.acked, [("w1", 1)])

    def test_runs_one_command_at_a_time_and_then_for_the_newest_keys(self):
        role = self.role()
        script = 'mkdir busy || exit 9; echo "ran $1"; until [ -e go ]; do sleep 0.02; done; rmdir busy'
        render = self.render("sh", "-c", script, "sh", "$(id)")
        link = role.watch()
        role.send_to(link, put("3.0", FIRST))
        role.send_to(link, synced())
        self.said(render, "ran $(id)")
        for n in range(1, 51):
            role.send_to(link, put(f"3.{n}", FIRST, n + 1))
        (self.folder / "go").touch()
        role.until_acked("w0", 51)
        self.until_content(self.line("3.50", FIRST))
        self.assertLessEqual(len(self.told(render, "ran $(id)")), 3)
        self.assertEqual(self.told(render, "ended with"), [])

    def test_goes_on_without_acknowledgements(self):
        for options in ({"acks": False}, {"silent_about_acks": True}):
            with self.subTest(**options):
                role = self.role(**options)
                render = self.render("true")
                program = self.exec()
                for n in range(2):
                    secret = (FIRST, SECOND)[n]
                    for number in (1, 2):
                        role.send_to(role.watch(number), put(f"3.{n}", secret))
                        role.send_to(role.watch(number), synced())
                    self.until_content(self.line(f"3.{n}", secret))
                    self.said(program, f"began dev.mac.0024befffe804ff1/3.{n}/mqtt")
                    role.close()
                    self.said(render, "trying again", count=n + 1)
                    self.said(program, "trying again", count=n + 1)
                    role.open()
                self.assertEqual(role.acked, [])
                for process in (render, program):
                    self.assertEqual(len(self.told(process, "takes no acknowledgements")), 1)
                    process.terminate()
                role.close()

    def test_once(self):
        self.assertEqual(self.render("true", once=True).wait(), 1)  # no role
        role = self.role()
        for command, code in ((("true",), 0), (("false",), 1), (("./none",), 1), ((), 0)):
            with self.subTest(command=command):
                render = self.render(*command, once=True)
                role.send_to(role.watch(), put("3.8", FIRST))
                role.send_to(role.watch(), synced())
                self.assertEqual(render.wait(), code)
                self.until_content(self.line("3.8", FIRST))
                role.watches = []

    def test_errors_of_a_template_and_of_names_have_their_place(self):
        for form, text in (("a\n {each}{kye}{end}", "form:2:8: unknown placeholder {kye}; did you mean {key}?"), ("{each}", "form:1:1: "),
                           ("x } y", "form:1:3: ")):
            (self.folder / "form").write_text(form)
            render = self.render("true")
            self.assertEqual(render.wait(), 1)
            self.said(render, text)
        (self.folder / "form").write_text(LINES)
        for args, code, text in ((("--template", "none", "--output", "./psk"), 1, "none: No such file"),
                                 (("--template", "form", "--output", "none/psk"), 1, "none is not a folder"),
                                 (("--template", "form", "--output", "./state"), 1, "is a folder"),
                                 (("--template", "form"), 2, "--output is required")):
            process = self.begin("render", *args)
            self.assertEqual(process.wait(), code)
            self.said(process, text)


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
        program.kill9()
        os.kill(child, signal.SIGKILL)  # it ignores the SIGTERM that follows the end of its parent

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
