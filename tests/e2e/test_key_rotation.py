#!/usr/bin/env python3
"""Application keys rotate under a real broker and its clients, over a radio that loses frames: no client is refused, no message is lost.
rotate_keys.py does the same by hand, longer and with more kills."""

import json
import os
import random
import sys
import unittest

import rotate_keys
from support import rotation
from support.case import E2ECase
from support.rotation import Load

PNES, HANDSHAKES, ROTATIONS = 50, 10_000, 1_000
SECONDS, LIMIT = 60, 150  # a slow machine may take longer than the first, up to the second
KILLS = int(os.environ.get("CPNS_E2E_KILLS", 3))


class KeyRotation(E2ECase):
    def load(self, **options) -> Load:
        self.seed = int(os.environ.get("CPNS_E2E_SEED", random.SystemRandom().randrange(1, 1 << 31)))
        return Load(self.home(devices=PNES, rekey="2s"), seed=self.seed, **options).start()

    def figures(self, load, remark="") -> dict:
        figures = load.finish()
        print(f"{self.id()} seed {self.seed}: {json.dumps(figures)} {remark}", flush=True)
        self.assertGreater(figures["frames_lost"], figures["frames"] / 25, "the radio loses frames")
        self.assertEqual(figures["lost"], 0, load.lost()[:20])
        return figures

    def test_refuses_no_client_and_loses_no_message(self):
        load = self.load()
        remark = load.run(SECONDS, LIMIT, handshakes=HANDSHAKES, rotations=ROTATIONS)
        figures = self.figures(load, remark)
        self.assertGreaterEqual(figures["handshakes"], HANDSHAKES)
        self.assertGreaterEqual(figures["rotations"], ROTATIONS)
        self.assertEqual((figures["refused"], figures["broken"], figures["late"], figures["unreachable"]), (0, 0, 0, 0), load.explain())

    def test_without_an_overlap_refuses_some(self):
        load = self.load(overlap="0s")
        remark = load.run(SECONDS / 2, LIMIT, handshakes=HANDSHAKES, refused=1)
        self.assertGreater(self.figures(load, remark)["refused"], 0)


class KilledUnderLoad(KeyRotation):
    def killed(self, name):
        load = self.load()
        rotate_keys.kills(load, name, KILLS, random.Random(self.seed), 8 * KILLS)
        figures = self.figures(load)
        self.assertEqual(len(load.restarts), KILLS)
        self.assertGreater(figures["handshakes"], 1000 * KILLS)
        self.assertEqual(figures["refused_when_calm"], 0, load.explain(calm=True))
        return figures

    test_refuses_no_client_and_loses_no_message = test_without_an_overlap_refuses_some = None

    def test_the_gateway_is_replaced(self):
        self.killed("gateway")

    def test_the_process_of_pnes_is_replaced(self):
        self.killed("pne")

    def test_the_broker_is_replaced(self):
        self.killed("broker")


if __name__ == "__main__":
    if rotation.missing():
        print(f"skipped: this machine or build has no {rotation.missing()}", file=sys.stderr)
        sys.exit(77)
    unittest.main()
