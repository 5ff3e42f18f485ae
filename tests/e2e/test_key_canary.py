"""No application key and no EUKey is in a log, a command line, an environment, an audit trail, a bundle, a file of a role, or an answer
other than those of the key socket, while keys are handed out, watched, renewed, rendered and used. A planted one is found in each place."""

import base64
import contextlib
import getpass
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from support import mosquitto
from support.api_home import UNKNOWN, connect, document, path_with
from support.canary import Search, escaped
from support.home import poll
from support.keys import copied, read_keys
from support.mosquitto import BUILD, Broker, Sensor
from support.process import Process, cpns_binary
from support.tls_case import OverTls
from support.unix_http import Connection
from test_application_keys import Watch

SIDES = ("gateway", "pne")
PURPOSES = ("mqtt", "coap")


class Stream(threading.Thread):
    """Collects the lines of an answer that goes on."""

    def __init__(self, read_line, end):
        super().__init__(daemon=True)
        self.read_line, self.end, self.text = read_line, end, b""
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # its connection was closed
            while line := self.read_line():
                self.text += line

    def close(self):
        self.end()
        self.join(10)


def in_processes(search) -> list:
    """Finds in the command lines and environments of all processes of this machine."""
    finds = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ", "comm"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                finds += [f"{name}: {find}" for find in search.in_bytes((folder / name).read_bytes())]
    return finds


