#!/usr/bin/python3
"""grammar.py CDDL FOLDER: checks protocol/cpns.cddl against the vectors.

Every valid message must match the grammar. An invalid one must not, unless its fault is beyond a grammar: its
encoding, its size, or a rule that the grammar states in a comment."""

import json
import pathlib
import sys

import wire
from cddl import Grammar

ROOTS = {"RadioCodec": ("radio-message", wire.RADIO_MAX), "LinkRequestCodec": ("link-request", wire.LINK_MAX),
         "LinkAnswerCodec": ("link-answer", wire.LINK_MAX), "NodeRequestCodec": ("node-request", wire.LINK_MAX),
         "NodeAcknowledgementCodec": ("node-acknowledgement", wire.LINK_MAX)}
BEYOND = {"CrossField", "Grammar"}
NAMES = {"DREQ": "dreq", "DRSP": "drsp", "KDEL": "kdel", "KCNF": "kcnf", "KRET": "kret", "NOTE": "note", "FAIL": "fail",
         "UserChallenge": "user-challenge", "UserChallengeAnswer": "user-challenge-answer", "IssuerNonce": "issuer-nonce",
         "IssuerNonceAnswer": "issuer-nonce-answer", "KeyAssignmentRequest": "key-assignment-request",
         "KeyAssignmentResponse": "key-assignment-response", "EpochReport": "epoch-report",
         "EpochReportAnswer": "epoch-report-answer", "Refusal": "refusal", "Drain": "drain",
         "DrainAcknowledgement": "drain-acknowledgement", "Nodes": "nodes", "NodesAcknowledgement": "nodes-acknowledgement"}


def is_beyond(t: dict) -> bool:
    return bool(BEYOND & set(t["flags"])) or t.get("error") == "wire_order"


def main():
    grammar = Grammar(pathlib.Path(sys.argv[1]).read_text())
    wrong = matched = refused = 0
    for name in ("radio_codec.json", "link_codec.json", "node_codec.json"):
        for group in json.loads((pathlib.Path(sys.argv[2]) / name).read_text())["testGroups"]:
            if group["type"] == "HashedRequest":
                for t in group["tests"]:
                    if not grammar.matches("hashed-request", wire.load(bytes.fromhex(t["hashed"]), wire.LINK_MAX)):
                        wrong += 1
                        print(f"{name} tcId {t['tcId']}: does not match hashed-request")
                continue
            root, limit = ROOTS[group["type"]]
            for t in group["tests"]:
                try:
                    value = wire.load(bytes.fromhex(t["msg"]), limit)
                except wire.Malformed:
                    continue
                fits = grammar.matches(root, value)
                fits_own = t["result"] == "invalid" or grammar.matches(NAMES[t["message"]], value)
                if t["result"] == "valid" and not (fits and fits_own):
                    wrong += 1
                    print(f"{name} tcId {t['tcId']} ({t['comment']}): valid, but does not match")
                if t["result"] == "invalid" and fits and not is_beyond(t):
                    wrong += 1
                    print(f"{name} tcId {t['tcId']} ({t['comment']}): invalid, but matches")
                matched += fits
                refused += not fits
    content = json.loads((pathlib.Path(sys.argv[2]) / "key_schedule.json").read_text())
    for group in content["testGroups"]:
        for t in group["tests"] if group["type"] == "Exchange" else []:
            if not grammar.matches("delivery-content", wire.load(bytes.fromhex(t["out"]["plaintext"]), 512)):
                wrong += 1
                print(f"key_schedule.json tcId {t['tcId']}: plaintext does not match delivery-content")
    print(f"{matched} messages match, {refused} do not, {wrong} wrong")
    sys.exit(1 if wrong or not matched or not refused else 0)


if __name__ == "__main__":
    main()
