#!/usr/bin/env python3
"""House rules as a test: which module may include which, what is banned where, which words have a plainer one,
how long lines and files may be.

usage: tidy.py ROOT                 all rules
       tidy.py ROOT --words         the words alone
       tidy.py ROOT --plant BUILD   proves that each kind of fault is found: it checks a copy of the tree with one of each planted.
                                    BUILD: a configured build folder

Exit codes: 0 clean, 1 findings, 2 usage. The rules are in modules.json.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCES = (".cpp", ".hpp", ".h", ".c", ".py")
TEXTS = (*SOURCES, ".md", ".cmake", ".yaml")
RULES = "tests/tidy/modules.json"


def tracked(root):
    try:
        out = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
                             check=True, capture_output=True, text=True).stdout
        return [pathlib.Path(line) for line in out.splitlines() if (root / line).is_file()]
    except (subprocess.CalledProcessError, FileNotFoundError):
        return [p.relative_to(root) for p in root.rglob("*")
                if p.is_file() and not str(p.relative_to(root)).startswith(("build/", ".git/"))]


def module_of(path, order):
    text = path.as_posix()
    return max((module for module in order if text.startswith(module + "/")), key=len, default="")


def applies(rule, module):
    top = module.split("/")[0]
    if "only" in rule:
        return module in rule["only"] or top in rule["only"]
    return not (module in rule.get("except", []) or top in rule.get("except", []))


def check_includes(path, number, line, module, rules, findings):
    match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
    if not match:
        return
    target, top = match.group(2), module.split("/")[0]
    for prefix, modules in rules["libraries"].items():
        if target.startswith(prefix) and top not in rules["library_exempt"] and module not in modules and top not in modules:
            findings.append(f"{path}:{number}: <{target}> is not for the module {module}/ (only {', '.join(modules)})")
    if match.group(1) != '"':
        return
    other = module_of(pathlib.PurePosixPath(target), rules["order"])
    allowed = rules["order"][module]
    if other and other != module and "*" not in allowed and other not in allowed:
        findings.append(f"{path}:{number}: {module}/ must not include {other}/ ({target}); "
                        f"it may include {', '.join(allowed) or 'the standard library alone'}")


def check_needs(path, lines, rules, findings):
    """A header that another one brings along is not there with every compiler."""
    for need in rules["needs"]:
        first = next((n for n, line in enumerate(lines, 1) if re.search(need["pattern"], line)), None)
        if first and path.suffix in (".cpp", ".hpp") and f"#include {need['include']}" not in lines:
            findings.append(f"{path}:{first}: needs #include {need['include']}")


def check_source(path, lines, module, rules, banned, findings):
    if len(lines) > rules["file_lines_max"]:
        findings.append(f"{path}: {len(lines)} lines, {rules['file_lines_max']} at most: split it by what it does")
    check_needs(path, lines, rules, findings)
    for number, line in enumerate(lines, 1):
        if len(line) > rules["line_max"]:
            findings.append(f"{path}:{number}: {len(line)} columns, {rules['line_max']} at most")
        check_includes(path, number, line, module, rules, findings)
        for pattern, rule in banned:
            if applies(rule, module) and pattern.search(line):
                findings.append(f"{path}:{number}: {rule['why']}: {line.strip()[:80]}")


def read(path, findings, name):
    try:
        return path.read_text()
    except UnicodeDecodeError:
        findings.append(f"{name}: is not UTF-8")
        return ""


def check_sources(root, rules):
    banned = [(re.compile(rule["pattern"]), rule) for rule in rules["banned"]]
    findings = []
    for path in tracked(root):
        module = module_of(path, rules["order"])
        if path.suffix in SOURCES and module and not path.as_posix().startswith("tests/tidy/"):
            check_source(path, read(root / path, findings, path).splitlines(), module, rules, banned, findings)
    return findings


def has_text(root, path):
    """Sources, pages, lists of CMake, and scripts, which have no suffix."""
    if path.suffix in TEXTS or path.name == "CMakeLists.txt":
        return True
    with open(root / path, "rb") as file:
        return path.suffix == "" and file.read(2) == b"#!"


def as_prose(path, text):
    """`text` with its lines in place, but without what stands between the words of a sentence that goes on in the next line."""
    if path.name == "CHANGELOG.md":  # released versions are history
        text = "\n## ".join(text.split("\n## ")[:2])
    text = re.sub(r'"[ \t]*\n[ \t]*f?"', "\n", text)
    return re.sub(r"^[ \t]*(?://[/!]?<?|\*|#+|>|-)?[ \t]*", "", text, flags=re.MULTILINE)


def word_pattern(words):
    text = words.replace(" ", r"\s+(?!\s)")
    return re.compile(rf"\b(?:{text})" + (r"\b" if re.search(r"[\w?]$", words) else ""), re.IGNORECASE)


def check_words(root, rules):
    words = [(word_pattern(word["pattern"]), word["better"]) for word in rules["words"]]
    findings = []
    for path in tracked(root):
        if path.as_posix().startswith(tuple(rules["words_except"])) or not has_text(root, path):
            continue
        text = as_prose(path, read(root / path, findings, path))
        for pattern, better in words:
            for match in pattern.finditer(text):
                number = text.count("\n", 0, match.start()) + 1
                findings.append(f"{path}:{number}: '{' '.join(match.group().split())}'; better: {better}")
    return findings


def check(root, words_alone=False):
    rules = json.loads((root / RULES).read_text())
    return ([] if words_alone else check_sources(root, rules)) + check_words(root, rules)


# What is planted: a new file, its text, and the words that the finding must have.
PLANTS = (
    ("a wrong include", "protocol/planted_include.hpp", '#include "server/server_role.hpp"\n', "protocol/ must not include server/"),
    ("a wrong library", "protocol/planted_library.hpp", "#include <caf/all.hpp>\n", "<caf/all.hpp> is not for the module protocol/"),
    ("a word of the list", "base/planted_word.hpp", "// This is" + " no\n// frame.\n", ":1: 'is no'; better: is not a"),
    ("a missing include", "base/planted_need.hpp", "inline int larger() { return std::max(1, 2); }\n", "needs #include <algorithm>"),
    ("a file that does not compile alone", "base/planted_alone.hpp", "std::vector<int> planted();\n", "error: "),
    ("a line of a state table without need", "protocol/planted_table.hpp",
     lambda tree: split_line((tree / "protocol/pne/pne_table.hpp").read_text()), "static assertion failed"),
)
FINE = ("base/planted_fine.hpp", "#include <vector>\nstd::vector<int> planted();  // This is" + " no longer wrong.\n")


def split_line(table):
    """A state table with one line split into two that answer the same."""
    line = re.search(r"^.*\{e::kdel,\s*\{answering, pending, keyed\},.*\n", table, re.MULTILINE).group()
    halves = (line.replace("{answering, pending, keyed}", states) for states in ("{answering}", "{pending, keyed}"))
    return table.replace(line, "".join(halves))


def planted(root, build):
    """Findings in a copy of the tree with PLANTS, and with FINE, in which nothing may be found."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "tree"
        for path in tracked(root):
            if path.suffix in SOURCES or path.as_posix() == RULES or path.parts[0] == "scripts":
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / path, copy / path)
        before = set(check(copy))
        for name, text in (FINE, *(plant[1:3] for plant in PLANTS)):
            (copy / name).write_text(text(copy) if callable(text) else text)
        alone = subprocess.run([copy / "scripts/compiles-alone", build, FINE[0], *(plant[1] for plant in PLANTS[-2:])], capture_output=True, text=True,
                               env={**os.environ, "CPNS_CACHE": folder}, check=False)
        return [finding for finding in check(copy) if finding not in before] + (alone.stdout + alone.stderr).splitlines()


def plant(root, build):
    found = planted(root, build)
    print("\n".join(found))
    missed = [kind for kind, name, _, says in PLANTS if not any(name in finding and says in finding for finding in found)]
    wrong = [finding for finding in found if FINE[0] in finding]
    print(f"planted {len(PLANTS)} faults, found {len(PLANTS) - len(missed)}", *(f"; not found: {kind}" for kind in missed), sep="")
    return 1 if missed or wrong else 0


def main():
    words = sys.argv[1:]
    if not words or words[1:] not in ([], ["--words"]) and not (len(words) == 3 and words[1] == "--plant"):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(words[0]).resolve()
    if len(words) == 3:
        return plant(root, words[2])
    findings = check(root, words_alone="--words" in words)
    print("\n".join(findings) if findings else "tidy: nothing to report")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
