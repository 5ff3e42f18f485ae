"""What the drivers of the benchmarks have in common: options, their errors, a temporary folder, exit codes."""
import json
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import server_process


def options(name, words, defaults, programs):
    """`defaults`: of each option that takes a number, and None for one that is computed; False for one that takes nothing, a text for one
    that takes a text."""
    given, build = dict(defaults), None
    words = list(words)
    while words:
        word = words.pop(0)
        if word[:2] == "--" and defaults.get(word[2:]) is False:
            given[word[2:]] = True
        elif word[:2] == "--" and isinstance(defaults.get(word[2:]), str) and words:
            given[word[2:]] = words.pop(0)
        elif word[:2] == "--" and word[2:] in defaults and words and words[0].isdigit() and int(words[0]) > 0:
            given[word[2:]] = int(words.pop(0))
        elif word.startswith("-") or build:
            raise ValueError(f"unexpected argument {word}")
        else:
            build = pathlib.Path(word)
    if not build:
        raise ValueError(f"BUILD_DIR is missing; for example: bench/{name} build/bench")
    return given | {"programs": server_process.programs(build, *programs)}


def run(name, text, words, defaults, programs, work, more=lambda given: given):
    """Exit code of a driver. `text`: for --help. `more` completes or refuses the options (ValueError). `work(given, folder)` measures,
    prints, and returns the exit code."""
    if "--help" in words or "-h" in words:
        print(text.strip())
        return 0
    try:
        given = more(options(name, words, defaults, programs))
    except ValueError as wrong:
        print(f"bench/{name}: {wrong}", file=sys.stderr)
        return 2
    server_process.raise_descriptors()
    for stop in (signal.SIGINT, signal.SIGTERM):  # a shell lets what it runs in the background ignore the first
        signal.signal(stop, signal.default_int_handler)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"cpns-{name.replace('_', '-')}-"))
    try:
        return work(given, folder)
    except (RuntimeError, OSError, ValueError, AssertionError, subprocess.SubprocessError) as wrong:  # AssertionError: of tests/e2e/support
        print(f"bench/{name}: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"bench/{name}: stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(given, result, as_text):
    """As JSON if that was asked for."""
    if given["json"]:
        print(json.dumps(result))
    else:
        as_text(result)


def median_and_range(values, digits):
    """For people; empty if nothing was measured."""
    if not any(values):
        return ""
    low, middle, high = (f"{v:,.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"


def show_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def percentile(values, share):
    """None without values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None
