#!/usr/bin/env python3
"""libcpns-keys with real roles: it follows rotations and restarts on both sides, it says why a role refuses it, and the examples for
OpenSSL, built from the installed package, talk to each other while the keys change under them."""
import contextlib
import getpass
import json
import os
import pathlib
import queue
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from support.case import E2ECase
from support.home import poll
from support.key_role import KeyRole

BUILD = pathlib.Path(os.environ["CPNS_BUILD"])
ROLES = ("gateway", "pne")
WAIT = 30  # s


class Program:
    """A process with lines in and out."""

    def __init__(self, *command, **options):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        **options)
        self.lines = []
        self.fresh = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.fresh.put(line.rstrip("\n"))

    def next(self) -> str:
        line = self.fresh.get(timeout=WAIT)
        self.lines.append(line)
        return line

    def until(self, wanted) -> str:
        while not wanted(line := self.next()):
            pass
        return line

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def end(self) -> int:
        self.process.stdin.close()
        code = self.process.wait(WAIT)
        self.reader.join(WAIT)
        self.process.stdout.close()
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.end()


class Library(E2ECase):
    def start(self, devices, user=None):
        self.place = self.home(devices=devices)
        for role in ROLES:
            getattr(self.place, role)["application_keys"] = {
                "socket": f"state/{role}-keys.sock", "purposes": {"mqtt": {"allow": {"users": [user or getpass.getuser()]}}}}
        self.place.write()
        self.place.start()
        self.place.wait_for_each()
        self.entities = sorted(entity for entity, _ in self.place.devices)

    def socket(self, role):
        return self.place.folder / f"state/{role}-keys.sock"

    def program(self, *command, **options):
        out = Program(*command, **options)
        self.addCleanup(out.kill)
        return out

    def follow(self, role):
        return self.program(BUILD / "tests/follow_keys", self.socket(role), "mqtt")

    def update(self, entity):
        since = self.place.events.mark()
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.place.wait_for_each(since=since, entities=[entity])


def is_begun(line, entity):
    return line.startswith(f"put {entity} ") and line.split()[4] == "use"


class ARoleThatWasAway(unittest.TestCase):
    def test_is_followed_again_at_once(self):
        """It gives PNEs new keys as soon as it is back."""
        with tempfile.TemporaryDirectory() as folder:
            role = KeyRole(pathlib.Path(folder) / "keys.sock")
            self.addCleanup(role.close)
            follower = Program(BUILD / "tests/follow_keys", role.path, "mqtt")
            self.addCleanup(follower.kill)
            role.watch()
            role.close()
            threading.Event().wait(4)  # the longest pauses between attempts begin
            begin = time.monotonic()
            role.open()
            role.watch()
            self.assertLess(time.monotonic() - begin, 1.6)


class Follow(Library):
    def test_both_sides_through_a_rotation_and_restarts(self):
        self.start(devices=3)
        entity = self.entities[1]
        programs = {role: self.follow(role) for role in ROLES}
        for p in programs.values():
            self.assertEqual(p.until(lambda x: x.startswith("synced")), "synced 0")
        listed = [[" ".join((x.split()[1], x.split()[2], x.split()[5], x.split()[6])) for x in sorted(p.lines) if x.startswith("put")]
                  for p in programs.values()]
        self.assertEqual(listed[0], listed[1], "the same keys on both sides")
        self.assertEqual([x.split()[0] for x in listed[0]], self.entities)
        first = next(x for x in listed[0] if x.startswith(entity))
        self.update(entity)
        second = [p.until(lambda x: is_begun(x, entity) and x.split()[6] != first.split()[3]) for p in programs.values()]
        self.assertEqual(second[0].split()[5:], second[1].split()[5:])
        for role in ROLES:
            self.place.role(role).kill9()
            self.assertTrue(programs[role].until(lambda x: x.startswith("lost")).startswith("lost the role ended the connection"))
            self.place.start(role)
            programs[role].until(lambda x: x.startswith("synced"))
        self.update(self.entities[2])
        for p in programs.values():
            p.until(lambda x: is_begun(x, self.entities[2]))
        self.assertFalse([x for p in programs.values() for x in p.lines if x.startswith("end") and " all " in x or "unknown" in x],
                         "no restart ends a session or loses a key")
        self.place.role("pne").terminate()
        self.place.cli("pnes", "forget", entity, "--config", "gateway.yaml")
        programs["gateway"].until(lambda x: x.startswith(f"gone {entity} "))
        programs["gateway"].until(lambda x: x.startswith(f"end {entity} all "))
        for p in programs.values():
            self.assertEqual(p.end(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can name another user alone")
    def test_a_refusal_names_the_key_of_the_file(self):
        self.start(devices=1, user="games")
        p = self.follow("gateway")
        said = p.next()
        self.assertTrue(said.startswith("lost the role refuses (403 keys-not-allowed): "), said)
        self.assertIn("application_keys.purposes.mqtt.allow", said)
        self.assertEqual(p.end(), 0)


class Cuts:
    """Stands between a program and a key socket, and cuts the connections."""

    def __init__(self, path, target):
        self.path, self.target, self.asked, self.told, self.pairs = path, target, [], b"", []
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(str(path))
        self.door.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.door.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.target))
                self.pairs.append((near, far))
                threading.Thread(target=self.pass_on, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self.pass_on, args=(far, near, False), daemon=True).start()

    def pass_on(self, near, far, asks):
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                if asks:
                    self.asked.append(data)
                else:
                    self.told += data
                far.sendall(data)
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        self.door.close()


