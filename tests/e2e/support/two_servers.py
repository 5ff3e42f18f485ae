"""A gateway with two servers: the second one is a copy of the first, with its own store. A real cluster shares its store, but that makes
no difference to the choice of the server."""

import shutil

from support import yaml
from support.home import Home
from support.process import Role


class TwoServers(Home):
    def __init__(self, request_timeout="1s", probe="30s", second_address=None, **choices):
        super().__init__(**choices)
        self.second = {**self.server, "name": "second", "store": {"kind": "rocksdb", "path": "state/second"}}
        if second_address:
            self.second["listen"] = f"{second_address}:{self.server_port}"
        else:
            other = self.address.split(".")
            other[3] = str(int(other[3]) % 254 + 1)
            self.second["listen"] = f"{'.'.join(other)}:{self.server_port}"
        for server in (self.server, self.second):
            server["probe"] = probe
        self.gateway["servers"] = [self.server["listen"], self.second["listen"]]
        self.gateway["timers"].update(request_timeout=request_timeout, probe=probe)
        shutil.copytree(self.folder / "state" / "server", self.folder / "state" / "second")
        self.write()
        role = Role("server", self.folder / "second.yaml", self.events, self.folder)
        role.name = "second"
        self._keep(role)
        self.by_address = {self.server["listen"]: self.role("server"), self.second["listen"]: role}

    def write(self):
        super().write()
        if hasattr(self, "second"):
            (self.folder / "second.yaml").write_text(yaml.dump(self.second))

    def connected_to(self, since=0, timeout=60.0) -> Role:
        """The server in the gateway's next event server-connected."""
        event = self.events.wait(role="gateway", event="server-connected", since=since, timeout=timeout)[0]
        return self.by_address[event["server"]]
