#!/usr/bin/python3
"""make_corpus.py VECTORS FOLDER: writes the messages of the vectors as seeds, one file each, requests of the HTTP API, and answers."""

import json
import pathlib
import sys

TARGETS = {"RadioCodec": "radio", "LinkRequestCodec": "link_request", "LinkAnswerCodec": "link_answer", "NodeRequestCodec": "node_frame",
           "NodeAcknowledgementCodec": "node_frame"}

# Verb, target, Host, Origin, Sec-Fetch-Site, Content-Type, Cpns-Request-Id, Last-Event-ID, level, body: see fuzz_api_request.cpp.
JSON = "application/json; charset=utf-8"
BODY = '{"name":"a","note":null,"password":"0123456789","on":true,"count":12}'
REQUESTS = (
    ("GET", "/v1/things?limit=10&after=a%20b&prefix=c+d", "x", "http://x", "same-origin", "", "", "run-1", "3", ""),
    ("GET", "/v1/things?limit=0", "x", "", "", "", "a.b-c_d:1", "", "1", ""),
    ("GET", "/v1/things?a=1&a=2", "x", "", "cross-site", "", "", "", "1", ""),
    ("GET", "/health/live", "x", "https://y", "", "", "", "", "1p", ""),
    ("PUT", "/v1/things/a%2Fb", "x", "", "", JSON, "r1", "", "2", BODY),
    ("PUT", "/v1/things/%C3%A9", "x", "", "", JSON, "r1", "", "3", BODY.replace("12", "1e2")),
    ("POST", "/v1/things/a/b", "x", "", "", JSON, "r1", "", "3", BODY.replace("}", ',"other":[[[[[[[[[1]]]]]]]]]}')),
    ("POST", "/v1/things/a/b", "x", "", "", "text/plain", "r1", "", "3", BODY),
    ("POST", "/v1/things/a/b", "x", "", "", JSON, "r1", "", "1", BODY),
    ("DELETE", "/v1/things/a", "x", "", "", "", "r1", "", "3", ""),
    ("BREW", "*", "", "", "", "", "a b", "", "", ""),
)


KEY = "3f1c9a6be20d4875c1f05e7a938b2d46e1a70c5938fd624b8e91d3a05c7f2b68"
ANSWER = {"entity": "urn:dev:os:32473-1", "form": "derived", "encoding": "hex", "key": KEY}
ANSWERS = (ANSWER, {**ANSWER, "form": "literal"}, {**ANSWER, "form": "literal", "encoding": "base64", "key": "j9xOJ5KqtHaMAfWzYxLOSg=="},
           {**ANSWER, "entity": "urn:dev:os:32473-2"}, {**ANSWER, "key": "hex:" + KEY}, {**ANSWER, KEY: 1}, {"entity": None}, [])


def write_answers(folder: pathlib.Path):
    """Of the service of a manufacturer: see fuzz_key_answer.cpp."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, answer in enumerate(ANSWERS):
        (folder / f"seed-{number}").write_text("application/json\n" + json.dumps(answer))
    (folder / "seed-text").write_text("text/plain\n" + json.dumps(ANSWER))


ENTITY = "urn:dev:os:32473-1"


def key(epoch, state, use, **more):
    return {"entity": ENTITY, "epoch": epoch, "state": state, "use": use, "identity": f"dev.os.32473-1/{epoch}/mqtt", "fingerprint": "00",
            "key": KEY, **more}


def put(revision, *keys, **more):
    return {"event": "put", "revision": revision, "entity": ENTITY, "keys": list(keys), **more}


SINCE = "2026-11-30T20:00:00.123Z"
WATCHES = (
    ({"event": "begun", "revision": 1, "watch": "w-1"}, put(1, key("3.8", "current", True, since=SINCE)),
     {"event": "synced", "revision": 1, "unreadable": 1}),
    (put(1, key("3.8", "current", True)), put(2, key("3.8", "current", True), key("3.9", "next", False)),
     {"event": "progress", "revision": 3},
     put(4, key("3.8", "previous", False), key("3.9", "current", True)),
     put(5, key("3.9", "current", True, identity="caf\u00e9 \U0001f600"))),
    (put(1, key("1.0", "pending", True)),
     {"event": "gone", "revision": 2, "entity": ENTITY, "reason": "reset", "text": "a sentence"}),
    (put(1, key("1.0", "current", True)), put(2, key("2.0", "current", True), sessions_from="2.0"), {"event": "resync", "revision": 2},
     {"event": "synced", "revision": 2}, {"event": "later", "new": [[], {"a": None, "b": -1.5e3}]}),
)


def write_watches(folder: pathlib.Path):
    """Of a key socket: see fuzz_key_library.cpp."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, lines in enumerate(WATCHES):
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        head = b"HTTP/1.1 200 OK\r\n"
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:70], body[70:]))
        (folder / f"seed-{number}").write_bytes(b"\xff" + chunked + pieces + b"0\r\n\r\n")
        (folder / f"seed-whole-{number}").write_bytes(b"\x06" + head + b"\r\n" + body)
    problem = json.dumps({"status": 403, "code": "keys-not-allowed", "detail": "a sentence"}).encode()
    refusal = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
    (folder / "seed-refusal").write_bytes(b"\xff" + refusal % (len(problem), problem))


def write_requests(folder: pathlib.Path):
    folder.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(REQUESTS):
        (folder / f"seed-{number}").write_bytes("\n".join(request).encode())


def main():
    vectors, out = map(pathlib.Path, sys.argv[1:3])
    write_requests(out / "api_request")
    write_answers(out / "key_answer")
    write_watches(out / "key_library")
    for name in ("radio_codec.json", "link_codec.json", "node_codec.json"):
        for group in json.loads((vectors / name).read_text())["testGroups"]:
            if group["type"] not in TARGETS:
                continue
            folder = out / TARGETS[group["type"]]
            folder.mkdir(parents=True, exist_ok=True)
            for t in group["tests"]:
                if t["result"] == "valid" or "HugeLength" in t["flags"] or "CrossField" in t["flags"]:
                    (folder / f"seed-{t['tcId']}").write_bytes(bytes.fromhex(t["msg"]))


if __name__ == "__main__":
    main()
