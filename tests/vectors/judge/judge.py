#!/usr/bin/python3
"""Checks the vectors without the project's C++ code: decodes, encodes again, computes every key.

judge.py FOLDER; exit code 0 if every vector is right."""

import json
import pathlib
import sys

from cryptography.exceptions import InvalidTag

import exchange
import fragments
import ids
import keys
import wire

hx = bytes.fromhex


def opt(v):
    return None if v is None else hx(v)


def codec(decode):
    def check(t):
        try:
            name, fields = decode(hx(t["msg"]))
        except wire.Malformed as problem:
            return t["result"] == "invalid" or str(problem)
        if t["result"] != "valid":
            return "accepted"
        if (name, fields) != (t["message"], t["fields"]):
            return f"decodes to {name} {fields}"
        return wire.encode(name, fields) == hx(t["msg"]) or "encodes to other bytes"
    return check


def hashed_request(t):
    return wire.hashed_request(wire.decode_request(hx(t["msg"]))[1]).hex() == t["hashed"]


def equal(key, compute):
    return lambda t: compute(t).hex() == t[key] or f"{key} differs"


def exchange_of(t):
    out = exchange.run(t["in"])
    wrong = [k for k in out if out[k] != t["out"][k]] + [k for k in t["out"] if k not in out]
    for message in ("dreq", "drsp", "kdel", "kcnf", "kret"):
        wire.decode_radio(hx(t["out"][message]))
    return not wrong or f"differ: {wrong}"


def scram(t):
    key = keys.scram_client_key(hx(t["password"]), hx(t["salt"]), t["iterations"])
    message = keys.scram_auth_message(hx(t["exporter"]), hx(t["request_hash"]))
    got = (key.hex(), keys.H(key).hex(), message.hex(), keys.scram_proof(key, message).hex())
    return got == (t["client_key"], t["stored_key"], t["auth_message"], t["proof"])


def delivery(t):
    key, nonce = keys.delivery_key(hx(t["th2"]), hx(t["tkg"]), hx(t["z"]), hx(t["c"]))
    return (key.hex(), nonce.hex()) == (t["key"], t["nonce"])


def batch_key(t):
    tk = keys.batch_temporary_key(hx(t["bmk"]), t["batch_id"], t["entity_id"])
    got = (keys.batch_info(t["batch_id"], t["entity_id"]).hex(), tk.hex(), keys.temporary_key(t["entity_id"], tk).hex())
    return got == (t["info"], t["tk"], t["tk_prime"])


def application(t):
    name = (t["purpose"], t["entity_id"], t["epoch"])
    got = (keys.application_key(hx(t["eukey"]), *name, t["n"]).hex(), keys.opaque_identity(hx(t["eukey"]), *name),
           keys.readable_identity(*name), keys.application_fingerprint(hx(t["eukey"]), *name, t["n"]).hex())
    return got == (t["key"], t["opaque_identity"], t["readable_identity"], t["fingerprint"])


def opening(t):
    th2 = keys.transcript2(hx(t["th1"]), opt(t["possession"]), opt(t["presence"]), t["epoch"], t["chained"], hx(t["gw_share"]))
    try:
        z = keys.x25519(hx(t["pne_private"]), hx(t["gw_share"]))
        plain = keys.open_sealed(*keys.delivery_key(th2, hx(t["tkg"]), z, hx(t["c"])), th2, hx(t["sealed"]))
    except (InvalidTag, ValueError):
        return t["result"] == "invalid" or "cannot be decrypted"
    return t["result"] == "valid" and plain.hex() == t["plaintext"] or "is decrypted"


def assemble(t):
    a, got = fragments.Assembler(), []
    for i, frame in enumerate(t["frames"]):
        try:
            whole = a.take(hx(frame))
            got.append(whole and whole.hex())
        except fragments.BadFrame as problem:
            if i + 1 != len(t["frames"]) or t["result"] != "invalid":
                return str(problem)
    return got == t["gives"] or f"gives {got}"


CHECKS = {
    "Split": lambda t: [f.hex() for f in fragments.split(t["number"], hx(t["message"]), t["mtu"])] == t["frames"],
    "Assemble": assemble,
    "RadioCodec": codec(wire.decode_radio),
    "LinkRequestCodec": codec(wire.decode_request),
    "LinkAnswerCodec": codec(wire.decode_answer),
    "NodeRequestCodec": codec(wire.decode_node_request),
    "NodeAcknowledgementCodec": codec(wire.decode_node_acknowledgement),
    "HashedRequest": hashed_request,
    "EntityId": lambda t: ids.is_entity_id(t["text"]) == (t["result"] == "valid"),
    "GatewayId": equal("gw_id", lambda t: keys.gateway_id(t["kind"], t["name"])),
    "IssuerNonce": equal("issuer_nonce", lambda t: keys.issuer_nonce(hx(t["k_iss"]), hx(t["gw_id"]), t["slot"])),
    "TemporaryKey": equal("tk_prime", lambda t: keys.temporary_key(t["entity_id"], hx(t["tk"]), t["stretch"])),
    "PresenceKey": equal("k_pres", lambda t: keys.presence_key(hx(t["tk_prime"]))),
    "GatewayTemporaryKey": equal("tkg", lambda t: keys.gateway_temporary_key(hx(t["tk_prime"]), hx(t["gw_id"]), t["generation"])),
    "Chain": equal("c", lambda t: keys.chain(hx(t["eukey"]), hx(t["gw_id"]), t["generation"])),
    "DeliveryKey": delivery,
    "Transcript2": equal("th2", lambda t: keys.transcript2(hx(t["th1"]), opt(t["possession"]), opt(t["presence"]), t["epoch"],
                                                           t["chained"], hx(t["gw_share"]))),
    "ScramProof": scram,
    "Exchange": exchange_of,
    "Open": opening,
    "BatchTemporaryKey": batch_key,
    "ApplicationKey": application,
}


def judge(doc: dict):
    """Yields the faults."""
    count = 0
    for group in doc["testGroups"]:
        for t in group["tests"]:
            count += 1
            if t["tcId"] != count:
                yield f"tcId {t['tcId']} is the {count}th test"
            if t["result"] not in ("valid", "invalid") or not set(t["flags"]) <= set(doc["notes"]):
                yield f"tcId {t['tcId']}: unknown result or flag"
            verdict = CHECKS[group["type"]](t)
            if verdict is not True:
                yield f"tcId {t['tcId']} ({t['comment']}): {verdict}"
    if count != doc["numberOfTests"] or count == 0:
        yield f"has {count} tests, numberOfTests is {doc['numberOfTests']}"


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
    wrong = 0
    for path in files:
        doc = json.loads(path.read_text())
        problems = list(judge(doc))
        for p in problems:
            print(f"{path.name}: {p}")
        wrong += len(problems)
        print(f"{path.name}: {doc['numberOfTests']} tests, {len(problems)} wrong")
    sys.exit(1 if wrong or not files else 0)


if __name__ == "__main__":
    main()
