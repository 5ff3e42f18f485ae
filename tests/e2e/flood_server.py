"""By hand: two gateways that mean no good send as many entries of reports as their connections take, and go on; how long an honest
report waits, how large the server grows, and how long it takes to end.

usage: flood_server.py [--frames N] [--seconds S] [--known]

  --frames N    reports of 256 entries that each of the two sends before it reads an answer; 256 without it: 131,072 entries
  --seconds S   how long they go on after that; 10 without it
  --known       entries of devices that the server knows, in turn, not of invented ones

Example: CPNS_BIN=build/release/bin/cpns python3 tests/e2e/flood_server.py
Exit codes: 0 done, 1 the honest report was not answered within 60 s."""

import argparse
import itertools
import json
import os
import pathlib
import signal
import ssl
import statistics
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import hostile, pki  # noqa: E402
from support.home import Home  # noqa: E402


def head(major: int, n: int) -> bytes:
    """CBOR in its shortest form."""
    for bits, size, code in ((0, 0, None), (8, 1, 24), (16, 2, 25), (32, 4, 26), (64, 8, 27)):
        if code is None and n < 24:
            return bytes([major << 5 | n])
        if code is not None and n < 1 << bits:
            return bytes([major << 5 | code]) + n.to_bytes(size, "big")
    raise ValueError(n)


def report(entries: list) -> bytes:
    """A frame: EpochReport of [(Entity ID, epoch)]."""
    body = head(4, 4) + head(0, 7) + head(2, 16) + os.urandom(16) + head(0, 0) + head(4, len(entries))
    for entity, epoch in entries:
        text = entity.encode()
        body += head(4, 2) + head(3, len(text)) + text + head(0, epoch)
    return hostile.frame(body)


def dial(home, name: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(home.folder / "tls/ca.pem")
    context.load_cert_chain(home.folder / f"tls/{name}.pem", home.folder / f"tls/{name}.key")
    context.set_alpn_protocols(["cpns/1"])
    return context.wrap_socket(hostile.dial(f"{home.address}:{home.server_port}", 120))


def read_frame(s) -> bytes:
    def exactly(n):
        out = b""
        while len(out) < n:
            part = s.recv(n - len(out))
            if not part:
                raise ConnectionError("closed")
            out += part
        return out
    return exactly(struct.unpack(">I", exactly(4))[0])


class Flood(threading.Thread):
    """One gateway: writes all, then keeps as much in flight; a thread of its own reads and forgets what is answered."""

    def __init__(self, home, name, frames, names):
        super().__init__(daemon=True)
        self.socket, self.frames, self.names, self.ending = dial(home, name), frames, names, False
        self.sent = self.answered = 0
        self.start()

    def run(self):
        try:
            for _ in range(self.frames):
                self.send()
            while not self.ending:
                read_frame(self.socket)
                self.answered += 1
                self.send()
        except OSError:
            pass

    def send(self):
        self.socket.sendall(report([(next(self.names), 65536) for _ in range(256)]))
        self.sent += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--known", action="store_true")
    given = parser.parse_args()
    home = Home(devices=50)
    try:
        ca = pki.Ca(home.folder / "tls")
        for name in ("hostile-0", "hostile-1"):
            ca.issue(home.folder / "tls", name, f"urn:cpns:gw:{name}", pki.CLIENT)
        home.start()
        home.events.wait(role="gateway", event="confirmed", count=50, timeout=60)
        server = home.role("server")
        before = hostile.rss_mib(server.pid)
        honest = dial(home, "gateway")  # a connection beside the real gateway's
        known = [entity for entity, _ in home.devices]
        names = itertools.cycle(known) if given.known else (f"urn:dev:os:1-{i}" for i in itertools.count())
        begun = time.monotonic()
        lock = threading.Lock()

        class Shared:
            def __next__(self):
                with lock:
                    return next(names)

        floods = [Flood(home, f"hostile-{i}", given.frames, Shared()) for i in range(2)]
        waits, most = [], before
        while time.monotonic() - begun < given.seconds:
            asked = time.monotonic()
            honest.sendall(report([(known[len(waits) % len(known)], 65536)]))
            honest.settimeout(60)
            try:
                read_frame(honest)
            except TimeoutError:
                print("the honest report was not answered within 60 s", file=sys.stderr)
                return 1
            waits.append(time.monotonic() - asked)
            most = max(most, hostile.rss_mib(server.pid))
        asked = time.monotonic()
        server.signal(signal.SIGTERM)
        code = server.wait(120)
        ended = time.monotonic() - asked
        for f in floods:
            f.ending = True
        print(json.dumps({"entries_sent": 256 * sum(f.sent for f in floods), "honest_reports": len(waits),
                          "wait_ms_p50": round(1000 * statistics.median(waits), 1), "wait_ms_worst": round(1000 * max(waits), 1),
                          "server_mib_before": round(before, 1), "server_mib_most": round(most, 1),
                          "sigterm_s": round(ended, 2), "sigterm_code": code}))
        return 0
    finally:
        home.close()


if __name__ == "__main__":
    sys.exit(main())
