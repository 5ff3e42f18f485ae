"""A radio that loses frames between roles in processes of their own: the plugin tests/lossy.so, which is tcp with losses."""

import json
import pathlib

from support.process import cpns_binary

LOSSY = pathlib.Path(cpns_binary()).parents[1] / "tests/lossy.so"


def lose_frames(home, percent=10, seed=0):
    """This share of the frames is lost in each direction, by the radios of the gateway; the PNEs keep theirs, as a frame that one side
    loses is lost. `seed`: draws them; 0: each time others. Call home.write() after it."""
    for radio in home.gateway["transports"]:
        radio["plugin"] = str(LOSSY)
        radio["params"].update({"drop_percent": str(percent), "drop_seed": str(seed)})


def frames_at_gateway(home) -> dict:
    """The counters of the first radio of the running gateway: among others `frames_sent`, `frames_received`, `frames_dropped_out` (in
    place of being sent) and `frames_dropped_in` (received all the same)."""
    shown = json.loads(home.cli("pnes", "radios", "--json", "--config", "gateway.yaml").stdout)
    return {name.removeprefix("radio_"): value for name, value in shown["radios"][0]["counters"].items()}
