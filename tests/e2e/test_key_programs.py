"""Programs that use application keys by `cpns keys watch`, `render` and `exec`, beside real roles whose keys rotate."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import unittest

from support import hostile
from support.canary import Search
from support.home import free_port, poll
from support.mount import Tmpfs
from support.process import Process, cpns_binary
from test_application_keys import ROLES, Keys

LINES = "{each}\n{identity}:{key}\n{end}\n"
# Adds each key that it begins with to the file `seen`.
PROGRAM = 'read -r name key <"$CPNS_KEY_FILE"; echo "$name:$key" >>seen; echo "began $name"; while :; do sleep 0.02; done'


class Programs(Keys):
    def begin(self, command, role, *args) -> Process:
        line = [cpns_binary(), "keys", command, "mqtt", "--config", f"{role}.yaml", *args]
        made = Process(f"{command}-{role}", line, self.place.events, self.place.folder, {"RUNTIME_DIRECTORY": str(self.place.folder)})
        self.addCleanup(made.shut_down)
        return made.spawn()

    def render(self, role, output, *command):
        (self.place.folder / "form").write_text(LINES)
        return self.begin("render", role, "--template", "form", "--output", output, "--", *command)

    def said(self, process, text, count=1, since=0):
        return self.place.events.wait(lambda e: text in e.get("text", ""), role=process.name, since=since, count=count)

    def told(self, process, text) -> list:
        return [e["text"] for e in self.place.events.find(lambda e: text in e.get("text", ""), role=process.name)]

    def update(self, entity):
        since = self.place.events.mark()
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.place.wait_for_each(since=since, entities=[entity])

    def settled(self, entity, also=lambda key: True) -> dict:
        """The key that both sides use, when `also` is true of it. A role that restarts may update the PNE once more at any moment."""
        def same():
            here, there = (self.in_use(role, entity) for role in ROLES)
            return here if here.get("key") and here["key"] == there.get("key") and also(here) else None
        return poll(same, what=f"one key of {entity} on both sides")

    def in_file(self, file) -> dict:
        """Identity to key."""
        lines = file.read_text().splitlines() if file.exists() else []
        return dict(line.split(":") for line in lines)

    def same_as_role(self, role, file) -> bool:
        return self.in_file(file) == {k["identity"]: k["key"] for k in self.keys(role, "/v1/keys/mqtt")}


class Rotation(Programs):
    def test_reaches_both_sides_over_restarts_of_the_roles(self):
        place = self.start()
        entity = self.entities[0]
        folder = place.folder
        render = self.render("gateway", "psk", "sh", "-c", "echo taken")
        watch = self.begin("watch", "gateway")
        program = self.begin("exec", "pne", entity, "--", "sh", "-c", PROGRAM)
        self.said(program, "began")
        self.said(watch, "synced")
        for step in range(6):
            self.update(entity)
            if step == 2:
                place.role("gateway").kill9()
                place.start("gateway")
            if step == 4:
                place.role("pne").kill9()
                place.start("pne")
        last = self.settled(entity, lambda key: self.told(program, f"began {key['identity']}"))
        poll(lambda: self.same_as_role("gateway", folder / "psk"), what="a file with the keys of the gateway")
        seen = self.in_file(folder / "seen")
        self.assertEqual(seen[last["identity"]], last["key"])
        self.assertGreaterEqual(len(seen), 4)
        self.said(watch, last["identity"])
        for process, text in ((render, "the role answers again"), (watch, "the role answers again"), (program, "the role answers again")):
            self.said(process, text)
        self.assertGreaterEqual(len(self.told(render, "taken")), 6)
        self.no_key_in_sight([render, watch, program], seen)
        since = place.events.mark()
        place.tell_pne("reset", entity)
        self.said(program, "has no key any more", since=since)
        since = place.events.mark()
        for command in ("sleep", "wake"):  # the gateway learns of the reset when the PNE meets it again
            place.tell_pne(command, entity)
        self.said(program, "began", since=since)
        self.assertEqual(render.terminate(), 0)
        self.assertEqual(watch.terminate(), 0)
        self.assertEqual(program.terminate(), 128 + signal.SIGTERM)

    def no_key_in_sight(self, processes, keys):
        """Of the processes, their children, and all files but those that have keys by intent."""
        search = Search({name: bytes.fromhex(key) for name, key in keys.items()})
        looked = 0
        for process in processes:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in (process.pid, *children):
                for file in ("cmdline", "environ"):
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # of a command that ends
                        self.assertEqual(search.in_bytes(pathlib.Path(f"/proc/{pid}/{file}").read_bytes()), [])
                        looked += 1
        self.assertGreaterEqual(looked, 8)
        intended = {"psk", "seen", *(str(p.relative_to(self.place.folder)) for p in self.place.folder.glob("cpns-keys-*/key"))}
        self.assertEqual(len(intended), 3)
        finds, files, _ = search.in_folder(self.place.folder, leave_out=intended)
        self.assertEqual(finds, [])
        self.assertGreater(files, 20)
        self.assertTrue(search.in_bytes((self.place.folder / "psk").read_bytes()), "the search finds a key")


class Rights(Programs):
    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_are_those_of_the_purpose(self):
        place = self.start(user="games")
        for role in ROLES:
            for process in (self.render(role, "psk", "true"), self.begin("watch", role),
                            self.begin("exec", role, self.entities[0], "--", "true")):
                self.assertEqual(process.wait(), 1)
                self.said(process, "application_keys.purposes.mqtt.allow")
        self.assertFalse((place.folder / "psk").exists())
        self.assertEqual(list(place.folder.glob("cpns-keys-*")), [])


class FullDisk(Programs):
    def test_keeps_the_former_keys_and_has_the_newest_ones_when_there_is_room(self):
        place = self.start()
        entity = self.entities[0]
        disk = Tmpfs(place.folder / "small", "64k")
        self.addCleanup(disk.close)
        render = self.render("gateway", "small/psk", "sh", "-c", "echo taken")
        program = self.begin("exec", "gateway", entity, "--file", "small/key", "--", "sh", "-c", PROGRAM)
        first = self.agree(entity)
        self.said(program, f"began {first['identity']}")
        poll(lambda: self.same_as_role("gateway", disk.folder / "psk"), what="the keys of the gateway")
        taken = len(self.told(render, "taken"))
        kept = {p.name: p.read_bytes() for p in disk.folder.iterdir()}
        disk.fill()
        self.update(entity)
        for process in (render, program):
            self.said(process, "No space left on device")
        self.update(entity)
        self.assertEqual({p.name: p.read_bytes() for p in disk.folder.iterdir() if p.name in kept}, kept)
        for process in (render, program):
            self.assertEqual(len(self.told(process, "No space left on device")), 1, "said once")
            self.assertEqual(self.told(process, "on a file system in memory"), [])
            self.assertTrue(process.running())
        self.assertEqual(len(self.told(render, "taken")), taken)
        self.assertEqual(len(self.told(program, "began")), 1, "the program goes on with the key that it has")
        place.role("gateway").kill9()
        place.start("gateway")
        for process in (render, program):
            self.said(process, "the role answers again")
            self.assertLess(hostile.cpu_seconds(process.pid), 1, "no busy loop")
        disk.make_room()
        self.said(render, "small/psk is up to date again")
        self.settled(entity, lambda key: self.told(program, f"began {key['identity']}"))
        poll(lambda: self.same_as_role("gateway", disk.folder / "psk"), what="the keys of the gateway")
        self.assertEqual({p.name for p in disk.folder.iterdir()}, {"psk", "key"}, "no temporary file stays")
        self.assertEqual(program.terminate(), 128 + signal.SIGTERM)
        self.assertEqual({p.name for p in disk.folder.iterdir()}, {"psk"})


@unittest.skipUnless(shutil.which("stunnel4"), "stunnel4 is not installed (scripts/install-deps --tests)")
class Stunnel(Programs):
    """The example of docs/application-keys.md."""
    CONFIG = """foreground = yes
