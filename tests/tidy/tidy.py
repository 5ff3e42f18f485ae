#!/usr/bin/env python3
"""House rules as a test: which room may include which, what is banned where, how long lines and files may be.

usage: tidy.py ROOT [--plant]   --plant proves that a wrong include is found: it checks a copy with one planted.
Exit codes: 0 clean, 1 findings, 2 usage.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCES = (".cpp", ".hpp", ".h", ".c", ".py")


def tracked(root):
    try:
        out = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                             check=True, capture_output=True, text=True).stdout
        return [pathlib.Path(line) for line in out.splitlines() if (root / line).is_file()]
    except (subprocess.CalledProcessError, FileNotFoundError):
        return [p.relative_to(root) for p in root.rglob("*")
                if p.is_file() and not str(p.relative_to(root)).startswith(("build/", ".git/"))]


def room_of(path, order):
    text = path.as_posix()
    best = ""
    for room in order:
        if text.startswith(room + "/") and len(room) > len(best):
            best = room
    return best


def applies(rule, room):
    top = room.split("/")[0]
    if "only" in rule:
        return room in rule["only"] or top in rule["only"]
    return not (room in rule.get("except", []) or top in rule.get("except", []))


def check_includes(path, number, line, room, rules, findings):
    match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
    if not match:
        return
    target = match.group(2)
    for prefix, rooms in rules["libraries"].items():
        if target.startswith(prefix) and room.split("/")[0] not in rules["library_exempt"]:
            if room not in rooms and room.split("/")[0] not in rooms:
                findings.append(f"{path}:{number}: <{target}> is not for the room {room}/ (only {', '.join(rooms)})")
    if match.group(1) != '"':
        return
    other = room_of(pathlib.PurePosixPath(target), rules["order"])
    allowed = rules["order"][room]
    if other and other != room and "*" not in allowed and other not in allowed:
        findings.append(f"{path}:{number}: {room}/ must not include {other}/ ({target}); "
                        f"it may include {', '.join(allowed) or 'nothing of ours'}")


def check_needs(path, lines, rules, findings):
    """A header that another one brings along is not there with every compiler."""
    for need in rules["needs"]:
        first = next((n for n, line in enumerate(lines, 1) if re.search(need["pattern"], line)), None)
        if first and path.suffix in (".cpp", ".hpp") and f"#include {need['include']}" not in lines:
            findings.append(f"{path}:{first}: needs #include {need['include']}")


def check(root):
    rules = json.loads((root / "tests/tidy/rooms.json").read_text())
    banned = [(re.compile(rule["pattern"]), rule) for rule in rules["banned"]]
    findings = []
    for path in tracked(root):
        if path.suffix not in SOURCES or path.as_posix().startswith("tests/tidy/"):
            continue
        room = room_of(path, rules["order"])
        if not room:
            continue
        try:
            lines = (root / path).read_text().splitlines()
        except UnicodeDecodeError:
            findings.append(f"{path}: is not UTF-8")
            continue
        if len(lines) > rules["file_lines_max"]:
            findings.append(f"{path}: {len(lines)} lines, {rules['file_lines_max']} at most: split it by what it does")
        check_needs(path, lines, rules, findings)
        for number, line in enumerate(lines, 1):
            if len(line) > rules["line_max"]:
                findings.append(f"{path}:{number}: {len(line)} columns, {rules['line_max']} at most")
            check_includes(path, number, line, room, rules, findings)
            for pattern, rule in banned:
                if applies(rule, room) and pattern.search(line):
                    findings.append(f"{path}:{number}: {rule['why']}: {line.strip()[:80]}")
    return findings


def planted(root):
    """Findings in a copy of the tree whose protocol/ includes server/."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tree"
        copy.mkdir()
        for path in tracked(root):
            if path.suffix in SOURCES or path.name == "rooms.json":
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / path, copy / path)
        victim = copy / "protocol/constants.hpp"
        victim.write_text(victim.read_text() + '#include "server/server_role.hpp"\n#include <caf/all.hpp>\n')
        before = set(check(root))
        return [finding for finding in check(copy) if finding not in before]


def main():
    if len(sys.argv) < 2 or len(sys.argv) > 3:
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(sys.argv[1]).resolve()
    if sys.argv[2:] == ["--plant"]:
        found = planted(root)
        wrong = [f for f in found if "protocol/constants.hpp" in f]
        print("\n".join(found))
        print(f"planted 2 wrong includes, found {len(wrong)}")
        return 0 if len(wrong) == 2 else 1
    findings = check(root)
    print("\n".join(findings) if findings else "tidy: nothing to report")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
