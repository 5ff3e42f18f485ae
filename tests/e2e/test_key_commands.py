"""`cpns keys watch`, `render` and `get` at a key socket that the test plays: what it says, refuses, and does not know."""

import itertools
import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import unittest

from support.key_commands import ENTITY, FIRST, LINES, OTHER, SECOND, THIRD, Commands, gone, put, synced
from support.process import cpns_binary

BUILD = pathlib.Path(cpns_binary()).parents[1]


def in_memory(folder) -> bool:
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout
    return kind.strip() in ("tmpfs", "ramfs")


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

    def test_puts_its_file_into_memory_and_says_it_if_another_place_is_named(self):
        role = self.role()
        names = itertools.count(1)

        def rendered(output, **env) -> list:
            """The lines about the place."""
            render = self.begin("render", "--template", "form", "--output", output, "--once",
                                env={"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "", **env})
            number = next(names)
            role.send_to(role.watch(number), put("3.8", FIRST))
            role.send_to(role.watch(number), synced())
            render.wait()
            return self.told(render, "is not on a file system in memory (tmpfs): its keys outlive it on the disk")

        with tempfile.TemporaryDirectory(prefix="cpns-e2e-", dir="/dev/shm") as memory, tempfile.TemporaryDirectory(dir=BUILD) as disk:
            name = pathlib.Path(memory).name
            for output, place, env in (("a", memory, {"RUNTIME_DIRECTORY": f"{memory}:/none", "XDG_RUNTIME_DIR": disk}),
                                       ("b", memory, {"XDG_RUNTIME_DIR": memory}), (name, "/run", {}),
                                       ("./c", self.folder, {"RUNTIME_DIRECTORY": memory}),
                                       (f"{disk}/d", disk, {"RUNTIME_DIRECTORY": memory})):
                with self.subTest(place=place):
                    file = pathlib.Path(place, pathlib.Path(output).name)
                    if place == "/run" and not os.access(place, os.W_OK):
                        continue
                    said = rendered(output, **env)
                    self.addCleanup(file.unlink, missing_ok=True)
                    self.assertEqual(file.read_text(), self.line("3.8", FIRST) + "\n")
                    self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o640)
                    self.assertEqual(len(said), 0 if in_memory(place) else 1)
                    self.assertTrue(all(str(file) in line or output in line for line in said), said)
            self.assertEqual([in_memory(memory), in_memory(disk)], [True, False], "or the test shows nothing")

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


    def test_two_of_one_file(self):
        role = self.role()
        both = [self.render("true"), self.render("true")]
        for n in range(1, 101):
            for number in (1, 2):
                role.send_to(role.watch(number), put(f"3.{n}", FIRST, n))
                if n == 1:
                    role.send_to(role.watch(number), synced())
        for name in ("w0", "w1"):
            role.until_acked(name, 100)
        self.until_content(self.line("3.100", FIRST))
        for process in both:
            self.assertEqual(self.told(process, "trying again"), [])
        self.assertEqual(list(self.folder.glob("psk.*")), [])


class Get(Commands):
    def test_refuses_a_wrong_entity_id_before_it_asks_the_role(self):
        for command in ("get", "fingerprint"):
            process = self.begin(command, "urn:none")
            self.assertEqual(process.wait(), 1)
            self.said(process, "Entity ID 'urn:none' has no known scheme")


if __name__ == "__main__":
    unittest.main()
