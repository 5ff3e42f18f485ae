"""Helpers that the generators share: reproducible bytes, numbering, and ways to damage CBOR."""

import hashlib
import json


def fill(label: str, size: int) -> bytes:
    """Pseudorandom bytes, the same in every run."""
    out = b""
    while len(out) < size:
        out += hashlib.sha256(f"cpns vectors {label} {len(out)}".encode()).digest()
    return out[:size]


class File:
    def __init__(self, algorithm: str, header: list, notes: dict):
        self.doc = {"algorithm": algorithm, "schema": "cpns_vectors_v1", "numberOfTests": 0, "header": header,
                    "notes": {k: {"description": v} for k, v in notes.items()}, "testGroups": []}

    def group(self, kind: str, **more):
        self.tests = []
        self.doc["testGroups"].append({"type": kind, **more, "tests": self.tests})

    def add(self, comment: str, flags: list, result: str, **values):
        for flag in flags:
            assert flag in self.doc["notes"], flag
        self.doc["numberOfTests"] += 1
        self.tests.append({"tcId": self.doc["numberOfTests"], "comment": comment, "flags": flags, **values,
                           "result": result})

    def text(self) -> str:
        return json.dumps(self.doc, indent=1) + "\n"


def heads(data: bytes, pos: int = 0, depth: int = 0):
    """(offset, size of the head, major type, argument, depth) of each element of one encoded value, in order."""
    out = []

    def walk(at: int, level: int) -> int:
        first = data[at]
        info = first & 31
        size = 1 if info < 24 else 1 + (1 << (info - 24))
        value = info if info < 24 else int.from_bytes(data[at + 1:at + size], "big")
        out.append((at, size, first >> 5, value, level))
        at += size
        if first >> 5 in (2, 3):
            return at + value
        if first >> 5 == 4:
            for _ in range(value):
                at = walk(at, level + 1)
        return at

    walk(pos, depth)
    return out


def widened(data: bytes, head) -> bytes:
    """The same value with one head in the next longer form."""
    at, size, major, value, _ = head
    width = {1: 1, 2: 2, 3: 4, 5: 8}[size]
    info = {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return data[:at] + bytes([major << 5 | info]) + value.to_bytes(width, "big") + data[at + size:]


def replaced(data: bytes, index: int, new: bytes) -> bytes:
    """The same array with its element `index` (0 is the type) replaced by encoded bytes."""
    found = [h for h in heads(data) if h[4] == 1] + [(len(data),)]
    return data[:found[index][0]] + new + data[found[index + 1][0]:]
