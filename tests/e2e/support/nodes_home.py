"""Two servers, node1 and node2, on one PostgreSQL."""

import socket

from support import yaml
from support.home import Home, free_port
from support.postgres import NODES, OWNER, PASSWORD, Postgres
from support.process import Role


class NodesHome(Home):
    """`server` is node1. The database has tables, the user and the devices of the trial before the first start."""

    def __init__(self, devices=3, filled=True, **choices):
        super().__init__(devices=devices, **choices)
        self.database = Postgres()
        self.secret("node.password", PASSWORD)
        self.server.update(name="node1", store=self.store_of("node1"), audit={"file": "state/node1.audit"})
        other = self.address.split(".")
        other[3] = str(int(other[3]) % 254 + 1)
        host = ".".join(other)
        self.node2 = {**self.server, "name": "node2", "listen": f"{host}:{free_port(socket.SOCK_STREAM, host)}",
                      "store": self.store_of("node2"), "audit": {"file": "state/node2.audit"}}
        self.write()
        role = Role("server", self.folder / "node2.yaml", self.events, self.folder)
        role.name = "node2"
        self._keep(role)
        if filled:
            self.make_tables()
            self.cli("user", "add", self.user, "--config", "server.yaml", "--stdin", stdin=self.password() + "\n")
            self.cli("device", "import", "devices.csv", "--config", "server.yaml")

    def make_tables(self):
        return self.cli("store", "migrate", "--config", "server.yaml", "--user", OWNER, "--node-role", NODES)

    def store_of(self, node: str) -> dict:
        return {"kind": "postgresql", "path": f"state/{node}", "postgresql": {"socket": str(self.database.socket), "user": NODES}}

    def secret(self, name: str, text: str):
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text + "\n")

    def write(self):
        super().write()
        if hasattr(self, "node2"):
            (self.folder / "node2.yaml").write_text(yaml.dump(self.node2))

    def close(self, keep=False):
        super().close(keep)
        self.database.close()
