"""link_codec.json: messages of the server link, valid and invalid."""

import exchange
import keys
import wire
from cases import File, fill, heads, replaced, widened
from generate_radio import NOTES as RADIO_NOTES
from generate_radio import blob, element, first_contact, inputs

NOTES = {k: RADIO_NOTES[k] for k in ("Normal", "Edge", "Truncated", "Trailing", "NonMinimal", "Indefinite", "WrongType",
                                     "WrongLength", "Range", "CrossField", "Grammar", "Unknown", "HugeLength", "Depth")}
NOTES["Direction"] = "An answer where a request is read, or a request where an answer is read."

ENTITY = inputs()["entity_id"]
HEAD = {"request_id": fill("request_id", 16).hex(), "incarnation": 1}
ANSWER = {**HEAD, "issuer_nonce": fill("issuer", 16).hex()}


def request_fields() -> dict:
    out = exchange.run(first_contact())
    return {**HEAD, "user_id": "ada@example.org", "entity_id": ENTITY, "proof": fill("proof", 32).hex(), "reason": 0,
            "known_epoch": None, "set_id": None, "dreq": out["dreq"], "drsp": out["drsp"]}


def response_fields(count: int = 2) -> dict:
    tk_prime = bytes.fromhex(exchange.run(first_contact())["tk_prime"])
    gw = keys.gateway_id("x509", inputs()["gw_name"])
    return {**ANSWER, "status": 0, "literal": False, "temporary_key": keys.gateway_temporary_key(tk_prime, gw, 1).hex(),
            "chain": None, "generation": 1, "set_id": fill("set", 8).hex(), "first_index": 0,
            "eukeys": [fill(f"eukey {i}", 32).hex() for i in range(count)], "owner_tag": fill("owner_tag", 16).hex(),
            "rekey_seconds": 86400, "not_after": 1800000000}


def refill_fields() -> dict:
    return {**request_fields(), "reason": 1, "known_epoch": 1 << 16 | 31, "set_id": fill("set", 8).hex(), "dreq": None,
            "drsp": None}


def base_messages() -> dict:
    return {
        "UserChallenge": {**HEAD, "user_id": "ada@example.org"},
        "UserChallengeAnswer": {**ANSWER, "salt": fill("salt", 16).hex(), "iterations": 310000},
        "IssuerNonce": HEAD,
        "IssuerNonceAnswer": ANSWER,
        "KeyAssignmentRequest": request_fields(),
        "KeyAssignmentResponse": response_fields(),
        "EpochReport": {**HEAD, "entries": [[ENTITY, 1 << 16]]},
        "EpochReportAnswer": {**ANSWER, "entries": [[ENTITY, 0]]},
        "Refusal": {**ANSWER, "status": 7, "retry_after": 60, "reason": "the gateway in the kitchen renews this device"},
    }


REQUESTS = {"UserChallenge", "IssuerNonce", "KeyAssignmentRequest", "EpochReport"}


class Sides:
    """Collects the cases of both directions and writes them as two groups."""

    def __init__(self):
        self.rows = {"LinkRequestCodec": [], "LinkAnswerCodec": []}
        self.seen = set()

    @staticmethod
    def kind(name):
        return "LinkRequestCodec" if name in REQUESTS else "LinkAnswerCodec"

    def good(self, comment, flags, name, fields):
        data = wire.encode(name, fields)
        self.rows[self.kind(name)].append((comment, flags, "valid", dict(msg=data.hex(), message=name, fields=fields)))

    def bad(self, kind, comment, flags, data, error=None):
        if (kind, data) in self.seen:
            return
        self.seen.add((kind, data))
        self.rows[kind].append((comment, flags, "invalid", dict(msg=data.hex(), **({"error": error} if error else {}))))


