"""Copies of application keys and EUKeys in the memory of roles and programs, as root can read it. docs/threat-model.md ("Keys in memory")
lists each place where one may be, and how many."""

import contextlib
import fcntl
import json
import pathlib
import secrets
import socket
import struct
import subprocess
import sys
import termios
import unittest

from support import mosquitto
from support.home import free_port, poll
from support.key_role import key
from support.keys import copied, read_keys
from support.memory import MemorySearch, copies_in, may_read_memory
from support.mosquitto import BUILD, Broker, Sensor
from support.process import Process
from test_application_keys import ROLES, Keys, Watch
from support.key_commands import Commands, children_of, gone, synced

READABLE = unittest.skipUnless(may_read_memory(), "only root can read the memory of a process that cannot be dumped")
ALL_ROLES = (*ROLES, "server")
PURPOSES = ("mqtt", "coap")
HOLDER = """import base64, sys
secret = bytes.fromhex(sys.stdin.readline())
held = [secret + bytes(1), secret.hex(), secret.hex().upper(), base64.b64encode(secret), base64.urlsafe_b64encode(secret)]
state = b"".join(secret[i:i + 4][::-1] for i in range(0, 32, 4))
print("holds", flush=True)
sys.stdin.readline()"""


@READABLE
class ASearch(unittest.TestCase):
    def test_finds_each_form_and_parts(self):
        secret = secrets.token_bytes(32)
        with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            holder.stdin.write(secret.hex() + "\n")
            holder.stdin.flush()
            self.assertEqual(holder.stdout.readline(), "holds\n")
            found = copies_in(holder.pid, MemorySearch({"k": secret, "another": secrets.token_bytes(32)})).counted()
            parts = copies_in(holder.pid, MemorySearch({"k": secret[:16] + bytes(16)}, {"b": bytes(16) + secret[16:]})).counted()
            holder.stdin.write("\n")
        self.assertEqual(set(found), {"k"})
        self.assertEqual(set(found["k"]), {"raw", "hex", "hex upper", "base64", "state"})
        self.assertIn("hex", parts["k"])
        self.assertIn("raw", parts["b"])


def binds_at_once(pid: int) -> bool:
    """Whether the loader has bound all functions, and does not save registers with parts of keys later."""
    return b"LD_BIND_NOW=1" in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


