#!/usr/bin/env python3
"""Programs that acknowledge their keys: a PNE gets its next key after them, and none of them can stop a renewal."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

from support.api_home import connect
from support.home import poll
from support.unix_http import Connection
from test_application_keys import Keys, Watch

WAIT = 2.0  # s: application_keys.consumer_wait

# A program that follows the keys of a purpose and acknowledges them all at once. SIGSTOP makes it a frozen one.
CONSUMER = """
import http.client, json, socket, sys
class Door(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
watch, acks = Door("localhost"), Door("localhost")
watch.request("GET", "/v1/keys/mqtt?watch=true&acks=true")
answer, name, synced = watch.getresponse(), None, False
while line := answer.readline():
    line = json.loads(line)
    name = line.get("watch", name)
    synced = synced or line["event"] == "synced"
    if synced:
        acks.request("POST", "/v1/keys/mqtt/acks", json.dumps({"watch": name, "revision": line["revision"]}),
                     {"Content-Type": "application/json", "Cpns-Request-Id": "ack"})
        with acks.getresponse() as got:
            assert got.status == 204, got.read()
        print(line["revision"], flush=True)
"""


class AcknowledgingWatch(Watch):
    def __init__(self, socket, purpose="mqtt"):
        super().__init__(socket, purpose, query="watch=true&acks=true")
        self.path, self.purpose = socket, purpose
        begun = self.line()
        assert begun["event"] == "begun", begun
        self.name = begun["watch"]

    def acknowledge(self, revision, **other):
        body = json.dumps({"watch": self.name, "revision": revision, **other})
        with contextlib.closing(Connection("keys", self.path)) as link:
            return link.ask("POST", f"/v1/keys/{self.purpose}/acks", body, {"Content-Type": "application/json"})


class Acknowledged(Keys):
    def watch(self):
        w = AcknowledgingWatch(self.socket("gateway"))
        self.addCleanup(w.close)
        return w

    def update(self, entity):
        poll(lambda: self.place.cli("pnes", "update", entity, "--config", "gateway.yaml", check=False).returncode == 0,
             what="an update of a PNE in reach")

    def consumer(self):
        process = subprocess.Popen([sys.executable, "-c", CONSUMER, str(self.socket("gateway"))], stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.communicate()

        self.addCleanup(end)
        self.assertTrue(process.stdout.readline())  # synced
        threading.Thread(target=lambda: list(process.stdout), daemon=True).start()
        return process

    def consumers(self):
        with contextlib.closing(connect(self.place, "gateway")) as link:
            return link.ask("GET", "/v1/status").json["consumers"]

    def test_a_pne_gets_its_next_key_after_the_programs(self):
        place = self.start()
        entity = self.entities[0]
        watch = self.watch()
        self.assertEqual(watch.acknowledge(watch.until(lambda x: x["event"] == "synced")["revision"]).status, 204)
        for _ in range(3):
            since = place.events.mark()
            self.update(entity)
            line = watch.until(lambda x: x["event"] == "put" and x["keys"][-1]["state"] == "next")
            threading.Event().wait(0.4)
            self.assertFalse(place.events.find(role="gateway", event="delivering", since=since))
            # Of this key: the line of the one before may come late from the other process.
            self.assertFalse(place.events.find(role="pne", event="key-accepted", epoch=line["keys"][-1]["epoch"], since=since))
            self.assertEqual(watch.acknowledge(line["revision"]).status, 204)
            place.wait_for_each(since=since, entities=[entity], timeout=10)
            self.assertFalse(place.events.find(role="gateway", event="consumer-late"))
            self.assertEqual(self.agree(entity)["key"], line["keys"][-1]["key"])

    def test_a_program_may_acknowledge_what_it_was_sent_and_nothing_else(self):
        self.start()
        watch = self.watch()
        revision = watch.until(lambda x: x["event"] == "synced")["revision"]
        for wrong, code in (({"revision": revision + 1000}, "out-of-range"), ({"revision": -1}, "wrong-type"),
                            ({"watch": "0" * 16}, "no-such-watch"), ({"until": 1}, "unknown-field")):
            answer = watch.acknowledge(**{"revision": revision, **wrong})
            self.assertEqual(answer.code, code, wrong)
        self.assertEqual(watch.acknowledge(revision).status, 204)
        watch.close()
        poll(lambda: not self.consumers(), what="the end of the watch")
        self.assertEqual(watch.acknowledge(revision).code, "no-such-watch")

    def test_a_frozen_program_delays_three_renewals_and_no_other_one(self):
        place = self.start()
        entity = self.entities[0]
        process = self.consumer()
        took = []

        def renew():
            since, begun = place.events.mark(), time.monotonic()
            self.update(entity)
            place.wait_for_each(since=since, entities=[entity], timeout=20)
            took.append(time.monotonic() - begun)

        renew()
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(3):
            renew()
        self.assertGreaterEqual(min(took[1:]), 0.9 * WAIT, took)
        late = place.events.find(role="gateway", event="consumer-late", entity=entity)
        self.assertEqual(len(late), 3)
        self.assertIn(f"(pid {process.pid}", late[0]["text"])
        self.logged("gateway", "consumer-slow")
        renew()
        self.assertEqual(len(place.events.find(role="gateway", event="consumer-late", entity=entity)), 3)
        row, = self.consumers()
        self.assertEqual((row["purpose"], row["slow"], row["oldest_without_ack"]), ("mqtt", True, entity))
        shown = place.cli("status", "--config", "gateway.yaml").stdout
        self.assertIn(row["consumer"], shown)
        os.kill(process.pid, signal.SIGCONT)
        self.logged("gateway", "consumer-caught-up")
        self.assertFalse(self.consumers()[0]["slow"])
        self.agree(entity)

    def test_a_program_that_ends_in_the_middle_delays_nothing(self):
        place = self.start()
        entity = self.entities[0]
        watch = self.watch()
        watch.acknowledge(watch.until(lambda x: x["event"] == "synced")["revision"])
        since = place.events.mark()
        self.update(entity)
        watch.until(lambda x: x["event"] == "put" and x["keys"][-1]["state"] == "next")
        watch.close()
        place.wait_for_each(since=since, entities=[entity], timeout=10)
        self.assertFalse(place.events.find(role="gateway", event="consumer-late"))

    def test_a_gateway_that_is_killed_while_it_waits_hands_out_another_key(self):
        place = self.start()
        entity = self.entities[0]
        watch = self.watch()
        watch.acknowledge(watch.until(lambda x: x["event"] == "synced")["revision"])
        self.update(entity)
        published = watch.until(lambda x: x["event"] == "put" and x["keys"][-1]["state"] == "next")["keys"][-1]
        gateway = place.role("gateway")
        gateway.kill9()
        since = place.events.mark()
        gateway.start()
        self.update(entity)
        place.wait_for_each(since=since, entities=[entity])
        now = self.agree(entity)
        self.assertNotEqual(now["key"], published["key"])


if __name__ == "__main__":
    unittest.main()
