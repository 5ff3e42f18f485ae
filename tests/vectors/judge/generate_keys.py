"""key_schedule.json: every derivation, whole exchanges, and inputs that must not decrypt or verify."""

import exchange
import keys
import wire
from cases import File, fill
from generate_radio import first_contact, inputs

NOTES = {
    "Normal": "As in the field.",
    "Edge": "A value at the end of its range.",
    "Stretched": "A weak Temporary Key, stretched by 600,000 rounds of PBKDF2 at import.",
    "Modified": "One input differs from the sender's: nothing may decrypt or verify.",
    "LowOrder": "An X25519 public key of low order: the output is all zero, which aborts the exchange (RFC 7748 section 6.1).",
    "Chained": "The delivery needs the present EUKey too.",
    "Suite1": "Symmetric: gw_share is random and Z is zero.",
    "Suite2": "X25519.",
}

LOW_ORDER = [
    "00" * 32, "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def derivations(f: File):
    f.group("GatewayId")
    for kind, name in (("x509", "urn:cpns:gw:living-room"), ("psk", "urn:cpns:gw:living-room"), ("gba", "ada@ims.example.org"),
                       ("x509", "x" * 300)):
        f.add(f"{kind}, a name of {len(name)} bytes", ["Normal"], "valid", kind=kind, name=name, gw_id=keys.gateway_id(kind, name).hex())

    gw = keys.gateway_id("x509", "urn:cpns:gw:living-room")
    f.group("IssuerNonce")
    for slot in (0, 29765432, wire.U32 + 1):
        f.add(f"slot {slot}", ["Normal"], "valid", k_iss=fill("k_iss", 32).hex(), gw_id=gw.hex(), slot=slot,
              issuer_nonce=keys.issuer_nonce(fill("k_iss", 32), gw, slot).hex())

    f.group("TemporaryKey")
    cases = [("urn:dev:mac:0024befffe804ff1", fill("tk", 16), False), ("urn:gsma:imei:35209900-176148-1", fill("tk", 32), False),
             ("urn:dev:os:32473-" + "x" * 47, fill("tk", 64), False), ("urn:dev:mac:0024befffe804ff1", b"secret12", True)]
    for entity, tk, stretch in cases:
        f.add(f"{len(tk)} bytes", ["Stretched" if stretch else "Normal"], "valid", entity_id=entity, tk=tk.hex(), stretch=stretch,
              tk_prime=keys.temporary_key(entity, tk, stretch).hex())

    tk_prime = keys.temporary_key(*cases[0])
    f.group("PresenceKey")
    f.add("", ["Normal"], "valid", tk_prime=tk_prime.hex(), k_pres=keys.presence_key(tk_prime).hex())
    f.group("GatewayTemporaryKey")
    for generation in (0, 1, 65535, wire.U32):
        f.add(f"generation {generation}", ["Normal"], "valid", tk_prime=tk_prime.hex(), gw_id=gw.hex(), generation=generation,
              tkg=keys.gateway_temporary_key(tk_prime, gw, generation).hex())
    f.group("Chain")
    for generation in (0, 1, wire.U32):
        f.add(f"generation {generation}", ["Normal"], "valid", eukey=fill("eukey", 32).hex(), gw_id=gw.hex(), generation=generation,
              c=keys.chain(fill("eukey", 32), gw, generation).hex())

    f.group("DeliveryKey")
    for comment, z, c in (("suite 2, chained", fill("z", 32), fill("c", 32)), ("suite 1, not chained", keys.ZERO, keys.ZERO)):
        key, nonce = keys.delivery_key(fill("th2", 32), fill("tkg", 32), z, c)
        f.add(comment, ["Normal"], "valid", th2=fill("th2", 32).hex(), tkg=fill("tkg", 32).hex(), z=z.hex(), c=c.hex(),
              key=key.hex(), nonce=nonce.hex())

    f.group("Transcript2")
    tag = fill("tag", 16)
    for possession in (None, tag):
        for presence in (None, tag):
            for chained in (False, True):
                th2 = keys.transcript2(fill("th1", 32), possession, presence, wire.EPOCH_MAX, chained, fill("share", 32))
                f.add("", ["Normal"], "valid", th1=fill("th1", 32).hex(), possession=possession and possession.hex(),
                      presence=presence and presence.hex(), epoch=wire.EPOCH_MAX, chained=chained, gw_share=fill("share", 32).hex(),
                      th2=th2.hex())

    f.group("ScramProof")
    for password in (b"correct horse battery staple", "p\u00e4ssword".encode()):
        key = keys.scram_client_key(password, fill("salt", 16), 100_000)
        request_hash = keys.H(b"a request")
        message = keys.scram_auth_message(fill("exporter", 32), request_hash)
        f.add("", ["Normal"], "valid", password=password.hex(), salt=fill("salt", 16).hex(), iterations=100_000, client_key=key.hex(),
              stored_key=keys.H(key).hex(), exporter=fill("exporter", 32).hex(), request_hash=request_hash.hex(),
              auth_message=message.hex(), proof=keys.scram_proof(key, message).hex())


def exchanges(f: File):
    f.group("Exchange")
    for suite in (1, 2):
        for comment, change in (
                ("first contact, with presence", {"old_epoch": None, "chained": False, "new_epoch": 1 << 16}),
                ("periodic update, chained, no presence", {"with_presence": False}),
                ("chained, with presence", {}),
                ("healing of an amnesia: unkeyed, unchained, no presence", {"old_epoch": None, "chained": False, "with_presence": False}),
                ("a key is held, delivery not chained, next generation", {"chained": False, "new_epoch": 4 << 16, "resets": 2}),
                ("another gateway takes over: chained into its first generation", {"new_epoch": 4 << 16, "gw_name": "urn:cpns:gw:kitchen"}),
                ("the last epoch there is", {"new_epoch": wire.EPOCH_MAX, "old_epoch": wire.EPOCH_MAX - 1, "resets": wire.U64,
                                             "rekey_seconds": wire.U32})):
            i = inputs(suite=suite, suites=[1, 2] if suite == 2 else [1], **change)
            flags = [f"Suite{suite}"] + (["Chained"] if i["chained"] else []) + (["Edge"] if i["new_epoch"] == wire.EPOCH_MAX else [])
            f.add(f"suite {suite}: {comment}", flags, "valid", **{"in": i, "out": exchange.run(i)})


def openings(f: File):
    """The PNE's computation with the right secrets, and with one of them changed."""
    f.group("Open")
    i = inputs()
    o = exchange.run(i)
    base = {"th1": o["th1"], "possession": o["possession"], "presence": o["presence"], "epoch": i["new_epoch"], "chained": True,
            "gw_share": o["gw_share"], "pne_private": i["pne_private"], "tkg": o["tkg"], "c": o["c"], "sealed": o["sealed"]}
    f.add("as sent", ["Suite2", "Chained"], "valid", **base, plaintext=o["plaintext"])

    def flip(key, at=0):
        raw = bytearray.fromhex(base[key])
        raw[at] ^= 1
        return {key: raw.hex()}

    other = keys.gateway_temporary_key(bytes.fromhex(o["tk_prime"]), keys.gateway_id("x509", "urn:cpns:gw:kitchen"), 3)
    older = keys.gateway_temporary_key(bytes.fromhex(o["tk_prime"]), bytes.fromhex(o["gw_id"]), 2)
    for comment, change in (
            ("another transcript", flip("th1")), ("possession changed on the air", flip("possession")),
            ("possession stripped on the air", {"possession": None}), ("presence changed", flip("presence")),
            ("presence stripped", {"presence": None}), ("another epoch", {"epoch": i["new_epoch"] + 1}),
            ("chained denied", {"chained": False}), ("chained denied and no chain", {"chained": False, "c": "00" * 32}),
            ("no chain", {"c": "00" * 32}), ("another share", {"gw_share": keys.x25519_public(fill("evil", 32)).hex()}),
            ("another private key", flip("pne_private", 5)), ("the TKg of another gateway", {"tkg": other.hex()}),
            ("the TKg of an older generation", {"tkg": older.hex()}), ("ciphertext changed", flip("sealed")),
            ("tag changed", flip("sealed", -1)), ("tag cut off", {"sealed": o["sealed"][:-32]}),
            ("one byte more", {"sealed": o["sealed"] + "00"})):
        f.add(comment, ["Modified"], "invalid", **{**base, **change})
    for share in LOW_ORDER:
        f.add("gw_share of low order", ["LowOrder"], "invalid", **{**base, "gw_share": share})


def batches(f: File):
    f.group("BatchTemporaryKey")
    for comment, batch, entity in (
            ("the Temporary Key of a device of a batch", "headset-2026-07", "urn:dev:mac:0024befffe804ff1"),
            ("the next device of the batch", "headset-2026-07", "urn:dev:mac:0024befffe804ff2"),
            ("the same device in another batch", "headset-2026-08", "urn:dev:mac:0024befffe804ff1"),
            ("a batch_id of 64 bytes, an IMEI", "b" * 64, "urn:gsma:imei:35209900-176148-1"),
            ("a batch_id of 1 byte, a serial of 47 characters", "7", "urn:dev:os:32473-" + "x" * 47)):
        tk = keys.batch_temporary_key(fill("bmk", 32), batch, entity)
        f.add(comment, ["Edge" if len(batch) in (1, 64) else "Normal"], "valid", bmk=fill("bmk", 32).hex(), batch_id=batch,
              entity_id=entity, info=keys.batch_info(batch, entity).hex(), tk=tk.hex(), tk_prime=keys.temporary_key(entity, tk).hex())


def applications(f: File):
    f.group("ApplicationKey")
    mac, eukey, epoch = "urn:dev:mac:0024befffe804ff1", exchange.run(inputs())["plaintext"], inputs()["new_epoch"]
    eukey = bytes.fromhex(eukey)[3:35]
    for comment, flag, purpose, entity, at, n in (
            ("the key of an application, with all that goes with it", "Normal", "mqtt", mac, epoch, 32),
            ("another purpose, and 16 bytes", "Edge", "coap", mac, epoch, 16),
            ("16 bytes, not the beginning of the 32", "Edge", "mqtt", mac, epoch, 16),
            ("64 bytes", "Edge", "mqtt", mac, epoch, 64),
            ("the next epoch", "Normal", "mqtt", mac, epoch + 1, 32),
            ("another device", "Normal", "mqtt", "urn:gsma:imei:35209900-176148-1", epoch, 32),
            ("the longest of all names, the last epoch", "Edge", "a-purpose-of-16b", "urn:dev:os:32473-" + "x" * 47, wire.EPOCH_MAX, 32),
            ("dots in the serial", "Normal", "7", "urn:dev:os:32473-a.b_c-D", 0, 33),
            ("a UUID", "Normal", "mqtt", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", epoch, 32)):
        f.add(comment, [flag], "valid", eukey=eukey.hex(), purpose=purpose, entity_id=entity, epoch=at, n=n,
              key=keys.application_key(eukey, purpose, entity, at, n).hex(),
              opaque_identity=keys.opaque_identity(eukey, purpose, entity, at),
              readable_identity=keys.readable_identity(purpose, entity, at),
              fingerprint=keys.application_fingerprint(eukey, purpose, entity, at, n).hex())


def make() -> File:
    f = File("CPNS key schedule", [
        "Names are those of docs/protocol.md. Byte strings are in hexadecimal, null is null, text and numbers are themselves.",
        "Open: from the PNE's side, th2 is computed from the elements, Z from pne_private and gw_share (suite 2), and `sealed`",
        "must decrypt to `plaintext`; an invalid one must fail, either at Z or at the AEAD."], NOTES)
    derivations(f)
    exchanges(f)
    openings(f)
    batches(f)
    applications(f)
    return f
