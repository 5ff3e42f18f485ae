#!/usr/bin/env python3
"""Application keys with real roles: both sides derive the same keys, before and after an update; who gets them; and
the commands of `cpns keys`."""

import base64
import contextlib
import getpass
import http.client
import json
import os
import pathlib
import socket
import threading
import unittest

import jsonschema

from support import openapi
from support.api_home import document
from support.case import E2ECase
from support.home import poll
from support.unix_http import Connection

ROLES = ("gateway", "pne")
UNKNOWN_ENTITY = "urn:dev:mac:fe00000000000000"


class Keys(E2ECase):
    def start(self, devices=2, user=None, own_files=False, allow=None, overlap=None, set_size=None):
        """Purposes with `allow`, by default of `user`, by default that of the test. `overlap`, `set_size`: by default those of the
        program."""
        self.place = self.home(devices=devices)
        if set_size is not None:
            self.place.server["keys"]["set_size"] = set_size
            self.place.gateway |= {"rekey": {"low_water": 2}, "healing_reserve": 1}
        allow = allow or {"users": [user or getpass.getuser()]}
        for role in ROLES:
            getattr(self.place, role)["application_keys"] = {
                "socket": f"state/{role}-keys.sock",
                "purposes": {"mqtt": {"allow": allow}, "coap": {"bytes": 16, "identity": "opaque", "allow": allow}}}
            if overlap is not None:
                getattr(self.place, role)["application_keys"]["overlap"] = overlap
        if own_files:
            self.place.give_own_key_files("state")
        self.place.write()
        self.place.folder.chmod(0o711)  # other users reach the sockets
        self.place.start()
        self.place.wait_for_each()
        (self.place.folder / "state").chmod(0o711)
        self.entities = sorted(entity for entity, _ in self.place.devices)
        return self.place

    def socket(self, role):
        return self.place.folder / f"state/{role}-keys.sock"

    def ask(self, role, target, **peer):
        with contextlib.closing(Connection("keys", self.socket(role), **peer)) as link:
            return link.ask("GET", target)

    def keys(self, role, target, **peer) -> list:
        answer = self.ask(role, target, **peer)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json["keys"]

    def in_use(self, role, entity, purpose="mqtt") -> dict:
        return next((k for k in self.keys(role, f"/v1/keys/{purpose}/{entity}") if k["use"]), {})

    def command(self, *args, check=True):
        return self.place.cli("keys", *args, check=check)

    def logged(self, role, event):
        poll(lambda: self.place.events.find(role=role, event=event), what=f"a line {event} of the {role}")

    def agree(self, entity):
        """Both sides use the same key of each purpose. Returns that of `mqtt`."""
        def same():
            return self.in_use("gateway", entity)["epoch"] == self.in_use("pne", entity)["epoch"]

        poll(same, what=f"one epoch of {entity} on both sides")
        for purpose, size in (("mqtt", 32), ("coap", 16)):
            here, there = (self.in_use(role, entity, purpose) for role in ROLES)
            for member in ("entity", "epoch", "identity", "fingerprint", "key"):
                self.assertEqual(here[member], there[member], member)
            self.assertEqual(len(bytes.fromhex(here["key"])), size)
        return self.in_use("gateway", entity)


