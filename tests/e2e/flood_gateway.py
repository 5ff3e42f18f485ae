#!/usr/bin/env python3
"""Manual test: measures the memory of a gateway while hostile links send as much as they can under the Entity ID of a keyed device.

    tests/e2e/flood_gateway.py --links 4 --seconds 30

Environment as for the e2e tests: CPNS_BIN, or the release build of this tree."""

import argparse
import os
import struct
import sys
import threading
import time

from support import forged, hostile
from support.home import Home


def fragment(number: int, message: bytes) -> bytes:
    """One message in one fragment."""
    return hostile.frame(struct.pack("BB", number % 256, 0x80) + message)


def flood(home, at: str, entity: str, until: float, sent: list, kind: str):
    while time.monotonic() < until:
        try:
            with hostile.dial(at) as s:
                s.sendall(hostile.hello(home.network))
                with s.makefile("rb") as frames:
                    head = frames.read(4)
                    dreq = frames.read(int.from_bytes(head, "big"))[2:]
                answer = forged.drsp(dreq, entity)
                s.sendall(fragment(0, answer))
                s.settimeout(5)
                number = 1
                junk = b"\x87" + os.urandom(1000)
                while time.monotonic() < until:
                    batch = b"".join(fragment(number + i, junk if kind == "junk" else answer) for i in range(256))
                    s.sendall(batch)
                    number += 256
                    sent[0] += 256
        except (OSError, ValueError):
            pass


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--links", type=int, default=4)
    a.add_argument("--seconds", type=float, default=30)
    a.add_argument("--kind", choices=("junk", "answers"), default="junk")
    options = a.parse_args()
    home = Home(devices=2)
    try:
        at = home.listen_at_fixed_port()
        home.pne["transports"][0]["params"] = {"connect": at, "network": home.network}
        home.write()
        home.start()
        home.events.wait(role="gateway", event="confirmed", count=2)
        pid = home.role("gateway").pid
        before = hostile.rss_mib(pid)
        sent = [0]
        until = time.monotonic() + options.seconds
        crowd = [threading.Thread(target=flood, args=(home, at, home.devices[0][0], until, sent, options.kind), daemon=True)
                 for _ in range(options.links)]
        for t in crowd:
            t.start()
        highest, pause = before, threading.Event()
        while time.monotonic() < until:
            highest = max(highest, hostile.rss_mib(pid))
            pause.wait(0.1)
        print(f"{options.links} links, {options.seconds:g} s of {options.kind}: {sent[0]} messages; the gateway used {before:.0f} MiB "
              f"before, at most {highest:.0f} MiB meanwhile")
        with hostile.dial_unix(home.folder / "state/gateway.sock") as s:
            s.sendall(b'{"do":"stats"}\n')
            print(s.recv(4096).decode().strip())
    finally:
        home.close()


if __name__ == "__main__":
    sys.exit(main())
