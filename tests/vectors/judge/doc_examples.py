#!/usr/bin/python3
"""doc_examples.py --check|--write DOCUMENT FOLDER: the worked examples of docs/protocol.md.

A comment in the document names a vector; the code block after it is generated from the vector. --write writes the
blocks; --check fails if one differs from its vector, or if a message has no example.

  <!-- vector FILE COMMENT -->      one message, one element per line
  <!-- exchange COMMENT -->         every value of the key schedule in one exchange
  <!-- derivation COMMENT -->       the values of one derivation"""

import json
import pathlib
import re
import sys

import cbor2

import wire

MARK = re.compile(r"(<!-- (vector|exchange|derivation) (.+?) -->\n)```[a-z]*\n(.*?)```\n", re.S)
WIDTH = 26


def wrapped(data: bytes, note: str) -> list:
    text = data.hex(" ")
    size = WIDTH * 3
    parts = [text[i:i + size].strip() for i in range(0, len(text), size)]
    return [f"{part:<{size}}{'# ' + note if i == 0 else ''}".rstrip() for i, part in enumerate(parts)]


def shown(value) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int) else f'"{value}"' if isinstance(value, str) else ""


def message_lines(msg: bytes) -> list:
    value = cbor2.loads(msg)
    name, elements = next(t[value[0]] for t in wire.TABLES if value[0] in t and t[value[0]][0] == message_lines.name)
    lines = wrapped(msg[:1], f"array of {len(value)}: {name}") + wrapped(wire.E(value[0]), "type")
    for (key, _), v in zip(elements, value[1:]):
        if key == "sealed":
            lines += wrapped(b"\x83", "COSE_Encrypt0") + wrapped(wire.E(v[0]), "  protected: {1: 3}")
            lines += wrapped(wire.E(v[1]), "  unprotected: {}") + wrapped(wire.E(v[2]), "  ciphertext and tag")
        elif isinstance(v, list):
            lines += wrapped(wire.E([])[:0] + bytes([0x80 | len(v)]), f"{key}: array of {len(v)}")
            for x in v:
                note = ", ".join(shown(y) for y in x) if isinstance(x, list) else shown(x)
                lines += wrapped(wire.E(x), f"  {note}".rstrip())
        else:
            lines += wrapped(wire.E(v), f"{key} {shown(v)}".rstrip())
    return lines


def exchange_lines(t: dict) -> list:
    lines = []
    for part in ("in", "out"):
        lines.append(f"{'given' if part == 'in' else 'computed'}:")
        for key, v in t[part].items():
            lines.append(f"  {key:<17}{json.dumps(v) if not isinstance(v, str) else v}")
    return [line if len(line) <= 110 else "\n".join(fold(line)) for line in lines]


def derivation_lines(t: dict) -> list:
    values = {k: v for k, v in t.items() if k not in ("tcId", "comment", "flags", "result")}
    return ["\n".join(fold(f"{key:<19}{v}")) for key, v in values.items()]


def fold(line: str) -> list:
    head, body = line[:19], line[19:]
    return [(head if i == 0 else " " * 19) + body[i:i + 90] for i in range(0, len(body), 90)]


def find(doc: dict, comment: str) -> dict:
    found = [t for g in doc["testGroups"] for t in g["tests"] if t["comment"] == comment]
    if len(found) != 1:
        sys.exit(f"{len(found)} vectors have the comment {comment!r}, expected one")
    return found[0]


def main():
    mode, path, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    files = {p.name: json.loads(p.read_text()) for p in folder.glob("*.json")}
    seen = set()

    def made(match):
        mark, kind, what = match.group(1), match.group(2), match.group(3)
        if kind == "vector":
            name, _, comment = what.partition(" ")
            t = find(files[name], comment)
            message_lines.name = t["message"]
            seen.add(t["message"])
            lines = message_lines(bytes.fromhex(t["msg"]))
            assert bytes.fromhex("".join(line.split("#")[0] for line in lines)).hex() == t["msg"], comment
        elif kind == "derivation":
            lines = derivation_lines(find(files["key_schedule.json"], what))
        else:
            lines = exchange_lines(find(files["key_schedule.json"], what))
        return mark + "```text\n" + "\n".join(lines) + "\n```\n"

    old = path.read_text()
    new = MARK.sub(made, old)
    missing = {name for table in wire.TABLES for name, _ in table.values()} - seen
    if missing:
        sys.exit(f"{path.name} has no example of {', '.join(sorted(missing))}")
    if sum(old.count(f"<!-- {kind} ") for kind in ("vector", "exchange", "derivation")) != len(MARK.findall(old)):
        sys.exit(f"{path.name}: a mark is not followed by a code block")
    if mode == "--write":
        path.write_text(new)
    elif new != old:
        sys.exit(f"{path.name}: an example differs from its vector; run doc_examples.py --write")
    print(f"{len(MARK.findall(new))} examples, {len(seen)} messages")


if __name__ == "__main__":
    main()
