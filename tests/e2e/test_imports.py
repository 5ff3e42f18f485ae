#!/usr/bin/env python3
"""Devices are imported into a running server: while keys are assigned, in parts, by a command that is killed, into a server that is killed,
with many bad rows. Nothing is lost, nothing is half done."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import unittest

from support import yaml
from support.api_home import add_sockets, connect, socket_of
from support.case import E2ECase
from support.home import poll
from support.process import Role, cpns_binary

HEAD = "entity_id,temporary_key,strength\n"
CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


def row(n: int) -> str:
    return f"urn:dev:os:32473-{n},{hashlib.sha256(str(n).encode()).hexdigest()},128bit\n"


def rows(count: int) -> str:
    return HEAD + "".join(row(n) for n in range(count))


class Imports(E2ECase):
    def setUp(self):
        self.place = self.home(devices=2)
        add_sockets(self.place)
        self.place.write()

    def ask(self, verb: str, target: str, body="", headers=None):
        with contextlib.closing(connect(self.place, "server")) as server:
            return server.ask(verb, "/v1/imports" + target, body.encode(), headers)

    def create(self, name="lot7", **options):
        made = self.ask("POST", "", json.dumps({"import": name, "batch": name, **options}), JSON)
        self.assertEqual(made.status, 201, made.text)

    def send(self, text: str, offset=0, name="lot7"):
        sent = self.ask("PUT", f"/{name}/rows?offset={offset}", text, CSV)
        self.assertEqual(sent.status, 200, sent.text)
        return sent.json

    def read(self, name="lot7") -> dict:
        return self.ask("GET", f"/{name}").json

    def wait_for(self, *states, name="lot7", timeout=60) -> dict:
        return poll(lambda: next((i for i in [self.read(name)] if i["state"] in states), None), timeout, 0.01, f"{states} of {name}")

    def list_file(self, text: str) -> pathlib.Path:
        file = self.place.folder / "many.csv"
        file.write_text(text)
        file.chmod(0o600)
        return file

    def command(self, file) -> subprocess.Popen:
        return subprocess.Popen([cpns_binary(), "device", "import", file, "--config", "server.yaml"], cwd=self.place.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def the_only_import(self, timeout=20) -> dict:
        return poll(lambda: next(iter(self.ask("GET", "").json["imports"]), None), timeout, 0.005, "an import")

    def stop_and_count(self) -> int:
        """Devices in the store, without those of the home."""
        self.assertEqual(self.place.role("server").terminate(), 0)
        listed = self.place.cli("device", "list", "--config", "server.yaml").stdout
        return len(re.findall(r"^urn:dev:os:32473-\d+\t", listed, re.M))

    def audit(self) -> list:
        lines = (self.place.folder / "state/server.audit.jsonl").read_text().splitlines()
        return [x for x in map(json.loads, lines) if x.get("action", "").startswith("device-import")]

    def test_the_command_imports_while_keys_are_assigned(self):
        self.place.start("server")
        command = self.command(self.list_file(rows(20_000)))
        self.place.start("gateway", "pne")
        self.place.wait_for_each()
        out, err = command.communicate(timeout=60)
        self.assertEqual((command.returncode, out, err), (0, "Imported 20000 devices.\n", ""))
        intent, outcome = self.audit()[-2:]
        self.assertEqual((intent["object"], intent["via"]), ("many.csv", "socket"))
        self.assertEqual((intent["after"]["rows"], intent["after"]["bad_rows"]), (20_000, 0))
        self.assertEqual((outcome["outcome"], outcome["after"]), ("done", {"imported": 20_000, "left_out": 0}))
        digest = hashlib.sha256("".join(f"urn:dev:os:32473-{n}\t128bit\t\n" for n in range(20_000)).encode()).hexdigest()
        self.assertEqual(intent["after"]["sha256"], digest)
        repeated = self.place.cli("device", "import", "many.csv", "--config", "server.yaml")
        self.assertRegex(repeated.stdout, r"^many.csv was imported before \(20\d\d-.*Z\): 20000 devices, and 0 rows left out\. ")
        os.utime(self.place.folder / "many.csv", (0, 0))
        again = self.place.cli("device", "import", "many.csv", "--config", "server.yaml", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("nothing was imported: 20000 rows cannot be used", again.stderr)
        self.assertIn("many.csv: 10000 more rows are left out, and not listed", again.stderr)
        self.assertEqual(self.stop_and_count(), 20_000)

    def test_a_server_that_is_killed_while_it_receives_and_while_it_imports(self):
        server, text = self.place.role("server").start(), rows(12_000)
        self.create()
        half = len(text) // 2
        self.assertEqual(self.send(text[:half])["bytes"], half)
        server.kill9()
        server.start()
        self.assertEqual(self.read()["bytes"], half, "acknowledged bytes are durable")
        gap = self.ask("PUT", f"/lot7/rows?offset={half + 1}", "x", CSV)
        self.assertEqual(gap.code, "state-conflict")
        self.assertEqual(self.send(text[half - 50:], half - 50)["good"], 12_000, "a repeated part is recognised by its offset")
        self.assertEqual(self.ask("POST", "/lot7/finish", json.dumps({"bytes": 5}), JSON).code, "state-conflict")
        self.assertEqual(self.ask("POST", "/lot7/finish", json.dumps({"bytes": len(text)}), JSON).status, 202)
        poll(lambda: self.read()["imported"] > 0, every=0.001, what="the first devices")
        server.kill9()
        server.start()
        done = self.wait_for("done")
        self.assertEqual((done["imported"], done["bad"], done["problem"]), (12_000, 0, None))
        self.assertEqual((self.audit()[-1]["outcome"], self.audit()[-1].get("after", {}).get("left_out")), ("done", 0))
        self.assertEqual(self.stop_and_count(), 12_000)
        verified = self.place.cli("audit", "verify", "--config", "server.yaml")
        self.assertIn("The chain is whole", verified.stdout)

    def test_the_command_goes_on_when_the_server_was_killed_and_when_it_was_killed_itself(self):
        server = self.place.role("server").start()
        file = self.list_file(rows(40_000))
        command = self.command(file)
        name = self.the_only_import()["import"]
        poll(lambda: self.read(name)["bytes"] > 0, every=0.005, what="the first bytes")
        command.send_signal(signal.SIGKILL)
        command.communicate()
        # The server still takes in what it had received.
        poll(lambda: self.ask("PUT", f"/{name}/rows?offset=0", "", CSV).status == 200, every=0.005, what="the end of that request")
        left = self.read(name)["bytes"]
        self.assertGreater(left, 0)
        self.assertEqual(self.read(name)["state"], "receiving")
        command = self.command(file)
        poll(lambda: self.read(name)["bytes"] > left or self.read(name)["state"] != "receiving", every=0.005, what="more bytes")
        server.kill9()
        server.start()
        out, err = command.communicate(timeout=90)
        self.assertEqual((command.returncode, out), (0, "Imported 40000 devices.\n"), err)
        self.assertEqual([i["import"] for i in self.ask("GET", "").json["imports"]], [name], "it is one import")
        self.assertEqual(self.stop_and_count(), 40_000)

    def test_slow_uploads_keep_nobody_out(self):
        self.place.start("server")
        slow = []
        for n in range(4):
            self.create(f"slow{n}")
            s = socket.socket(socket.AF_UNIX)
            self.addCleanup(s.close)
            s.settimeout(20)
            s.connect(os.fspath(socket_of(self.place, "server")))
            s.sendall(f"PUT /v1/imports/slow{n}/rows HTTP/1.1\r\nHost: localhost\r\nCpns-Request-Id: slow-{n}\r\n"
                      "Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\n".encode())
            slow.append(s)

        def refused():
            ready = select.select(slow, [], [], 0)[0]
            return ready if len(ready) == 2 else None

        for s in poll(refused, what="two of four uploads are refused"):
            self.assertIn(b" 503 ", s.recv(4096).partition(b"\r\n")[0])
            slow.remove(s)
        for byte in b"entity_id,":
            for s in slow:
                s.sendall(bytes([byte]))
            for target in ("/health/live", "/health/ready", "/metrics", "/v1/status"):
                with contextlib.closing(connect(self.place, "server")) as server:
                    self.assertEqual(server.ask("GET", target).status, 200, target)
        third = self.ask("PUT", "/slow3/rows", HEAD, CSV)
        self.assertEqual((third.code, third.header("retry-after")), ("too-many-at-once", "1"))
        command = self.command(self.list_file(rows(100)))
        poll(lambda: len(self.ask("GET", "").json["imports"]) == 5, what="the import of the command")
        self.assertIsNone(command.poll(), "it waits for its turn")
        for s in slow:
            s.close()
        out, err = command.communicate(timeout=60)
        self.assertEqual((command.returncode, out, err), (0, "Imported 100 devices.\n", ""))

    def test_a_server_whose_default_socket_has_a_path_that_is_too_long(self):
        file = self.place.folder / ("x" * 120 + ".yaml")
        settings = {**self.place.server}
        del settings["api"]
        file.write_text(yaml.dump(settings))
        command = ("device", "import", self.list_file(rows(2)), "--config", file)
        server = Role("server", file, self.place.events, self.place.folder).start()
        try:
            for _ in range(2):
                done = self.place.cli(*command, check=False)
                self.assertEqual(done.returncode, 1)
                self.assertIn(": the server is running without an API, because the default path of its socket has ", done.stderr)
                self.assertIn("107 are the most: set 'api.socket' to a shorter one; stop it", done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1)
        finally:
            server.terminate()
        self.assertEqual(self.place.cli(*command).stdout, "Imported 2 devices.\n")

    def test_a_cancelled_import_leaves_nothing(self):
        self.place.start("server")
        self.create()
        self.send(rows(3000))
        self.assertEqual(self.ask("POST", "", json.dumps({"import": "lot7", "batch": "x"}), JSON).code, "state-exists")
        for state, count in {"receiving": 1, "done": 0}.items():
            self.assertEqual(len(self.ask("GET", f"?state={state}").json["imports"]), count, state)
        wrong = self.ask("GET", "?state=open")
        self.assertEqual((wrong.status, wrong.code, wrong.json["field"]), (400, "out-of-range", "state"))
        self.assertEqual(self.ask("DELETE", "/lot7").status, 204)
        self.assertEqual(self.ask("GET", "/lot7").code, "state-unknown")
        self.assertEqual(self.ask("GET", "").json, {"imports": [], "next": None})
        self.assertEqual(self.stop_and_count(), 0)

    def test_many_bad_rows(self):
        server = self.place.role("server").start()
        memory = server_memory(server.pid)
        text = HEAD + "".join(row(n) + "headset,x,128bit\n" + row(n) for n in range(20_000))
        for name, partial in (("all", False), ("some", True)):
            self.create(name, partial=partial)
            self.send(text, name=name)
            self.ask("POST", f"/{name}/finish")
            end = self.wait_for("done", "refused", name=name)
            self.assertEqual((end["state"], end["bad"], end["imported"]),
                             ("done", 40_000, 20_000) if partial else ("refused", 40_000, 0))
            results, after = [], ""
            while after is not None:
                page = self.ask("GET", f"/{name}/results?limit=1000{after and '&after=' + after}").json
                results, after = results + page["results"], page["next"]
            self.assertEqual(len(results), 10_000)
            self.assertEqual([(r["line"], r["kind"]) for r in results[:3]], [(3, "bad"), (4, "bad"), (6, "bad")])
            self.assertEqual(results[1]["text"], "the device is in line 2 already")
            self.assertNotIn(hashlib.sha256(b"0").hexdigest()[:8], json.dumps(results))
        self.assertLess(server_memory(server.pid) - memory, 100, "MiB")
        self.assertEqual(self.stop_and_count(), 20_000)

    def test_a_list_of_a_wrong_form_is_refused_with_its_line(self):
        self.place.start("server")
        self.create()
        wrong = self.ask("PUT", "/lot7/rows", "entity_id,temporary_kye\n", CSV)
        self.assertEqual(wrong.code, "config-unknown-key")
        self.assertIn("line 1: field 2 is not the name of a column; did you mean 'temporary_key'?", wrong.json["detail"])
        self.assertEqual((self.read()["state"], self.read()["problem"]["line"]), ("refused", 1))
        done = self.place.cli("device", "import", self.list_file(HEAD + "x" * 5000), "--config", "server.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("many.csv:2: the line is longer than 4096 bytes", done.stderr)


def server_memory(pid: int) -> float:
    """MiB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", text, re.M).group(1)) / 1024


if __name__ == "__main__":
    unittest.main()
