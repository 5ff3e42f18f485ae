"""scripts/cluster-up and cluster-down: they start a cluster, refuse what cannot work, and end what was started and nothing else."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ROOT / "docs/operations/cluster"
sys.path.insert(0, str(ROOT / "scripts"))
from cluster.database import DCS, HAPROXY, PARAMETERS, check_packages  # noqa: E402
from cluster.nodes import Cluster, layout  # noqa: E402
from cluster.processes import Processes, Trouble, program, start_of  # noqa: E402

try:
    check_packages()
    MISSING = ""
except Trouble as missing:
    MISSING = str(missing)


def command(name: str, *args, **env) -> subprocess.CompletedProcess:
    return subprocess.run([ROOT / "scripts" / name, *(str(a) for a in args)], capture_output=True, text=True, timeout=110, cwd="/",
                          env={**os.environ, **env})


def running_in(folder: pathlib.Path) -> list:
    """The processes that mention the folder, or are in it."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words, place = (process / "cmdline").read_bytes().decode(errors="replace"), os.readlink(process / "cwd")
        except OSError:
            continue  # it ended, or belongs to somebody else
        if str(folder) in words or place.startswith(str(folder)):
            found.append(words.replace("\0", " "))
    return found


class Folder(unittest.TestCase):
    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="cpns-up-"))
        self.base.chmod(0o711)
        self.folder = self.base / "trial"
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)


