"""A PNE by docs/protocol.md: its state and its answers. Independent of the gateway's code and of sockets."""

import hmac
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vectors" / "judge"))

import keys  # noqa: E402
import wire  # noqa: E402
from cryptography.exceptions import InvalidTag  # noqa: E402

CONTEXT_LIFETIME = 60
CONTEXTS = 2
BURST = 3
UNCHAINED_WINDOW = 600
GENERATION_JUMP = 256
UNSUPPORTED_VERSION, NO_COMMON_SUITE, NO_CONTEXT = 2, 3, 6


class KeyFile:
    """Two key slots and the counter of factory resets, in a JSON file that survives any crash."""

    def __init__(self, path: pathlib.Path, entity_id: str, tk: bytes):
        self.path = path
        if path.exists():
            self.data = json.loads(path.read_text())
            if self.data["entity_id"] != entity_id:
                raise SystemExit(f"{path} belongs to {self.data['entity_id']}")
        else:
            self.data = {"entity_id": entity_id, "tk_prime": keys.temporary_key(entity_id, tk).hex(), "resets": 0,
                         "current": None, "pending": None}
            self.write()

    def write(self):
        new = self.path.with_name(self.path.name + ".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(self.data, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def highest(self):
        return self.data["pending"] or self.data["current"]

    def named(self, epoch: int):
        return next((k for k in (self.data["pending"], self.data["current"]) if k and k["epoch"] == epoch), None)


class Context:
    """One exchange: the DREQ and the secrets of the answer."""

    def __init__(self, dreq: bytes, gw: bytes, suite: int, private: bytes, now: float):
        self.dreq, self.gw, self.suite, self.private, self.ends = dreq, gw, suite, private, now + CONTEXT_LIFETIME
        self.drsp = self.th1 = self.possession = self.presence = self.eukey = self.kdel = self.kcnf = None


class Device:
    def __init__(self, file: KeyFile, event, suites=(1, 2), now=time.monotonic):
        self.file, self.event, self.suites, self.now = file, event, suites, now
        self.contexts = []
        self.tokens, self.filled = float(BURST), now()
        self.open_window()

    def open_window(self):
        self.window_ends = self.now() + UNCHAINED_WINDOW

    def wake(self) -> bytes:
        self.open_window()
        return wire.encode("NOTE", {"kind": 2})

    def sleep(self) -> bytes:
        self.contexts.clear()
        return wire.encode("NOTE", {"kind": 1})

    def forget(self):
        """Loses the keys, as when the battery ran flat."""
        self.file.data.update(current=None, pending=None)
        self.file.write()
        self.contexts.clear()

    def take(self, message: bytes):
        """Returns the answer to one message, or None."""
        now = self.now()
        self.contexts = [c for c in self.contexts if c.ends > now]
        try:
            name, fields = wire.decode_radio(message)
        except wire.Malformed as problem:
            return self.reject(f"malformed: {problem}")
        if name == "DREQ":
            return self.discover(message, fields, now)
        if name == "KDEL":
            return self.deliver(message, fields)
        if name == "KRET":
            return self.retire(fields)
        if name == "FAIL":
            self.event("failure", reason=fields["reason"])
            return None
        return self.reject(f"{name} is not for a PNE")

    def reject(self, why: str, fail: int = None):
        self.event("rejected", why=why)
        return None if fail is None else wire.encode("FAIL", {"reason": fail})

    def discover(self, dreq: bytes, f: dict, now: float):
        for c in self.contexts:
            if c.dreq == dreq:
                return c.drsp
        if f["version"] != 1:
            return self.reject("another version", UNSUPPORTED_VERSION)
        common = [s for s in f["suites"] if s in self.suites]
        if not common:
            return self.reject("no common suite", NO_COMMON_SUITE)
        self.tokens = min(float(BURST), self.tokens + now - self.filled)
        self.filled = now
        if self.tokens < 1:
            return self.reject("more than one DREQ per second")
        self.tokens -= 1
        gw = bytes.fromhex(f["gw_id"])
        c = Context(dreq, gw, max(common), os.urandom(32), now)
        held = self.file.highest()
        first_eight = [2, bytes.fromhex(f["gw_nonce"])[:4], self.file.data["entity_id"], os.urandom(16), c.suite,
                       keys.x25519_public(c.private) if c.suite == 2 else None, held and held["epoch"],
                       self.file.data["resets"]]
        c.th1 = keys.transcript1(dreq, wire.E(first_eight))
        if held:
            c.eukey = bytes.fromhex(held["eukey"])
            c.possession = keys.possession(c.eukey, c.th1)
        if f["issuer_nonce"] is not None:
            k_pres = keys.presence_key(bytes.fromhex(self.file.data["tk_prime"]))
            c.presence = keys.presence(k_pres, c.th1, c.possession)
        c.drsp = wire.E(first_eight + [c.possession, c.presence])
        self.contexts = (self.contexts + [c])[-CONTEXTS:]
        self.event("detected", gw_id=f["gw_id"], presence=c.presence is not None, epoch=held and held["epoch"])
        return c.drsp

    def deliver(self, kdel: bytes, f: dict):
        for c in self.contexts:
            if c.kdel == kdel:
                return c.kcnf
        held = self.file.highest()
        generation = f["epoch"] >> 16
        if held and f["epoch"] <= held["epoch"]:
            return self.reject("the epoch is not above the one stored")
        if held and generation - (held["epoch"] >> 16) > GENERATION_JUMP:
            return self.reject("the generation is too far ahead")
        if held and not f["chained"]:
            if generation <= held["epoch"] >> 16 or self.now() >= self.window_ends:
                return self.reject("an unchained delivery to a keyed PNE")
        for c in reversed([c for c in self.contexts if c.kdel is None]):
            content = self.open(c, f)
            if content is None:
                continue
            eukey, owner_tag, rekey_seconds = content
            if self.file.data["pending"]:
                self.file.data["current"] = self.file.data["pending"]
            self.file.data["pending"] = {"epoch": f["epoch"], "eukey": eukey.hex(), "owner_tag": owner_tag.hex(),
                                         "rekey_seconds": rekey_seconds}
            self.file.write()
            c.private = None
            c.kdel = kdel
            self.event("keyed", epoch=f["epoch"], chained=f["chained"], suite=c.suite, rekey_seconds=rekey_seconds)
            return c.kcnf
        return self.reject("no exchange opens this delivery", None if self.contexts else NO_CONTEXT)

    def open(self, c: Context, f: dict):
        """The content of a delivery, if it belongs to this exchange."""
        if f["chained"] and c.eukey is None:
            return None
        share = bytes.fromhex(f["gw_share"])
        generation = f["epoch"] >> 16
        th2 = keys.transcript2(c.th1, c.possession, c.presence, f["epoch"], f["chained"], share)
        tkg = keys.gateway_temporary_key(bytes.fromhex(self.file.data["tk_prime"]), c.gw, generation)
        chain = keys.chain(c.eukey, c.gw, generation) if f["chained"] else keys.ZERO
        try:
            z = keys.x25519(c.private, share) if c.suite == 2 else keys.ZERO
            plain = keys.open_sealed(*keys.delivery_key(th2, tkg, z, chain), th2, bytes.fromhex(f["sealed"]))
            content = wire.load(plain, 512)
        except (InvalidTag, ValueError, wire.Malformed):
            return None
        if [type(x) for x in content] != [bytes, bytes, int] or (len(content[0]), len(content[1])) != (32, 16):
            return None
        c.kcnf = wire.encode("KCNF", {"epoch": f["epoch"], "confirm": keys.confirm(content[0], th2).hex()})
        return content

    def confirmed(self, sent: bytes):
        """Call when `sent` has been sent on the link."""
        if sent[1:2] == b"\x04":
            self.event("confirmed", epoch=wire.decode_radio(sent)[1]["epoch"])

    def retire(self, f: dict):
        key = self.file.named(f["epoch"])
        if key is None or key is not self.file.highest():
            return self.reject("KRET names another key")
        tag = bytes.fromhex(f["retire"])
        if not any(hmac.compare_digest(keys.retire(bytes.fromhex(key["eukey"]), c.th1), tag) for c in self.contexts):
            return self.reject("KRET does not verify")
        if self.file.data["pending"]:
            self.file.data.update(current=key, pending=None)
            self.file.write()
            self.event("retired", epoch=f["epoch"])
        return None
