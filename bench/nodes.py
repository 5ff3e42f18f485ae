"""Servers of one store, for the benchmarks: one on RocksDB, or several nodes on one PostgreSQL."""
import pathlib
import random
import socket
import subprocess
import sys

import server_process

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from support.home import free_port  # noqa: E402
from support.postgres import NODES, OWNER, Postgres  # noqa: E402


def replaced(text, changes):
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


class Nodes:
    """`server.yaml` is that of the first node; the commands that fill the store read it. With `engine` None the store is RocksDB.
    `settings`: text of a configuration, and what replaces it."""

    def __init__(self, cpns, home, count, engine="postgresql", settings=None):
        self.cpns, self.home, self.database, self.servers = cpns, home, None, []
        server_process.make_home(cpns, home)
        # An address of its own: no other program uses a port there, also while a node is down.
        host = f"127.{random.randrange(16, 250)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.addresses = [f"{host}:{free_port(socket.SOCK_STREAM, host)}" for _ in range(count)]
        base = replaced((home / "server.yaml").read_text(), settings or {})
        try:
            if engine:
                self.database = Postgres()
            self.configs = [self._config(base, n) for n in range(count)]
            if engine:
                self.run("store", "migrate", "--config", self.configs[0], "--user", OWNER, "--node-role", NODES)
        except BaseException:
            self.close()
            raise

    def _config(self, base, number):
        changes = {"name: 'main'": f"name: node{number}", "ready_file: ready\n": f"ready_file: ready{number}\n",
                   "listen: 127.0.0.1:0\n": f"listen: {self.addresses[number]}\n", "state/server.sock": f"state/node{number}.sock",
                   "state/server.audit": f"state/node{number}.audit"}
        if self.database:
            changes["  kind: rocksdb\n  path: state/server\n"] = (
                f"  kind: postgresql\n  path: state/node{number}\n  postgresql: {{socket: {self.database.socket}, user: {NODES}}}\n")
            base += f"cluster:\n  advertise: {self.addresses[number]}\n  nodes: [{', '.join(self.addresses)}]\n"
        base = replaced(base, changes)
        file = self.home / ("server.yaml" if number == 0 else f"node{number}.yaml")
        file.write_text(base)
        return file

    def checkpoints(self):
        """That the database has begun so far."""
        return (self.database.folder / "log").read_text(errors="replace").count("checkpoint starting")

    def run(self, *words):
        subprocess.run([self.cpns, *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    def tune(self):
        """As docs/operations/cluster.md says. Without the second setting the kernel writes all rows of half a minute at once, and commits
        wait."""
        self.database.sql("cpns", "ALTER SYSTEM SET max_wal_size = '2GB'", "ALTER SYSTEM SET backend_flush_after = '1MB'",
                          "SELECT pg_reload_conf()")
        # Otherwise the kernel writes the rows that were filled in during a measurement.
        self.database.sql("cpns", "VACUUM ANALYZE", "CHECKPOINT")

    def start(self):
        if self.database:
            self.tune()
        self.servers = [self._server(n) for n in range(len(self.configs))]

    def _server(self, number):
        (self.home / f"ready{number}").unlink(missing_ok=True)
        return server_process.Server(self.cpns, self.home, self.configs[number], f"ready{number}")

    def kill(self, number):
        """With signal 9."""
        self.servers[number].kill()

    def start_again(self, number):
        self.servers[number] = self._server(number)

    def drain(self, number):
        self.run("server", "drain", "--config", self.configs[number])

    def stop(self):
        """All of them; RuntimeError: one did not end well."""
        for s in self.servers:
            if s.stop()[0] != 0:
                raise RuntimeError(f"a server ended with an error; see {self.home}/server.log")
        self.servers = []

    def close(self):
        for s in self.servers:
            s.kill()
        if self.database:
            self.database.close()
