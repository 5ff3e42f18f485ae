"""radio_codec.json: messages of the radio link, valid and invalid."""

import exchange
import wire
from cases import File, fill, heads, replaced, widened

NOTES = {
    "Normal": "A message as it is sent.",
    "Edge": "A value at the end of its range.",
    "FutureSuite": "A suite number that is not defined yet: allowed in an offer, but not in an answer.",
    "Truncated": "The message ends too early.",
    "Trailing": "Bytes follow the message.",
    "NonMinimal": "An integer or a length is not in its shortest form. Many CBOR libraries accept this.",
    "Indefinite": "An array or a string of indefinite length. Many CBOR libraries accept this.",
    "WrongType": "An element has another CBOR type than the grammar requires.",
    "WrongLength": "A string or an array has another length than the grammar requires.",
    "Range": "A number or an enumerated value is out of its range.",
    "CrossField": "Each element is well formed, but two of them contradict each other.",
    "Grammar": "The Entity ID does not follow its grammar.",
    "Unknown": "An unknown message type.",
    "Oversized": "More than 1,024 bytes.",
    "HugeLength": "A head announces far more than there is: nothing may be allocated for it.",
    "Depth": "Arrays nested too deeply.",
}


def inputs(**change) -> dict:
    """The inputs of a reference exchange: a keyed PNE, suite 2, chained, with presence."""
    base = {
        "gw_kind": "x509", "gw_name": "urn:cpns:gw:living-room", "k_iss": fill("k_iss", 32).hex(), "issuer_slot": 29765432,
        "entity_id": "urn:dev:mac:0024befffe804ff1", "tk": fill("tk", 16).hex(), "gw_nonce": fill("gw_nonce", 16).hex(),
        "suites": [1, 2], "suite": 2, "pne_nonce": fill("pne_nonce", 16).hex(),
        "pne_private": fill("pne_private", 32).hex(), "gw_private": fill("gw_private", 32).hex(),
        "gw_random": fill("gw_random", 32).hex(), "old_epoch": 3 << 16 | 7, "old_eukey": fill("old_eukey", 32).hex(),
        "resets": 0, "with_presence": True, "chained": True, "new_epoch": 3 << 16 | 8,
        "new_eukey": fill("new_eukey", 32).hex(), "owner_tag": fill("owner_tag", 16).hex(), "rekey_seconds": 86400,
    }
    base.update(change)
    return base


def first_contact() -> dict:
    return inputs(old_epoch=None, chained=False, new_epoch=1 << 16)


def valid(f: File):
    known = exchange.run(inputs())
    fresh = exchange.run(first_contact())

    def good(comment, flags, data):
        name, fields = wire.decode_radio(data)
        f.add(comment, flags, "valid", msg=data.hex(), message=name, fields=fields)

    hx = bytes.fromhex
    good("DREQ of a first contact: the answer will go to the server", ["Normal"], hx(fresh["dreq"]))
    good("DRSP of an unkeyed PNE, suite 2, with presence", ["Normal"], hx(fresh["drsp"]))
    good("KDEL of a first contact, not chained", ["Normal"], hx(fresh["kdel"]))
    good("KCNF", ["Normal"], hx(fresh["kcnf"]))
    good("KRET", ["Normal"], hx(fresh["kret"]))
    good("NOTE: the PNE goes to sleep", ["Normal"], wire.encode("NOTE", {"kind": 1}))
    good("NOTE: the PNE is awake", ["Normal"], wire.encode("NOTE", {"kind": 2}))
    for reason in range(1, 8):
        good(f"FAIL, reason {reason}", ["Normal"], wire.encode("FAIL", {"reason": reason}))
    periodic = exchange.run(inputs(with_presence=False))
    good("DREQ of a periodic update: no issuer nonce", ["Normal"], hx(periodic["dreq"]))
    good("DRSP of a keyed PNE without presence", ["Normal"], hx(periodic["drsp"]))
    good("DRSP of a keyed PNE with presence", ["Normal"], hx(known["drsp"]))
    good("KDEL, chained", ["Normal"], hx(known["kdel"]))
    symmetric = exchange.run(inputs(suites=[1], suite=1))
    good("DREQ that offers suite 1 alone", ["Normal"], hx(symmetric["dreq"]))
    good("DRSP with suite 1: no share", ["Normal"], hx(symmetric["drsp"]))

    dreq = wire.decode_radio(hx(known["dreq"]))[1]
    drsp = wire.decode_radio(hx(known["drsp"]))[1]
    good("DREQ with four suites, two of them not defined yet", ["FutureSuite", "Edge"],
         wire.encode("DREQ", {**dreq, "suites": [1, 2, 24, 255]}))
    good("DREQ of a later version in today's shape: the machine answers unsupported_version", ["Edge"],
         wire.encode("DREQ", {**dreq, "version": 2}))
    good("DRSP: highest epoch and most resets", ["Edge"],
         wire.encode("DRSP", {**drsp, "epoch": wire.EPOCH_MAX, "resets": wire.U64}))
    good("DRSP: epoch 0", ["Edge"], wire.encode("DRSP", {**drsp, "epoch": 0}))
    good("DRSP: Entity ID of 64 bytes", ["Edge"],
         wire.encode("DRSP", {**drsp, "entity_id": "urn:dev:os:32473-" + "x" * 47}))
    for size in (16, 512):
        good(f"KDEL: ciphertext of {size} bytes", ["Edge"],
             wire.encode("KDEL", {"epoch": wire.EPOCH_MAX, "chained": False, "gw_share": fill("s", 32).hex(),
                                  "sealed": fill("sealed", size).hex()}))


