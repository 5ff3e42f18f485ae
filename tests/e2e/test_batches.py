#!/usr/bin/env python3
"""Batches of devices with a master key: a factory sets the keys of an export, and the devices are keyed without an import."""

import csv
import json
import shutil
import stat
import unittest

from support.api_home import add_sockets, connect
from support.case import E2ECase

RANGE = "urn:dev:os:32473-70000..urn:dev:os:32473-79999"
INSIDE = [f"urn:dev:os:32473-7000{i}" for i in range(4)]
OUTSIDE = "urn:dev:os:32473-80000"
OTHER_KEY = "8f14e45fceea167a5a36dedd4bea2543"


class Batches(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        self.place.gateway["timers"]["backoff_max"] = "2s"
        add_sockets(self.place)
        self.place.write()

    def cli(self, *args, **more):
        return self.place.cli(*args, "--config", "server.yaml", **more)

    def export(self, file, first=INSIDE[0], last=INSIDE[-1], **more):
        return self.cli("batch", "export", "lot7", "--from", first, "--to", last, "--out", file, **more)

    def audit_text(self):
        return (self.place.folder / "state/server.audit.jsonl").read_text()

    def lines(self, action):
        lines = [json.loads(line) for line in self.audit_text().splitlines()]
        return [line for line in lines if line.get("action") == action]

    def keys_of(self, file):
        with open(self.place.folder / file, newline="") as rows:
            return {row["entity_id"]: row["temporary_key"] for row in csv.DictReader(rows)}

    def refused(self, entity, status, since=0):
        self.place.events.wait_until(
            lambda e: (e["role"], e["event"], e.get("entity"), e.get("status")) == ("server", "assignment-refused", entity, status),
            since=since, timeout=40, what=f"{status} for {entity}")

    def test_devices_are_keyed_from_an_export_alone(self):
        place = self.place
        place.start("server")
        self.cli("batch", "add", "lot7", "--entities", RANGE)
        self.export("lot7.csv")
        keys = self.keys_of("lot7.csv")
        self.assertEqual(list(keys), INSIDE)
        self.assertEqual(stat.S_IMODE((place.folder / "lot7.csv").stat().st_mode), 0o600)
        with open(place.folder / "lot7.csv", "a") as out:
            out.write(f"{OUTSIDE},hex:{OTHER_KEY},128bit\n")
        # The row of a device wins over its batch, until it is removed.
        row = INSIDE[3]
        self.cli("device", "add", row, "--stdin", stdin=f"hex:{OTHER_KEY}\n")
        place.pne["devices_file"] = "lot7.csv"
        place.write()
        place.start("gateway", "pne")
        place.wait_for_each(entities=INSIDE[:3])
        self.refused(OUTSIDE, "unknown_entity")
        self.refused(row, "presence_failed")
        self.assertNotIn(INSIDE[0], self.cli("device", "list").stdout)
        self.assertEqual(connect(place, "server").ask("GET", f"/v1/entities/{INSIDE[0]}").json["owner"], place.user)
        since = place.events.mark()
        self.cli("device", "remove", row)
        place.tell_pne("wake", row)
        place.wait_for_each(entities=[row], since=since, timeout=60)

        self.cli("device", "block", INSIDE[2])
        self.assertIn(f"{INSIDE[2]}\tblocked\t", self.cli("device", "list").stdout)
        since = place.events.mark()
        self.assertEqual(place.role("gateway").terminate(), 0)
        shutil.rmtree(place.folder / "state/gateway")
        place.start("gateway")  # without its keys, it asks for all devices
        self.refused(INSIDE[2], "unknown_entity", since)

        self.assertEqual(place.role("server").terminate(), 0)
        said = str(place.events.find(role="server") + place.events.find(role="gateway"))
        for key in keys.values():
            digits = key.removeprefix("hex:")
            self.assertNotIn(digits, self.audit_text() + said)
            for file in (place.folder / "state/server").iterdir():
                self.assertNotIn(bytes.fromhex(digits), file.read_bytes(), file)

    def test_batches_running_and_stopped_look_the_same(self):
        place = self.place
        place.start("server")
        self.cli("batch", "add", "lot7", "--entities", RANGE, "--entities", "urn:dev:mac:0024bf*")
        commands = [("batch", "list"), ("batch", "list", "--json"), ("batch", "list", "--prefix", "x"), ("batch", "show", "lot7"),
                    ("batch", "show", "lot7", "--json")]
        running = {c: self.cli(*c).stdout for c in commands}
        self.assertIn(f"{RANGE} urn:dev:mac:0024bf*\n", running["batch", "list"])
        self.export("running.csv")
        for name, ranges in (("lot8", "urn:dev:os:32473-7*"), ("lot7", "urn:dev:os:32473-9*")):
            again = self.cli("batch", "add", name, "--entities", ranges, check=False)
            self.assertEqual((again.returncode, again.stdout), (1, ""), again.stderr)
        self.assertEqual(place.role("server").terminate(), 0)
        for command in commands:
            self.assertEqual(self.cli(*command).stdout, running[command], command)
        self.export("stopped.csv")
        self.assertEqual(self.keys_of("stopped.csv"), self.keys_of("running.csv"))
        existing = self.export("stopped.csv", check=False)
        self.assertEqual(existing.returncode, 1)
        outside = self.export("outside.csv", first=OUTSIDE, last=OUTSIDE, check=False)
        self.assertEqual(outside.returncode, 1)
        self.assertFalse((place.folder / "outside.csv").exists())
        self.assertEqual(self.cli("batch", "remove", "lot7", check=False).returncode, 2, "--yes is missing")
        self.cli("batch", "remove", "lot7", "--yes")
        self.assertEqual(self.cli("batch", "list").stdout, "")
        done = [line["outcome"] for line in self.lines("batch-export") if line["kind"] == "outcome"]
        self.assertEqual(done, ["done", "done", "refused"])
        asked = [line["after"] for line in self.lines("batch-export") if line["kind"] == "intent"]
        self.assertEqual(asked[:2], [{"from": INSIDE[0], "to": INSIDE[-1]}] * 2)
        self.assertEqual(self.lines("batch-add")[0]["after"], {"entities": [RANGE, "urn:dev:mac:0024bf*"]})
        self.assertEqual([line["kind"] for line in self.lines("batch-remove")], ["intent", "outcome"])
        self.cli("audit", "verify")

    def test_the_api_refuses_batches_that_it_cannot_tell_apart(self):
        self.place.start("server")

        def ask(verb, path, body):
            return connect(self.place, "server").ask(verb, path, json.dumps(body).encode(), {"Content-Type": "application/json"})

        good = {"batch": "lot7", "entities": [RANGE]}
        for change, code, field in (({"batch": "a/b"}, "out-of-range", "batch"), ({"entities": []}, "out-of-range", "entities"),
                                    ({"entities": ["urn:dev:mac:*"]}, "wire-grammar", "entities"),
                                    ({"entities": [1]}, "wrong-type", "entities"),
                                    ({"entities": [RANGE, RANGE]}, "out-of-range", "entities")):
            answer = ask("POST", "/v1/batches", {**good, **change})
            self.assertEqual((answer.code, answer.json.get("field")), (code, field), answer.text)
        self.assertEqual(ask("POST", "/v1/batches", good).status, 204)
        self.assertEqual(ask("POST", "/v1/batches", good).code, "state-exists")
        self.assertEqual(ask("POST", "/v1/batches", {**good, "batch": "lot8"}).code, "state-conflict")
        for change, code, field in (({"from": OUTSIDE}, "wire-grammar", "to"), ({"to": OUTSIDE}, "out-of-range", "to"),
                                    ({"from": "x"}, "wire-grammar", "from")):
            answer = ask("POST", "/v1/batches/lot7/export", {"from": INSIDE[0], "to": INSIDE[1], **change})
            self.assertEqual((answer.code, answer.json.get("field")), (code, field), answer.text)


if __name__ == "__main__":
    unittest.main()
