"""The smallest runs of the benchmarks: they end with exit code 0, and they measured something. No time is asserted."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
BUILD = pathlib.Path(os.environ["CPNS_BUILD"])
PROGRAMS = "bench_parts", "bench_store", "bench_assignment", "bench_isolation"  # of bench/run


def run(*words, folder=None):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=100, check=False,
                          env={**os.environ, **({"TMPDIR": folder} if folder else {})})
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


class Smoke(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="cpns-smoke-")
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)
        self.folder.chmod(0o711)  # PostgreSQL runs as another user

    def test_each_driver_has_help(self):
        drivers = [f for f in BENCH.iterdir() if f.is_file() and not f.suffix]
        self.assertIn(BENCH / "server", drivers)
        for driver in drivers:
            self.assertIn(f"usage: bench/{driver.name}", run(driver, "--help"))

    def test_each_benchmark_of_a_program_measures(self):
        for name in PROGRAMS:
            printed = json.loads(run(BUILD / "bin" / name, "--benchmark_min_time=0.001", "--benchmark_format=json", folder=self.folder))
            self.assertTrue(printed["benchmarks"], name)
            for row in printed["benchmarks"]:
                self.assertNotIn("error_message", row)
                self.assertGreater(row["iterations"], 0)
                self.assertGreater(row["real_time"], 0)

    def test_a_server_grants_keys_on_each_engine(self):
        out = self.folder / "out.json"
        run(BENCH / "server", BUILD, "--times", 1, "--seconds", 1, "--devices", 300, "--entities", 64, "--out", out, folder=self.folder)
        engines = json.loads(out.read_text())["engines"]
        self.assertEqual(sorted(engines), ["PostgreSQL", "RocksDB"])
        for of in engines.values():
            (measured,) = of["rounds"]
            self.assertGreaterEqual(measured["granted"], 300)
            for figure in ("server_us", "per_cpu_second", "wall_rate", "peak_p50_ms", "half_p99_ms", "switches", "rss_mib", "to_floor"):
                self.assertGreater(measured[figure], 0, figure)
        self.assertGreaterEqual(engines["PostgreSQL"]["rounds"][0]["database_us"], 0)  # the kernel counts it in ticks of 10 ms

    def test_peers_are_measured_or_their_packages_named(self):
        words = [BENCH / "peers", BUILD, "--seconds", "1", "--times", "1", "--out", self.folder / "out.json"]
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=100, check=False,
                              env={**os.environ, "TMPDIR": str(self.folder)})
        if "not installed" in done.stderr:
            self.assertEqual(done.returncode, 2)
            self.assertIn("apt-get install --no-remove krb5-kdc", done.stderr)
            return
        self.assertEqual(done.returncode, 0, done.stderr)
        servers = json.loads((self.folder / "out.json").read_text())["servers"]
        self.assertEqual(len(servers), 3)
        for rounds in servers.values():
            self.assertGreater(rounds[0]["granted"], 0)
            self.assertGreater(rounds[0]["us"], 0)

    def test_gateways_return_and_devices_are_imported(self):
        returned = json.loads(run(BENCH / "many_gateways", BUILD, "--gateways", 4, "--devices", 4, folder=self.folder).splitlines()[-1])
        self.assertEqual(returned["sigterm_code"], 0)
        imported = json.loads(run(BENCH / "imports", BUILD, "--devices", 200, "--owners", 2, "--pages", 2, "--json", folder=self.folder))
        self.assertEqual(imported["devices"], 200)

    def test_a_gateway_keys_its_pnes_and_starts_with_a_filled_store(self):
        out = self.folder / "out.json"
        run(BENCH / "gateway", BUILD, "--quick", "--pnes", 20, "--seconds", 1, "--out", out, folder=self.folder)
        (measured,) = json.loads(out.read_text())["rounds"]
        for figure in ("first_us", "update_us", "wake_us", "first_rows", "update_rows", "first_p99_ms"):
            self.assertGreater(measured[figure], 0, figure)
        run(BENCH / "key_programs", BUILD, "--quick", "--pnes", 10, "--readers", 1, "--out", out, folder=self.folder)
        ((measured,),) = json.loads(out.read_text())["rounds"].values()
        self.assertEqual(measured["updates"], 10)
        self.assertGreaterEqual(measured["puts"], 3)
        run(BENCH / "start_up", BUILD, "--records", 50, "--times", 1, "--out", out, folder=self.folder)
        self.assertEqual({len(starts) for starts in json.loads(out.read_text())["rounds"].values()}, {1})
        filled = json.loads(run(BENCH / "fill", BUILD, "server", self.folder / "home", 50, folder=self.folder))
        self.assertEqual(filled["written"], 50)


if __name__ == "__main__":
    unittest.main()
