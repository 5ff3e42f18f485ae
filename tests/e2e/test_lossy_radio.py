#!/usr/bin/env python3
"""Roles in processes of their own over a radio that loses frames: each device keeps on getting keys."""

import time
import unittest

from support.case import E2ECase
from support.lossy import frames_at_gateway, lose_frames

DEVICES, LOST_PERCENT, SECONDS = 10, 10, 10


class LossyRadio(E2ECase):
    def test_delays_keys_and_stops_none(self):
        place = self.home(devices=DEVICES, rekey="1s")
        lose_frames(place, percent=LOST_PERCENT)
        # A lost frame is repeated within the time of a key.
        place.gateway["timers"].update({"answer_timeout": "350ms", "backoff_max": "1s"})
        place.write()
        place.start()
        place.wait_for_each()
        ends, rounds = time.monotonic() + SECONDS, 0
        while time.monotonic() < ends:  # each device again and again
            place.wait_for_each(since=place.events.mark())
            rounds += 1
        self.assertGreaterEqual(rounds, SECONDS / 5)
        frames = frames_at_gateway(place)
        for lost, whole in (("frames_dropped_out", frames["frames_sent"] + frames["frames_dropped_out"]),
                            ("frames_dropped_in", frames["frames_received"])):
            self.assertGreater(whole, 100, frames)
            self.assertTrue(0 < frames[lost] < whole * 2.5 * LOST_PERCENT / 100, frames)  # but for one run in 10,000


if __name__ == "__main__":
    unittest.main()