class Breaks(Library):
    def test_of_the_connection_while_keys_rotate_lose_no_change_and_need_no_list(self):
        self.start(devices=5)
        cuts = Cuts(self.place.folder / "cut.sock", self.socket("gateway"))
        self.addCleanup(cuts.close)
        whole, cut = self.follow("gateway"), self.program(BUILD / "tests/follow_keys", cuts.path, "mqtt")
        for p in (whole, cut):
            p.until(lambda x: x.startswith("synced"))
        over = threading.Event()

        def keep_cutting():
            while not over.wait(0.15):
                cuts.cut()
        cutter = threading.Thread(target=keep_cutting)
        cutter.start()
        try:
            rounds = 0
            while rounds < 2 or len([request for request in cuts.asked if b"watch=true" in request]) < 6:
                rounds += 1
                self.assertLess(rounds, 60, cuts.asked)
                for entity in self.entities:
                    self.update(entity)
        finally:
            over.set()
            cutter.join()
        self.update(self.entities[0])
        newest = self.keys_of(self.entities[0])
        for p in (whole, cut):
            p.until(lambda x: is_begun(x, self.entities[0]) and x.split()[5] == newest)
        begun = [{x.split()[5] for x in p.lines if x.startswith("put ")} for p in (whole, cut)]
        self.assertEqual(begun[0], begun[1])
        self.assertGreaterEqual(len(begun[0]), 16)
        ends = [sorted(x for x in p.lines if x.startswith("end ")) for p in (whole, cut)]  # before the first key of each record
        self.assertEqual(ends[0], ends[1])
        watches = [request for request in cuts.asked if b"watch=true" in request]
        self.assertTrue(all(b"&since=" in request for request in watches[1:]), watches)
        self.assertIn(b'"event":"resumed"', cuts.told)
        self.assertNotIn(b'"event":"resync"', cuts.told)

    def keys_of(self, entity) -> str:
        """The identity with which the gateway begins."""
        listed = json.loads(self.place.cli("keys", "get", "mqtt", entity, "--json", "--socket", str(self.socket("gateway"))).stdout)
        return next(k["identity"] for k in listed["keys"] if k["use"])


class Examples(Library):
    def test_are_built_from_the_package_and_serve_while_the_keys_change(self):
        self.start(devices=2)
        prefix = self.place.folder / "prefix"
        for component in ("keys", "keys_dev"):
            subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix, "--component", component], check=True, capture_output=True)
        found = {"PATH": os.environ["PATH"], "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"), "LD_LIBRARY_PATH": str(prefix / "lib")}
        coap = ("coap_server", "coap_client") if (BUILD / "examples/coap_server").exists() else ()  # test_key_coap.py runs them
        for name in ("psk_server", "psk_client", *coap):
            source = prefix / "share/doc/libcpns-keys-dev/examples" / f"{name}.c"
            command = next(line[3:].strip() for line in source.read_text().splitlines() if line.startswith(" *   cc "))
            subprocess.run(["sh", "-euc", f"{command} -Wall -Wextra -Werror"], check=True, env=found, cwd=source.parent)
        here = prefix / "share/doc/libcpns-keys-dev/examples"
        server = self.program(here / "psk_server", self.socket("gateway"), "mqtt", 0, env=found)
        port = server.next().removeprefix("port ")
        clients = {entity: self.program(here / "psk_client", self.socket("pne"), "mqtt", entity, port, env=found)
                   for entity in self.entities}
        seen = {entity: set() for entity in self.entities}
        number = 0

        def talk():
            nonlocal number
            for entity, client in clients.items():
                number += 1
                client.say(f"line {number}")
                answer = client.next()
                identity, _, rest = answer.partition(" said ")
                self.assertEqual(rest, f"line {number}", answer)
                self.assertTrue(identity.startswith(entity.removeprefix("urn:").replace(":", ".") + "/"), answer)
                seen[entity].add(identity)

        updates = threading.Thread(target=lambda: [self.update(entity) for entity in self.entities * 2])
        updates.start()
        while updates.is_alive():
            talk()
        updates.join()
        talk()
        self.assertGreaterEqual(min(len(identities) for identities in seen.values()), 3, seen)
        self.assertGreater(number, 20)
        for client in clients.values():
            self.assertEqual(client.end(), 0)


if __name__ == "__main__":
    unittest.main()
