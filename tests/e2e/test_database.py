"""Servers whose rows are in a PostgreSQL: the tables, two servers on one database, and a database that fails."""

import contextlib
import json
import unittest

from support import unix_http
from support.case import E2ECase
from support.home import poll
from support.nodes_home import NodesHome
from support.postgres import NODES, PASSWORD


class Database(E2ECase):
    def place(self, **choices) -> NodesHome:
        home = NodesHome(**choices)
        self._homes.append(home)
        return home

    def refused(self, home, *words, code=1, config="server.yaml", command=("server",)):
        done = home.cli(*command, "--config", config, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)

    def test_the_owner_makes_the_tables_and_a_server_without_that_right_uses_them(self):
        home = self.place(filled=False)
        self.refused(home, "the database has no tables of cpns", "cpns store migrate")
        self.refused(home, "must own the tables", command=("store", "migrate"))
        made = home.make_tables()
        self.assertIn("schema 1 now, and had none before", made.stdout)
        self.assertIn("has schema 1 already", home.make_tables().stdout)
        home.role("server").start()
        rights = home.database.sql("cpns", "SELECT has_schema_privilege('cpns_node', 'public', 'CREATE')")
        self.assertEqual(rights, "f")
        home.role("server").terminate()
        printed = home.cli("store", "schema").stdout
        home.database.sql("postgres", "CREATE DATABASE by_hand OWNER cpns_owner")
        home.database.sql("by_hand", "SET ROLE cpns_owner", printed)
        tables = "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM information_schema.tables WHERE table_schema = 'public'"
        self.assertEqual(home.database.sql("by_hand", tables), home.database.sql("cpns", tables))

    def test_a_gateway_goes_from_one_server_to_the_other_and_its_devices_keep_their_keys(self):
        home = self.place(devices=5)
        home.gateway["servers"] = [home.server["listen"], home.node2["listen"]]
        home.write()
        home.start("server", "node2", "gateway", "pne")
        home.wait_for_each()
        first = {e: p["epoch"] for e, p in home.pnes().items()}
        self.assertEqual(len(first), 5)
        held = json.loads(home.cli("entity", "list", "--json", "--config", "node2.yaml").stdout)
        self.assertEqual({e["entity"] for e in held["entities"]}, set(first))
        at = home.events.find(role="gateway", event="server-connected")[-1]["server"]
        since = home.events.mark()
        home.role("server" if at == home.server["listen"] else "node2").kill9()
        for entity, _ in home.devices:
            home.tell_pne("sleep", entity)
            home.tell_pne("wake", entity)
        home.wait_for_each(since=since, timeout=60)
        self.assertFalse(home.events.find(event="amnesia", since=since))
        self.assertEqual(set(home.pnes()), set(first))

    def nodes(self, home, config="server.yaml") -> dict:
        status = json.loads(home.cli("status", "--json", "--config", config, check=False).stdout)
        return {n["name"]: n for n in status["nodes"]}

    def test_each_server_shows_all_of_them_and_notices_the_end_of_one(self):
        home = self.place()
        home.gateway["servers"] = [home.server["listen"]]
        home.write()
        home.start("server", "node2", "gateway")

        def states(config="server.yaml"):
            return {name: n["state"] for name, n in self.nodes(home, config).items()}

        both = {"node1": "running", "node2": "running"}
        poll(lambda: states() == both and states("node2.yaml") == both, what="both servers show both")
        shown = self.nodes(home)
        self.assertEqual([n["self"] for n in shown.values()], [True, False])
        self.assertEqual(self.store(home)["kind"], "postgresql")
        poll(lambda: self.store(home)["hints"] == "on", what="hints come")
        store = self.store(home)
        self.assertEqual((store["writable"], store["statements"], store["hosts"], store["host"]), (True, "batch", 1, 1))
        self.assertLess(store["proof_age_ms"], 3000)
        self.assertGreater(store["write_median_ms"], 0)
        self.assertRegex(home.cli("status", "--config", "server.yaml").stdout, r"(?m)^store\.hints +on$")
        self.assertEqual(shown["node2"]["address"], home.node2["listen"])
        schema = int(home.database.sql("cpns", "SELECT version FROM cpns_schema"))
        self.assertEqual([n["schema"] for n in shown.values()], [schema, schema])
        self.assertIn(f" schema={schema} ", home.cli("status", "--config", "server.yaml").stdout)
        learned = poll(lambda: [s for s in self.link(home)["servers"] if s["source"] == "learned"], what="the gateway learns node2")
        self.assertEqual([s["address"] for s in learned], [home.node2["listen"]])
        home.role("node2").kill9()
        poll(lambda: states()["node2"] == "silent", what="node2 is silent")
        home.role("node2").start()
        poll(lambda: states() == both, what="node2 is back")
        home.role("node2").terminate()
        poll(lambda: states()["node2"] == "stopped", what="node2 has stopped")
        with contextlib.closing(unix_http.Connection("server", home.folder / "server.sock")) as role:
            metrics = role.ask("GET", "/metrics").text
        self.assertIn('cpns_server_nodes{state="alive"} 1\n', metrics)
        self.assertIn("cpns_server_heartbeat_age_seconds ", metrics)
        self.assertIn("cpns_store_hints_listening 1\n", metrics)
        for counter in ("sent", "heard"):
            self.assertRegex(metrics, rf"cpns_store_hints_{counter}_total \d")

    def store(self, home) -> dict:
        return json.loads(home.cli("status", "--json", "--config", "server.yaml", check=False).stdout)["store"]

    def link(self, home) -> dict:
        return json.loads(home.cli("status", "--json", "--config", "gateway.yaml").stdout)["server"]

    def test_a_second_server_with_the_name_of_one_that_lives_is_refused(self):
        home = self.place()
        home.role("server").start()
        home.node2["name"] = "node1"
        home.write()
        self.refused(home, "has the name 'node1' and the same database", home.server["listen"], config="node2.yaml")

    def test_a_frozen_database_makes_servers_say_overloaded_and_nothing_is_lost(self):
        home = self.place()
        home.start("server", "gateway", "pne")
        home.wait_for_each()
        epochs = {e: p["epoch"] for e, p in home.pnes().items()}
        since = home.events.mark()
        home.database.freeze(True)
        poll(lambda: "acknowledged no heartbeat" in home.cli("status", "--config", "server.yaml", check=False).stdout, timeout=30,
             what="it is not ready")
        self.assertGreater(self.store(home)["proof_age_ms"], 3000)
        home.database.freeze(False)
        poll(lambda: home.cli("status", "--config", "server.yaml", check=False).returncode == 0, timeout=30, what="it is ready")
        for entity, _ in home.devices:
            home.tell_pne("sleep", entity)
            home.tell_pne("wake", entity)
        home.wait_for_each(since=since, timeout=60)
        self.assertEqual(set(home.pnes()), set(epochs))
        self.assertFalse(home.events.find(event="amnesia", since=since))

    def test_both_keys_open_the_database_until_each_server_has_the_new_one(self):
        home = self.place()
        home.secret("node2.kek", (home.folder / "server.kek").read_text().rstrip())
        home.node2["protector"]["file"] = "node2.kek"
        home.write()
        home.start("server", "node2")
        home.cli("store", "rewrap", "--config", "server.yaml", "--new-file", "next.kek")
        home.role("node2").terminate()
        home.role("node2").start()

        def keys():
            return {n["name"]: n["key"] for n in self.nodes(home).values()}

        poll(lambda: keys().get("node1") and keys().get("node2") == "", what="node1 has the new key, and node2 has not")
        again = home.cli("store", "rewrap", "--config", "server.yaml", "--new-file", "third.kek", check=False)
        self.assertIn("a server still has the key", again.stderr)
        self.assertEqual(again.returncode, 1)
        home.secret("node2.next.kek", (home.folder / "next.kek").read_text().rstrip())
        home.cli("store", "rewrap", "--config", "node2.yaml", "--new-file", "node2.next.kek")
        home.events.wait(event="key-before-forgotten", timeout=30)
        home.role("node2").terminate()
        self.refused(home, "the data key", config="node2.yaml")
        home.node2["protector"]["file"] = "node2.next.kek"
        home.write()
        home.role("node2").start()
        home.cli("user", "list", "--config", "node2.yaml")

    def test_one_node_is_started_once_and_a_folder_with_another_store_is_refused(self):
        home = self.place()
        home.role("server").start()
        self.refused(home, "in use by another process")
        self.refused(home, "", command=("user", "list"), code=0)
        home.node2["store"]["path"] = "state/gateway"
        home.gateway["store"]["path"] = "state/node2"
        home.write()
        home.role("gateway").start()
        home.role("gateway").terminate()
        home.node2["store"]["path"] = "state/node2"
        home.write()
        self.refused(home, "holds other files", config="node2.yaml")

    def test_a_server_whose_database_is_away_is_not_ready_and_goes_on_when_it_is_back(self):
        home = self.place()
        home.start("server", "gateway", "pne")
        home.wait_for_each()
        home.database.stop()
        self.refused(home, "database", config="node2.yaml")
        home.cli("user", "add", "bob@example.org", "--config", "server.yaml", "--stdin", stdin="a long password\n", check=False)

        def ready():
            return home.cli("status", "--config", "server.yaml", check=False).returncode == 0

        poll(lambda: not ready(), timeout=40, what="the server is not ready")
        status = home.cli("status", "--config", "server.yaml", check=False).stdout
        self.assertIn("the database", status)
        home.database.start()
        poll(ready, timeout=40, what="the server is ready")
        home.cli("user", "add", "carol@example.org", "--config", "server.yaml", "--stdin", stdin="a long password\n")
        self.assertTrue(home.role("server").running())

    def bundle(self, home, name) -> str:
        home.cli("support-bundle", "--config", "server.yaml", "--output", name, "--yes")
        return (home.folder / name).read_text()

    def told(self, home) -> dict:
        """What a running server and the commands tell others of it."""
        out = {"status": home.cli("status", "--config", "server.yaml").stdout,
               "status --json": home.cli("status", "--json", "--config", "server.yaml").stdout,
               "doctor": home.cli("doctor", "--config", "server.yaml", check=False).stdout,
               "bundle": self.bundle(home, f"bundle-{len(list(home.folder.glob('bundle-*')))}.json")}
        self.assertTrue(json.loads(out["bundle"])["running"])
        self.assertIn("writable", json.loads(out["bundle"])["status"]["store"])
        return out

    def assert_in_none(self, names, told):
        self.assertEqual([(name, where) for where, text in told.items() for name in names if name in text], [])

    def logged(self, home) -> dict:
        return {name: (home.folder / name).read_text() for name in ("server.err", "server.out")}

    def test_the_password_and_the_place_of_the_database_are_in_no_output(self):
        home = self.place()
        port = home.database.port
        home.database.sql("postgres", "ALTER DATABASE cpns RENAME TO ledger")
        hidden = [PASSWORD, "ledger", NODES, "127.0.0.1", f":{port}", str(home.database.socket.parent), f"PGSQL.{port}"]
        by_port = {"hosts": [f"127.0.0.1:{port}"], "user": NODES, "tls": "disable", "password_file": "node.password"}
        by_socket = {"socket": str(home.database.socket), "user": NODES}
        home.server["log"] = {**home.server["log"], "level": "debug"}
        for place in (by_port, by_socket):
            home.server["store"]["postgresql"] = {**place, "database": "ledger"}
            home.write()
            home.role("server").start()
            self.assert_in_none(hidden, self.told(home))
            self.assert_in_none(hidden, self.logged(home))
            shown = home.cli("config", "show", "--config", "server.yaml").stdout
            self.assertIn("ledger", shown, "the operator sees it")
            home.role("server").terminate()
            stopped = self.bundle(home, f"stopped-{len(place)}.json")
            self.assertGreater(json.loads(stopped)["counts"]["devices"], 0, "the database was read")
            self.assert_in_none(hidden, {"bundle": stopped})
        home.server["store"]["postgresql"] = {**by_port, "database": "ledger"}
        home.write()
        home.secret("node.password", "another password")
        refused = home.cli("server", "--config", "server.yaml", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("database", refused.stderr)
        told = {"refused": refused.stdout + refused.stderr, "bundle": self.bundle(home, "refused.json")}
        self.assert_in_none([*hidden, "another password"], told)


if __name__ == "__main__":
    unittest.main()
