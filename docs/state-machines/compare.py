#!/usr/bin/env python3
"""Do two versions of these pages show the same machines? Compares verdict, action and target of each pair of state and event.

usage: compare.py OLD_FOLDER NEW_FOLDER
example: mkdir old; for f in pne pn_gw server; do git show HEAD~1:docs/state-machines/$f.md >old/$f.md; done
         docs/state-machines/compare.py old docs/state-machines
Exit codes: 0 the same, 1 a difference, 2 usage.
"""
import pathlib
import re
import sys


def machine(page: str) -> dict:
    """(state, event) -> (verdict, action, target), of one page."""
    out, state = {}, ""
    for line in page.splitlines():
        if heading := re.fullmatch(r"## (\w+)", line):
            state = heading.group(1)
        elif heading := re.fullmatch(r"## .*", line):
            state = ""
        elif state and (row := re.fullmatch(r"\| (\w+) \| (\w+) \| (\w+) \| .* \|", line)) and row.group(1) != "event":
            out[state, row.group(1)] = ("accept", row.group(2), row.group(3))
        elif rest := re.fullmatch(r"(Ignored|Rejected): (.*)\.", line):
            for event in re.split(r"[;,] ", re.sub(r" \([^)]*\)", "", rest.group(2))):
                out[state, event] = (rest.group(1), "", state)
    return out


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    differences = 0
    for name in ("pne", "pn_gw", "server"):
        old, new = (machine((pathlib.Path(folder) / f"{name}.md").read_text()) for folder in sys.argv[1:])
        different = [pair for pair in sorted(old.keys() | new.keys()) if old.get(pair) != new.get(pair)]
        for pair in different:
            print(f"{name}: {' + '.join(pair)}: {old.get(pair)} became {new.get(pair)}")
        print(f"{name}: {len(new)} pairs, {len(different)} differ")
        differences += len(different)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
