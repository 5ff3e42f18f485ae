#!/usr/bin/env python3
"""Every operation of docs/openapi, with real roles: the command that the reference page shows for it is run, and its answer is what the
document says. And the commands of docs/api.md, word for word."""

import json
import os
import pathlib
import re
import socket
import subprocess
import unittest

import yaml

from support import openapi
from support.api_home import add_sockets, connect, document, wait_for_state
from support.case import E2ECase
from support.home import free_port, poll
from support.process import cpns_binary

DOCS = document.FOLDER.parent
ENTITY = "urn:dev:mac:0024befffe804ff1"  # the example of the documents


def commands_of(page: str) -> dict:
    """{"GET /v1/pnes": the command below that heading}."""
    found = re.findall(r"^### ([A-Z]+ /\S*)$(.*?)^```sh\n(.*?)^```$", page, re.M | re.S)
    return {heading: command.strip() for heading, between, command in found if "\n### " not in between}


class Curl:
    """Runs commands in `folder` as they are, but with the head of the answer in the output."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, command: str) -> tuple:
        assert command.startswith("curl "), command
        done = subprocess.run(["bash", "-euc", "curl -sS -i --max-time 30 " + command.removeprefix("curl ")], cwd=self.folder,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stderr.decode()}"
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head, _, body = body.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        return int(first.split(" ")[1]), [tuple(line.split(": ", 1)) for line in lines], body

    def stream(self, command: str) -> tuple:
        """Ends curl after the first event."""
        child = subprocess.Popen(["bash", "-euc", "exec curl -sS -i --max-time 30 " + command.removeprefix("curl ")], cwd=self.folder,
                                 stdout=subprocess.PIPE)
        lines = []
        with child:
            for line in child.stdout:
                lines.append(line.decode())
                if line == b"\n" and any(x.startswith("data: ") for x in lines):
                    break
            child.kill()
        head, _, body = "".join(lines).partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        return int(first.split(" ")[1]), [tuple(line.split(": ", 1)) for line in rest], body


class Examples(E2ECase):
    """A test for each role. `prepare` has the operations that need more than roles that run: it brings a device into the state that the
    operation needs, and returns the Entity ID that takes the place of the one in the example."""

    def setUp(self):
        self.place = self.home(devices=3)
        self.base = add_sockets(self.place)
        self.place.gateway["validation"]["policy"] = "ask"
        self.place.write()
        self.place.start()
        self.first, self.second, self.third = (entity for entity, _ in self.place.devices)

    def walk(self, role: str, prepare: dict):
        page = (DOCS / f"api/{role}.md").read_text()
        commands, curl = commands_of(page), Curl(self.base)
        operations = document.document(role).operations
        self.assertEqual(set(commands), {f"{o.verb} {o.path}" for o in operations}, "the page has each operation")
        unknown = prepare.keys() - {o.id for o in operations}
        self.assertFalse(unknown, "prepared, but not in the document")
        for o in operations:
            with self.subTest(o.id):
                command = commands[f"{o.verb} {o.path}"].replace(ENTITY, prepare.get(o.id, lambda: self.first)())
                status, headers, body = (curl.stream if o.streams else curl.run)(command)
                target = re.search(r"http://localhost(\S*?)'?$", command).group(1)
                self.assertEqual(document.document(role).find(o.verb, target), o, "the command is one for this operation")
                openapi.check_answer(role, o.verb, target, status, headers, body)
                self.assertIn(status, range(200, 300), body)
        self.compare_routes(role)

    def compare_routes(self, role: str):
        """The document and the program have the same operations."""
        listed = connect(self.place, role).ask("GET", "/v1/routes").json["routes"]
        documented = [{"verb": o.verb, "path": o.path, "level": o.level, "probe": o.node.get("x-probe", False),
                       **({"body_max": o.body_max} if o.changes else {})} for o in document.document(role).operations]

        def order(route):
            return route["path"], route["verb"]

        self.assertEqual(sorted(listed, key=order), sorted(documented, key=order))

    def test_every_operation_of_the_server(self):
        wait_for_state(self.place, "awaiting_approval", [self.first])
        connect(self.place, "gateway").ask("POST", f"/v1/pnes/{self.first}/approve")
        wait_for_state(self.place, "keyed", [self.first])

        def connected():
            def is_open():
                return connect(self.place, "server").ask("GET", "/v1/gateways/urn:cpns:gw:gw1").json.get("connections")

            poll(is_open, what="a connection of the gateway")
            return self.first

        def added():
            return "urn:dev:mac:0024befffe805000"

        def imported():
            poll(lambda: connect(self.place, "server").ask("GET", "/v1/imports/lot7").json["state"] == "done", what="the end of the import")
            return self.first

        self.walk("server", {"readDevice": added, "removeDevice": added, "readGateway": connected, "disconnectGateway": connected,
                             "readImport": imported})

    def test_every_operation_of_the_gateway(self):
        wait_for_state(self.place, "awaiting_approval", [self.first, self.second, self.third])

        def keyed():
            wait_for_state(self.place, "keyed", [self.first])
            return self.first

        self.walk("gateway", {"forgetPne": lambda: self.third, "rejectPne": lambda: self.second, "updatePne": keyed,
                              "changePassword": self.new_password})

    def new_password(self):
        """At the server, the user gets the password of the example."""
        example = document.document("gateway").operation("changePassword").body["application/json"]["example"]["password"]
        place = self.place
        place.role("server").terminate()
        place.cli("user", "passwd", place.user, "--stdin", "--config", "server.yaml", stdin=example + "\n")
        since = place.events.mark()
        place.start("server")
        place.events.wait(role="gateway", event="server-connected", since=since)
        return self.first

    def test_every_operation_of_a_process_of_pnes(self):
        self.walk("pne", {})


class Guide(E2ECase):
    def test_its_commands_word_for_word(self):
        """An example of output below a command, in a block of JSON, has the members of the real one."""
        place = self.home(devices=3)
        base = add_sockets(place)
        entity, port = place.devices[0][0], free_port(socket.SOCK_STREAM)
        text = (DOCS / "api.md").read_text().replace(ENTITY, entity).replace(":7480", f":{port}")
        blocks = re.findall(r"^```sh\n(.*?)^```\n(?:\n```json\n(.*?)^```$)?", text, re.M | re.S)
        self.assertGreater(len(blocks), 5)
        env = {**os.environ, "PATH": f"{pathlib.Path(cpns_binary()).parent}:{os.environ['PATH']}"}
        # The certificates and the YAML of the guide come before the start, as there.
        for commands, _ in [b for b in blocks if b[0].startswith("cpns ca issue ")]:
            subprocess.run(["bash", "-euc", commands], cwd=base, env=env, check=True, capture_output=True, timeout=60)
        for shown in re.findall(r"^```yaml\n(.*?)^```$", text, re.M | re.S):
            place.gateway["api"].update(yaml.safe_load(shown)["api"])
        place.write()
        place.start()
        place.wait_for_each()
        for commands, shown in [b for b in blocks if not b[0].startswith("cpns ca issue ")]:
            with self.subTest(commands):
                done = subprocess.run(["bash", "-euc", commands.replace("curl -N", "timeout 3 curl -N")], cwd=base, capture_output=True,
                                      text=True, env=env,
                                      timeout=60)
                if "curl -N" in commands:
                    self.assertEqual(done.returncode, 124, done.stderr)
                    self.assertIn("event: snapshot", done.stdout)
                    continue
                self.assertEqual(done.returncode, 0, done.stderr)
                if shown:
                    self.same_shape(json.loads(shown), json.loads(done.stdout), commands)

    def same_shape(self, shown, real, what):
        self.assertEqual(type(shown), type(real), what)
        if isinstance(shown, dict):
            self.assertEqual(list(shown), list(real), what)
            for name, value in shown.items():
                self.same_shape(value, real[name], f"{what}: {name}")
        if isinstance(shown, list) and shown:
            self.assertTrue(real, what)
            self.same_shape(shown[0], real[0], what)

    def test_every_request_that_it_names_is_in_a_document(self):
        text = (DOCS / "api.md").read_text()
        named = set(re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^\s`?]*)", text))
        self.assertTrue(named)
        known = {(o.verb, o.path) for role in document.ROLES for o in document.document(role).operations}
        self.assertFalse(named - known)


if __name__ == "__main__":
    unittest.main()
