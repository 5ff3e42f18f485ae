#!/usr/bin/python3
"""Tests the Python PNE itself: a small gateway on a real socket runs a first contact, an update with every message sent twice, a wake-up
with amnesia, and hostile frames."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "vectors" / "judge")]

import keys  # noqa: E402
import fragments  # noqa: E402
import wire  # noqa: E402

ENTITY, TK = "urn:dev:mac:0024befffe804ff1", bytes(range(16))
GW = keys.gateway_id("x509", "urn:cpns:gw:check")
MTU = 50  # small, so that most messages are fragmented


class Gateway:
    def __init__(self, listener):
        self.conn, _ = listener.accept()
        self.conn.settimeout(10)
        self.assembler, self.number = fragments.Assembler(), 0
        assert self.frame() == b"cpns-tcp/1\x00check"

    def exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.conn.recv(n - len(data))
            assert more, "the PNE closed the link"
            data += more
        return data

    def frame(self) -> bytes:
        return self.exactly(struct.unpack(">I", self.exactly(4))[0])

    def receive(self):
        while True:
            message = self.assembler.take(self.frame())
            if message is not None:
                return wire.decode_radio(message), message

    def send(self, message: bytes, backwards=False):
        pieces = fragments.split(self.number, message, MTU)
        self.number += 1
        for f in reversed(pieces) if backwards else pieces:
            self.conn.sendall(struct.pack(">I", len(f)) + f)

    def exchange(self, epoch: int, eukey: bytes, held=None, suites=(1, 2), presence=True, twice=False, bad=False):
        """One exchange up to KRET; `held` is the key of the PNE."""
        chained = held is not None
        dreq = wire.encode("DREQ", {"version": 1, "gw_id": GW.hex(), "gw_nonce": os.urandom(16).hex(),
                                    "issuer_nonce": os.urandom(16).hex() if presence else None, "suites": list(suites)})
        self.send(dreq)
        (name, f), drsp = self.receive()
        assert name == "DRSP", name
        if twice:
            self.send(dreq, backwards=True)
            assert self.receive()[1] == drsp, "another answer to a repeated DREQ"
        assert f["entity_id"] == ENTITY and f["suite"] == max(suites)
        assert f["gw_nonce_echo"] == wire.decode_radio(dreq)[1]["gw_nonce"][:8]
        first_eight = wire.load(drsp, 1024)[:8]
        th1 = keys.transcript1(dreq, wire.E(first_eight))
        tk_prime = keys.temporary_key(ENTITY, TK)
        possession = keys.possession(held, th1) if held else None
        tag = keys.presence(keys.presence_key(tk_prime), th1, possession) if presence else None
        assert f["possession"] == (possession and possession.hex()), "possession"
        assert f["presence"] == (tag and tag.hex()), "presence"
        private = os.urandom(32)
        share = keys.x25519_public(private) if f["suite"] == 2 else os.urandom(32)
        z = keys.x25519(private, bytes.fromhex(f["pne_share"])) if f["suite"] == 2 else keys.ZERO
        generation = epoch >> 16
        th2 = keys.transcript2(th1, possession, tag, epoch, chained, share)
        c = keys.chain(held, GW, generation) if chained else keys.ZERO
        key, nonce = keys.delivery_key(th2, keys.gateway_temporary_key(tk_prime, GW, generation), z, c)
        sealed = keys.seal(key, nonce, th2, eukey, bytes(16), 3600)
        kdel = wire.encode("KDEL", {"epoch": epoch, "chained": chained, "gw_share": share.hex(), "sealed": sealed.hex()})
        if bad:
            self.send(kdel[:-1] + bytes([kdel[-1] ^ 1]))
            self.send(b"\xff" * 60)
        self.send(kdel)
        (name, f), kcnf = self.receive()
        assert name == "KCNF" and f["epoch"] == epoch and f["confirm"] == keys.confirm(eukey, th2).hex(), "confirm"
        if twice:
            self.send(kdel)
            assert self.receive()[1] == kcnf, "another answer to a repeated KDEL"
        self.send(wire.encode("KRET", {"epoch": epoch, "retire": keys.retire(eukey, th1).hex()}))

    def note(self, kind: int):
        assert self.receive()[0] == ("NOTE", {"kind": kind})


def main():
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        pne = subprocess.Popen(
            [sys.executable, "-B", str(HERE / "pne.py"), f"127.0.0.1:{listener.getsockname()[1]}", "--entity", ENTITY, "--tk", TK.hex(),
             "--keys", f"{folder}/pne.json", "--network", "check", "--mtu", str(MTU), "--wake-after", "2", "--asleep", "0",
             "--forget", "--stop-after", "4", "--timeout", "20"], stdout=subprocess.PIPE, text=True)
        try:
            gw = Gateway(listener)
            one, two, three, four = (bytes([n]) * 32 for n in range(1, 5))
            gw.exchange(1 << 16, one, bad=True)
            gw.exchange(1 << 16 | 1, two, held=one, presence=False, twice=True)
            gw.note(1)
            gw = Gateway(listener)
            gw.note(2)
            gw.exchange(1 << 16 | 2, three, suites=(1,))
            # The burst of three is used up after 3 new DREQs; the next one is answered after a second.
            gw.conn.settimeout(0.3)
            for _ in range(30):
                try:
                    gw.exchange(2 << 16, four, held=three)
                    break
                except socket.timeout:
                    continue
            output = pne.communicate(timeout=15)[0]
        finally:
            pne.kill()
        events = [json.loads(line) for line in output.splitlines()]
        kinds = [e["event"] for e in events if e["event"] not in ("rejected",)]
        once = ["detected", "keyed", "confirmed"]
        assert kinds[:1] + kinds[-1:] == ["connected", "done"], kinds
        assert kinds[1:10] == once + ["retired"] + once + ["confirmed", "retired"], kinds
        assert kinds.count("retired") == 4 and kinds.count("asleep") == kinds.count("awake") == 1, kinds
        assert any(e["event"] == "rejected" for e in events)
        kept = json.loads(pathlib.Path(folder, "pne.json").read_text())
        assert kept["current"]["epoch"] == 2 << 16 and kept["current"]["eukey"] == four.hex() and kept["pending"] is None
        assert os.stat(f"{folder}/pne.json").st_mode & 0o777 == 0o600
        print("the Python PNE follows the protocol")


if __name__ == "__main__":
    main()
