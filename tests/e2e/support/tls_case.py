"""Base of the tests of the HTTP API over TLS: three roles with `api.listen`, and certificates of the development CA for an admin (anna), an
operator (op-berta) and viewers (any other name)."""

import json
import subprocess

from support import openapi
from support.api_home import add_sockets, connect, document
from support.case import E2ECase
from support.home import poll
from support.unix_http import Answer

CERTIFICATES = {"urn:cpns:admin:anna": "admin", "urn:cpns:admin:op-*": "operator", "urn:cpns:admin:*": "viewer"}


class OverTls(E2ECase):
    def new_home(self):
        return self.home(devices=1)

    def setUp(self):
        self.place = home = self.new_home()
        add_sockets(home)
        self.tls = home.folder / "tls"
        for role in document.ROLES:
            home.cli("ca", "issue", "server", f"{role}-api", "--ca", "tls", "--dns", "localhost", "--ip", home.address)
            getattr(home, role)["api"] |= {
                "listen": f"{home.address}:0", "certificates": CERTIFICATES,
                "tls": {"certificate": f"tls/{role}-api.pem", "key": f"tls/{role}-api.key", "ca": "tls/ca.pem", "crl": "tls/ca.crl"}}
        for name in ("anna", "op-berta", "carl"):
            home.cli("ca", "issue", "admin", name, "--ca", "tls")
        home.write()
        home.start()
        self.ports = {role: self.door_of(role) for role in document.ROLES}

    def door_of(self, role: str) -> int:
        return int(connect(self.place, role).ask("GET", "/v1/status").json["doors"]["listen"].removeprefix(f"{self.place.address}:"))

    def url(self, role: str) -> str:
        return f"https://{self.place.address}:{self.ports[role]}"

    def curl(self, role: str, name: str, *args) -> subprocess.CompletedProcess:
        """`name`: of the files in tls/; empty: without a certificate."""
        own = ["--cert", self.tls / f"{name}.pem", "--key", self.tls / f"{name}.key"] if name else []
        return subprocess.run(["curl", "-sS", "-i", "--max-time", "20", "--cacert", self.tls / "ca.pem", *own, *args], capture_output=True,
                              timeout=60)

    def ask(self, role: str, name: str, verb: str, target: str, *args) -> Answer:
        change = ["-X", verb, "-H", "Cpns-Request-Id: tls-1"] if verb != "GET" else []
        done = self.curl(role, name, *change, *args, self.url(role) + target)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        answer = Answer(int(first.split(" ")[1]), [tuple(line.split(": ", 1)) for line in lines], body)
        openapi.check_answer(role, verb, target, answer.status, answer.headers, answer.body)
        return answer

    def remote(self, role: str, name="anna") -> list:
        return ["--url", self.url(role), "--cert", self.tls / f"{name}.pem", "--key", self.tls / f"{name}.key", "--ca", self.tls / "ca.pem"]

    def audit(self, role: str, what: str) -> list:
        """The lines of the trail with this text; waits for the first one."""
        file = self.place.folder / f"state/{role}.audit.jsonl"

        def found():
            return [json.loads(line) for line in file.read_text().splitlines() if what in line]

        return poll(found, what=f"{what} in {file.name}")