class BothSides(Keys):
    def test_derive_the_same_keys_and_again_after_an_update(self):
        for own_files in (False, True):
            with self.subTest(own_files=own_files):
                self.start(own_files=own_files)
                first = {entity: self.agree(entity) for entity in self.entities}
                self.assertEqual(len({k["key"] for k in first.values()}), 2)
                entity = self.entities[0]
                self.assertEqual(first[entity]["identity"],
                                 f"{entity.removeprefix('urn:').replace(':', '.')}/{first[entity]['epoch']}/mqtt")
                since = self.place.events.mark()
                poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0,
                     what="an update of a PNE in reach")
                self.place.wait_for_each(since=since, entities=[entity])
                second = self.agree(entity)
                self.assertNotEqual(second["key"], first[entity]["key"])
                self.assertNotEqual(second["epoch"], first[entity]["epoch"])
                self.assertLess(first[entity]["since"], second["since"])
                self.assertEqual(self.agree(self.entities[1]), first[self.entities[1]])

    def test_list_all_devices_and_find_a_key_by_what_the_other_side_shows(self):
        self.start(devices=5)
        for role, other in (ROLES, ROLES[::-1]):
            for purpose in ("mqtt", "coap"):
                everything = self.keys(role, f"/v1/keys/{purpose}")
                self.assertEqual({k["entity"] for k in everything}, set(self.entities))
                shown = next(k for k in self.keys(other, f"/v1/keys/{purpose}/{self.entities[3]}") if k["use"])
                found = self.keys(role, f"/v1/identities/{purpose}/" + shown["identity"].replace("/", "%2F"))
                self.assertEqual([k["key"] for k in found], [shown["key"]])
            self.assertEqual(self.ask(role, f"/v1/keys/mqtt/{UNKNOWN_ENTITY}").code, "no-key-yet")
            self.assertEqual(self.ask(role, "/v1/identities/coap/unknown").code, "no-such-identity")
            self.assertEqual(self.ask(role, "/v1/keys/amqp").code, "no-such-purpose")

    def test_have_keys_again_after_a_kill_and_leave_no_socket_after_a_stop(self):
        place = self.start(devices=1)
        before = self.agree(self.entities[0])
        for role in ROLES[::-1]:  # both, before one starts again: a gateway that restarts may update the PNE
            place.role(role).kill9()
        for role in ROLES:
            place.start(role)
            poll(lambda: self.socket(role).exists(), what="the key socket")
            poll(lambda: place.events.find(role=role, event="key-socket", since=place.role(role).since), what="a key socket that answers")
            self.assertEqual(self.in_use(role, self.entities[0])["key"], before["key"])
            self.assertEqual(place.role(role).terminate(), 0)
            self.assertFalse(self.socket(role).exists())


class Watch:
    """Follows the keys of a purpose; each line is judged by docs/openapi."""

    def __init__(self, socket, purpose="mqtt", query="watch=true"):
        self.link = Connection("keys", socket)
        self.link.request("GET", f"/v1/keys/{purpose}?{query}")
        self.answer = self.link.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.getheader("Content-Type") == "application/x-ndjson"
        self.schema = document.document("keys").operation("readKeys").answer(200)["content"]["application/x-ndjson"]["schema"]

    def close(self):
        self.answer.close()  # which has the socket
        self.link.close()

    def line(self) -> dict:
        text = self.answer.readline()
        assert text.endswith(b"\n"), f"the watch ended: {text}"
        found = openapi.parse(text.decode())
        faults = list(jsonschema.Draft202012Validator(openapi.closed(self.schema)).iter_errors(found))
        assert not faults, f"{text}: {faults}"
        return found

    def until(self, wanted) -> dict:
        """Passes over lines until one is wanted."""
        while not wanted(found := self.line()):
            pass
        return found


