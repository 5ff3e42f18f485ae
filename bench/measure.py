"""Runs the benchmark programs and the demo, and computes medians."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

TIMEOUT = 180  # seconds for one program or one demo
MEMORY = pathlib.Path("/dev/shm")  # a file system in memory, to measure without waiting for a disk


class Failed(Exception):
    pass


def show_progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="" if text else "\r", file=sys.stderr, flush=True)


def output_of(command, environment=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False,
                              env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Failed(f"{pathlib.Path(command[0]).name} took more than {TIMEOUT} s") from None
    if done.returncode != 0:
        why = done.stderr.strip().splitlines() or ["no error message"]
        raise Failed(f"{pathlib.Path(command[0]).name} {' '.join(command[1:])} failed: {why[-1]}")
    return done.stdout


class Parts:
    """Median times of the benchmark programs in nanoseconds, by name and argument of the benchmark; memory in KiB."""

    def __init__(self):
        self.raw, self.wall, self.cpu, self.memory = {}, {}, {}, {}

    def take(self, printed):
        unit = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
        for row in printed["benchmarks"]:
            name = re.sub(r"/(process_time|real_time|manual_time|iterations:\d+)", "", row["run_name"])
            if row.get("error_occurred"):
                raise Failed(f"{name}: {row['error_message']}")
            if row.get("aggregate_name") != "median":
                continue
            self.wall[name] = row["real_time"] * unit[row["time_unit"]]
            self.cpu[name] = row["cpu_time"] * unit[row["time_unit"]]
            if "resident_kib" in row:
                self.memory[name] = row["resident_kib"], row["own_kib"]


PARTS = ("bench_parts", "bench_store", "bench_assignment", "bench_isolation")


def parts(build, quick, programs=PARTS, only=None):
    """`only`: names of benchmarks with their arguments; all of the programs if None."""
    out = Parts()
    wanted = [f"--benchmark_filter=^({'|'.join(only)})(/|$)"] if only else []
    with tempfile.TemporaryDirectory(prefix="cpns-bench-") as folder:
        for program in programs:
            show_progress(program)
            printed = json.loads(output_of([
                str(build / "bin" / program), "--benchmark_format=json", "--benchmark_report_aggregates_only=true",
                f"--benchmark_repetitions={3 if quick else 9}", f"--benchmark_min_time={0.01 if quick else 0.2}", *wanted],
                {"TMPDIR": folder}))
            out.raw[program] = printed["benchmarks"]
            out.take(printed)
    show_progress("")
    return out


class Whole:
    """Results of the demos: a list of runs per setting."""

    def __init__(self):
        self.raw = {}

    def add(self, key, run):
        self.raw.setdefault(key, []).append(run)

    def values(self, key, read):
        return [read(run) for run in self.raw.get(key, [])]

    def median(self, key, read):
        found = self.values(key, read)
        return statistics.median(found) if found else None

    def slopes(self, more, less, read):
        """The cost of one more PNE, for each run of `more`; the cost of the start is in both settings and cancels out."""
        count = self.raw[more][0]["pnes"] - self.raw[less][0]["pnes"]
        low = self.median(less, read)
        return [(value - low) / count for value in self.values(more, read)]


def update_times(folder):
    """Milliseconds of each periodic update, from the gateway's log of confirmations."""
    out, seen = [], set()
    for name in ("gateway.log", "demo.log"):
        log = folder / "home" / name
        for line in log.read_text().splitlines() if log.is_file() else ():
            if '"confirmed"' not in line:
                continue
            event = json.loads(line)
            if event["component"] != "gateway" or event["event"] != "confirmed":
                continue
            if event["entity"] in seen:
                out.append(int(event["ms"]))
            seen.add(event["entity"])
    return out


def demo(build, pnes, transport, rekey, place=None):
    show_progress(f"cpns demo --pnes {pnes} --transport {transport}" + (f" in {place}" if place else ""))
    keep = pathlib.Path(tempfile.mkdtemp(prefix="cpns-bench-", dir=place))
    try:
        run = json.loads(output_of([str(build / "bin" / "cpns"), "demo", "--json", "--pnes", str(pnes),
                                    "--transport", transport, "--rekey", str(rekey), "--keep", str(keep)]))
        run["update_ms"] = update_times(keep)
    finally:
        shutil.rmtree(keep, ignore_errors=True)
    if run["failed"] or not run["all_keyed_ms"]:
        raise Failed(f"the demo keyed {run['keyed']} of {pnes} PNEs over {transport}")
    return run


def whole(build, quick):
    """Runs the settings in turns, so that a noisy minute spoils one run of each, not one setting."""
    out = Whole()
    for turn in range(1 if quick else 5):
        out.add("tcp 5", demo(build, 5, "tcp", 1))
        out.add("tcp 100", demo(build, 100, "tcp", 3))
        out.add("tcp 1000", demo(build, 1000, "tcp", 5))
        out.add("loopback 1000", demo(build, 1000, "loopback", 5))
        if MEMORY.is_dir():
            out.add("memory 100", demo(build, 100, "loopback", 2, MEMORY))
            out.add("memory 1000", demo(build, 1000, "loopback", 3, MEMORY))
        if not quick and turn < 3:
            out.add("tcp 4000", demo(build, 4000, "tcp", 15))
    show_progress("")
    return out


def machine():
    """Describes the machine as far as the figures depend on it, without identifying it."""
    cpu = "an unknown CPU"
    virtual = False
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            virtual = " hypervisor" in line
    place, kind = "", "an unknown file system"
    here = os.path.realpath(tempfile.gettempdir())
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        where, of = line.split()[1:3]
        if (here + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(place):
            place, kind = where, of
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (f"{os.cpu_count()} cores ({cpu}{', virtual' if virtual else ''}), {memory} GiB of memory, "
            f"{kind} on a {'virtual ' if virtual else ''}disk")
