#!/usr/bin/python3
"""Keys rotate under a broker and its clients: 50 PNEs over a radio that loses frames, mosquitto with the plugin, and a client of each PNE
that connects, publishes and disconnects every 0.1 to 0.3 s. Prints the figures as JSON.

  rotate_keys.py --seconds 60
  rotate_keys.py --seconds 60 --overlap 0s --loss 0
  rotate_keys.py --kill gateway --kills 10

Exit code 1: a client was refused (with kills: later than 2 s after a restart) or a message was lost."""

import argparse
import json
import random
import sys
import threading
import time

from support import rotation
from support.home import Home
from support.rotation import Load, missing


def kills(load: Load, name: str, times: int, draw: random.Random, seconds=20.0):
    """`times` kills of `name` within about `seconds`, each at a moment that `draw` chooses, as the time for which it is away."""
    for _ in range(times):
        begin = time.monotonic()
        threading.Event().wait(draw.uniform(0.2, 0.5) * seconds / times)
        load.kill(name, away=draw.uniform(0, 4))
        threading.Event().wait(max(rotation.CALM + 1, seconds / times - (time.monotonic() - begin)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pnes", type=int, default=50)
    p.add_argument("--rekey", default="2s", help="how often each PNE gets its next key")
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--overlap", default="60s", help="application_keys.overlap of both sides")
    p.add_argument("--loss", type=int, default=10, help="percent of the frames, in each direction")
    p.add_argument("--latency", type=int, default=20, help="ms until a client hears what the broker says")
    p.add_argument("--kill", choices=("gateway", "pne", "broker"), help="kills it with -9 again and again, in place of --seconds")
    p.add_argument("--kills", type=int, default=10)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    p.add_argument("--keep", action="store_true", help="keeps the folder with the logs")
    a = p.parse_args()
    if missing():
        p.error(f"this machine or build has no {missing()}")
    home = Home(devices=a.pnes, rekey=a.rekey)
    try:
        load = Load(home, a.overlap, a.loss, a.seed, a.latency).start()
        if a.kill:
            kills(load, a.kill, a.kills, random.Random(a.seed), 8 * a.kills)
        else:
            load.run(a.seconds, a.seconds)
        figures = load.finish()
        print(json.dumps({"seed": a.seed, **figures}), flush=True)
        if load.refusals(calm=True):
            print(load.explain(calm=True), file=sys.stderr)
        sys.exit(1 if figures["refused_when_calm"] or figures["lost"] else 0)
    finally:
        home.close(keep=a.keep)


if __name__ == "__main__":
    main()
