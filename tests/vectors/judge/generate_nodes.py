"""node_codec.json: requests from a server to a gateway, and their acknowledgements, valid and invalid."""

import wire
from cases import File, fill, heads, replaced, widened
from generate_link import HEAD, NOTES
from generate_radio import blob, element

NODES = ["node1.example.org:7443", "192.0.2.7:7443", "[2001:db8::7]:7443"]
BASE = {
    "Drain": {**HEAD, "within_ms": 5000},
    "Nodes": {**HEAD, "addresses": NODES},
    "DrainAcknowledgement": HEAD,
    "NodesAcknowledgement": HEAD,
}
GROUPS = {"NodeRequestCodec": ("Drain", "Nodes"), "NodeAcknowledgementCodec": ("DrainAcknowledgement", "NodesAcknowledgement")}

EDGES = (
    ("Drain: at once", "Drain", {"within_ms": 0}),
    ("Drain: within an hour, the longest time", "Drain", {"within_ms": 3_600_000}),
    ("Drain: the largest incarnation", "Drain", {"incarnation": wire.U64}),
    ("Nodes: no address", "Nodes", {"addresses": []}),
    ("Nodes: 32 addresses", "Nodes", {"addresses": [f"node{n}:7443" for n in range(32)]}),
    ("Nodes: 32 addresses of 259 bytes", "Nodes", {"addresses": [f"{n:0>253}:65535" for n in range(32)]}),
    ("Nodes: the shortest address", "Nodes", {"addresses": ["a:1"]}),
    ("Nodes: one host with two ports", "Nodes", {"addresses": ["a:1", "a:2"]}),
    ("Nodes: names of every kind of character", "Nodes", {"addresses": ["Node_1.a-b.example.:1", "xn--bcher-kva.example:65535"]}),
    ("Nodes: the shortest IPv6 address", "Nodes", {"addresses": ["[::]:1"]}),
    ("Nodes: an IPv6 address with an IPv4 part", "Nodes", {"addresses": ["[::FFFF:192.0.2.7]:7443"]}),
)

# Addresses that have a right size and break the grammar.
FOREIGN = (
    "node1", "node1:", ":7443", "node1:0", "node1:00", "node1:07443", "node1:65536", "node1:99999", "node1:123456", "node1:-1", "node1:+1",
    "node1: 1", " node1:1", "node1:1 ", "node1:1\n", "node 1:1", "node1:http", "https://node1:1", "node1:1/", "user@node1:1", "node1%1:1",
    "::1:7443", "[::1]", "[::1]7443", "[::1:7443", "::1]:7443", "[]:7443", "[1]:7443", "[abc]:7443", "[::g]:7443", "[fe80::1%eth0]:7443",
    "[" + "0:" * 23 + "]:1", "[[::1]]:1", "b\u00fccher:1", "a\u0000:1", "node1:\u0661", "*:7443",
)