@READABLE
class Roles(Keys):
    def setUp(self):
        self.keys_seen, self.eukeys = {}, {}

    def collect(self):
        """All keys that programs can get now, and all EUKeys."""
        for role in ROLES:
            for purpose in PURPOSES:
                for k in self.keys(role, f"/v1/keys/{purpose}"):
                    self.keys_seen[f"{k['entity']} {k['epoch']} {purpose}"] = bytes.fromhex(k["key"])
        self.eukeys |= {name: value for held in self.held().values() for name, value in held.items()}

    def held(self) -> dict:
        """Role to the EUKeys in its store."""
        with copied(self.place) as folder:
            return {role: {f"{k['entity']} {k['epoch']} EUKey": bytes.fromhex(k["value"])
                           for k in read_keys(folder, role, reveal=True) if k["what"] == "eukey"} for role in ALL_ROLES}

    def copies(self, role):
        return copies_in(self.place.role(role).pid, MemorySearch(self.keys_seen, self.eukeys))

    def until(self, role, wanted, what):
        """A role is at rest a moment after it answered."""
        last = []

        def reached():
            last[:] = [self.copies(role)]
            return wanted(last[0])

        try:
            poll(reached, timeout=15, every=0.2)
        except AssertionError:
            self.fail(f"{what}, at the {role}:\n{last[0].counted()}\n{last[0]}")

    def has_no_application_key(self, role, when):
        self.until(role, lambda copies: not copies.of(self.keys_seen), f"no application key {when}")

    def ask_in_every_way(self, role):
        for purpose in PURPOSES:
            for k in self.keys(role, f"/v1/keys/{purpose}"):
                self.keys(role, f"/v1/keys/{purpose}/{k['entity']}")
                self.keys(role, f"/v1/identities/{purpose}/" + k["identity"].replace("/", "%2F"))
                self.ask(role, f"/v1/fingerprints/{purpose}/{k['entity']}")
        for request in ("GET /v1/keys/mqtt", "GET /v1/keys/mqtt?watch=true", f"HEAD /v1/keys/mqtt/{self.entities[0]}"):
            with socket.socket(socket.AF_UNIX) as cut:  # it goes before it has read anything
                cut.connect(str(self.socket(role)))
                cut.sendall(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def update(self, entity):
        since = self.place.events.mark()
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.place.wait_for_each(since=since, entities=[entity])

    def test_have_no_application_key_at_rest_but_those_before_the_newest_for_the_overlap(self):
        place = self.start(devices=3, overlap="8s", set_size=4)
        renewed, reset, forgotten = self.entities
        self.assertEqual([binds_at_once(place.role(role).pid) for role in ALL_ROLES], [True] * 3)
        with contextlib.ExitStack() as open_watches:
            for role in ROLES:
                for purpose in PURPOSES:
                    watch = Watch(self.socket(role), purpose)
                    open_watches.callback(watch.close)
                    watch.until(lambda line: line["event"] == "synced")
                self.ask_in_every_way(role)
            self.collect()
            for role in ROLES:
                self.has_no_application_key(role, "after snapshots, with open watches")
            before = {self.agree(renewed)["epoch"]}
            self.update(renewed)
            before.add(self.agree(renewed)["epoch"])
            self.update(renewed)
            self.collect()
            previous = {f"{renewed} {epoch} {purpose}": {"raw": 1} for epoch in before for purpose in PURPOSES}
            for role in ROLES:
                self.until(role, lambda copies: copies.of(self.keys_seen).counted() == previous, f"one copy each of {set(previous)}")
            for role in ALL_ROLES:
                self.has_no_application_key(role, "after the overlap")
            place.tell_pne("reset", reset)
            self.until("pne", lambda copies: not copies.of([k for k in self.eukeys if reset in k]), "no EUKey of a PNE that was reset")
        self.eukeys_are_where_they_are_counted()
        place.role("pne").terminate()
        place.cli("pnes", "forget", forgotten, "--config", "gateway.yaml")
        self.until("gateway", lambda copies: not copies.of([k for k in (*self.eukeys, *self.keys_seen) if forgotten in k]),
                   "nothing of a device that was forgotten")

    def eukeys_are_where_they_are_counted(self):
        """In each role one copy of what is in its store; in an idle gateway, none."""
        self.place.wait_for_each()
        self.collect()
        held = self.held()
        self.until("gateway", lambda copies: not copies, "no key of idle devices")
        slots = {name: {"raw": 1} for name in held["pne"]}
        self.until("pne", lambda copies: copies.counted() == slots, "one copy of each slot")
        once = {name: {"raw": 1} for name in held["server"]}
        self.until("server", lambda copies: copies.counted().items() <= once.items(), "at most one copy of each EUKey")


def unread(link) -> int:
    """Bytes that the other end of a Unix socket did not read yet."""
    return struct.unpack("i", fcntl.ioctl(link, termios.TIOCOUTQ, bytes(4)))[0]


def listed(copies, names) -> dict:
    return {name: forms for name, forms in copies.counted().items() if name in names}


@READABLE
class Programs(Commands):
    """At a key socket that the test plays: devices whose keys change, and some that go."""
    ROUNDS = 3

    def setUp(self):
        super().setUp()
        self.place.folder.chmod(0o711)
        (self.folder / "form").write_text("{each}\n{identity}:{key} {key_base64}\n{end}\n")
        self.devices = [f"urn:dev:mac:0024befffe80{n:04x}" for n in range(10)]
        self.secrets, self.now, self.revision = {}, set(), 1
        self.served = self.role()
        (self.folder / "keys.sock").chmod(0o666)

    def own(self, name, *args) -> Process:
        made = Process(name, args, self.events, self.folder)
        self.addCleanup(made.shut_down)
        return made.spawn()

    def send(self, links, line, parts=1):
        self.revision += 1
        for link in links:
            self.served.send_to(link, {**line, "revision": self.revision}, parts)

    def put_all(self, links, number, ends_list=False):
        """The keys of a round take the place of those before."""
        self.now = set()
        for entity in self.devices:
            keys = []
            for n, state in enumerate(("current", "next")):
                name, secret = f"{entity} 3.{2 * number + n}", secrets.token_bytes(32)
                self.secrets[name] = secret
                self.now.add(name)
                keys.append(key(entity, f"3.{2 * number + n}", secret.hex(), state == "current", state))
            self.send(links, {"event": "put", "entity": entity, "keys": keys}, parts=1 + number)
        if ends_list:
            self.send(links, synced())

    def cut(self, links):
        """The role is killed in the middle of a line with a key that nobody will hear of again."""
        entity, secret = self.devices[0], secrets.token_bytes(32)
        self.secrets[f"{entity} of a line that was cut"] = secret
        line = json.dumps({"event": "put", "revision": 1, "entity": entity, "keys": [key(entity, "4.0", secret.hex())]}).encode()
        for link in links:
            self.served.send_to(link, line[:-3], parts=2)
        poll(lambda: all(unread(link) == 0 for link in links), what="programs that have read all")
        self.served.close()
        self.served.open()
        (self.folder / "keys.sock").chmod(0o666)

    def forget(self, links, entities):
        for entity in entities:
            self.send(links, gone("forgotten", 0, entity))
        self.now = {name for name in self.now if name.split(" ")[0] not in entities}

    def until(self, process, wanted, more=lambda copies: True):
        last = []

        def reached():
            last[:] = [copies_in(process.pid, MemorySearch(self.secrets))]
            return last[0].counted() == wanted and more(last[0])

        try:
            poll(reached, timeout=15, every=0.2)
        except AssertionError:
            odd = [name for name in {*last[0].counted(), *wanted} if last[0].counted().get(name) != wanted.get(name)]
            self.fail(f"{process.name}:\n{listed(last[0], odd)}\n{last[0].of(odd)}")

    def test_hold_each_key_that_is_listed_in_counted_places_and_no_other(self):
        first = self.devices[0]
        plain, as_json, with_keys = self.begin("watch"), self.begin("watch", "--json"), self.begin("watch", "--with-keys")
        render = self.render("true")
        by_file, by_fd = (self.begin("exec", first, *how, "--", "sleep", "100", env={"RUNTIME_DIRECTORY": str(self.folder)})
                          for how in ((), ("--fd", "7")))
        servers = [self.own("psk_server", BUILD / "examples/psk_server", "keys.sock", "mqtt", "0")]
        if (coap := BUILD / "examples/coap_server").exists():  # where libcoap is installed
            servers.append(self.own("coap_server", coap, "keys.sock", "mqtt", "127.0.0.1", free_port(socket.SOCK_DGRAM)))
        watches = range(1, 7 + len(servers))
        links = [self.served.watch(n) for n in watches]
        for number in range(self.ROUNDS - 1):
            self.put_all(links, number, ends_list=number == 0)
        self.cut(links)
        links = [self.served.watch(n) for n in watches]
        self.put_all(links, self.ROUNDS - 1, ends_list=True)
        self.forget(links, self.devices[5:])
        for process in (plain, as_json, with_keys, *servers):
            self.until(process, {name: {"raw": 1} for name in self.now})
        self.until(render, {name: {"raw": 1, "hex": 1, "base64": 1} for name in self.now})
        used = f"{first} 3.{2 * self.ROUNDS - 2}"
        of_first = {name: {"raw": 1} for name in self.now if name.startswith(first)}
        for process in (by_file, by_fd):
            self.until(process, {**of_first, used: {"raw": 1, "hex": 1}})
        self.assertEqual([binds_at_once(p.pid) for p in (plain, render, by_file)], [True] * 3)
        poll(lambda: [binds_at_once(pid) for pid in children_of(by_file)] == [False], what="a program without the setting of its parent")
        self.forget(links, self.devices)
        for process in (plain, as_json, with_keys, *servers, render, by_file, by_fd):
            self.until(process, {})

    @unittest.skipIf(mosquitto.missing(), f"missing: {mosquitto.missing()}")
    def test_a_broker_holds_two_copies_and_what_mosquitto_leaves_of_keys_that_clients_used(self):
        broker = Broker(self.place, self.folder / "keys.sock")
        broker.write()
        broker.spawn()
        links = [self.served.watch(1)]
        self.put_all(links, 0, ends_list=True)
        broker.wait_ready()
        client = Sensor(self.place, broker, self.folder / "keys.sock", self.devices[0], "--every", "20", name="sensor").spawn()
        links.append(self.served.watch(2))
        self.put_all(links, 0, ends_list=True)
        for number in range(1, self.ROUNDS):
            seen = broker.log().count("PUBLISH from")
            poll(lambda: broker.log().count("PUBLISH from") > seen + 3, what="messages of the sensor")
            self.put_all(links, number)
        self.forget(links, self.devices[5:])
        self.assertEqual(client.terminate(), 0)
        unused = [name for name in self.secrets if not name.startswith(self.devices[0])]

        def counted(copies) -> bool:
            raw = {name: forms.get("raw") for name, forms in copies.counted().items() if "raw" in forms}
            return raw == {name: 2 for name in self.now} and all(set(forms) == {"raw"} for forms in listed(copies, unused).values())

        last = []
        try:
            poll(lambda: counted(last.append(copies_in(broker.pid, MemorySearch(self.secrets))) or last[-1]), timeout=15, every=0.2)
        except AssertionError:
            self.fail(f"{last[-1].counted()}\n{last[-1]}")


if __name__ == "__main__":
    unittest.main()
