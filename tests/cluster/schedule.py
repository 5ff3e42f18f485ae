"""What goes wrong in a trial, and when: all of it follows from the seed."""

import dataclasses
import random

FAULTS = ("primary killed", "node killed", "node drained", "node cut off", "primary frozen")


@dataclasses.dataclass
class Fault:
    what: str
    at: float  # s after the beginning of the load
    lasts: float  # s until it is mended
    node: str  # its victim, or for the primary: empty
    harder: bool  # a killed primary: with its Patroni, as if the machine had lost its power

    def __str__(self) -> str:
        how = self.node or ("and its Patroni" if self.harder and self.what == "primary killed" else "")
        return f"{self.at:.1f} s {self.what}" + (f" ({how})" if how else "")


class Schedule:
    """Of `span` seconds. One fault begins about every span / 5 seconds; `cut` is the node that can be cut off."""

    def __init__(self, seed: int, nodes: list, span: float):
        draw = random.Random(f"chaos/{seed}")
        self.cut = draw.choice(nodes)
        self.proxy = draw.random() < 0.5
        order = draw.sample(FAULTS, len(FAULTS))
        each = (span - 4) / len(order)
        self.faults = []
        for number, what in enumerate(order):
            node = self.cut if what == "node cut off" else draw.choice(nodes) if what.startswith("node") else ""
            lasts = draw.uniform(7, 10) if what in ("primary frozen", "node cut off") else draw.uniform(2, 4)
            self.faults.append(Fault(what, 2 + each * number + draw.uniform(0, each / 4), lasts, node, draw.random() < 0.5))

    def __str__(self) -> str:
        return ("through HAProxy" if self.proxy else "without a proxy") + "; " + "; ".join(str(f) for f in self.faults)
