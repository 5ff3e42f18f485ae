#!/usr/bin/python3
"""make_corpus.py VECTORS FOLDER: writes the messages of the vectors as seeds, one file each, and requests of the HTTP API."""

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


def write_requests(folder: pathlib.Path):
    folder.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(REQUESTS):
        (folder / f"seed-{number}").write_bytes("\n".join(request).encode())


def main():
    vectors, out = map(pathlib.Path, sys.argv[1:3])
    write_requests(out / "api_request")
    write_answers(out / "key_answer")
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