class Canary(OverTls):
    def new_home(self):
        # For files that programs are meant to read.
        outside = tempfile.TemporaryDirectory(prefix="cpns-e2e-outside-")
        self.addCleanup(outside.cleanup)
        self.outside = pathlib.Path(outside.name)
        home = self.home(devices=2, level="debug")
        users = sorted({getpass.getuser(), mosquitto.broker_user() if mosquitto.PROGRAM else getpass.getuser()})
        for role in SIDES:
            getattr(home, role)["application_keys"] = {
                "socket": f"state/{role}-keys.sock",
                "purposes": {"mqtt": {"allow": {"users": users}}, "coap": {"bytes": 16, "identity": "opaque", "allow": {"users": users}}}}
        home.folder.chmod(0o711)
        self.secrets, self.states = {}, set()
        return home

    def socket(self, role):
        return self.place.folder / f"state/{role}-keys.sock"

    def keep(self, keys):
        for k in keys:
            self.states.add(k["state"])
            self.secrets[f"{k['identity']} {k['key'][:6]}"] = bytes.fromhex(k["key"])

    def collect(self):
        for role in SIDES:
            for purpose in PURPOSES:
                with contextlib.closing(Connection("keys", self.socket(role))) as link:
                    self.keep(link.ask("GET", f"/v1/keys/{purpose}").json["keys"])
        with copied(self.place) as folder:
            for role in document.ROLES:
                for k in read_keys(folder, role, reveal=True):
                    if k["what"] == "eukey":
                        self.secrets[f"EUKey {k['entity']} {k['epoch']}"] = bytes.fromhex(k["value"])

    def begin(self, name, *args, env=None) -> Process:
        made = Process(name, args, self.place.events, self.place.folder, env)
        self.place.processes.append(made)
        return made.spawn()

    def begin_programs(self):
        (self.place.folder / "form").write_text("{each}\n{identity}:{key}\n{end}\n")
        entity, keys = self.entities[0], [cpns_binary(), "keys"]
        outside = {"RUNTIME_DIRECTORY": str(self.outside)}
        self.begin("watch", *keys, "watch", "mqtt", "--config", "gateway.yaml")
        self.begin("render", *keys, "render", "mqtt", "--config", "gateway.yaml", "--template", "form", "--output", "psk", env=outside)
        self.begin("exec", *keys, "exec", "mqtt", entity, "--config", "pne.yaml", "--", "sleep", "100", env=outside)
        self.begin("exec-fd", *keys, "exec", "mqtt", entity, "--config", "pne.yaml", "--fd", "5", "--", "sleep", "100", env=outside)
        self.begin("psk_server", BUILD / "examples/psk_server", "state/gateway-keys.sock", "mqtt", "0")
        poll((self.outside / "psk").exists, what="a file of keys")
        if not mosquitto.missing():
            broker = Broker(self.place, self.socket("gateway")).start()
            Sensor(self.place, broker, self.socket("pne"), entity, "--every", "50", name="sensor").spawn()
            broker.says(f"'pn/{entity}/reading'")

    def begin_streams(self):
        streams = []
        for role in document.ROLES:
            link = connect(self.place, role)
            link.request("GET", "/v1/events")
            answer = link.getresponse()
            streams.append(Stream(answer.readline, link.sock.close if link.sock else answer.close))
            curl = subprocess.Popen(["curl", "-sSN", "--cacert", self.tls / "ca.pem", "--cert", self.tls / "anna.pem", "--key",
                                     self.tls / "anna.key", self.url(role) + "/v1/events"], stdout=subprocess.PIPE)
            self.addCleanup(curl.stdout.close)
            streams.append(Stream(curl.stdout.readline, lambda c=curl: (c.kill(), c.wait())))
        return streams

    def renew(self):
        """Two updates of a device and a reset of the other, with all that the key sockets say meanwhile."""
        watches = {(role, purpose): Watch(self.socket(role), purpose) for role in SIDES for purpose in PURPOSES}
        renewed, reset = self.entities
        for _ in range(2):
            since = self.place.events.mark()
            update = ("pnes", "update", renewed, "--config", "gateway.yaml")
            poll(lambda: self.place.cli(*update, check=False).returncode == 0, what="an update")
            self.place.wait_for_each(since=since, entities=[renewed])
            self.collect()
        self.place.tell_pne("reset", reset)
        for (role, _), watch in watches.items():
            while True:
                line = watch.line()
                self.keep(line.get("keys", []))
                if line["event"] == "gone" if role == "pne" else len(self.of(line, renewed)) == 3 and line["keys"][-1]["use"]:
                    break
            watch.close()
        self.collect()

    @staticmethod
    def of(line, entity) -> list:
        return [k for k in line.get("keys", []) if k["entity"] == entity]

    def asked(self) -> dict:
        """What is asked to its answer: each request of the API of each role on its socket and over TLS, and the commands."""
        answers = {}
        for role in document.ROLES:
            for target in ("/v1/keys/mqtt", f"/v1/keys/mqtt/{self.entities[0]}", f"/v1/fingerprints/mqtt/{self.entities[0]}",
                           "/v1/identities/mqtt/x"):
                for ask in (self.ask_socket, self.ask_tls):
                    self.assertEqual(ask(role, target).code, "no-such-path", f"{role} {target}")
            for o in document.document(role).operations:
                if o.verb != "GET" or o.streams:
                    continue
                path = path_with(o, {**UNKNOWN, "entity": self.entities[0]})
                answers[f"{role} {path}"] = self.ask_socket(role, path).body
                if "{" not in o.path:
                    answers[f"{role} {path} over TLS"] = self.ask_tls(role, path).body
            where = ("--config", f"{role}.yaml")
            for command in (("status", *where), ("config", "show", *where, "--running"), ("audit", "show", *where),
                            ("support-bundle", *where, "--with-ids", "--yes", "--output", f"{role}-bundle.json"),
                            ("doctor", *where), ("log", "show", *where), ("user", "list", *where), ("pnes", "list", *where)):
                done = self.place.cli(*command, check=command[0] in ("status", "config", "audit", "support-bundle"))
                answers[f"cpns {' '.join(command)}"] = (done.stdout + done.stderr).encode()
        self.assertIn(b"cpns_", answers["gateway /metrics"])
        return answers

    def ask_socket(self, role, target):
        with contextlib.closing(connect(self.place, role)) as link:
            return link.ask("GET", target)

    def ask_tls(self, role, target):
        return self.ask(role, "anna", "GET", target)

    def test_finds_no_key_while_keys_are_in_use_and_each_planted_one(self):
        place, folder = self.place, self.place.folder
        place.wait_for_each()
        (folder / "state").chmod(0o711)
        self.entities = sorted(entity for entity, _ in place.devices)
        self.collect()
        self.begin_programs()
        streams = self.begin_streams()
        self.renew()
        answers = self.asked()
        self.assertLessEqual({"current", "previous", "next", "pending"}, self.states)
        search = Search(self.secrets)
        self.assertTrue(search.in_bytes((self.outside / "psk").read_bytes()), "the search finds a key where it is meant to be")
        self.assertEqual(in_processes(search), [])
        for role in document.ROLES:  # a crash
            place.role(role).signal(signal.SIGABRT)
            self.assertEqual(place.role(role).wait(), -signal.SIGABRT)
        for stream in streams:
            stream.close()
        for number, stream in enumerate(streams):
            answers[f"events {number}"] = stream.text
            self.assertIn(b"event: snapshot", stream.text)
        self.assertIn(b"event: confirmed", streams[2].text)
        self.assertEqual({what: finds for what, text in answers.items() if (finds := search.in_bytes(text))}, {})
        self.assertGreater(len(answers), 50)
        finds, files, _ = search.in_folder(folder)
        self.assertEqual(finds, [])
        self.assertGreater(files, 40)
        self.assertIn('"level":"debug"', (folder / "gateway.err").read_text())
        self.plant(search, answers)

    def plant(self, search, answers):
        """One key in each kind of place, each in another form."""
        folder = self.place.folder
        name, key = next((n, k) for n, k in self.secrets.items() if not n.startswith("EUKey") and len(k) == 32)
        forms = (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key),
                 escaped(key, short=False), escaped(key, short=True), base64.b64encode(b"ab" + key).replace(b"/", b"\\/"))
        names = [f"{role}{of}" for role in document.ROLES for of in (".err", "-bundle.json")]
        names += [f"state/{role}.audit.jsonl" for role in document.ROLES]
        names += [f"{program}.{kind}" for program in ("watch", "render", "exec", "psk_server") for kind in ("out", "err")]
        names += [] if mosquitto.missing() else ["broker.err", "sensor.err"]
        state = folder / "state"
        stores = [next(s.rglob(kind)) for s in (state / "gateway", state / "server", state / "pne") for kind in ("*.log", "MANIFEST*")]
        for number, file in enumerate([*(folder / n for n in names), *stores]):
            with self.subTest(place=file.name):
                before = file.read_bytes()
                file.write_bytes(before + b" " + forms[number % len(forms)] + b" ")
                self.assertEqual({f.split(": ")[0] for f in search.in_folder(folder)[0]}, {str(file.relative_to(folder))})
                file.write_bytes(before)
        for what in ("gateway /metrics", "gateway /v1/status over TLS", "cpns status --config gateway.yaml", "events 2"):
            for form in forms:
                self.assertIn(name, " ".join(search.in_bytes(answers[what] + form)))
        for args, env, where in (((key.hex(),), {}, "cmdline"), ((), {"KEY": base64.b64encode(key).decode()}, "environ")):
            with subprocess.Popen([sys.executable, "-c", "input()", *args], stdin=subprocess.PIPE, env={**os.environ, **env}) as careless:
                poll(lambda: any(f.startswith(where) and name in f for f in in_processes(search)), what=f"a find in the {where}")
                careless.stdin.write(b"\n")


if __name__ == "__main__":
    unittest.main()
