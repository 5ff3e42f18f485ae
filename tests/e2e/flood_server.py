"""Manual test: two hostile gateways send as many report entries as their connections accept, and continue. Measures how long an honest
report waits, how large the server grows, and how long it takes to stop.

usage: flood_server.py [--frames N] [--seconds S] [--known]

  --frames N    reports of 256 entries that each of the two sends before it reads an answer; default 256: 131,072 entries
  --seconds S   how long they continue after that; default 10
  --known       entries name devices that the server knows, in turn, instead of invented ones

Example: CPNS_BIN=build/release/bin/cpns python3 tests/e2e/flood_server.py
Exit codes: 0 done, 1 the honest report was not answered within 60 s."""

import argparse
import itertools
import json
import os
import pathlib
import signal
import statistics
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import forged, hostile, pki  # noqa: E402
from support.home import Home  # noqa: E402


def report(entries: list) -> bytes:
    """A frame with an EpochReport of [(Entity ID, epoch)]."""
    head = forged.number
    body = head(4, 4) + head(0, 7) + head(2, 16) + os.urandom(16) + head(0, 0) + head(4, len(entries))
    for entity, epoch in entries:
        text = entity.encode()
        body += head(4, 2) + head(3, len(text)) + text + head(0, epoch)
    return hostile.frame(body)


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
    """One hostile gateway, in a thread: writes all frames, then one more for each answer, which it discards."""

    def __init__(self, home, name, frames, names):
        super().__init__(daemon=True)
        self.socket, self.frames, self.names, self.ending = hostile.dial_tls(home, 120, name), frames, names, False
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
        honest = hostile.dial_tls(home, 120)  # a second connection as the real gateway
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
