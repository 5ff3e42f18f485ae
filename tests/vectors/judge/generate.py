#!/usr/bin/python3
"""Writes the vectors: generate.py [FOLDER]. The result is the same in every run."""

import pathlib
import sys

import generate_fragments
import generate_ids
import generate_keys
import generate_link
import generate_nodes
import generate_radio

FILES = {"radio_codec.json": generate_radio, "link_codec.json": generate_link, "node_codec.json": generate_nodes,
         "key_schedule.json": generate_keys,
         "entity_id.json": generate_ids, "fragments.json": generate_fragments}


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    for name, module in FILES.items():
        (folder / name).write_text(module.make().text())


if __name__ == "__main__":
    main()
