"""A round of bench/gateway: a new gateway with its server and its PNEs, and what it costs per exchange."""
import time

from gateway_process import Gateway, MemoryServer, Pnes

SETTLED_CPU = 0.01  # s in half a second; a gateway with many PNEs that needs more while it is idle is settled when it needs no less
SETTLE_MOST = 60  # s
REST = 4  # s; some 3 s after its exchange the actor of a PNE ends, which is a part of what the exchange costs


def settle(gateway):
    """Until it has done what the exchanges leave behind, such as reports."""
    until = time.monotonic() + SETTLE_MOST
    before, last = gateway.cpu(), None
    while time.monotonic() < until:
        time.sleep(0.5)
        now = gateway.cpu()
        used, before = now - before, now
        if used < SETTLED_CPU or (last is not None and SETTLED_CPU * 5 > used > last * 0.8):
            return
        last = used


def whole(what, said):
    if said["missing"]:
        raise RuntimeError(f"{said['missing']} PNEs had no {what} in {said['seconds']:.0f} s")
    return said


class Round:
    """A new gateway with its server and its PNEs. `more`: YAML for the gateway."""

    def __init__(self, given, home, more=""):
        self.given, self.parts = given, []
        cpns, pnes = given["programs"][:2]
        self.limit = 60 + given["pnes"] // 200 + (given["due-within"] or 0)  # s for a command
        try:
            self.parts.append(MemoryServer(cpns, home))
            self.gateway = self._keep(Gateway(cpns, given["radio"], home, given["pnes"], self.parts[0], more))
            self.pnes = self._keep(Pnes(pnes, given["radio"], home))
            self.pnes.do("idle 1")
            settle(self.gateway)
        except BaseException:
            self.end()
            raise

    def _keep(self, part):
        self.parts.append(part)
        return part

    def end(self):
        for part in reversed(self.parts):
            part.kill()

    def cost(self, name, work):
        """Figures of the gateway per exchange of `work`, and what that returned."""
        rows, writes = self.gateway.rows_and_writes()
        before = self.gateway.cpu()  # after the question for the rows
        said = work()
        settle(self.gateway)
        if not self.given["quick"]:
            time.sleep(REST)
        used, count = self.gateway.cpu() - before, said["confirmations"]
        rows_then, writes_then = self.gateway.rows_and_writes()
        return {f"{name}_us": used / count * 1e6, f"{name}_rows": (rows_then - rows) / count,
                f"{name}_rows_per_write": (rows_then - rows) / max(1, writes_then - writes)}, said

    def measure(self):
        gateway, at_once, count, within = (self.gateway, *(self.given[key] for key in ("at-once", "pnes", "due-within")))
        rate = max(1, count // within) if within else 0
        begun = time.monotonic()
        empty = gateway.memory_kib()
        first, keys = self.cost("first", lambda: whole("first key", self.pnes.do(f"key {at_once} {self.limit} {rate}")))
        keyed, cpu = time.monotonic(), gateway.cpu()
        idle = self.pnes.do(f"idle {self.given['seconds']}")
        idle_ms = (gateway.cpu() - cpu) / idle["seconds"] * 1e3
        memory = gateway.memory_kib()
        update, updates = self.cost("update", lambda: self.update_late(begun) if within else self.update_at_once(keyed))
        whole("sleep", self.pnes.do(f"sleep {self.limit}"))
        settle(gateway)
        wake, _ = self.cost("wake", lambda: whole("wake-up", self.pnes.do(f"wake {at_once} {self.limit}")))
        self.pnes.do("idle 1")
        return first | update | wake | {
            "idle_ms_per_s": idle_ms, "idle_exchanges": idle["confirmations"], "memory_kib": (memory - empty) / count,
            "memory_later_kib": (gateway.memory_kib() - empty) / count, "first_per_s": count / keys["seconds"],
            "first_p50_ms": keys["p50_ms"], "first_p99_ms": keys["p99_ms"], "updates_s": updates["seconds"]} | (
                {f"update_late_{key}": updates[key] for key in ("p50_ms", "p99_ms", "most_ms")}
                | {"updates_after_due_s": updates["last_after_due_s"]} if within else {})

    def update_at_once(self, keyed):
        """All keys are older than `keyed`."""
        self.gateway.set_rekey(f"{max(1, int(time.monotonic() - keyed))}s")
        said = whole("periodic update", self.pnes.do(f"updated {self.limit}"))
        self.gateway.set_rekey("365d")
        said["confirmations"] += self.pnes.do("idle 1")["confirmations"]  # of those whose next key was due already
        return said

    def update_late(self, begun):
        """No key is older than `begun`."""
        interval = int(time.monotonic() - begun) + 3
        self.gateway.set_rekey(f"{interval}s")
        said = whole("periodic update", self.pnes.do(f"updated {self.limit + interval} {interval}"))
        self.gateway.set_rekey("365d")
        return said
