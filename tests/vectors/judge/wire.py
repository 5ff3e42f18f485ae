"""The messages of docs/protocol.md as Python values, on cbor2. cbor2 also accepts encodings that are not
deterministic, so every decoded value is encoded again and compared with its bytes."""

import re

import cbor2

from ids import is_entity_id, is_user_id

RADIO_MAX = 1024
LINK_MAX = 64 * 1024
EPOCH_MAX = (1 << 48) - 1
U32 = (1 << 32) - 1
U64 = (1 << 64) - 1
COSE_PROTECTED = bytes.fromhex("a10103")


class Malformed(Exception):
    pass


def E(value) -> bytes:
    """Deterministic CBOR of values that have one encoding: ints, strings, lists, None, booleans, the empty map."""
    return cbor2.dumps(value)


def need(condition: bool, what: str):
    if not condition:
        raise Malformed(what)


def load(data: bytes, limit: int):
    need(len(data) <= limit, "oversized")
    try:
        value = cbor2.loads(data)
        again = cbor2.dumps(value)
    except Exception as problem:  # cbor2 raises many kinds on hostile bytes
        raise Malformed(f"not CBOR: {problem}") from problem
    need(again == data, "not the deterministic encoding, or bytes follow")
    return value


# An element is described by a function that raises or returns the element's JSON form.

def uint(low=0, high=U64):
    def check(v):
        need(type(v) is int and low <= v <= high, f"not an integer from {low} to {high}: {v!r}")
        return v
    return check


def bstr(low, high=None):
    def check(v):
        need(type(v) is bytes and low <= len(v) <= (low if high is None else high), f"not a byte string of {low}..{high}")
        return v.hex()
    return check


def text(low, high):
    def check(v):
        need(type(v) is str and low <= len(v.encode()) <= high, f"not a text of {low}..{high} bytes")
        return v
    return check


def boolean(v):
    need(type(v) is bool, "not a boolean")
    return v


def entity(v):
    text(1, 64)(v)
    need(is_entity_id(v), f"not an Entity ID: {v!r}")
    return v


def user(v):
    text(1, 64)(v)
    need(is_user_id(v), f"not a User ID: {v!r}")
    return v


def or_null(check):
    return lambda v: None if v is None else check(v)


def list_of(check, low, high):
    def inner(v):
        need(type(v) is list and low <= len(v) <= high, f"not a list of {low}..{high} elements")
        return [check(x) for x in v]
    return inner


def pair(first, second):
    def inner(v):
        need(type(v) is list and len(v) == 2, "not a pair")
        return [first(v[0]), second(v[1])]
    return inner


def encrypt0(v):
    need(type(v) is list and len(v) == 3, "COSE_Encrypt0 has three elements")
    need(v[0] == COSE_PROTECTED and type(v[0]) is bytes, "protected header")
    need(type(v[1]) is dict and not v[1], "unprotected header")
    return bstr(16, 512)(v[2])


EPOCH = uint(0, EPOCH_MAX)

RADIO = {
    1: ("DREQ", [("version", uint(1, 255)), ("gw_id", bstr(16)), ("gw_nonce", bstr(16)),
                 ("issuer_nonce", or_null(bstr(16))), ("suites", list_of(uint(1, 255), 1, 4))]),
    2: ("DRSP", [("gw_nonce_echo", bstr(4)), ("entity_id", entity), ("pne_nonce", bstr(16)), ("suite", uint(1, 2)),
                 ("pne_share", or_null(bstr(32))), ("epoch", or_null(EPOCH)), ("resets", uint()),
                 ("possession", or_null(bstr(16))), ("presence", or_null(bstr(16)))]),
    3: ("KDEL", [("epoch", EPOCH), ("chained", boolean), ("gw_share", bstr(32)), ("sealed", encrypt0)]),
    4: ("KCNF", [("epoch", EPOCH), ("confirm", bstr(16))]),
    5: ("KRET", [("epoch", EPOCH), ("retire", bstr(16))]),
    6: ("NOTE", [("kind", uint(1, 2))]),
    7: ("FAIL", [("reason", uint(1, 7))]),
}

_HEAD = [("request_id", bstr(16)), ("incarnation", uint())]
_ANSWER = _HEAD + [("issuer_nonce", bstr(16))]

REQUESTS = {
    1: ("UserChallenge", _HEAD + [("user_id", user)]),
    3: ("IssuerNonce", _HEAD),
    5: ("KeyAssignmentRequest", _HEAD + [
        ("user_id", user), ("entity_id", entity), ("proof", bstr(32)), ("reason", uint(0, 3)),
        ("known_epoch", or_null(EPOCH)), ("set_id", or_null(bstr(8))),
        ("dreq", or_null(bstr(1, RADIO_MAX))), ("drsp", or_null(bstr(1, RADIO_MAX)))]),
    7: ("EpochReport", _HEAD + [("entries", list_of(pair(entity, EPOCH), 1, 256))]),
}

