"""HTTP on a Unix socket. Every answer is checked against docs/openapi."""

import http.client
import os
import socket
import subprocess
import sys

from support import openapi

# Connects, and sends the connection to the test: the kernel keeps the credentials of connect().
CONNECT = """
import array, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
socket.socket(fileno=int(sys.argv[2])).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [s.fileno()]))])
"""
TIMEOUT = 30  # s


class Answer:
    def __init__(self, status: int, headers: list, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self):
        return openapi.parse(self.text)

    @property
    def code(self) -> str:
        """Of a problem; empty: the answer is not a problem."""
        return self.json["code"] if self.header("content-type") == "application/problem+json" else ""

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


class Connection(http.client.HTTPConnection):
    """To the role whose document is `role`; with `user` and `group`, and `groups` beside it, as a process of theirs, which only root
    can do."""

    def __init__(self, role: str, path, user=None, group=None, groups=()):
        super().__init__("localhost", timeout=TIMEOUT)
        self.role, self.path, self.user, self.group, self.groups = role, str(path), user, group, list(groups)

    def connect(self):
        if self.user is None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(TIMEOUT)
            self.sock.connect(self.path)
            return
        here, there = socket.socketpair()
        with here, there:
            subprocess.run([sys.executable, "-c", CONNECT, self.path, str(there.fileno())], user=self.user, group=self.group,
                           extra_groups=self.groups, pass_fds=[there.fileno()], cwd="/", check=True, timeout=TIMEOUT)
            descriptors = socket.recv_fds(here, 1, 1)[1]
        self.sock = socket.socket(fileno=descriptors[0])
        self.sock.settimeout(TIMEOUT)

    def ask(self, verb: str, target: str, body=b"", headers=None) -> Answer:
        """A change gets a request id, unless `headers` has one (None: it is sent without)."""
        wanted = {**({"Cpns-Request-Id": "test-1"} if verb != "GET" else {}), **(headers or {})}
        self.request(verb, target, body or None, {n: v for n, v in wanted.items() if v is not None})
        got = self.getresponse()
        answer = Answer(got.status, got.getheaders(), got.read())
        openapi.check_answer(self.role, verb, target, answer.status, answer.headers, answer.body)
        return answer


def exchange(role: str, path, data: bytes, verb="GET", target="/") -> Answer:
    """Sends these bytes and reads until the role closes. `verb` and `target`: what they are meant to ask, for the check."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(os.fspath(path))
        s.sendall(data)
        got = b""
        while part := s.recv(65536):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    answer = Answer(int(first.split(" ")[1]), [tuple(line.split(": ", 1)) for line in lines], body)
    openapi.check_answer(role, verb, target, answer.status, answer.headers, answer.body)
    return answer
