"""`cpns store export` and `import`: a server's store goes from RocksDB to PostgreSQL and back, and its devices go on."""

import json
import signal
import stat
import unittest

from support import yaml
from support.case import E2ECase
from support.home import poll
from support.mount import Tmpfs
from support.nodes_home import NodesHome
from support.process import Process, cpns_binary


def parsed(epoch: str) -> tuple:
    return tuple(int(part) for part in epoch.split("."))


class Transfer(E2ECase):
    def setUp(self):
        """`server` is on RocksDB, as of `cpns init`; `node2` is on the database, which is empty; `back` is on RocksDB again."""
        home = self.place = NodesHome(devices=3, filled=False, rekey="1s")
        self._homes.append(home)
        home.make_tables()
        home.server.update(store={"kind": "rocksdb", "path": "state/server"}, audit={"file": "state/server.audit.jsonl"})
        home.server["keys"]["set_size"] = 2
        home.gateway["rekey"] = {"low_water": 1}
        home.gateway["healing_reserve"] = 0
        home.node2["listen"] = home.server["listen"]
        home.node2["keys"] = home.server["keys"]
        home.write()
        back = {**home.server, "name": "back", "store": {"kind": "rocksdb", "path": "state/back"}, "audit": {"file": "state/back.audit"}}
        (home.folder / "back.yaml").write_text(yaml.dump(back))
        home.secret("export.passphrase", "a passphrase of the export")
        self.entities = [entity for entity, _ in home.devices]

    def epochs(self, since=0) -> list:
        return [(e["entity"], parsed(e["epoch"])) for e in self.place.events.find(role="gateway", event="confirmed", since=since)]

    def newest(self) -> dict:
        out = {}
        for entity, epoch in self.epochs():
            out[entity] = max(out.get(entity, (0, 0)), epoch)
        return out

    def wait_beyond(self, before: dict):
        poll(lambda: all(self.newest().get(e, (0, 0)) > before.get(e, (0, 0)) for e in self.entities), timeout=60,
             what="a newer epoch of each device")

    def move(self, old: str, new: str, *options) -> dict:
        home = self.place
        out = json.loads(home.cli("store", "export", f"{old}.export", "--config", f"{old}.yaml", "--json", *options).stdout)
        into = json.loads(home.cli("store", "import", f"{old}.export", "--config", f"{new}.yaml", "--json", *options).stdout)
        self.assertEqual(into["file_id"], out["file_id"])
        self.assertEqual(into["tables"], out["tables"])
        verified = json.loads(home.cli("store", "verify", "--config", f"{new}.yaml", "--json").stdout)
        self.assertEqual((verified["faults"], verified["lists_complete"]), (0, True))
        for config, action in ((old, "store-export"), (new, "store-import")):
            self.assertIn(f"{action} {old}.export done", home.cli("audit", "show", "--config", f"{config}.yaml").stdout)
        return into

    def expect_goes_on(self, before: dict, since: int):
        """No epoch comes twice, and each new generation is at least 16 above those of before."""
        self.wait_beyond(before)
        self.wait_beyond(self.newest())
        poll(lambda: all(self.newest()[e][0] > before[e][0] + 15 for e in self.entities), timeout=60, what="newer generations")
        after = self.epochs(since)
        self.assertEqual(len(after), len(set(after)), after)
        for entity, epoch in after:
            self.assertGreater(epoch, before[entity])
        found = {e["event"] for e in self.place.events.find(since=since)}
        self.assertFalse(found & {"stale-epoch", "quarantined", "amnesia", "presence-failed", "held-elsewhere", "incarnation-behind"})

    def test_from_rocksdb_to_postgresql_and_back_the_devices_go_on(self):
        home = self.place
        home.start("server", "gateway", "pne")
        self.wait_beyond({})
        self.wait_beyond(self.newest())
        home.cli("gateways", "block", "urn:cpns:gw:other", "--config", "server.yaml")
        self.assertEqual(home.role("server").terminate(), 0)
        before, since = self.newest(), home.events.mark()
        moved = self.move("server", "node2")
        self.assertEqual((moved["tables"]["users"], moved["tables"]["devices"], moved["tables"]["entities"]), (1, 3, 3))
        self.assertEqual((moved["incarnation"], moved["resumed"]), (2, False))
        self.assertEqual(stat.S_IMODE((home.folder / "server.export").stat().st_mode), 0o600)
        home.role("node2").start()
        self.expect_goes_on(before, since)
        blocked = json.loads(home.cli("gateways", "list", "--json", "--config", "node2.yaml").stdout)
        self.assertIn("urn:cpns:gw:other", json.dumps(blocked))
        running = home.cli("store", "export", "x.export", "--config", "server.yaml", "--force", check=False)
        self.assertEqual(running.returncode, 0, "the old store may be exported again")
        self.assertEqual(home.role("node2").terminate(), 0)
        before, since = self.newest(), home.events.mark()
        self.assertEqual(self.move("node2", "back", "--passphrase-file", "export.passphrase")["incarnation"], 3)
        server = home._keep(type(home.role("server"))("server", home.folder / "back.yaml", home.events, home.folder))
        server.start()
        self.expect_goes_on(before, since)

    def refused(self, *command, text, code=1):
        done = self.place.cli("store", *command, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_bad_input_has_one_clear_error_and_changes_nothing(self):
        home = self.place
        self.refused("export", "a", "--config", "missing.yaml", text="missing.yaml")
        home.cli("store", "export", "good", "--config", "server.yaml", "--passphrase-file", "export.passphrase")
        self.refused("export", "good", "--config", "server.yaml", text="already exists: good; name another file, or replace it with")
        self.refused("export", "/dev/full/x", "--config", "server.yaml", text="/dev/full/x.creating")
        whole = (home.folder / "good").read_bytes()
        into = ("--config", "back.yaml", "--passphrase-file", "export.passphrase")
        flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
        for name, content in {"cut": whole[:-9], "flipped": flipped, "csv": b"entity_id\n"}.items():
            (home.folder / name).write_bytes(content)
        self.refused("import", "cut", *into, text="cut: the file ends too early")
        self.refused("import", "flipped", *into, text="was changed or is not in its place")
        self.refused("import", "csv", *into, text="not a file of `cpns store export`")
        self.refused("import", "nothing", *into, text="nothing: No such file")
        home.secret("wrong", "another passphrase")
        self.refused("import", "good", "--config", "back.yaml", "--passphrase-file", "wrong", text="does not open with the passphrase")
        self.refused("import", "good", "--config", "back.yaml", text="Name the passphrase of the export with --passphrase-file")
        self.assertFalse((home.folder / "state/back").exists(), "no store was made")
        self.refused("import", "good", "--config", "server.yaml", "--passphrase-file", "export.passphrase", text="needs an empty one")
        home.role("server").start()
        self.refused("export", "other", "--config", "server.yaml", text="the server is running")
        self.assertFalse((home.folder / "other").exists())

    def test_a_full_disk_leaves_no_file(self):
        home = self.place
        disk = Tmpfs(home.folder / "disk", "16k")
        self.addCleanup(disk.close)
        rows = [f"urn:dev:mac:02000000{n:08x},{n:032x},128bit" for n in range(1, 1001)]
        home.secret("many.csv", "\n".join(["entity_id,temporary_key,strength", *rows]))
        home.cli("device", "import", "many.csv", "--config", "server.yaml")
        self.refused("export", "disk/x", "--config", "server.yaml", text="cannot write disk/x.creating: No space left on device")
        self.assertEqual(list(disk.folder.iterdir()), [])
        self.assertRegex(home.cli("audit", "show", "--config", "server.yaml").stdout, r"store-export disk/x (failed|refused|not_done)")

    def test_a_database_in_use_is_neither_exported_nor_imported_into(self):
        home = self.place
        home.cli("store", "export", "old", "--config", "server.yaml")
        home.cli("user", "add", home.user, "--config", "node2.yaml", "--stdin", stdin=home.password() + "\n")
        self.refused("import", "old", "--config", "node2.yaml", text="needs an empty one")
        home.role("node2").start()
        node1 = {**home.node2, "name": "node1", "store": home.store_of("node1"), "audit": {"file": "state/node1.audit"}}
        (home.folder / "node1.yaml").write_text(yaml.dump(node1))
        self.refused("export", "x", "--config", "node1.yaml", text="the server 'node2'")
        home.role("node2").kill9()
        home.cli("store", "export", "x", "--config", "node1.yaml")

    def test_an_import_that_was_killed_goes_on_and_no_server_starts_before(self):
        home = self.place
        rows = [f"urn:dev:mac:02000000{n:08x},{n:032x},128bit" for n in range(1, 60_001)]
        home.secret("many.csv", "\n".join(["entity_id,temporary_key,strength", *rows]))
        home.cli("device", "import", "many.csv", "--config", "server.yaml")
        home.cli("store", "export", "many", "--config", "server.yaml")
        command = Process("import", [cpns_binary(), "store", "import", "many", "--config", "node2.yaml"], home.events, home.folder)
        home._keep(command).spawn()

        def devices() -> int:
            return int(home.database.sql("cpns", "SELECT count(*) FROM cpns_devices"))

        poll(lambda: devices() > 1000, every=0.01, what="a part of the rows")
        command.kill9()
        self.assertLess(devices(), 60_000, "it was not complete")
        for refused in (("server",), ("user", "list")):
            done = home.cli(*refused, "--config", "node2.yaml", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("repeat it with the same file: cpns store import", done.stdout + done.stderr)
        command.spawn()
        poll(lambda: devices() > 20_000, every=0.01, what="more rows")
        command.signal(signal.SIGINT)
        self.assertEqual(command.wait(), 130)
        done = json.loads(home.cli("store", "import", "many", "--config", "node2.yaml", "--json").stdout)
        self.assertEqual((done["resumed"], done["tables"]["devices"]), (True, 60_003))
        self.assertEqual(devices(), 60_003)
        again = json.loads(home.cli("store", "import", "many", "--config", "node2.yaml", "--json").stdout)
        self.assertEqual((again["complete_before"], again["resumed"], again["tables"]), (True, False, done["tables"]))
        home.role("node2").start()
        home.role("node2").terminate()
        trail = home.cli("audit", "show", "--config", "node2.yaml").stdout
        self.assertIn("store-import many not_done", trail)
        self.assertIn("store-import many done", trail)


if __name__ == "__main__":
    unittest.main()
