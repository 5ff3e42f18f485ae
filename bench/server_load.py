"""One server under a closed loop of key assignments: what one assignment costs, and the floor of that cost."""
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time

import command
import measure
import server_process
from nodes import Nodes

SET_SIZE = 16
GATEWAYS, IN_FLIGHT = 8, 256  # of bench_assigners
FIRST_GUESS = 20_000  # assignments per second, for which devices are filled in before any rate is known
MARGIN = 1.4  # of a rate over the last one, for which devices are filled in
WARM_S = 1
IDLE_S = 30  # the most that is waited for a server that has work of its own after its start
ENGINES = {"RocksDB": None, "PostgreSQL": "postgresql"}


def run_load(words):
    """The totals of bench_assigners with its CPU in seconds (`cpu`), and all latencies in ms."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    load = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        lines = [json.loads(line) for line in load.communicate()[0].splitlines()]
    finally:
        load.kill()
        load.wait()
    if not lines or load.returncode != 0:
        raise RuntimeError(f"not every request was granted: {lines[-1] if lines else 'the load ended with an error'}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines[-1]["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return lines[-1], [v / 100 for line in lines for v in line.get("latencies", ())]


def floor_us(build, folder, quick):
    """Microseconds of CPU: the computation of one assignment, and one durable row of a write of 64."""
    parts = measure.Parts()
    for program, name in (("bench_assignment", "assignment_computed/16"), ("bench_store", "durable_rows_of_16_keys/64")):
        parts.take(json.loads(measure.output_of([
            str(build / "bin" / program), f"--benchmark_filter={name}", "--benchmark_format=json",
            "--benchmark_report_aggregates_only=true", "--benchmark_repetitions=3",
            f"--benchmark_min_time={0.01 if quick else 0.1}"], {"TMPDIR": str(folder)})))
    computed, row = parts.cpu["assignment_computed/16"] / 1e3, parts.cpu["durable_rows_of_16_keys/64"] / 64e3
    return {"computed_us": computed, "row_us": row, "floor_us": computed + row}


class Cost:
    """Of a server and its database, between two moments."""

    def __init__(self, server, database):
        self.server, self.database, self.before = server.pid, database, None
        self.before = self.now()

    def now(self):
        return (server_process.cpu_seconds(self.server), server_process.cpu_of_tree(self.database.child.pid) if self.database else 0.0,
                server_process.switches(self.server))

    def per(self, granted):
        server, database, switches = (b - a for a, b in zip(self.before, self.now()))
        return {"server_us": server / granted * 1e6, "database_us": database / granted * 1e6, "switches": switches / granted}


class Subject:
    """A store that is filled, and the server on it: a new process for each round."""

    def __init__(self, given, folder, engine):
        """`given`: programs, seconds, devices, entities, log."""
        self.given, (cpns, self.helper) = given, given["programs"]
        folder.mkdir()
        settings = {"keys:\n  rekey: 1d\n": f"keys:\n  rekey: 1d\n  set_size: {SET_SIZE}\n",
                    "  level: warn\n": f"  level: {given['log']}\n"}
        self.nodes = Nodes(cpns, folder / "home", 1, ENGINES[engine], settings)
        self.filled = self.next_device = 0
        self.rate = None
        self.known = {}
        try:
            self.fill("fill", 0)
            if given["entities"]:
                begun = time.monotonic()
                self.fill("known", given["entities"], SET_SIZE)
                self.known = {"fill_s": time.monotonic() - begun}
                os.sync()  # a disk that still writes gigabytes would make the first commits wait
        except BaseException:
            self.close()
            raise

    def fill(self, what, *words):
        subprocess.run([self.helper, what, self.nodes.home, *map(str, words)], check=True)

    def disk_mib(self):
        if self.nodes.database:
            return int(self.nodes.database.sql("cpns", "SELECT pg_database_size('cpns')")) / 2**20
        return sum(f.stat().st_size for f in (self.nodes.home / "state/server").rglob("*") if f.is_file()) / 2**20

    def fill_for(self, devices):
        """So many that were not asked for yet. The server must be stopped."""
        missing = self.next_device + devices - self.filled
        if missing > 0:
            self.fill("more", self.filled, missing)
            self.filled += missing

    def drive(self, rate, seconds, devices):
        server = self.nodes.servers[0]
        words = [self.helper, "drive", self.nodes.home, server.host, server.port, self.next_device, rate, seconds, devices]
        if self.given["entities"]:
            words += [self.given["entities"], SET_SIZE]
        totals, latencies = run_load(words)
        self.next_device = totals["next_device"]
        return totals, latencies

    def start(self):
        """Until the server has no work of its own, such as tidying up what was filled in."""
        self.nodes.start()
        until = time.monotonic() + IDLE_S
        pid = self.nodes.servers[0].pid
        while time.monotonic() < until:
            before = server_process.cpu_seconds(pid)
            time.sleep(0.5)
            if server_process.cpu_seconds(pid) - before < 0.02:
                break
        if self.known:
            self.known.setdefault("disk_mib", self.disk_mib())

    def calibrate(self):
        """A first rate, so that later enough devices are filled in, and not many more."""
        self.fill_for(WARM_S * FIRST_GUESS)
        self.start()
        totals, _ = self.drive(0, WARM_S, WARM_S * FIRST_GUESS)
        self.rate = totals["granted"] / totals["seconds"]
        self.nodes.stop()

    def shares(self):
        """Devices to warm up with, for the peak, and for half of it."""
        if self.given["devices"]:
            return (self.given["devices"],) * 3
        if self.rate is None:
            self.calibrate()
        return tuple(int(s * self.rate * MARGIN) + GATEWAYS for s in (WARM_S, self.given["seconds"], self.given["seconds"] / 2))

    def round(self, and_half=True):
        """The figures of a new process. Without `and_half` the load at half of the peak is left out."""
        seconds = self.given["seconds"]
        warm, peak, half = self.shares()
        self.fill_for(warm + peak + half)
        self.start()
        server = self.nodes.servers[0]
        idle = server_process.memory_mib(server.pid, "VmRSS")
        self.drive(0, WARM_S, warm)
        cost = Cost(server, self.nodes.database)
        totals, latencies = self.drive(0, seconds, peak)
        out = cost.per(totals["granted"])
        self.rate = totals["granted"] / totals["seconds"]
        out |= {"per_cpu_second": 1e6 / out["server_us"], "granted": totals["granted"], "wall_rate": self.rate, "idle_rss_mib": idle,
                "generator_us": totals["cpu"] / totals["granted"] * 1e6,
                "peak_p50_ms": command.percentile(latencies, 0.5), "peak_p99_ms": command.percentile(latencies, 0.99)}
        if and_half:
            out |= self.at_half(half)
        out["rss_mib"] = server_process.memory_mib(server.pid, "VmRSS")
        self.nodes.stop()
        return out

    def at_half(self, devices):
        cost = Cost(self.nodes.servers[0], self.nodes.database)
        totals, latencies = self.drive(max(1, int(self.rate / 2)), self.given["seconds"], devices)
        return {"half_rate": totals["granted"] / totals["seconds"], "half_p50_ms": command.percentile(latencies, 0.5),
                "half_p99_ms": command.percentile(latencies, 0.99), "half_server_us": cost.per(totals["granted"])["server_us"]}

    def close(self):
        self.nodes.close()


def build_of(given):
    return pathlib.Path(given["programs"][0]).parents[1]


def floors(given, folder):
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return floor_us(build_of(given), place, given["quick"])