def valid(s: Sides):
    for name, fields in base_messages().items():
        s.good(f"{name}", ["Normal"], name, fields)
    s.good("KeyAssignmentRequest: refill without DREQ and DRSP", ["Normal"], "KeyAssignmentRequest", refill_fields())
    known = exchange.run(inputs())
    for number, reason in ((2, "adopt"), (3, "recover"), (1, "refill")):
        s.good(f"KeyAssignmentRequest: {reason} with DREQ and DRSP", ["Normal"], "KeyAssignmentRequest",
               {**request_fields(), "reason": number, "known_epoch": 3 << 16 | 7, "set_id": fill("set", 8).hex(),
                "dreq": known["dreq"], "drsp": known["drsp"]})
    s.good("KeyAssignmentResponse with a chain", ["Normal"], "KeyAssignmentResponse",
           {**response_fields(), "chain": fill("chain", 32).hex()})
    s.good("KeyAssignmentResponse with TK' itself", ["Normal"], "KeyAssignmentResponse", {**response_fields(1), "literal": True})
    s.good("KeyAssignmentResponse that ends with the last index of a generation", ["Edge"], "KeyAssignmentResponse",
           {**response_fields(256), "first_index": 65536 - 256, "generation": wire.U32, "not_after": (1 << 63) - 1})
    s.good("EpochReport of 256 entities", ["Edge"], "EpochReport",
           {**HEAD, "entries": [[f"urn:dev:os:32473-{n:047d}", n << 16] for n in range(256)]})
    s.good("EpochReport answer with every outcome", ["Normal"], "EpochReportAnswer",
           {**ANSWER, "entries": [[f"urn:dev:os:32473-{n}", n] for n in range(3)]})
    for status in range(1, 15):
        s.good(f"Refusal, status {status}", ["Normal"], "Refusal", {**ANSWER, "status": status, "retry_after": 0, "reason": ""})
    s.good("Refusal with 200 bytes of text outside of ASCII", ["Edge"], "Refusal",
           {**ANSWER, "status": 14, "retry_after": wire.U32, "reason": "\u00e4" * 100})
    s.good("Largest incarnation", ["Edge"], "IssuerNonce", {**HEAD, "incarnation": wire.U64})
    s.good("DREQ and DRSP are opaque here: the server checks them", ["Edge"], "KeyAssignmentRequest",
           {**request_fields(), "dreq": "00", "drsp": fill("drsp", 1024).hex()})


