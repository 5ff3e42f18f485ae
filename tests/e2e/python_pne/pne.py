#!/usr/bin/python3
"""A second PNE, written from docs/protocol.md; it shares no code with the C++ implementation.

  pne.py 127.0.0.1:4000 --entity urn:dev:mac:0024befffe804ff1 --tk HEX --keys pne.json --wake-after 2 --stop-after 3

Dials a gateway's tcp transport and prints one JSON line an event: connected, detected, keyed, confirmed, retired, rejected, failure,
asleep, awake, disconnected, done. The key file is made at the first start. Exit code 0 once --stop-after keys were retired,
or after SIGTERM; 1 when --timeout is over before; 2 for a wrong command line."""

import argparse
import json
import pathlib
import signal
import sys
import threading
import time

import link as links
from device import Device, KeyFile

STOP = threading.Event()


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("address", help="HOST:PORT of the gateway's tcp transport")
    p.add_argument("--entity", required=True, help="Entity ID")
    p.add_argument("--tk", type=bytes.fromhex, help="Temporary Key in hexadecimal; required until the key file exists")
    p.add_argument("--keys", type=pathlib.Path, required=True, help="key file")
    p.add_argument("--network", default="cpns", help="network name of the transport")
    p.add_argument("--mtu", type=int, default=1026, help="largest frame in bytes, 23 and more")
    p.add_argument("--suites", default="1,2", help="suites that this PNE has")
    p.add_argument("--wake-after", type=int, metavar="N", help="go to sleep once N keys were retired, and wake up again")
    p.add_argument("--asleep", type=float, default=0.2, metavar="S", help="seconds of that sleep")
    p.add_argument("--forget", action="store_true", help="lose all keys in that sleep (amnesia)")
    p.add_argument("--stop-after", type=int, metavar="N", help="end once N keys were retired since the start")
    p.add_argument("--timeout", type=float, default=60, metavar="S", help="give up after so many seconds")
    a = p.parse_args()
    host, _, port = a.address.rpartition(":")
    if not host or not port.isdigit():
        p.error("the address must be HOST:PORT")
    if a.tk is None and not a.keys.exists():
        p.error("--tk is required, because the key file does not exist yet")
    a.host, a.port = host, int(port)
    return a


class Run:
    def __init__(self, a):
        self.a, self.begin, self.retired, self.slept = a, time.monotonic(), 0, False
        self.device = Device(KeyFile(a.keys, a.entity, a.tk or b""), self.event, tuple(int(s) for s in a.suites.split(",")))

    def event(self, kind: str, **more):
        print(json.dumps({"event": kind, "ms": round((time.monotonic() - self.begin) * 1000), **more}), flush=True)
        self.retired += kind == "retired"

    def left(self) -> float:
        return 0.0 if STOP.is_set() else self.begin + self.a.timeout - time.monotonic()

    def pause(self, seconds: float):
        """Waits while the device sleeps, or before it dials again; SIGTERM ends the wait."""
        STOP.wait(min(seconds, max(self.left(), 0)))

    def done(self) -> bool:
        return self.a.stop_after is not None and self.retired >= self.a.stop_after

    def tired(self) -> bool:
        return self.a.wake_after is not None and not self.slept and self.retired >= self.a.wake_after

    def serve(self, link: links.Link):
        """Serves the link until the run is done, the PNE goes to sleep, or the time is over."""
        while not (self.done() or self.tired()) and self.left() > 0:
            message = link.receive(min(0.5, max(self.left(), 0.01)))
            if message is None:
                continue
            answer = self.device.take(message)
            if answer is not None:
                link.send(answer)
                self.device.confirmed(answer)

    def run(self) -> int:
        pause, awake = 0.05, False
        while not self.done() and self.left() > 0:
            try:
                link = links.Link(self.a.host, self.a.port, self.a.network, self.a.mtu)
            except OSError as problem:
                self.event("disconnected", why=str(problem))
                self.pause(pause)
                pause = min(pause * 2, 2.0)
                continue
            try:
                self.event("connected")
                pause = 0.05
                if awake:
                    link.send(self.device.wake())
                    self.event("awake")
                    awake = False
                self.serve(link)
                if self.tired() and not self.done():
                    link.send(self.device.sleep())
                    self.slept = awake = True
            except (links.Closed, links.fragments.BadFrame, OSError) as problem:
                self.event("disconnected", why=str(problem))
                self.pause(pause)
            finally:
                link.close()
            if awake:
                if self.a.forget:
                    self.device.forget()
                self.event("asleep", forgotten=self.a.forget)
                self.pause(self.a.asleep)
        if self.a.stop_after is not None and not self.done() and not STOP.is_set():
            self.event("timeout", retired=self.retired)
            return 1
        self.event("done", retired=self.retired)
        return 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    sys.exit(Run(arguments()).run())


if __name__ == "__main__":
    main()