pid = {folder}/stunnel.pid
debug = warning
[hub]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{inner}
ciphers = ECDHE-PSK-CHACHA20-POLY1305
sslVersion = TLSv1.2
PSKsecrets = {folder}/psk
"""

    def shake_hands(self, name, key) -> bool:
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_2", "-cipher", "PSK", "-quiet",
                               "-psk_identity", name, "-psk", key], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as client:
            return b"hello of the inner service" in client.stdout.read()

    def serve(self):
        """The service behind stunnel: a line for each connection."""
        door = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(door.close)
        self.inner = subprocess.Popen(["python3", "-c", """
import socket, sys
door = socket.socket(fileno=int(sys.argv[1]))
while True:
    link, _ = door.accept()
    link.sendall(b"hello of the inner service\\n")
    link.close()
""", str(door.fileno())], pass_fds=[door.fileno()])
        self.addCleanup(self.inner.wait)
        self.addCleanup(self.inner.kill)
        return door.getsockname()[1]

    def test_takes_keys_that_rotate(self):
        place = self.start()
        folder, entity = place.folder, self.entities[0]
        self.port = free_port(socket.SOCK_STREAM)
        (folder / "stunnel.conf").write_text(self.CONFIG.format(folder=folder, port=self.port, inner=self.serve()))
        self.assertEqual(self.once(), 0)
        stunnel = Process("stunnel", ["stunnel4", "stunnel.conf"], place.events, folder)
        self.addCleanup(stunnel.shut_down)
        stunnel.spawn()
        poll(lambda: (folder / "stunnel.pid").exists(), what="a stunnel that listens")
        render = self.render("gateway", "./psk", "sh", "-c", 'kill -HUP "$(cat stunnel.pid)" && echo taken')
        used = []
        for _ in range(5):
            key = self.agree(entity)
            poll(lambda key=key: self.in_file(folder / "psk").get(key["identity"]) == key["key"], what="the key in the file")
            poll(lambda key=key: self.shake_hands(key["identity"], key["key"]), what="a handshake with the key of now")
            used.append(key)
            self.update(entity)
        self.assertEqual(len({k["key"] for k in used}), 5)
        poll(lambda: not self.shake_hands(used[0]["identity"], used[0]["key"]), what="a refusal of the first key")
        self.assertFalse(self.shake_hands(self.agree(entity)["identity"], "00" * 32))
        self.assertGreaterEqual(len(self.told(render, "taken")), 5)
        self.assertTrue(stunnel.running())
        self.assertEqual(render.terminate(), 0)

    def once(self) -> int:
        (self.place.folder / "form").write_text(LINES)
        return self.begin("render", "gateway", "--once", "--template", "form", "--output", "./psk").wait()


if __name__ == "__main__":
    unittest.main()