ANSWERS = {
    2: ("UserChallengeAnswer", _ANSWER + [("salt", bstr(16)), ("iterations", uint(0, U32))]),
    4: ("IssuerNonceAnswer", _ANSWER),
    6: ("KeyAssignmentResponse", _ANSWER + [
        ("status", uint(0, 0)), ("literal", boolean), ("temporary_key", bstr(32)), ("chain", or_null(bstr(32))),
        ("generation", uint(0, U32)), ("set_id", bstr(8)), ("first_index", uint(0, 65535)),
        ("eukeys", list_of(bstr(32), 1, 256)), ("owner_tag", bstr(16)), ("rekey_seconds", uint(0, U32)),
        ("not_after", uint(0, (1 << 63) - 1))]),
    8: ("EpochReportAnswer", _ANSWER + [("entries", list_of(pair(entity, uint(0, 2)), 1, 256))]),
    9: ("Refusal", _ANSWER + [("status", uint(1, 14)), ("retry_after", uint(0, U32)), ("reason", text(0, 200))]),
}


NODE_ADDRESS = re.compile(r"([A-Za-z0-9._-]{1,253}|\[(?=[^\]]*:)[0-9A-Fa-f:.]{2,45}\]):([1-9][0-9]{0,4})")


def node_address(v):
    text(3, 259)(v)
    match = NODE_ADDRESS.fullmatch(v)
    need(match and int(match.group(2)) <= 65535, f"not an address: {v!r}")
    return v


NODE_REQUESTS = {
    16: ("Drain", _HEAD + [("within_ms", uint(0, 3_600_000))]),
    18: ("Nodes", _HEAD + [("addresses", list_of(node_address, 0, 32))]),
}

NODE_ACKNOWLEDGEMENTS = {17: ("DrainAcknowledgement", _HEAD), 19: ("NodesAcknowledgement", _HEAD)}

TABLES = (RADIO, REQUESTS, ANSWERS, NODE_REQUESTS, NODE_ACKNOWLEDGEMENTS)


def cross_rules(name: str, f: dict):
    if name == "DREQ":
        need(all(a < b for a, b in zip(f["suites"], f["suites"][1:])), "suites do not ascend")
    if name == "DRSP":
        need((f["pne_share"] is not None) == (f["suite"] == 2), "pne_share exactly with suite 2")
        need((f["possession"] is not None) == (f["epoch"] is not None), "possession exactly with an epoch")
    if name == "KeyAssignmentRequest":
        need((f["dreq"] is None) == (f["drsp"] is None), "DREQ and DRSP both or neither")
        need(f["drsp"] is not None or f["reason"] == 1, "only a refill may omit DREQ and DRSP")
    if name == "KeyAssignmentResponse":
        need(f["first_index"] + len(f["eukeys"]) <= 65536, "the keys exceed the generation")
    if name == "Nodes":
        need(len(set(f["addresses"])) == len(f["addresses"]), "an address twice")


def _decode(data: bytes, limit: int, table: dict):
    value = load(data, limit)
    need(type(value) is list and len(value) >= 2 and type(value[0]) is int, "not a message")
    need(value[0] in table, f"unknown type {value[0]}")
    name, elements = table[value[0]]
    need(len(value) == 1 + len(elements), f"{name} has {1 + len(elements)} elements")
    fields = {key: check(v) for (key, check), v in zip(elements, value[1:])}
    cross_rules(name, fields)
    return name, fields


def decode_radio(data: bytes):
    return _decode(data, RADIO_MAX, RADIO)


def decode_request(data: bytes):
    return _decode(data, LINK_MAX, REQUESTS)


def decode_answer(data: bytes):
    return _decode(data, LINK_MAX, ANSWERS)


def decode_node_request(data: bytes):
    return _decode(data, LINK_MAX, NODE_REQUESTS)


def decode_node_acknowledgement(data: bytes):
    return _decode(data, LINK_MAX, NODE_ACKNOWLEDGEMENTS)


_BYTES = {"gw_id", "gw_nonce", "issuer_nonce", "gw_nonce_echo", "pne_nonce", "pne_share", "possession", "presence",
          "gw_share", "confirm", "retire", "request_id", "proof", "set_id", "dreq", "drsp", "salt", "temporary_key",
          "chain", "owner_tag"}


def encode(name: str, fields: dict) -> bytes:
    """The bytes of a message from its JSON form."""
    for table in TABLES:
        for number, (known, elements) in table.items():
            if known != name:
                continue
            out = [number]
            for key, _ in elements:
                v = fields[key]
                if key == "sealed":
                    v = [COSE_PROTECTED, {}, bytes.fromhex(v)]
                elif key == "eukeys":
                    v = [bytes.fromhex(k) for k in v]
                elif key in _BYTES and v is not None:
                    v = bytes.fromhex(v)
                out.append(v)
            return E(out)
    raise KeyError(name)


def hashed_request(fields: dict) -> bytes:
    """A KeyAssignmentRequest without request_id and incarnation, its proof null: E([5, user_id, ..., DRSP])."""
    return E([5, fields["user_id"], fields["entity_id"], None, fields["reason"], fields["known_epoch"]]
             + [None if fields[k] is None else bytes.fromhex(fields[k]) for k in ("set_id", "dreq", "drsp")])