def damaged(f: File, name: str, data: bytes, bad):
    """Damage that is possible in any message."""
    for cut in sorted({0, 1, 2, len(data) // 2, len(data) - 1}):
        bad(f"{name} cut after {cut} bytes", ["Truncated"], data[:cut], "wire_truncated")
    bad(f"{name} and a zero byte", ["Trailing"], data + b"\x00", "wire_trailing")
    bad(f"{name} twice", ["Trailing"], data + data if 2 * len(data) <= 1024 else data + b"\xf6", "wire_trailing")
    for head in heads(data):
        if head[2] != 7 and head[1] < 9:
            bad(f"{name}: the head at byte {head[0]} one size too long", ["NonMinimal"], widened(data, head), "wire_non_minimal")
    bad(f"{name} as an indefinite array", ["Indefinite"], b"\x9f" + data[1:] + b"\xff", "wire_indefinite")
    count = data[0] & 31
    bad(f"{name} without its last element", ["WrongLength"], bytes([0x80 | count - 1]) + replaced(data, count - 1, b"")[1:], None)
    bad(f"{name} with one element more", ["WrongLength"], bytes([0x80 | count + 1]) + data[1:] + b"\xf6", None)
    bad(f"{name} as a map", ["WrongType"], b"\xa1" + data[1:], None)
    bad(f"{name} tagged", ["WrongType"], b"\xd8\x64" + data, None)
    bad(f"{name}: its type as a text", ["WrongType"], replaced(data, 0, b"\x61\x31"), "wire_type")
    bad(f"{name}: its type negative", ["WrongType"], replaced(data, 0, b"\x20"), "wire_type")
    bad(f"{name}: its type as a float", ["WrongType"], replaced(data, 0, b"\xf9\x3c\x00"), "wire_type")
    for index in range(1, count):
        bad(f"{name}: element {index} is a map of one pair", ["WrongType"], replaced(data, index, b"\xa1\x01\x02"), None)
        bad(f"{name}: element {index} is undefined", ["WrongType"], replaced(data, index, b"\xf7"), "wire_type")


def element(head: int, payload: bytes) -> bytes:
    n = len(payload)
    prefix = bytes([head | n]) if n < 24 else bytes([head | 24, n]) if n < 256 else bytes([head | 25]) + n.to_bytes(2, "big")
    return prefix + payload


def blob(size: int) -> bytes:
    return element(0x40, fill("blob", size))


def invalid(f: File):
    seen = set()

    def bad(comment, flags, data, error):
        if data in seen:
            return
        seen.add(data)
        f.add(comment, flags, "invalid", msg=data.hex(), **({"error": error} if error else {}))

    out = exchange.run(inputs())
    base = {"DREQ": out["dreq"], "DRSP": out["drsp"], "KDEL": out["kdel"], "KCNF": out["kcnf"], "KRET": out["kret"],
            "NOTE": "820601", "FAIL": "820701"}
    base = {k: bytes.fromhex(v) for k, v in base.items()}
    for name, data in base.items():
        damaged(f, name, data, bad)

    dreq, drsp, kdel, kcnf, kret = (base[k] for k in ("DREQ", "DRSP", "KDEL", "KCNF", "KRET"))
    for name, data, index, size in (("DREQ.gw_id", dreq, 2, 16), ("DREQ.gw_nonce", dreq, 3, 16), ("DREQ.issuer_nonce", dreq, 4, 16),
                                    ("DRSP.gw_nonce", drsp, 1, 4), ("DRSP.pne_nonce", drsp, 3, 16), ("DRSP.pne_share", drsp, 5, 32),
                                    ("DRSP.possession", drsp, 8, 16), ("DRSP.presence", drsp, 9, 16), ("KDEL.gw_share", kdel, 3, 32),
                                    ("KCNF.confirm", kcnf, 2, 16), ("KRET.retire", kret, 2, 16)):
        for wrong in (0, size - 1, size + 1):
            bad(f"{name} of {wrong} bytes", ["WrongLength"], replaced(data, index, blob(wrong)), "wire_length")
        bad(f"{name} as a text", ["WrongType"], replaced(data, index, element(0x60, b"x" * size)), "wire_type")
        bad(f"{name} in chunks", ["Indefinite"], replaced(data, index, b"\x5f" + blob(size) + b"\xff"), "wire_indefinite")
        bad(f"{name} announces 4 GiB", ["HugeLength"], replaced(data, index, b"\x5a\xff\xff\xff\xff"), "wire_length")
    for name, data, index in (("DREQ.gw_id", dreq, 2), ("DREQ.gw_nonce", dreq, 3), ("DREQ.suites", dreq, 5), ("DREQ.version", dreq, 1),
                              ("DRSP.entity_id", drsp, 2), ("DRSP.suite", drsp, 4), ("DRSP.resets", drsp, 7),
                              ("KDEL.epoch", kdel, 1), ("KDEL.chained", kdel, 2), ("KDEL.gw_share", kdel, 3),
                              ("KDEL.COSE_Encrypt0", kdel, 4), ("KCNF.epoch", kcnf, 1), ("KRET.epoch", kret, 1)):
        bad(f"{name} is null", ["WrongType"], replaced(data, index, b"\xf6"), "wire_type")

    for what, suites, error in (("none", [], "wire_length"), ("five", [1, 2, 3, 4, 5], "wire_length"), ("0", [0, 1], "wire_range"),
                                ("256", [1, 256], "wire_range"), ("one twice", [1, 1], "wire_order"),
                                ("descending", [2, 1], "wire_order")):
        bad(f"DREQ.suites: {what}", ["Range"], replaced(dreq, 5, wire.E(suites)), error)
    bad("DREQ.version 0", ["Range"], replaced(dreq, 1, b"\x00"), "wire_range")
    bad("DREQ.version 256", ["Range"], replaced(dreq, 1, wire.E(256)), "wire_range")
    for suite in (0, 3, 255):
        bad(f"DRSP.suite {suite}", ["Range", "FutureSuite"], replaced(drsp, 4, wire.E(suite)), "wire_range")
    over = wire.E(wire.EPOCH_MAX + 1)
    for name, data, index in (("DRSP", drsp, 6), ("KDEL", kdel, 1), ("KCNF", kcnf, 1), ("KRET", kret, 1)):
        bad(f"{name}.epoch of 49 bits", ["Range"], replaced(data, index, over), "wire_range")
        bad(f"{name}.epoch negative", ["WrongType"], replaced(data, index, b"\x20"), "wire_type")
    bad("DRSP.resets above 64 bits", ["WrongType"], replaced(drsp, 7, b"\xc2\x49\x01" + bytes(8)), "wire_type")
    for kind in (0, 3, 255):
        bad(f"NOTE.kind {kind}", ["Range"], wire.E([6, kind]), "wire_range")
    for reason in (0, 8, 255):
        bad(f"FAIL.reason {reason}", ["Range"], wire.E([7, reason]), "wire_range")
    bad("DRSP: suite 2 without a share", ["CrossField"], replaced(drsp, 5, b"\xf6"), "wire_type")
    bad("DRSP: suite 1 with a share", ["CrossField"], replaced(drsp, 4, b"\x01"), "wire_type")
    bad("DRSP: an epoch without possession", ["CrossField"], replaced(drsp, 8, b"\xf6"), "wire_type")
    bad("DRSP: possession without an epoch", ["CrossField"], replaced(drsp, 6, b"\xf6"), "wire_type")
    bad("KDEL.chained is 0", ["WrongType"], replaced(kdel, 2, b"\x00"), "wire_type")
    bad("KDEL.chained is false in two bytes", ["NonMinimal"], replaced(kdel, 2, b"\xf8\x14"), "wire_type")
    bad("DREQ.issuer_nonce is null in two bytes", ["NonMinimal"], replaced(dreq, 4, b"\xf8\x16"), "wire_type")

    cose = bytes.fromhex(out["sealed"])
    for what, value, flag, error in (
            ("another algorithm (A128GCM)", [bytes.fromhex("a10101"), {}, cose], "Range", "wire_range"),
            ("an empty protected header", [b"", {}, cose], "WrongLength", "wire_length"),
            ("a protected header that is not a string", [{1: 3}, {}, cose], "WrongType", "wire_type"),
            ("an unprotected nonce", [wire.COSE_PROTECTED, {5: bytes(12)}, cose], "WrongLength", "wire_length"),
            ("no unprotected header", [wire.COSE_PROTECTED, None, cose], "WrongType", "wire_type"),
            ("a detached ciphertext", [wire.COSE_PROTECTED, {}, None], "WrongType", "wire_type"),
            ("a ciphertext shorter than its tag", [wire.COSE_PROTECTED, {}, bytes(15)], "WrongLength", "wire_length"),
            ("a ciphertext of 513 bytes", [wire.COSE_PROTECTED, {}, bytes(513)], "WrongLength", "wire_length"),
            ("two elements", [wire.COSE_PROTECTED, {}], "WrongLength", "wire_length"),
            ("recipients (COSE_Encrypt)", [wire.COSE_PROTECTED, {}, cose, []], "WrongLength", "wire_length")):
        bad(f"COSE_Encrypt0 with {what}", [flag], replaced(kdel, 4, wire.E(value)), error)
    bad("COSE_Encrypt0 with its tag 16", ["WrongType"], replaced(kdel, 4, b"\xd0" + wire.E([wire.COSE_PROTECTED, {}, cose])), "wire_type")

    def named(text):
        return replaced(drsp, 2, element(0x60, text))
    bad("DRSP.entity_id empty", ["WrongLength"], named(b""), "wire_length")
    bad("DRSP.entity_id of 65 bytes", ["WrongLength"], named(b"urn:dev:os:32473-" + b"x" * 48), "wire_length")
    bad("DRSP.entity_id of an unknown scheme", ["Grammar"], named(b"urn:example:1"), "wire_grammar")
    bad("DRSP.entity_id with a wrong check digit", ["Grammar"], named(b"urn:gsma:imei:35209900-176148-2"), "wire_grammar")
    bad("DRSP.entity_id with a zero byte at its end", ["Grammar"], named(b"urn:dev:mac:0024befffe804ff1\x00"), "wire_grammar")
    bad("DRSP.entity_id that is not UTF-8", ["Grammar"], named(b"urn:dev:os:32473-\xff"), "wire_utf8")
    bad("DRSP.entity_id with an overlong UTF-8 form", ["Grammar"], named(b"urn:dev:os:32473-\xc1\xb3"), "wire_utf8")
    bad("DRSP.entity_id as a byte string", ["WrongType"], replaced(drsp, 2, element(0x40, b"urn:dev:mac:0024befffe804ff1")), "wire_type")

    for number in (0, 8, 23, 24, wire.U64):
        bad(f"message type {number}", ["Unknown"], wire.E([number, 1]), "wire_unknown_message")
    bad("nothing", ["Truncated"], b"", "wire_truncated")
    bad("an empty array", ["WrongLength"], b"\x80", "wire_length")
    bad("an array of one", ["WrongLength"], b"\x81\x06", "wire_length")
    bad("an integer", ["WrongType"], b"\x06", "wire_type")
    bad("null", ["WrongType"], b"\xf6", None)
    bad("a break", ["Indefinite"], b"\xff", None)
    bad("an array of 4 G elements", ["HugeLength"], bytes.fromhex("9affffffff"), "wire_length")
    bad("an array of 2^64-1 elements", ["HugeLength"], bytes.fromhex("9bffffffffffffffff"), "wire_length")
    bad("a map of 4 G pairs", ["HugeLength"], bytes.fromhex("baffffffff"), "wire_type")
    bad("a text of 2^63 bytes", ["HugeLength"], bytes.fromhex("7b8000000000000000"), "wire_type")
    for info in (28, 29, 30):
        bad(f"reserved additional information {info}", ["WrongType"], bytes([0x80 | info]) + b"\x06\x01", "wire_type")
    bad("1,000 arrays in each other", ["Depth"], b"\x81" * 1000 + b"\x00", "wire_length")
    bad("pairs of arrays in each other", ["Depth"], b"\x82" * 500 + b"\x00" * 501, "wire_type")
    bad("NOTE and padding to 1,025 bytes", ["Oversized"], b"\x82\x06\x01" + bytes(1022), "wire_oversized")


def make() -> File:
    f = File("CPNS radio link codec", [
        "Messages between a PNE and a gateway. `msg` is the message without any framing.",
        "A decoder must refuse every invalid one. `error` names the kind of error where it is unambiguous.",
        "A valid one decodes to `fields` and these encode to `msg` again."], NOTES)
    f.group("RadioCodec")
    valid(f)
    invalid(f)
    return f