def damaged(name: str, data: bytes):
    """(comment, flag, bytes, error) of one message in many wrong forms."""
    for cut in (0, 1, 2, len(data) // 2, len(data) - 1):
        yield f"{name} cut after {cut} bytes", "Truncated", data[:cut], "wire_truncated"
    yield f"{name} and a zero byte", "Trailing", data + b"\x00", "wire_trailing"
    for head in heads(data):
        if head[2] != 7 and head[1] < 9:
            yield f"{name}: the head at byte {head[0]} one size too long", "NonMinimal", widened(data, head), "wire_non_minimal"
    yield f"{name} as an indefinite array", "Indefinite", b"\x9f" + data[1:] + b"\xff", "wire_indefinite"
    count = data[0] & 31
    yield (f"{name} without its last element", "WrongLength", bytes([0x80 | count - 1]) + replaced(data, count - 1, b"")[1:], "wire_length")
    yield f"{name} with one element more", "WrongLength", bytes([0x80 | count + 1]) + data[1:] + b"\xf6", "wire_length"
    for index in range(count):
        for what, other in (("a float", b"\xf9\x3c\x00"), ("undefined", b"\xf7"), ("null", b"\xf6"), ("a map", b"\xa1\x01\x02"),
                            ("a negative integer", b"\x20")):
            yield f"{name}: element {index} is {what}", "WrongType", replaced(data, index, other), "wire_type"
    for wrong in (0, 15, 17):
        yield f"{name}: request_id of {wrong} bytes", "WrongLength", replaced(data, 1, blob(wrong)), "wire_length"
    yield f"{name}: request_id announces 4 GiB", "HugeLength", replaced(data, 1, b"\x5a\xff\xff\xff\xff"), "wire_length"


def invalid_requests():
    drain, nodes = wire.encode("Drain", BASE["Drain"]), wire.encode("Nodes", BASE["Nodes"])
    yield "Drain: more than an hour", "Range", replaced(drain, 3, wire.E(3_600_001)), "wire_range"
    yield "Drain: within_ms of 64 bits", "Range", replaced(drain, 3, wire.E(wire.U64)), "wire_range"
    yield "Drain: a list", "WrongType", replaced(drain, 3, b"\x80"), "wire_type"
    yield "Nodes: a number", "WrongType", replaced(nodes, 3, b"\x00"), "wire_type"

    def listed(comment, flag, addresses, error):
        return f"Nodes: {comment}", flag, replaced(nodes, 3, wire.E(addresses)), error

    yield listed("33 addresses", "WrongLength", [f"node{n}:1" for n in range(33)], "wire_length")
    yield listed("an address twice", "CrossField", ["a:1", "b:1", "a:1"], "wire_order")
    yield listed("an address that is a byte string", "WrongType", [b"a:1"], "wire_type")
    yield listed("an address that is a number", "WrongType", [1], "wire_type")
    yield listed("an address that is null", "WrongType", [None], "wire_type")
    yield listed("an address in a list", "WrongType", [["a:1"]], "wire_type")
    yield listed("an empty address", "WrongLength", [""], "wire_length")
    yield listed("an address of 2 bytes", "WrongLength", ["a:"], "wire_length")
    yield listed("an address of 260 bytes", "WrongLength", ["a" * 254 + ":65535"], "wire_length")
    yield listed("a host of 254 bytes", "Grammar", ["a" * 254 + ":1"], "wire_grammar")
    yield "Nodes: 4 G addresses announced", "HugeLength", replaced(nodes, 3, b"\x9a\xff\xff\xff\xff"), "wire_length"
    yield "Nodes: an address announces 4 GiB", "HugeLength", replaced(nodes, 3, b"\x81\x7a\xff\xff\xff\xff"), "wire_length"
    yield "Nodes: an address that is not UTF-8", "Grammar", replaced(nodes, 3, b"\x81" + element(0x60, b"a\xff:1")), "wire_utf8"
    for address in FOREIGN:
        yield listed(f"{address!r}", "Grammar", ["a:1", address], "wire_grammar")


def make() -> File:
    f = File("CPNS requests from a server to a gateway", [
        "The content of a frame, after its 4-byte length, on a connection of ALPN cpns/1.1. NodeRequestCodec: from the server to the",
        "gateway. NodeAcknowledgementCodec: from the gateway to the server. A decoder must refuse every invalid one; `error` names the",
        "kind of error. A valid one decodes to `fields` and these encode to `msg` again."], NOTES)
    for group, names in GROUPS.items():
        f.group(group)
        seen = set()

        def good(comment, flag, name, fields):
            f.add(comment, [flag], "valid", msg=wire.encode(name, fields).hex(), message=name, fields=fields)

        def bad(comment, flag, data, error):
            if data not in seen:
                seen.add(data)
                f.add(comment, [flag], "invalid", msg=data.hex(), error=error)

        for name in names:
            good(name, "Normal", name, BASE[name])
        for comment, name, change in EDGES:
            if name in names:
                good(comment, "Edge", name, {**BASE[name], **change})
        for name in names:
            for row in damaged(name, wire.encode(name, BASE[name])):
                bad(*row)
        for row in invalid_requests() if "Drain" in names else ():
            bad(*row)
        for name in BASE:
            if name not in names:
                bad(f"{name} in the wrong direction", "Direction", wire.encode(name, BASE[name]), "wire_unknown_message")
        for number in (0, 1, 3, 9, 10, 15, 20, 255):
            bad(f"message type {number}", "Unknown", wire.E([number, fill("request_id", 16), 1]), "wire_unknown_message")
        bad("an array of 4 G elements", "HugeLength", bytes.fromhex("9affffffff"), "wire_length")
        bad("1,000 arrays in each other", "Depth", b"\x83" * 1000 + b"\x00" * 2001, "wire_type")
    return f
