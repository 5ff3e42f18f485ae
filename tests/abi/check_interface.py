#!/usr/bin/env python3
"""Compares the plugin interface with its record (interface.abi) by libabigail's abidiff, to detect accidental breaks.

usage: check_interface.py check|plant|record CC ROOT
  check   compares the headers with the record
  plant   breaks copies of the headers and checks that abidiff detects each break
  record  writes the record again, after a change that docs/plugin-guide.md allows; every release of Debian must read it, so run check and
          plant on the other releases, too
Exit codes: 0 success, 1 a difference or an undetected break, 2 usage.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DRAW = ["--no-show-locs", "--no-corpus-path", "--no-comp-dir-path"]
# (header, original text, text that would break plugins)
PLANTED = [
    ("transport.h", "  uint32_t mtu;           ", "  uint64_t mtu;           "),
    ("transport.h", "CPNS_NO_LINK = 4", "CPNS_NO_LINK = 44"),
    ("transport.h", "  void (*disconnect)(void* context, uint64_t link);", "  cpns_status (*disconnect)(void* context, uint32_t link);"),
    ("transport.h", "  uint32_t duty_permille;", ""),
    ("transport.h", "CPNS_TRAIT_ORDERED = 1u << 1", "CPNS_TRAIT_ORDERED = 1u << 4"),
    ("parameter.h", "  uint64_t min;", "  uint32_t min;"),
    ("ext/timer.h", "  uint64_t (*now_ms)(void* context);", "  uint64_t (*now_ms)(void* context, int clock);"),
    ("ext/statistics.h", "const char* name, uint64_t value", "const char* name, uint32_t value"),
    ("ext/power.h", "CPNS_POWER_SAVING = 2", "CPNS_POWER_SAVING = 0"),
    ("ext/pairing.h", "CPNS_PAIRING_ENCRYPTED = 2,", "CPNS_PAIRING_ENCRYPTED = 4,"),
    ("ext/wake.h", "void (*woke)(void* context, const char* address);", "void (*woke)(void* context, uint64_t link);"),
    ("ext/clock.h", "void (*hold)(void* context);", "void* (*hold)(void* context);"),
    ("ext/fd.h", "CPNS_FD_WRITABLE = 1u << 1", "CPNS_FD_WRITABLE = 1u << 2"),
]


def build(cc, root, to):
    subprocess.run([cc, "-std=c11", "-g", "-O0", "-shared", "-fPIC", "-fvisibility=hidden", "-I.", "-o", str(to),
                    "tests/abi/interface.c"], check=True, cwd=root)


def differences(record, library):
    done = subprocess.run(["abidiff", "--harmless", "--no-show-locs", str(record), str(library)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr or f"abidiff ended with {done.returncode}"


def common(drawn):
    """The form that every release of libabigail reads: 2.2 finds nothing to compare in a record of 2.6, and reports success."""
    drawn = re.sub(r"  <undefined-elf-(variable|function)-symbols>.*?</undefined-elf-\1-symbols>\n", "", drawn, flags=re.S)
    drawn = re.sub(r"<abi-corpus version='[^']*'", "<abi-corpus version='2.1'", drawn)
    return re.sub(r" hash='[0-9a-f]*'", "", drawn)


def check(cc, root, record, folder):
    build(cc, root, folder / "interface.so")
    found = differences(record, folder / "interface.so")
    if found:
        print(found + "\nThe plugin interface differs from tests/abi/interface.abi. If every existing plugin still works\n"
              "(docs/plugin-guide.md lists the allowed changes), raise CPNS_ABI_MINOR and run: tests/abi/check_interface.py record cc .",
              file=sys.stderr)
    return 1 if found else 0


def plant(cc, root, record, folder):
    missed = 0
    for number, (header, before, after) in enumerate(PLANTED):
        copy = folder / str(number)
        shutil.copytree(root / "plugins/abi", copy / "plugins/abi")
        shutil.copytree(root / "tests/abi", copy / "tests/abi")
        # Otherwise the compiler refuses some of them, and abidiff is not asked.
        version = copy / "plugins/abi/version.h"
        version.write_text(version.read_text().replace("_Static_assert(condition, words)", "_Static_assert(1, words)"))
        at = copy / "plugins/abi" / header
        text = at.read_text()
        if before not in text:
            print(f"{header} does not contain {before!r}: update PLANTED", file=sys.stderr)
            missed += 1
            continue
        at.write_text(text.replace(before, after, 1))
        build(cc, copy, folder / f"{number}.so")
        if not differences(record, folder / f"{number}.so"):
            print(f"break not detected in {header}: {before!r} became {after!r}", file=sys.stderr)
            missed += 1
    return 1 if missed else 0


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("check", "plant", "record"):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(sys.argv[3]).resolve()
    record = root / "tests/abi/interface.abi"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if sys.argv[1] == "record":
            build(sys.argv[2], root, folder / "interface.so")
            drawn = subprocess.run(["abidw", *DRAW, str(folder / "interface.so")], check=True, capture_output=True, text=True).stdout
            record.write_text(common(drawn))
            return 0
        return (check if sys.argv[1] == "check" else plant)(sys.argv[2], root, record, folder)


if __name__ == "__main__":
    sys.exit(main())