@unittest.skipIf(MISSING, MISSING)
class UpAndDown(Folder):
    def setUp(self):
        super().setUp()
        self.addCleanup(command, "cluster-down", self.folder)

    def test_a_small_cluster_starts_works_and_ends(self):
        up = command("cluster-up", "--nodes", 2, "--databases", 1, "--pnes", 3, "--without-proxy", self.folder)
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertIn("3 PNEs are keyed", up.stdout)
        cluster = Cluster(self.folder)
        self.assertEqual(cluster.database.primary(), "p1")
        self.assertIn(cluster.node_of("gw1"), cluster.nodes)
        self.assertEqual(len(cluster.ask("node2.server", "entity", "list")["entities"]), 3, "the other node has them, too")
        self.assertEqual(cluster.database.sql("SELECT count(*) > 2 FROM cpns_entities", "cpns"), "t")
        again = command("cluster-up", self.folder)
        self.assertEqual(again.returncode, 1)
        self.assertIn(f"scripts/cluster-down {self.folder}", again.stderr)

        other = subprocess.Popen(["sleep", "100"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        record = {"pid": other.pid, "started": start_of(1), "args": ["sleep"]}
        (self.folder / "run/other.server.json").write_text(json.dumps(record))  # as if its number had been given away again
        self.assertGreaterEqual(len(running_in(self.folder)), 6)
        down = command("cluster-down", self.folder)
        self.assertEqual(down.returncode, 0, down.stderr)
        self.assertEqual(running_in(self.folder), [])
        self.assertIsNone(other.poll(), "a process that has the number of an ended one goes on")
        self.assertIn("ended 6 programs", down.stdout)
        self.assertEqual(command("cluster-down", "--remove", self.folder).stdout, "nothing ran\n")
        self.assertFalse(self.folder.exists())

    def test_a_folder_that_the_database_cannot_enter(self):
        if os.geteuid() != 0:
            self.skipTest("the database runs as the user of this test")
        self.base.chmod(0o700)
        up = command("cluster-up", self.folder)
        self.assertEqual(up.returncode, 1)
        self.assertIn("cannot enter", up.stderr)
        self.assertEqual(running_in(self.folder), [])


class Refused(Folder):
    def test_wrong_arguments(self):
        for args in (("--nodes", 0, "x"), ("--pnes", 2, "--gateways", 3, "x"), ()):
            with self.subTest(args):
                self.assertEqual(command("cluster-up", *args).returncode, 2)

    def test_a_folder_that_is_not_a_cluster(self):
        (self.folder).mkdir()
        (self.folder / "letter").write_text("dear")
        self.assertEqual(command("cluster-up", self.folder).returncode, 1)
        down = command("cluster-down", "--remove", self.folder)
        self.assertEqual(down.returncode, 1)
        self.assertIn("scripts/cluster-up did not make this folder", down.stderr)
        self.assertTrue((self.folder / "letter").exists())

    def test_a_missing_program_names_its_package(self):
        with self.assertRaisesRegex(Trouble, "apt-get install patroni"):
            program("no-such-program", "patroni")


class Started(Folder):
    def test_a_process_ends_by_its_signal_or_by_the_second_one(self):
        self.folder.mkdir()
        processes = Processes(self.folder)
        processes.prepare()
        processes.start("polite", ["sleep", "100"])
        processes.start("stubborn", ["sh", "-c", "trap '' TERM; while :; do read -r line </dev/zero; done"])
        self.assertTrue(processes.alive("polite") and processes.alive("stubborn"))
        with self.assertRaisesRegex(Trouble, "already running"):
            processes.start("polite", ["true"])
        processes.end(["polite", "stubborn"], seconds=1)
        self.assertFalse(processes.alive("polite") or processes.alive("stubborn"))
        self.assertEqual(processes.names(), [])


    def test_a_cluster_ends_although_the_program_is_not_there_any_more(self):
        self.folder.mkdir()
        (self.folder / "cluster.json").write_text(json.dumps(layout()))
        processes = Processes(self.folder)
        processes.prepare()
        processes.start("node1.server", ["sleep", "100"])
        self.addCleanup(processes.end, ["node1.server"])
        down = command("cluster-down", self.folder, CPNS_BIN="/nonexistent")
        self.assertEqual((down.returncode, down.stdout), (0, "ended 1 programs: node1.server\n"), down.stderr)


class Page(unittest.TestCase):
    """docs/operations/cluster.md has each setting of Patroni, and its file has the same values."""

    def test_the_settings_of_the_page_are_those_of_the_scripts(self):
        import yaml
        page = (ROOT / "docs/operations/cluster.md").read_text()
        rows = dict(line.strip("| ").split(" | ")[:2] for line in page.splitlines() if line.startswith("| `"))
        shown = {name.strip("`"): value for name, value in rows.items()}
        file = yaml.safe_load((FILES / "patroni.yaml").read_text())["bootstrap"]["dcs"]
        parameters = file["postgresql"]["parameters"]
        for name, value in {**DCS, **PARAMETERS}.items():
            with self.subTest(name):
                self.assertEqual(shown.get(name), str(value))
                self.assertEqual(file.get(name, parameters.get(name)), value)
        for name in ("synchronous_mode", "synchronous_mode_strict"):
            self.assertEqual((shown[name], file[name]), ("true", True))
        self.assertEqual((shown["synchronous_node_count"], file["synchronous_node_count"]), ("2", 2))
        self.assertEqual(set(parameters), set(PARAMETERS))

    def test_the_files_for_engines_of_containers_name_the_parts_of_a_cluster(self):
        import yaml
        compose = yaml.safe_load((FILES / "compose.yaml").read_text())
        self.assertEqual(set(compose["services"]),
                         {"etcd", "db1", "db2", "db3", "haproxy", "node1", "node2", "node3", "gateway", "pne"})
        for name, service in compose["services"].items():
            with self.subTest(name):
                used = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith(".")}
                self.assertLessEqual(used, set(compose["volumes"]))
                self.assertLessEqual(set(service.get("depends_on", [])), set(compose["services"]))
        kinds = [part["kind"] for part in yaml.safe_load_all((FILES / "kubernetes.yaml").read_text())]
        self.assertEqual(kinds, ["ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget"])

    def test_haproxy_takes_the_file_of_the_page_which_is_that_of_the_scripts(self):
        file = (FILES / "haproxy.cfg").read_text()
        lines = {line.strip().removesuffix(" init-addr last,libc,none") for line in file.splitlines()}
        made = {line.strip() for line in HAPROXY.splitlines() if line.strip() and not line.startswith("#") and "{" not in line}
        self.assertLessEqual(made, lines)
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        if not program:
            self.skipTest("haproxy is not installed; scripts/install-deps --cluster installs it")
        checked = subprocess.run([program, "-c", "-f", FILES / "haproxy.cfg"], capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
