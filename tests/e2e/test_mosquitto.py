#!/usr/bin/env python3
"""The plugin for mosquitto: a real broker, real roles, and sensors that take their keys from the PNEs while these change."""

import contextlib
import os
import signal
import sys
import time
import unittest

from support import mosquitto
from support.canary import Search
from support.case import E2ECase
from support.home import poll
from support.mosquitto import Broker, Sensor, Subscriber, TlsClient
from support.unix_http import Connection


class Hub(E2ECase):
    """`place` with gateway, PNEs and key sockets, and `broker`, which is not started."""

    def start(self, devices=2, rekey="1d"):
        self.place = self.home(devices=devices, rekey=rekey)
        for role in ("gateway", "pne"):
            users = [mosquitto.broker_user(), *(["root"] if os.geteuid() == 0 else [])]
            getattr(self.place, role)["application_keys"] = {"socket": f"state/{role}-keys.sock",
                                                             "purposes": {"mqtt": {"allow": {"users": users}}}}
        self.place.write()
        self.place.folder.chmod(0o711)  # the broker reaches the key socket, its own files and the plugin
        self.place.start()
        self.place.wait_for_each()
        (self.place.folder / "state").chmod(0o711)
        self.entities = sorted(entity for entity, _ in self.place.devices)
        self.broker = Broker(self.place, self.socket("gateway"))

    def socket(self, role):
        return self.place.folder / f"state/{role}-keys.sock"

    def key(self, entity, role="pne") -> dict:
        with contextlib.closing(Connection("keys", self.socket(role))) as link:
            return next(k for k in link.ask("GET", f"/v1/keys/mqtt/{entity}").json["keys"] if k["use"])

    def sensor(self, entity, *options, name) -> Sensor:
        return Sensor(self.place, self.broker, self.socket("pne"), entity, *options, name=name).spawn()

    def epochs(self) -> int:
        return len(self.place.events.find(role="gateway", event="confirmed"))

    def publish(self, key: dict, *options):
        return self.broker.publish(key["identity"], key["key"], f"pn/{key['entity']}/x", *options)

    def gets_in(self, entity):
        done = self.publish(self.key(entity))
        self.assertEqual(done.returncode, 0, done.stderr + self.broker.log()[-2000:])


