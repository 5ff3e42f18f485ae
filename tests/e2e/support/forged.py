"""Forged answers to a DREQ, by a stranger that knows only an Entity ID: no key, no Temporary Key."""

import os

NULL = b"\xf6"
LIES = ("no_key", "reset", "own_epoch", "other_epoch", "no_presence")


def is_dreq(message: bytes) -> bool:
    return message[:2] == b"\x86\x01"


def number(major: int, n: int) -> bytes:
    """The head of a CBOR item in its shortest form."""
    if n < 24:
        return bytes([major << 5 | n])
    size = next(s for s in range(4) if n < 1 << (8 << s))
    return bytes([major << 5 | 24 + size]) + n.to_bytes(1 << size, "big")


def bstr(b: bytes) -> bytes:
    return number(2, len(b)) + b


def tstr(t: str) -> bytes:
    b = t.encode()
    return number(3, len(b)) + b


def drsp(dreq: bytes, entity: str, share=None, epoch=None, resets=0, presence=True, draw=os.urandom) -> bytes:
    """A DRSP with suite 2. Tags are random: possession if `epoch` is given, presence if asked for and `presence` is true."""
    gw_nonce, asked = dreq[21:37], dreq[37:38] != NULL
    return (b"\x8a\x02" + bstr(gw_nonce[:4]) + tstr(entity) + bstr(draw(16)) + b"\x02" + bstr(share or draw(32))
            + (NULL if epoch is None else number(0, epoch)) + number(0, resets) + (NULL if epoch is None else bstr(draw(16)))
            + (bstr(draw(16)) if asked and presence else NULL))


def lie(dreq: bytes, entity: str, kind: str, own: int, random) -> bytes:
    """A DRSP with one of LIES, or with a random one (`mixed`). `own` is the guessed epoch of the device."""
    if kind == "mixed":
        kind = random.choice(LIES)
    claim = {"no_presence": {"presence": False}, "reset": {"resets": random.randint(1, 3)}, "own_epoch": {"epoch": own},
             "other_epoch": {"epoch": random.randint(1, 9) << 16 | random.randrange(99)}}.get(kind, {})
    return drsp(dreq, entity, draw=random.randbytes, **claim)