def damaged(s: Sides, name: str, data: bytes):
    kind = s.kind(name)
    other = "LinkAnswerCodec" if kind == "LinkRequestCodec" else "LinkRequestCodec"
    s.bad(other, f"{name} in the wrong direction", ["Direction"], data, "wire_unknown_message")
    for cut in (0, 1, 2, len(data) // 2, len(data) - 1):
        s.bad(kind, f"{name} cut after {cut} bytes", ["Truncated"], data[:cut], "wire_truncated")
    s.bad(kind, f"{name} and a zero byte", ["Trailing"], data + b"\x00", "wire_trailing")
    for head in heads(data):
        if head[2] != 7 and head[1] < 9:
            s.bad(kind, f"{name}: the head at byte {head[0]} one size too long", ["NonMinimal"], widened(data, head),
                  "wire_non_minimal")
    s.bad(kind, f"{name} as an indefinite array", ["Indefinite"], b"\x9f" + data[1:] + b"\xff", "wire_indefinite")
    count = data[0] & 31
    s.bad(kind, f"{name} without its last element", ["WrongLength"],
          bytes([0x80 | count - 1]) + replaced(data, count - 1, b"")[1:], "wire_length" if count > 3 else None)
    s.bad(kind, f"{name} with one element more", ["WrongLength"], bytes([0x80 | count + 1]) + data[1:] + b"\xf6", "wire_length")
    for index in range(count):
        s.bad(kind, f"{name}: element {index} is a float", ["WrongType"], replaced(data, index, b"\xf9\x3c\x00"), "wire_type")
        s.bad(kind, f"{name}: element {index} is undefined", ["WrongType"], replaced(data, index, b"\xf7"), "wire_type")
        s.bad(kind, f"{name}: element {index} is a map", ["WrongType"], replaced(data, index, b"\xa1\x01\x02"), "wire_type")


def invalid(s: Sides):
    base = {name: wire.encode(name, fields) for name, fields in base_messages().items()}
    for name, data in base.items():
        damaged(s, name, data)

    def put(name, index, value, comment, flag, error):
        s.bad(s.kind(name), f"{name}: {comment}", [flag], replaced(base[name], index, value), error)

    sizes = (("UserChallenge", "request_id", 1, 16), ("UserChallengeAnswer", "issuer_nonce", 3, 16),
             ("UserChallengeAnswer", "salt", 4, 16), ("KeyAssignmentRequest", "proof", 5, 32),
             ("KeyAssignmentRequest", "set_id", 8, 8), ("KeyAssignmentResponse", "temporary_key", 6, 32),
             ("KeyAssignmentResponse", "chain", 7, 32), ("KeyAssignmentResponse", "set_id", 9, 8),
             ("KeyAssignmentResponse", "owner_tag", 12, 16))
    for name, field, index, size in sizes:
        for wrong in (0, size - 1, size + 1):
            put(name, index, blob(wrong), f"{field} of {wrong} bytes", "WrongLength", "wire_length")
        put(name, index, b"\x5a\xff\xff\xff\xff", f"{field} announces 4 GiB", "HugeLength", "wire_length")
        put(name, index, element(0x60, b"x" * size), f"{field} as a text", "WrongType", "wire_type")
    put("KeyAssignmentRequest", 5, b"\xf6", "proof is null: that form is hashed, never sent", "WrongType", "wire_type")
    for user, flag, error in ((b"", "WrongLength", "wire_length"), (b"a" * 65, "WrongLength", "wire_length"),
                              (b"a b", "Grammar", "wire_grammar"), (b"a\n", "Grammar", "wire_grammar"),
                              (b"a\x00", "Grammar", "wire_grammar"), ("\u00e4".encode(), "Grammar", "wire_grammar"),
                              (b"\xff", "Grammar", "wire_utf8")):
        put("UserChallenge", 3, element(0x60, user), f"user_id {user!r}", flag, error)
        put("KeyAssignmentRequest", 3, element(0x60, user), f"user_id {user!r}", flag, error)
    put("KeyAssignmentRequest", 4, element(0x60, b"urn:uuid:"), "entity_id without a UUID", "Grammar", "wire_grammar")
    put("KeyAssignmentRequest", 6, wire.E(4), "reason 4", "Range", "wire_range")
    put("KeyAssignmentRequest", 7, wire.E(wire.EPOCH_MAX + 1), "known_epoch of 49 bits", "Range", "wire_range")
    put("KeyAssignmentRequest", 9, b"\xf6", "DRSP without DREQ", "CrossField", "wire_type")
    put("KeyAssignmentRequest", 10, b"\xf6", "DREQ without DRSP", "CrossField", "wire_type")
    put("KeyAssignmentRequest", 9, b"\x40", "an empty DREQ", "WrongLength", "wire_length")
    put("KeyAssignmentRequest", 10, element(0x40, bytes(1025)), "a DRSP of 1,025 bytes", "WrongLength", "wire_length")
    for reason in (0, 2, 3):
        s.bad("LinkRequestCodec", f"KeyAssignmentRequest: reason {reason} without DREQ and DRSP", ["CrossField"],
              wire.encode("KeyAssignmentRequest", {**refill_fields(), "reason": reason}), "wire_type")

    put("KeyAssignmentResponse", 4, b"\x01", "a status that is not ok", "Range", "wire_range")
    put("KeyAssignmentResponse", 5, b"\x00", "literal as a number", "WrongType", "wire_type")
    put("KeyAssignmentResponse", 6, b"\xf6", "no Temporary Key", "WrongType", "wire_type")
    put("KeyAssignmentResponse", 8, wire.E(wire.U32 + 1), "generation of 33 bits", "Range", "wire_range")
    put("KeyAssignmentResponse", 10, wire.E(65536), "first_index 65,536", "Range", "wire_range")
    put("KeyAssignmentResponse", 10, wire.E(65535), "two keys from index 65,535", "CrossField", "wire_range")
    put("KeyAssignmentResponse", 11, b"\x80", "no keys", "WrongLength", "wire_length")
    put("KeyAssignmentResponse", 11, wire.E([bytes(32)] * 257), "257 keys", "WrongLength", "wire_length")
    put("KeyAssignmentResponse", 11, wire.E([bytes(32), bytes(31)]), "a key of 31 bytes", "WrongLength", "wire_length")
    put("KeyAssignmentResponse", 11, wire.E([bytes(32), None]), "a key that is null", "WrongType", "wire_type")
    put("KeyAssignmentResponse", 11, b"\x9a\xff\xff\xff\xff", "4 G keys announced", "HugeLength", "wire_length")
    put("KeyAssignmentResponse", 13, wire.E(wire.U32 + 1), "rekey_seconds of 33 bits", "Range", "wire_range")
    put("KeyAssignmentResponse", 14, wire.E(1 << 63), "not_after of 64 bits", "Range", "wire_range")
    put("UserChallengeAnswer", 5, wire.E(wire.U32 + 1), "iterations of 33 bits", "Range", "wire_range")

    for name, last in (("EpochReport", 3), ("EpochReportAnswer", 4)):
        put(name, last, b"\x80", "no entries", "WrongLength", "wire_length")
        put(name, last, wire.E([[ENTITY, 0]] * 257), "257 entries", "WrongLength", "wire_length")
        put(name, last, wire.E([[ENTITY]]), "an entry of one element", "WrongLength", "wire_length")
        put(name, last, wire.E([[ENTITY, 0, 0]]), "an entry of three elements", "WrongLength", "wire_length")
        put(name, last, wire.E([ENTITY]), "an entry that is not a pair", "WrongType", "wire_type")
        put(name, last, wire.E([["urn:x:y", 0]]), "an entry with another scheme", "Grammar", "wire_grammar")
        put(name, last, wire.E([[ENTITY, None]]), "an entry with null", "WrongType", "wire_type")
        put(name, last, wire.E([[ENTITY, wire.EPOCH_MAX + 1]]), "an entry out of range", "Range", "wire_range")
    put("EpochReportAnswer", 4, wire.E([[ENTITY, 3]]), "outcome 3", "Range", "wire_range")
    put("Refusal", 4, b"\x00", "status ok", "Range", "wire_range")
    put("Refusal", 4, wire.E(15), "status 15", "Range", "wire_range")
    put("Refusal", 6, element(0x60, b"x" * 201), "a reason of 201 bytes", "WrongLength", "wire_length")
    put("Refusal", 6, element(0x60, b"\xed\xa0\x80"), "a reason with a surrogate", "Grammar", "wire_utf8")
    put("Refusal", 6, b"\xf6", "no reason", "WrongType", "wire_type")

    for kind in s.rows:
        for number in (0, 10, 16, 17, 255):
            s.bad(kind, f"message type {number}: reserved or unknown", ["Unknown"],
                  wire.E([number, bytes.fromhex(HEAD["request_id"]), 1, bytes(16)]), "wire_unknown_message")
        s.bad(kind, "an array of 4 G elements", ["HugeLength"], bytes.fromhex("9affffffff"), "wire_length")
        s.bad(kind, "1,000 arrays in each other", ["Depth"], b"\x83" * 1000 + b"\x00" * 2001, "wire_type")


def make() -> File:
    f = File("CPNS server link codec", [
        "The content of a frame on the server link, after its 4-byte length. Requests go from the gateway to the server.",
        "A decoder must refuse every invalid one. `error` names the kind of error where it is unambiguous.",
        "A valid one decodes to `fields` and these encode to `msg` again.",
        "HashedRequest: the hash input of the user's proof and of the idempotency record, from a KeyAssignmentRequest."], NOTES)
    s = Sides()
    valid(s)
    invalid(s)
    for kind, rows in s.rows.items():
        f.group(kind)
        for comment, flags, result, values in rows:
            f.add(comment, flags, result, **values)
    f.group("HashedRequest")
    for comment, fields in (("first", request_fields()), ("refill", refill_fields())):
        f.add(comment, ["Normal"], "valid", msg=wire.encode("KeyAssignmentRequest", fields).hex(), hashed=wire.hashed_request(fields).hex())
    return f
