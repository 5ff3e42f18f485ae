#!/usr/bin/python3
"""fresh.py FOLDER: checks that the generators write the vectors in the folder."""

import pathlib
import sys

from generate import FILES


def main():
    folder = pathlib.Path(sys.argv[1])
    stale = [name for name, module in FILES.items() if (folder / name).read_text() != module.make().text()]
    for name in stale:
        print(f"{name} is stale: run tests/vectors/judge/generate.py")
    sys.exit(1 if stale else 0)


if __name__ == "__main__":
    main()
