"""A database that fails in other ways than by its end: its server answers, and what it answers is wrong, late or incomplete."""

import json
import threading
import unittest

from support.case import E2ECase
from support.home import poll
from support.nodes_home import NodesHome

LATEST = 2.5  # seconds until a gateway hears `overloaded`: 2 s, and this machine is busy

FULL = """CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"""
SLOW = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NULL; END $$"""
ALL_TABLES = """DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE tablename LIKE 'cpns\\_%'
    LOOP EXECUTE format('{}', t); END LOOP; END $$"""


class DatabaseFaults(E2ECase):
    def place(self, **choices) -> NodesHome:
        home = NodesHome(**choices)
        self._homes.append(home)
        home.gateway["servers"] = [home.server["listen"]]
        home.write()
        return home

    def ready(self, home) -> bool:
        return home.cli("status", "--config", "server.yaml", check=False).returncode == 0

    def node(self, home) -> dict:
        """The server's own row, which it writes a moment after its start."""
        def nodes():
            return json.loads(home.cli("status", "--json", "--config", "server.yaml", check=False).stdout)["nodes"]

        (found,) = poll(nodes, what="the row of the server")
        return found

    def lives_through(self, begin, end, *said):
        """Devices come while the database fails: each waits, and has its keys afterwards."""
        home = self.place()
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled")
        begin(home.database)
        why = poll(lambda: (s := home.cli("status", "--config", "server.yaml", check=False)).returncode and s.stdout, timeout=30,
                   what="the server is not ready")
        for words in said:
            self.assertIn(words, why)
        since = home.events.mark()
        home.start("pne")
        asked = home.events.wait(role="gateway", event="requested", since=since)[0]
        refused = home.events.wait(role="gateway", event="server-overloaded", since=since)[0]
        self.assertLess(refused["seen"] - asked["seen"], LATEST)
        end(home.database)
        poll(lambda: self.ready(home), timeout=30, what="the server is ready by itself")
        home.wait_for_each(since=since, timeout=60)
        self.assertFalse(home.events.find(event="amnesia", since=since))
        self.assertFalse(home.events.find(event="process-ended", since=since))
        return home

    def test_a_read_only_database_makes_a_server_overloaded_until_it_accepts_writes(self):
        def turn(on):
            def act(database):
                word = "SET default_transaction_read_only = on" if on else "RESET default_transaction_read_only"
                database.sql("postgres", f"ALTER DATABASE cpns {word}",
                             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cpns'")
            return act

        self.lives_through(turn(True), turn(False), "the database")

    def test_a_full_database_makes_a_server_overloaded_until_there_is_space(self):
        def fill(database):
            trigger = "CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON %I EXECUTE FUNCTION no_space()"
            database.sql("cpns", FULL, ALL_TABLES.format(trigger))

        def make_room(database):
            database.sql("cpns", "DROP FUNCTION no_space CASCADE")

        self.lives_through(fill, make_room, "No space left", "free some space")

    def test_commits_of_two_seconds_make_a_server_overloaded_until_they_are_faster(self):
        def slow(database):
            trigger = ("CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON %I DEFERRABLE INITIALLY DEFERRED "
                       "FOR EACH ROW EXECUTE FUNCTION slow()")
            database.sql("cpns", SLOW, ALL_TABLES.format(trigger))

        def fast(database):
            # Its lock waits for commits, and holds others up meanwhile.
            database.sql("cpns", "DROP FUNCTION slow CASCADE")

        self.lives_through(slow, fast, "acknowledged no heartbeat")

    def test_a_primary_without_its_standbys_is_not_believed_whatever_it_answers(self):
        ends = threading.Event()

        def cancel(database):
            """As an operator who loses patience: each wait for a standby ends with success and a warning."""
            while not ends.wait(0.2):
                database.sql("postgres", "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")

        def leave(database):
            database.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
            self.canceller = threading.Thread(target=cancel, args=(database,))
            self.canceller.start()

        def come_back(database):
            ends.set()
            self.canceller.join()
            database.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")

        try:
            self.lives_through(leave, come_back, "acknowledged no heartbeat")
        finally:
            ends.set()

    def test_a_row_that_somebody_changed_stops_its_device_alone(self):
        home = self.place()
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled")
        home.database.sql("cpns", "UPDATE cpns_devices SET value = decode(repeat('00', 200), 'hex') WHERE row = "
                                  "(SELECT row FROM cpns_devices ORDER BY row LIMIT 1)")
        home.start("pne")
        keyed = {e["entity"] for e in home.events.wait(role="gateway", event="confirmed", count=2)}
        (damaged,) = {e for e, _ in home.devices} - keyed
        home.events.wait(lambda e: e.get("entity") == damaged and "confirmed" not in e["event"], role="gateway")
        listed = home.cli("device", "list", "--json", "--config", "server.yaml", check=False)
        self.assertEqual(len(json.loads(listed.stdout)["devices"]), 2)
        self.assertIn("1 row cannot be read", listed.stderr)
        self.assertTrue(home.events.find(role="server", event="row-unreadable"))
        self.assertTrue(self.ready(home))

    def test_a_schema_that_is_too_new_or_too_old_and_a_wrong_key_are_named_at_the_start(self):
        home = self.place(devices=1)

        def refused(*words):
            done = home.cli("server", "--config", "server.yaml", check=False)
            self.assertEqual(done.returncode, 1)
            for word in words:
                self.assertIn(word, done.stderr)

        home.database.sql("cpns", "UPDATE cpns_schema SET version = 9, oldest = 9")
        refused("the database has schema 9", "install a newer release of cpns")
        home.database.sql("cpns", "UPDATE cpns_schema SET version = 0, oldest = 0")
        refused("the database has schema 0", "cpns store migrate")
        home.database.sql("cpns", "UPDATE cpns_schema SET version = 1, oldest = 1")
        home.role("server").start()
        key = poll(lambda: self.node(home)["key"], what="the id of the data key")
        home.role("server").terminate()
        home.secret("other.kek", "00" * 32)
        home.server["protector"]["file"] = "other.kek"
        home.write()
        refused("other.kek", "cannot unwrap the data key", "wrong key", key)

    def test_a_server_is_drained_and_stopped_while_its_database_is_away(self):
        home = self.place(devices=1)
        home.gateway["servers"].append(home.node2["listen"])
        home.write()
        home.start("server", "gateway", "pne")
        home.wait_for_each()
        home.database.stop()
        poll(lambda: not self.ready(home), timeout=30, what="the server is not ready")
        refused = home.cli("user", "add", "bob@example.org", "--config", "server.yaml", "--stdin", stdin="a long password\n", check=False)
        self.assertEqual(refused.returncode, 1, "a change in the database needs it")
        since = home.events.mark()
        home.cli("server", "drain", "--config", "server.yaml")
        home.events.wait(role="gateway", event="server-left", since=since)
        recorded = [json.loads(line) for line in (home.folder / "state/node1.audit").read_text().splitlines()]
        (intent,) = (line for line in recorded if line["kind"] == "intent" and line.get("action") == "server-drain")
        self.assertTrue([line for line in recorded if line.get("intent") == intent["number"]], "and its outcome")
        self.assertEqual(home.role("server").terminate(timeout=25), 0)
        home.database.start()
        home.role("server").start()
        self.assertIn("whole", home.cli("audit", "verify", "--config", "server.yaml", check=False).stdout)


if __name__ == "__main__":
    unittest.main()