class Sensors(Hub):
    def test_are_not_refused_while_their_keys_change_every_second(self):
        self.start(rekey="1s")
        self.broker.start()
        watcher = Subscriber(self.place, self.broker).start()
        before = self.epochs()
        count = 100
        brief = [self.sensor(e, "--every", 100, "--count", count, name=f"brief{n}") for n, e in enumerate(self.entities)]
        steady = self.sensor(self.entities[0], "--every", 100, "--stay", name="steady")
        for sensor in brief:
            result = sensor.result()
            self.assertEqual((result["published"], result["connections"], result["refused"], result["failed"]), (count, count, 0, 0),
                             sensor.errors())
        self.assertGreaterEqual(self.epochs() - before, 10)
        steady.signal(signal.SIGTERM)
        result = steady.result()
        self.assertEqual((result["connections"], result["refused"], result["failed"]), (1, 0, 0), "its session outlives its key")
        self.assertGreater(result["published"], count // 2)
        poll(lambda: watcher.readings(self.entities[1]) == list(range(1, count + 1)), what="each reading at the subscriber, once")
        secrets = {f"{k['epoch']}": bytes.fromhex(k["key"]) for k in (self.key(e) for e in self.entities)}
        self.assertEqual(Search(secrets).in_folder(self.place.folder)[0], [])

    def test_have_no_rights_but_those_of_their_device(self):
        self.start()
        self.broker.start()
        watcher = Subscriber(self.place, self.broker).start()
        mine, other = (self.key(e) for e in self.entities)
        done = self.broker.publish(mine["identity"], mine["key"], f"pn/{other['entity']}/x", "-V", "5")
        self.assertIn("Not authorized", done.stdout + done.stderr)
        done = self.broker.publish(mine["identity"], mine["key"], f"pn/{mine['identity']}/x", "-V", "5")
        self.assertIn("Not authorized", done.stdout + done.stderr)
        self.assertEqual(self.publish(mine).returncode, 0)
        poll(lambda: f"pn/{mine['entity']}/x x" in watcher.text(), what="the message that is allowed")
        self.assertNotIn(other["entity"], watcher.text())

    def test_with_a_wrong_key_or_an_unknown_name_are_refused(self):
        self.start(devices=1)
        self.broker.start()
        key = self.key(self.entities[0])
        self.assertEqual(self.publish(key).returncode, 0)
        self.assertNotEqual(self.publish({**key, "key": "00" * 32}).returncode, 0)
        unknown = key["identity"].replace("/mqtt", "9/mqtt")
        self.assertNotEqual(self.publish({**key, "identity": unknown}).returncode, 0)
        self.broker.says(f"cpns: refused: no key has the identity '{unknown}'")
        self.assertEqual(self.publish(key).returncode, 0)


class AForgottenDevice(Hub):
    def test_is_out_within_a_second_and_its_ticket_does_not_bring_it_back(self):
        self.start()
        self.broker.start()
        gone, stays = self.entities
        sensors = [self.sensor(e, "--every", 100, "--stay", name=n) for n, e in (("gone", gone), ("stays", stays))]
        tickets = [TlsClient(self.broker, self.place.folder / f"ticket{version}", version) for version in ("1.2", "1.3")]
        key = self.key(gone)
        for ticket in tickets:
            ticket.take_ticket(key["identity"], key["key"])
            self.assertTrue(ticket.ticket.exists(), "the broker gave a ticket")
        for entity in self.entities:
            self.broker.says(f"'pn/{entity}/reading'")
        self.place.role("pne").terminate()
        self.place.cli("pnes", "forget", gone, "--config", "gateway.yaml")
        begin = time.monotonic()
        self.broker.says("been disconnected by administrative action")
        self.assertLess(time.monotonic() - begin, 1.0)
        self.assertIn(f"cpns: the session of {key['identity']} is ended", self.broker.log())
        self.assertNotEqual(self.publish(key).returncode, 0)
        for ticket in tickets:
            self.assertEqual(ticket.resume(), b"\x20\x02\x00\x04", "bad user name or password")
        sensors[1].signal(signal.SIGTERM)
        result = sensors[1].result()
        self.assertEqual((result["connections"], result["failed"]), (1, 0), sensors[1].errors())


class ADeviceThatWasReset(Hub):
    def test_is_out_when_the_gateway_has_verified_it_and_comes_back_with_its_new_key(self):
        self.start()
        self.broker.start()
        reset, stays = self.entities
        sensors = [self.sensor(e, "--every", 100, "--stay", name=n) for n, e in (("reset", reset), ("stays", stays))]
        ticket = TlsClient(self.broker, self.place.folder / "ticket")
        key = self.key(reset)
        ticket.take_ticket(key["identity"], key["key"])
        for entity in self.entities:
            self.broker.says(f"'pn/{entity}/reading'")
        self.place.tell_pne("reset", reset)
        poll(lambda: self.place.cli("pnes", "update", reset, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        self.broker.says(f"cpns: the session of {key['identity']} is ended")
        self.assertEqual(ticket.resume(), b"\x20\x02\x00\x04", "bad user name or password")
        poll(lambda: self.place.cli("pnes", "update", reset, "--config", "gateway.yaml", check=False).returncode == 0, what="an update")
        names = [f"u'{reset}'", f"u'{reset.removeprefix('urn:').replace(':', '.')}/"]
        poll(lambda: sum(self.broker.log().count(name) for name in names) == 2, what="a second session of the device")
        for sensor in sensors:
            sensor.signal(signal.SIGTERM)
        counts = [sensor.result() for sensor in sensors]
        self.assertEqual([(c["connections"], c["refused"]) for c in counts], [(2, 0), (1, 0)], sensors[0].errors())


class AFrozenKeySocket(Hub):
    def test_does_not_stop_the_broker(self):
        self.start()
        self.broker.start()
        self.gets_in(self.entities[0])
        self.place.role("gateway").signal(signal.SIGSTOP)
        try:
            sensor = self.sensor(self.entities[1], "--every", 50, "--count", 40, name="sensor")
            self.assertEqual(sensor.result(10), {"published": 40, "connections": 40, "refused": 0, "failed": 0}, sensor.errors())
        finally:
            self.place.role("gateway").signal(signal.SIGCONT)

    def test_or_none_lets_the_broker_start_with_what_it_has(self):
        self.start(devices=1)
        entity = self.entities[0]
        self.place.role("gateway").kill9()
        begin = time.monotonic()
        self.broker.change("plugin_opt_wait 2s", "plugin_opt_wait 500ms")
        self.broker.start()
        self.assertLess(time.monotonic() - begin, 5)
        self.broker.says("cpns: not all keys are here after 500 ms: the broker starts with 0 of them")
        self.broker.says("cpns: no connection to ")
        self.assertNotEqual(self.publish(self.key(entity)).returncode, 0)
        self.place.start("gateway")
        poll(lambda: self.publish(self.key(entity)).returncode == 0, what="a key that came after the start")
        self.place.role("gateway").kill9()
        self.gets_in(entity)


class Settings(Hub):
    def refused(self, text, what):
        """The broker ends, and says one line of the plugin."""
        self.broker.spawn()
        self.assertNotEqual(self.broker.wait(), 0, what)
        lines = [line for line in self.broker.log().splitlines() if "cpns: " in line]
        self.assertEqual(len(lines), 1, self.broker.log())
        self.assertRegex(lines[0], text)
        (self.place.folder / "broker.err").unlink()

    def test_that_take_the_keys_out_of_its_hands_stop_the_broker(self):
        self.place = self.home(devices=1)
        self.place.folder.chmod(0o711)
        self.broker = Broker(self.place, self.place.folder / "none.sock")
        good = list(self.broker.conf)
        keys = self.place.folder / "psk"
        keys.write_text("name:00112233\n")
        keys.chmod(0o644)
        identity = "use_identity_as_username true"
        cases = {"psk_file": [*good, f"psk_file {keys}"],
                 "per_listener_settings": ["per_listener_settings true", *good],
                 "use_identity_as_username": [line for line in good if line != identity],
                 "a listener with psk_hint": [line.replace(identity, "use_identity_as_username false") for line in good]}
        for word, conf in cases.items():
            with self.subTest(word):
                self.broker.conf = conf
                self.broker.write()
                self.refused(rf"cpns: .*/broker\.conf:\d+: .*{word}", word)
        folder = self.place.folder / "conf.d"
        folder.mkdir()
        (folder / "more.conf").write_text(f"psk_file {keys}\n")
        self.broker.conf = [*good, f"include_dir {folder}"]
        self.broker.write()
        self.refused(r"cpns: .*/conf\.d/more\.conf:1: .*psk_file", "include_dir")
        for line, text in (("plugin_opt_wait soon", "plugin_opt_wait: 'soon'"), ("plugin_opt_pupose x", "plugin_opt_pupose: unknown"),
                           ("plugin_opt_purpose UPPER", "plugin_opt_purpose cannot be used")):
            with self.subTest(line):
                at = good.index("plugin_opt_wait 2s")
                self.broker.conf = [*good[:at], line, *good[at + 1:]]
                self.broker.write()
                self.refused(text, line)

    def test_that_come_with_a_reload_stop_the_keys_until_they_are_gone(self):
        self.start(devices=1)
        self.broker.start()
        self.gets_in(self.entities[0])
        keys = self.place.folder / "psk"
        keys.write_text("name:00112233\n")
        keys.chmod(0o644)
        self.broker.path.write_text("\n".join([*self.broker.conf, f"psk_file {keys}"]) + "\n")
        self.broker.signal(signal.SIGHUP)
        self.broker.says("psk_file': with it the broker asks no plugin for a key; no key is given until then")
        self.assertNotEqual(self.publish(self.key(self.entities[0])).returncode, 0)
        self.broker.write()
        self.broker.signal(signal.SIGHUP)
        self.broker.says("cpns: the configuration is good again")
        self.gets_in(self.entities[0])

    def start_with_another_file(self, change):
        """The broker reads `change` of its configuration, and then the plugin the good one: the file is a pipe."""
        good = "\n".join(self.broker.conf) + "\n"
        os.mkfifo(self.broker.path)
        self.broker.path.chmod(0o644)
        self.broker.spawn()
        self.broker.path.write_text("\n".join(change(self.broker.conf)) + "\n")
        self.broker.says(" starting\n")
        self.broker.path.write_text(good)
        self.broker.wait_ready()

    def test_are_proven_by_the_first_client_whatever_the_file_says(self):
        self.start(devices=1)
        key = self.key(self.entities[0])
        self.start_with_another_file(lambda conf: [line for line in conf if line != "use_identity_as_username true"])
        ticket = TlsClient(self.broker, self.place.folder / "ticket")
        ticket.take_ticket(key["identity"], key["key"])
        self.broker.says("cpns: a client has another username than its identity")
        self.assertTrue((self.place.folder / "ticket").exists(), "the broker gave a ticket")
        self.assertEqual(ticket.resume(), b"\x20\x02\x00\x05", "not authorised")
        self.assertNotEqual(self.publish(key).returncode, 0)
        self.assertEqual(self.broker.log().count("cpns: a client has another username"), 1)

    def test_without_ticks_of_the_broker_no_key_is_given(self):
        self.start(devices=1)
        key = self.key(self.entities[0])

        def per_listener(conf):
            ours = ("acl_file", "plugin", "allow_anonymous")
            listener = conf.index(next(line for line in conf if line.startswith("listener")))
            moved = [line for line in conf if line.startswith(ours)]
            rest = [line for line in conf if not line.startswith(ours)]
            return ["per_listener_settings true", *rest[:listener + 1], *moved, *rest[listener + 1:]]

        self.start_with_another_file(per_listener)
        self.publish(key)  # the time begins with the first look-up
        poll(lambda: self.publish(key).returncode != 0, what="a refusal")
        self.broker.says("cpns: no tick of the broker for 2 s")
        self.assertNotEqual(self.publish(key).returncode, 0)


if __name__ == "__main__":
    lacks = mosquitto.missing()
    if lacks:
        print(f"skipped: this machine or build has no {lacks}", file=sys.stderr)
        sys.exit(77)
    unittest.main()
