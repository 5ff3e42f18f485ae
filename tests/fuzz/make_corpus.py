#!/usr/bin/python3
"""make_corpus.py VECTORS FOLDER: writes the messages of the vectors as seeds, one file each."""

import json
import pathlib
import sys

TARGETS = {"RadioCodec": "radio", "LinkRequestCodec": "link_request", "LinkAnswerCodec": "link_answer"}


def main():
    vectors, out = map(pathlib.Path, sys.argv[1:3])
    for name in ("radio_codec.json", "link_codec.json"):
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
