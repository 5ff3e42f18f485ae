"""Peers that send as much as they can: gateways to a server, devices to a gateway."""

import collections
import contextlib
import itertools
import os
import select
import ssl
import struct
import threading
import time

from support import forged, hostile, pki

OVERLOADED = 11
STATUSES = {1: "unknown_user_or_bad_proof", 2: "unknown_entity", 10: "throttled", OVERLOADED: "overloaded", 13: "bad_request"}
ENTRIES = 256  # of a report
OF_ONE_GATEWAY = 8  # connections
NEVER_IMPORTED = "urn:dev:os:1-{}"


def report(names: list) -> bytes:
    """A frame with an EpochReport."""
    head = forged.number
    body = head(4, 4) + head(0, 7) + forged.bstr(os.urandom(16)) + head(0, 0) + head(4, len(names))
    return hostile.frame(body + b"".join(head(4, 2) + forged.tstr(name) + head(0, 65536) for name in names))


def request(name: str, user: str) -> bytes:
    """A frame with a KeyAssignmentRequest, a refill, whose proof is wrong."""
    head = forged.number
    return hostile.frame(head(4, 11) + head(0, 5) + forged.bstr(os.urandom(16)) + head(0, 0) + forged.tstr(user) + forged.tstr(name)
                         + forged.bstr(bytes(32)) + head(0, 1) + forged.NULL * 4)


def count_answer(to: collections.Counter, answer: bytes):
    """An answer without its length: a report and its outcomes, or a refusal by its status."""
    at = 2 + 17
    at += 1 if answer[at] < 24 else 1 + (1 << answer[at] - 24)  # the incarnation
    at += 17  # the nonce
    if answer[1] == 8:
        size = answer[at] - 0x80
        to["reports"] += 1
        to["outcomes"] += size if size < 24 else int.from_bytes(answer[at + 1:at + 1 + (1 << size - 24)], "big")
    elif answer[1] == 9:
        to[STATUSES.get(answer[at], f"status {answer[at]}")] += 1
    else:
        to[f"message {answer[1]}"] += 1


class GatewayFlood(threading.Thread):
    """A gateway that sends all of `frames`, as fast as its connection takes them, whether or not answers come; then it waits for
    them. It connects again if the server closes the connection, and sends on with the next frame. `window`: frames without an answer
    that it may have; none: any number."""

    def __init__(self, home, name: str, frames, until: float, window=0):
        super().__init__(daemon=True)
        self.home, self.name_of, self.frames, self.until, self.window = home, name, frames, until, window
        self.sent, self.closed, self.answers, self.pause = 0, 0, collections.Counter(), threading.Event()
        self.start()

    def run(self):
        while time.monotonic() < self.until:
            try:
                with hostile.dial_tls(self.home, 20, self.name_of) as s:
                    if self._talk(s):
                        return
            except OSError:
                pass
            self.closed += 1
            self.pause.wait(0.1)

    def _talk(self, s) -> bool:
        s.setblocking(False)
        out, came, asked, answered = b"", bytearray(), 0, 0
        while time.monotonic() < self.until:
            if not out:
                some = list(itertools.islice(self.frames, self.window - (asked - answered) if self.window else 32))
                asked, self.sent = asked + len(some), self.sent + len(some)
                out = b"".join(some)
            if not out and answered == asked:  # the generator has ended
                return True
            select.select([s], [s] if out else [], [], 0.5)
            try:
                if out:
                    out = out[s.send(out[:65536]):]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                pass
            try:
                data = s.recv(1 << 18)
                if not data:
                    return False
                came += data
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            answered += self._read(came)
        return True

    def _read(self, came: bytearray) -> int:
        n, at = 0, 0
        while len(came) - at >= 4 and len(came) - at >= 4 + (size := struct.unpack_from(">I", came, at)[0]):
            count_answer(self.answers, came[at + 4:at + 4 + size])
            at, n = at + 4 + size, n + 1
        del came[:at]
        return n


