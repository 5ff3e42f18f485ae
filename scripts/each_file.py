"""What scripts/compiles-alone and scripts/lint share: the flags of each file, two files at a time, and a memory of files that passed.

The memory is outside of the tree: CPNS_CACHE, else XDG_CACHE_HOME/cpns, else ~/.cache/cpns. A file passed if the same tool and flags had no
finding for the same content of the file and of all that it includes. Files of the tree count by content and by their path in it, so that
another clone profits too; other files count by path, size and time.
"""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import zlib

JOBS = int(os.environ.get("JOBS", "2"))
VARIANTS = 4  # of one file: so that a change of branches and back costs nothing
KEPT_S = 30 * 86400
SECOND_LANGUAGE = {".c": "c", ".h": "c"}


def language(path):
    return SECOND_LANGUAGE.get(pathlib.PurePath(path).suffix, "c++")


def git(root, *words):
    """The lines that git answers, or None where it has no answer."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else None


class Flags:
    """How a configured build folder compiles each file. A file that it does not know, a header, has the flags of the nearest one."""

    def __init__(self, root, build):
        self.root, self.build = str(root), str(pathlib.Path(build).resolve())
        database, cache = pathlib.Path(build, "compile_commands.json"), pathlib.Path(build, "CMakeCache.txt")
        if not database.is_file() or not cache.is_file():
            sys.exit(f"{build} is not configured; run: cmake --preset dev")
        source = next(line.split("=", 1)[1] for line in cache.read_text().splitlines() if line.startswith("CMAKE_HOME_DIRECTORY:"))
        at_source = re.compile(re.escape(source) + "(?=/|$)")
        self.known, self.folders = {}, []
        for entry in json.loads(database.read_text()):
            words = shlex.split(entry["command"])
            out = words[words.index("-o") + 1]
            words = [at_source.sub(self.root, word) for word in self.without_output(words)]
            file = os.path.relpath(entry["file"], source)
            self.known.setdefault(file, words)
            self.folders.append((out.split("/CMakeFiles/")[0].split("/"), language(file), words))

    @staticmethod
    def without_output(words):
        """Without the files to read and to write, and without a precompiled header, which would hide what is missing."""
        kept, skip = [], 0
        for word in words:
            if skip:
                skip -= 1
            elif word in ("-o", "-c", "-include"):
                skip = 1
            elif word not in ("-g", "-Winvalid-pch"):
                kept.append(word)
        return kept

    def of(self, file):
        if file in self.known:
            return self.known[file]

        def shared(folder):
            return len(os.path.commonprefix([folder, file.split("/")[:-1]]))
        # Of several in one folder, the one with the most definitions.
        return max((entry for entry in self.folders if entry[1] == language(file)), key=lambda entry: (shared(entry[0]), len(entry[2])))[2]


def dependencies(rule, folder):
    """The files that a rule of `make` names, as the compiler writes it in `folder`."""
    return [os.path.join(folder, word.replace("$$", "$")) for word in shlex.split(rule.replace("\\\n", " ").split(": ", 1)[1])]


class Memory:
    def __init__(self, root, tool):
        """`tool`: all that decides the verdict apart from flags and files, such as a version."""
        base = os.environ.get("CPNS_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cpns")
        self.root, self.folder, self.tool = str(root), pathlib.Path(base, "passed"), tool
        self.hashes, self.stats = {}, {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sys.exit(f"{self.folder} cannot be made ({error.strerror}); CPNS_CACHE names another folder")

    def place(self, file, flags):
        words = [word.replace(self.root, ".") for word in flags]
        return self.folder / hashlib.sha256(json.dumps([self.tool, str(file), words]).encode()).hexdigest()[:32]

    def content(self, path):
        if path not in self.hashes:
            try:
                self.hashes[path] = hashlib.sha256(pathlib.Path(self.root, path).read_bytes()).hexdigest()[:32]
            except OSError:
                self.hashes[path] = ""
        return self.hashes[path]

    def stat(self, path):
        if path not in self.stats:
            try:
                found = os.stat(path)
                self.stats[path] = f"{path} {found.st_size} {found.st_mtime_ns}"
            except OSError:
                self.stats[path] = path
        return self.stats[path]

    def others(self, paths):
        return hashlib.sha256("\n".join(map(self.stat, paths)).encode()).hexdigest()[:32]

    def variants(self, place):
        try:
            return json.loads(zlib.decompress(place.read_bytes()))
        except (OSError, ValueError, zlib.error):
            return []

    def passed(self, file, flags):
        place = self.place(file, flags)
        for ours, others, digest in self.variants(place):
            if all(self.content(path) == known for path, known in ours) and self.others(others) == digest:
                os.utime(place)
                return True
        return False

    def remember(self, file, flags, files, since):
        """That `file` passed. `files`: all that it includes. Not if one of them changed after `since`."""
        inside, others = {str(file)}, set()
        for name in files:
            path = os.path.normpath(name)
            if path.startswith(self.root + "/"):
                inside.add(os.path.relpath(path, self.root))
            else:
                others.add(path)
        try:
            if any(os.stat(os.path.join(self.root, path)).st_mtime >= since for path in inside):
                return
        except FileNotFoundError:
            return
        ours, others = [[path, self.content(path)] for path in sorted(inside)], sorted(others)
        place = self.place(file, flags)
        kept = [variant for variant in self.variants(place) if variant[0] != ours][:VARIANTS - 1]
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as out:
            out.write(zlib.compress(json.dumps([[ours, others, self.others(others)], *kept]).encode()))
        os.replace(out.name, place)

    def forget_old(self):
        for place in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - place.stat().st_mtime > KEPT_S:
                    place.unlink()


def at_once(files, check, name, until=None):
    """Calls check(file), which returns a finding or None, for each file, JOBS at a time. Returns the findings by file, and the files
    that were not begun at `until`."""
    findings, left, done, shown = {}, [], 0, sys.stderr.isatty()

    def guarded(file):
        return (False, None) if until is not None and time.monotonic() >= until else (True, check(file))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        waiting = {pool.submit(guarded, file): file for file in files}
        try:
            for future in concurrent.futures.as_completed(waiting):
                begun, finding = future.result()
                file, done = waiting[future], done + 1
                if not begun:
                    left.append(file)
                elif finding:
                    findings[file] = finding
                if shown:
                    line = f"{name}: {done} of {len(files)}, {len(findings)} failed  {file}"
                    print("\r\033[K" + line[:100], end="", file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return findings, left
