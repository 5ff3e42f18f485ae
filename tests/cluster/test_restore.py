"""The database of a cluster goes back to a copy of an earlier time: after `cpns store restored` no index is issued a second time."""

import pathlib
import shutil
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/e2e")]
from cluster.database import check_packages  # noqa: E402
from cluster.nodes import Cluster, layout, seconds_of  # noqa: E402
from cluster.processes import Trouble, wait_for  # noqa: E402

PNES = 3
SKIPPED = 16  # generations: docs/operations/backup.md

try:
    check_packages()
    MISSING = ""
except Trouble as missing:
    MISSING = str(missing)


@unittest.skipIf(MISSING, MISSING)
class Restore(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-restored-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cluster = Cluster.make(self.folder, layout(2, 1, 1, PNES, False, "1s", "json", True))
        self.addCleanup(self.cluster.down)

    def generations(self, since: float) -> dict:
        """The newest generation that each PNE confirmed since then."""
        seen = [e for e in self.cluster.events("gw1.gateway") if e["event"] == "confirmed" and seconds_of(e) > since]
        return {e["entity"]: int(e["epoch"].partition(".")[0]) for e in seen}

    def keyed_since(self, since: float, least: int):
        wait_for(lambda: sum(g >= least for g in self.generations(since).values()) == PNES, 40,
                 f"a key of generation {least} or later for each PNE", every=0.2)

    def test_generations_skip_ahead_after_a_restore(self):
        cluster, database = self.cluster, self.folder / "database"
        cluster.up()
        self.keyed_since(0, 1)
        cluster.down()
        shutil.copytree(database, self.folder / "copy", symlinks=True)
        cluster.database.start()
        cluster.start_roles()
        self.keyed_since(time.time(), 1)
        cluster.down()

        for name in ("etcd", "p1"):
            for path in (self.folder / "copy" / name, *(self.folder / "copy" / name).rglob("*")):
                shutil.chown(path, database.owner(), database.group())
            shutil.rmtree(database / name)
            (self.folder / "copy" / name).rename(database / name)
        cluster.database.start()
        cluster.cpns("store", "restored", "--config", "node1.server.yaml")
        since = time.time()
        cluster.start_roles()
        self.keyed_since(since, 1 + SKIPPED)
        answered = [(e["entity"], e["epoch"], e["set"]) for n in cluster.nodes for e in cluster.events(f"{n}.server")
                    if e["event"] == "assignment-answered" and seconds_of(e) > since]
        for entity, epoch, chosen in answered:
            self.assertGreater(int(epoch.partition(".")[0]), SKIPPED, (entity, epoch, chosen))


if __name__ == "__main__":
    unittest.main()
