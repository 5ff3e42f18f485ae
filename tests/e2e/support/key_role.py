"""A key socket that a test plays itself: it says what a role would say at a chosen moment, refuses, freezes, or is of another version."""

import contextlib
import itertools
import json
import os
import socket
import threading
import urllib.parse


def key(entity, epoch, secret, use=True, state="current"):
    identity = f"{entity.removeprefix('urn:').replace(':', '.')}/{epoch}/mqtt"
    return {"entity": entity, "epoch": epoch, "state": state, "use": use, "identity": identity, "fingerprint": "00" * 8, "key": secret}


class KeyRole:
    """`acks`: whether it knows acknowledgements; `silent_about_acks`: it takes the parameter and says no `begun`. `refusal`: (status,
    problem) of every request."""

    def __init__(self, path, acks=True, silent_about_acks=False, refusal=None):
        self.path, self.acks, self.silent, self.refusal = str(path), acks, silent_about_acks, refusal
        self.changed = threading.Condition()
        self.requests, self.acked, self.numbers = [], [], itertools.count()  # of the watches, in the order in which they began
        self.refuse_acks = self.final_refusal = 0  # how many acknowledgements are refused with 503; the status of a refusal of all
        self.links, self.watches = [], []  # a test may forget a watch; its connection is closed at the end
        self.door = None
        self.open()

    def open(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(self.path)
        self.door.listen()
        threading.Thread(target=self._accept, args=(self.door,), daemon=True).start()

    def close(self):
        """As a role that was killed: its connections end, and nobody listens."""
        door, self.door = self.door, None
        if door is None:
            return
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        for link in self.links:
            with contextlib.suppress(OSError):  # the other side has ended
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self.links, self.watches = [], []

    def _accept(self, door):
        while True:
            try:
                link, _ = door.accept()
            except OSError:
                return
            self.links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with contextlib.suppress(OSError):  # the program may end at any moment
            self._answer(link)

    def _answer(self, link):
        text = b""
        while b"\r\n\r\n" not in text:
            piece = link.recv(65536)
            if not piece:
                return
            text += piece
        head, _, body = text.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += link.recv(65536)
        verb, target, _ = lines[0].split(" ")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)
        status, problem = self.refusal or (0, None)
        if not status and "acks" in query and not self.acks:
            status, problem = 400, {"code": "unknown-parameter", "detail": "unknown parameter 'acks'"}
        if not status and verb == "POST":
            status = self._take_ack(headers, json.loads(body))
        if status:
            text = json.dumps(problem).encode() if problem else b""
            kind = "Content-Type: application/problem+json\r\n" if problem else ""
            link.sendall(f"HTTP/1.1 {status} X\r\n{kind}Content-Length: {len(text)}\r\n\r\n".encode() + text)
            link.close()
        else:
            link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            if "acks" in query and not self.silent:
                self.send_to(link, {"event": "begun", "revision": 1, "watch": f"w{next(self.numbers)}"})
        with self.changed:
            self.requests.append((verb, target))
            if not status:
                self.watches.append(link)
            self.changed.notify_all()

    def _take_ack(self, headers, body):
        with self.changed:
            if "cpns-request-id" not in headers or headers.get("content-type") != "application/json":
                return 403
            if self.final_refusal:
                return self.final_refusal
            if self.refuse_acks:
                self.refuse_acks -= 1
                return 503
            self.acked.append((body["watch"], body["revision"]))
            self.changed.notify_all()
        return 204

    @staticmethod
    def send_to(link, line, parts=1):
        """A line as a chunk for each of `parts`."""
        text = json.dumps(line).encode() + b"\n" if isinstance(line, dict) else line
        size = -(-len(text) // parts)
        for begin in range(0, len(text), size):
            piece = text[begin:begin + size]
            link.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))

    def until(self, condition, timeout=20):
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError(f"not within {timeout} s; requests {self.requests}, acks {self.acked}")

    def watch(self, number=1):
        """The connection of the watch with this number, since the socket was opened."""
        self.until(lambda: len(self.watches) >= number)
        return self.watches[number - 1]

    def until_acked(self, watch, revision, timeout=20):
        def seen():
            return any(w == watch and r >= revision for w, r in self.acked)
        with self.changed:
            if not self.changed.wait_for(seen, timeout):
                raise AssertionError(f"no acknowledgement of {revision} by {watch}: {self.acked}")