def frames_of_unknown(entities: int, first: int, user: str):
    """Half of the entities in reports, half in requests."""
    names = (NEVER_IMPORTED.format(i) for i in range(first, first + entities))
    while some := list(itertools.islice(names, 2 * ENTRIES)):
        yield report(some[:ENTRIES])
        for name in some[ENTRIES:]:
            yield request(name, user)


def frames_of_reports(names):
    while some := list(itertools.islice(names, ENTRIES)):
        yield report(some)


def issue_gateways(home, count: int) -> list:
    """Certificates of further gateways; their names."""
    ca, names = pki.Ca(home.folder / "tls"), [f"flood-{i}" for i in range(count)]
    for name in names:
        ca.issue(home.folder / "tls", name, f"urn:cpns:gw:{name}", pki.CLIENT)
    return names


class Parts(threading.Thread):
    """As many connections of each gateway as a server takes from one; each sends all but the end of a frame, and then waits."""

    def __init__(self, home, names: list, size: int):
        super().__init__(daemon=True)
        self.home, self.names, self.frame, self.open = home, names, hostile.frame(bytes(size))[:-1], []
        self.start()

    def run(self):
        for name in self.names * OF_ONE_GATEWAY:
            with contextlib.suppress(OSError):
                s = hostile.dial_tls(self.home, 20, name)
                self.open.append(s)
                s.setblocking(False)  # the server may not read it
                for at in range(0, len(self.frame), 16_384):
                    s.send(self.frame[at:at + 16_384])

    def close(self):
        for s in self.open:
            s.close()


def fragment(number: int, message: bytes) -> bytes:
    """One message in one fragment."""
    return hostile.frame(struct.pack("BB", number % 256, 0x80) + message)


def first_answer(s, home, entity: str) -> bytes:
    """Greets the radio as a PNE, and answers its DREQ under this Entity ID. Returns the answer."""
    s.sendall(hostile.hello(home.network))
    with s.makefile("rb") as frames:
        head = frames.read(4)
        dreq = frames.read(int.from_bytes(head, "big"))[2:]
    answer = forged.drsp(dreq, entity)
    s.sendall(fragment(0, answer))
    return answer


class LinkFlood(threading.Thread):
    """A link that sends messages without a pause: `junk`, or its first `answers` again."""

    def __init__(self, home, at: str, entity: str, kind: str, until: float):
        super().__init__(daemon=True)
        self.home, self.at, self.entity, self.kind, self.until, self.sent = home, at, entity, kind, until, 0
        self.start()

    def run(self):
        while time.monotonic() < self.until:
            try:
                with hostile.dial(self.at) as s:
                    answer = first_answer(s, self.home, self.entity)
                    message = b"\x87" + os.urandom(1000) if self.kind == "junk" else answer
                    batch = b"".join(fragment(1 + i, message) for i in range(256))
                    s.settimeout(5)
                    while time.monotonic() < self.until:
                        s.sendall(batch)
                        self.sent += 256
            except (OSError, ValueError):
                pass


class ReconnectFlood(threading.Thread):
    """A device that connects, answers and leaves, `rate` times a second; each time under a new Entity ID if `entity` is empty."""

    def __init__(self, home, at: str, entity: str, rate: float, until: float):
        super().__init__(daemon=True)
        self.home, self.at, self.entity, self.rate, self.until = home, at, entity, rate, until
        self.sent = self.refused = 0
        self.start()

    def run(self):
        begun, n, pause = time.monotonic(), 0, threading.Event()
        while (now := time.monotonic()) < self.until:
            if n > (now - begun) * self.rate:
                pause.wait(0.001)
                continue
            n += 1
            try:
                with hostile.dial(self.at, 5) as s:
                    first_answer(s, self.home, self.entity or f"urn:dev:os:2-{os.urandom(6).hex()}")
                self.sent += 1
            except (OSError, ValueError):
                self.refused += 1