class Watching(Keys):
    def watch(self, role, purpose="mqtt"):
        w = Watch(self.socket(role), purpose)
        self.addCleanup(w.close)
        return w

    def test_sees_each_change_when_it_is_durable(self):
        place = self.start()
        entity = self.entities[0]
        first = self.agree(entity)
        watches = {role: self.watch(role) for role in ROLES}
        for w in watches.values():
            seen = [w.line(), w.line()]
            self.assertEqual({line["entity"] for line in seen}, set(self.entities))
            self.assertEqual(w.line()["event"], "synced")
        since = place.events.mark()
        poll(lambda: place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        confirmed = watches["gateway"].until(
            lambda x: x["event"] == "put" and x["keys"][-1]["use"] and x["keys"][-1]["key"] != first["key"])
        self.assertEqual((confirmed["entity"], confirmed["keys"][-1]["state"]), (entity, "current"))
        accepted = watches["pne"].until(lambda x: x["event"] == "put" and x["keys"][-1]["key"] == confirmed["keys"][-1]["key"])
        self.assertTrue(accepted["keys"][-1]["use"])
        place.wait_for_each(since=since, entities=[entity])
        place.tell_pne("reset", self.entities[1])
        gone = watches["pne"].until(lambda x: x["event"] == "gone")
        self.assertEqual((gone["entity"], gone["reason"]), (self.entities[1], "reset"))
        place.role("pne").terminate()
        place.cli("pnes", "forget", entity, "--config", "gateway.yaml")
        gone = watches["gateway"].until(lambda x: x["event"] == "gone" and x["entity"] == entity)
        self.assertEqual((gone["reason"], gone["text"]), ("forgotten", "the device was forgotten"))
        self.assertEqual(place.role("gateway").terminate(), 0)
        with self.assertRaises(http.client.IncompleteRead):  # the answer has no end
            watches["gateway"].answer.read()

    def test_says_which_sessions_end(self):
        place = self.start()
        reset, other = self.entities
        former, kept = self.agree(reset), self.agree(other)
        watch = self.watch("gateway")
        watch.until(lambda x: x["event"] == "synced")
        place.tell_pne("reset", reset)
        seen = []

        def ended(line) -> bool:
            seen.append(line)
            return line["entity"] == reset and any(k["state"] == "current" and k["key"] != former["key"] for k in line.get("keys", []))

        poll(lambda: place.cli("pnes", "update", reset, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        confirmed = watch.until(ended)
        number = lambda epoch: [int(n) for n in epoch.split(".")]  # noqa: E731
        self.assertEqual(confirmed["sessions_from"], confirmed["keys"][0]["epoch"])
        # From the moment at which the reset was verified, no line has the former key, and each says that its sessions end.
        ends_former = lambda line: number(line["sessions_from"]) > number(former["epoch"])  # noqa: E731
        verified = next(n for n, line in enumerate(seen) if line["entity"] == reset and (line["event"] == "gone" or ends_former(line)))
        # A reader that is slower than the exchange has the last line alone.
        for line in seen[verified:]:
            self.assertNotIn(former["key"], [k["key"] for k in line.get("keys", [])])
            if line["event"] == "gone":
                self.assertEqual(line["reason"], "reset")
            else:
                self.assertGreater(number(line["sessions_from"]), number(former["epoch"]))
        poll(lambda: place.cli("pnes", "update", other, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        renewed = watch.until(lambda x: x["event"] == "put" and x["entity"] == other)
        self.assertLessEqual(number(renewed["sessions_from"]), number(kept["epoch"]), "a renewal ends no session")

    def test_costs_a_renewal_nothing_when_its_reader_stands_still(self):
        self.start()
        entity = self.entities[0]
        still = [self.watch("gateway") for _ in range(24)]
        refused = self.ask("gateway", "/v1/keys/mqtt?watch=true")
        self.assertEqual(refused.code, "too-many-readers")
        before = self.agree(entity)
        since = self.place.events.mark()
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.place.wait_for_each(since=since, entities=[entity])
        self.assertNotEqual(self.agree(entity)["key"], before["key"])
        for w in still:
            w.close()
        poll(self.has_place, what="a place for a watch")

    def has_place(self) -> bool:
        with contextlib.closing(Connection("keys", self.socket("gateway"))) as link:
            link.request("GET", "/v1/keys/mqtt?watch=true")
            with link.getresponse() as answer:
                return answer.status == 200


class Readers(Keys):
    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_are_those_that_the_purpose_names_and_root_is_none_of_them(self):
        self.start(user="games")
        entity = self.entities[0]
        for role in ROLES:
            for target in ("/v1/keys/mqtt", f"/v1/keys/mqtt/{entity}", f"/v1/fingerprints/mqtt/{entity}", "/v1/identities/mqtt/x"):
                refused = self.ask(role, target)
                self.assertEqual((refused.status, refused.code), (403, "keys-not-allowed"), target)
                self.assertIn("uid 0", refused.json["detail"])
                self.assertEqual(refused.json["field"], "application_keys.purposes.mqtt.allow")
                self.assertEqual(self.ask(role, target, user="daemon", group="daemon").status, 403)
            self.assertTrue(self.keys(role, f"/v1/keys/mqtt/{entity}", user="games", group="games"))
            self.logged(role, "keys-refused")
            self.logged(role, "keys-read")
            failed = self.command("get", "mqtt", entity, "--socket", self.socket(role), check=False)
            self.assertEqual(failed.returncode, 1)
            self.assertIn("application_keys.purposes.mqtt.allow", failed.stderr)
            self.assertEqual(failed.stdout, "")

    @unittest.skipUnless(os.geteuid() == 0, "only root can have other groups")
    def test_may_be_named_by_any_of_their_groups(self):
        self.start(allow={"groups": ["daemon"]})
        entity = self.entities[0]
        target = f"/v1/keys/mqtt/{entity}"
        for role in ROLES:
            for peer in ({"user": "root", "group": "root"}, {"user": "games", "group": "games"},
                         {"user": "games", "group": "games", "groups": ["sys"]}):
                refused = self.ask(role, target, **peer)
                self.assertEqual((refused.status, refused.code), (403, "keys-not-allowed"), peer)
            listed = {"user": "games", "group": "games", "groups": ["sys", "daemon"]}
            with contextlib.closing(Connection("keys", self.socket(role), **listed)) as link:
                link.request("HEAD", target)
                with link.getresponse() as answer:
                    self.assertEqual((answer.status, answer.read()), (200, b""))
            self.assertEqual(self.place.events.find(role=role, event="keys-read"), [], "a HEAD gets no key")
            for peer in (listed, {"user": "games", "group": "daemon"}, {"user": "root", "group": "root", "groups": ["daemon"]}):
                self.assertTrue(self.keys(role, target, **peer), peer)
            self.logged(role, "keys-read")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_are_not_kept_waiting_by_a_user_without_rights(self):
        self.start(user="games")
        target = "/v1/identities/mqtt/" + f"{self.entities[0].removeprefix('urn:').replace(':', '.')}/9.9/mqtt".replace("/", "%2F")
        stalled = Connection("keys", self.socket("gateway"), user="daemon", group="daemon")
        self.addCleanup(stalled.close)
        stalled.connect()
        stalled.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n".encode())
        readers = [Connection("keys", self.socket("gateway"), user="games", group="games") for _ in range(8)]
        for reader in readers:
            self.addCleanup(reader.close)
            reader.connect()
        for _ in range(10):
            for reader in readers:
                reader.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            for reader in readers:
                head = reader.sock.recv(65536)
                self.assertTrue(head.startswith(b"HTTP/1.1 404 "), head)
        self.assertTrue(stalled.sock.recv(65536).startswith(b"HTTP/1.1 413 "))


def answer_once(door, body: bytes):
    link, _ = door.accept()
    with link:
        link.recv(65536)
        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class Commands(Keys):
    def test_print_keys_and_fingerprints(self):
        self.start()
        entity = self.entities[0]
        key = self.agree(entity)
        for role in ROLES:
            where = ("--config", f"{role}.yaml")
            self.assertEqual(self.command("get", "mqtt", entity, *where).stdout, f"{key['identity']} {key['key']}\n")
            self.assertEqual(self.command("get", "mqtt", entity, "--socket", self.socket(role)).stdout, f"{key['identity']} {key['key']}\n")
            self.assertEqual(self.command("get", "mqtt", entity, "--format", "base64", *where).stdout.split()[1],
                             base64.b64encode(bytes.fromhex(key["key"])).decode())
            self.assertEqual(len(self.command("get", "mqtt", *where).stdout.splitlines()), 2)
            listed = json.loads(self.command("get", "mqtt", "--json", *where).stdout)
            self.assertIn(key["key"], [k["key"] for k in listed["keys"]])
        prints = [self.command("fingerprint", "mqtt", entity, "--config", f"{role}.yaml").stdout for role in ROLES]
        for text in prints:
            self.assertIn([key["epoch"], "yes", "32", key["fingerprint"]],
                          [[cells[0], *cells[2:]] for cells in (line.split("\t") for line in text.splitlines())])
            self.assertNotIn(key["key"], text)
        as_json = json.loads(self.command("fingerprint", "mqtt", entity, "--json", "--config", "pne.yaml").stdout)
        self.assertNotIn("key", as_json["keys"][0])

    def test_say_that_a_role_of_another_version_answers(self):
        home = self.home(devices=1)
        path = home.folder / "other.sock"
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            door.listen()
            for body in (b'{"keys":[{}],"unreadable":0}', b'{"keys":5}', b"[]", b"no JSON"):
                for command in ("get", "fingerprint"):
                    with self.subTest(body=body, command=command):
                        answering = threading.Thread(target=answer_once, args=(door, body))
                        answering.start()
                        done = home.cli("keys", command, "mqtt", UNKNOWN_ENTITY, "--socket", path, check=False)
                        answering.join()
                        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                        self.assertIn("the answer of the role cannot be used", done.stderr)

    def test_say_why_they_print_nothing(self):
        place = self.start()
        entity = self.entities[0]
        for args, code, text in (
                (("get", "mqtt", UNKNOWN_ENTITY, "--config", "gateway.yaml"), 1, "no key of a device"),
                (("get", "amqp", entity, "--config", "gateway.yaml"), 1, "application_keys.purposes"),
                (("get", "mqtt", entity, "--config", "server.yaml"), 1, "has no 'application_keys'"),
                (("get", "mqtt", entity), 2, "--config FILE or --socket PATH"),
                (("get", "mqtt", entity, "--config", "gateway.yaml", "--socket", "x"), 2, "--config FILE or --socket PATH"),
                (("get", "mqtt", entity, "--format", "raw", "--config", "gateway.yaml"), 2, "--format"),
                (("get", "mqtt", entity, "--socket", "state/none.sock"), 1, "state/none.sock"),
                (("fingerprint", "mqtt", "--config", "gateway.yaml"), 2, "ENTITY")):
            done = self.command(*args, check=False)
            self.assertEqual((done.returncode, done.stdout), (code, ""), args)
            self.assertIn(text, done.stderr, args)
        for name in ("get", "fingerprint"):
            self.assertIn("Examples:", self.command(name, "--help").stdout)
        place.role("gateway").terminate()
        self.assertEqual(self.command("get", "mqtt", entity, "--config", "gateway.yaml", check=False).returncode, 1)


class Configurations(E2ECase):
    def test_that_cannot_be_served_are_refused_with_their_place(self):
        home = self.home(devices=1)
        allow = {"users": ["no-such-user-9"], "groups": ["no-such-group-9"]}
        home.gateway["application_keys"] = {"socket": "state/keys.sock", "purposes": {"mqtt": {"allow": allow}}}
        home.write()
        place = r"gateway\.yaml:\d+:\d+: 'application_keys\.purposes\.mqtt\.allow\."
        found = home.cli("config", "check", "gateway.yaml", check=False)
        self.assertEqual(found.returncode, 1)
        self.assertRegex(found.stderr, place + r"users\[0\]': this machine has no user 'no-such-user-9'")
        self.assertRegex(found.stderr, place + r"groups\[0\]': this machine has no group 'no-such-group-9'")
        started = home.cli("gateway", "--config", "gateway.yaml", check=False)
        self.assertEqual(started.returncode, 1)
        self.assertRegex(started.stderr, place + r"users\[0\]': this machine has no user")

    def test_a_socket_of_another_role_is_not_taken(self):
        home = self.home(devices=1)
        keys = {"socket": "state/keys.sock", "purposes": {"mqtt": {"allow": {"users": [getpass.getuser()]}}}}
        home.gateway["application_keys"] = home.pne["application_keys"] = keys
        home.write()
        home.start("server", "gateway")
        self.assertEqual(home.role("pne").spawn().wait(), 1)
        self.assertIn("application_keys.socket", pathlib.Path(home.folder / "pne.err").read_text())
        self.assertIn("is served by a running role", pathlib.Path(home.folder / "pne.err").read_text())
        self.assertTrue((home.folder / "state/keys.sock").exists())


if __name__ == "__main__":
    unittest.main()
