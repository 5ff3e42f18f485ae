"""Server nodes, gateways and PNEs of one folder, over one database."""

import csv
import datetime
import functools
import json
import os
import pathlib
import random
import secrets
import socket
import subprocess

import yaml

from cluster.database import Database
from cluster.processes import Processes, Trouble, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER = "alice@example.org"


def cpns_binary() -> pathlib.Path:
    """CPNS_BIN, or the release build of this tree."""
    found = pathlib.Path(os.environ.get("CPNS_BIN") or ROOT / "build/release/bin/cpns")
    if not found.exists():
        raise Trouble(f"{found} is missing; make build builds it")
    return found


def fresh_address() -> str:
    """An own loopback address: no other process uses its ports while a program of the cluster is down."""
    draw = random.SystemRandom()
    return f"127.{draw.randrange(16, 250)}.{draw.randrange(256)}.{draw.randrange(1, 255)}"


def free_ports(address: str, count: int, kind=socket.SOCK_STREAM) -> list:
    held = [socket.socket(socket.AF_INET, kind) for _ in range(count)]
    for s in held:
        s.bind((address, 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def layout(nodes=3, databases=3, gateways=1, pnes=20, proxy=True, rekey="1d", log="text", busy=False, more_addresses=()) -> dict:
    """What a cluster consists of, with addresses and ports that are free now: the content of cluster.json. `busy`: the sets are the smallest, so that
    nearly each key needs an assignment. The database listens at `more_addresses`, too."""
    address = fresh_address()
    ports = iter(free_ports(address, 3 + 2 * databases + nodes + gateways))
    names = [f"p{i + 1}" for i in range(databases)]
    return {
        "database": {"address": address, "more_addresses": list(more_addresses), "etcd": next(ports), "etcd_peer": next(ports),
                     "proxy": next(ports) if proxy else None,
                     "members": {n: {"sql": next(ports), "rest": next(ports)} for n in names}},
        "nodes": {f"node{i + 1}": {"listen": f"{address}:{next(ports)}"} for i in range(nodes)},
        "gateways": {f"gw{i + 1}": {"radio": f"{address}:{next(ports)}"} for i in range(gateways)},
        "pnes": pnes, "rekey": rekey, "log": log, "busy": busy,
    }


class Cluster:
    """FOLDER/cluster.json has the layout. The YAML of a role is FOLDER/NAME.server.yaml, .gateway.yaml or .pne.yaml, and its process has the name
    NAME.server and so on; the PNEs of the gateway gw1 are gw1.pne."""

    def __init__(self, folder: pathlib.Path, say=lambda line: None):
        self.folder, self.say = folder, say
        try:
            self.layout = json.loads((folder / "cluster.json").read_text())
        except FileNotFoundError:
            raise Trouble(f"{folder} has no cluster.json: scripts/cluster-up did not make this folder") from None
        self.processes = Processes(folder)
        self.database = Database(folder, self.processes, self.layout["database"])
        self.nodes, self.gateways = list(self.layout["nodes"]), list(self.layout["gateways"])

    @functools.cached_property
    def binary(self) -> pathlib.Path:
        return cpns_binary()

    @classmethod
    def make(cls, folder: pathlib.Path, what: dict, say=lambda line: None):
        """A new or an empty folder, with all files; nothing runs yet."""
        run_cpns("init", folder, "--devices", what["pnes"], "--user", USER)
        folder.chmod(0o711)  # the database enters as another user
        (folder / "cluster.json").write_text(json.dumps(what, indent=1) + "\n")
        made = cls(folder, say)
        made.processes.prepare()
        made._write_files()
        return made

    # ---- files

    def _write_files(self):
        for name in ("server", "gateway", "pne"):
            (self.folder / f"{name}.yaml").unlink()  # of an installation without a cluster
        addresses = [self.database.address, *self.layout["database"]["more_addresses"]]
        self.cpns("ca", "issue", "server", "database", "--ca", "tls", *(w for a in addresses for w in ("--ip", a)))
        self.database.configure(self.folder / "tls/database.pem", self.folder / "tls/database.key")
        (self.folder / "secrets").mkdir(mode=0o700)
        for name in ("owner", "node"):
            with open(os.open(self.folder / f"secrets/{name}", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        for name in self.nodes:
            self.write(f"{name}.server", self.server(name))
        with open(self.folder / "devices.csv", newline="") as file:
            rows = list(csv.reader(file))
        for number, name in enumerate(self.gateways):
            if name != "gw1":
                self.cpns("ca", "issue", "gateway", name, "--ca", "tls")
            self.write(f"{name}.gateway", self.gateway(name))
            self.write(f"{name}.pne", self.pne(name))
            with open(os.open(self.folder / f"{name}.csv", os.O_WRONLY | os.O_CREAT, 0o600), "w", newline="") as file:
                csv.writer(file).writerows([rows[0], *rows[1 + number::len(self.gateways)]])

    def write(self, name: str, content: dict):
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    def _common(self, name: str, kek: str) -> dict:
        return {"protector": {"kind": "file", "file": kek}, "api": {"socket": f"state/{name}.sock"},
                "audit": {"file": f"state/{name}.audit.jsonl"}, "log": {"format": self.layout["log"]}}

    def server(self, name: str) -> dict:
        node = self.layout["nodes"][name]
        nodes = [n["listen"] for n in self.layout["nodes"].values()]
        busy = {"set_size": 2} if self.layout["busy"] else {}
        return {"role": "server", "name": name, "listen": node["listen"],
                "cluster": {"advertise": node["listen"], "nodes": nodes},
                "tls": {"certificate": "tls/server.pem", "key": "tls/server.key", "ca": "tls/ca.pem"},
                "store": {"kind": "postgresql", "path": f"state/{name}", "postgresql": {
                    "hosts": self.database.hosts(node.get("database")), "database": "cpns", "user": "cpns_node",
                    "password_file": "secrets/node", "tls": "verify-full", "ca": "tls/ca.pem"}},
                "keys": {"rekey": self.layout["rekey"], **busy}, **self._common(f"{name}.server", "server.kek")}

    def gateway(self, name: str) -> dict:
        certificate = "gateway" if name == "gw1" else name
        busy = {"rekey": {"low_water": 2}, "healing_reserve": 1} if self.layout["busy"] else {}
        return {"role": "gateway", "name": name, "user": USER, "user_password_file": "password",
                "servers": [n["listen"] for n in self.layout["nodes"].values()][:16], "server_uri": "urn:cpns:server:main",
                "tls": {"certificate": f"tls/{certificate}.pem", "key": f"tls/{certificate}.key", "ca": "tls/ca.pem"},
                "store": {"kind": "rocksdb", "path": f"state/{name}"},
                "transports": [{"name": "radio", "plugin": "tcp", "params": {
                    "listen": self.layout["gateways"][name]["radio"], "network": name}}],
                "validation": {"policy": "auto"}, "timers": {"reconnect_max": "1s"}, **busy, **self._common(f"{name}.gateway", "gateway.kek")}

    def pne(self, name: str) -> dict:
        return {"role": "pne", "devices_file": f"{name}.csv", "keys_dir": f"state/{name}.pne",
                "transports": [{"name": "radio", "plugin": "tcp", "params": {
                    "connect": self.layout["gateways"][name]["radio"], "network": name}}],
                **self._common(f"{name}.pne", "pne.kek")}

    # ---- the command line

    def cpns(self, *args, stdin="", check=True, timeout=120) -> subprocess.CompletedProcess:
        return run_cpns(*args, cwd=self.folder, stdin=stdin, check=check, timeout=timeout)

    def ask(self, role: str, *args) -> dict:
        """The JSON that a command about a running role prints; {}: it has no answer."""
        done = self.cpns(*args, "--json", "--config", f"{role}.yaml", check=False, timeout=30)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {}

    # ---- processes

    def up(self, between_pnes=lambda: None):
        """The first start of all."""
        self.database.start(self.say)
        self._fill()
        self.start_roles(between_pnes)

    def _fill(self):
        """Tables, the user and the devices."""
        passwords = [(self.folder / f"secrets/{name}").read_text().strip() for name in ("owner", "node")]
        self.database.make_roles(*passwords)
        first = f"{self.nodes[0]}.server.yaml"
        self.cpns("store", "migrate", "--config", first, "--user", "cpns_owner", "--password-file", "secrets/owner", "--node-role", "cpns_node")
        self.say(f"the database: {', '.join(self.database.hosts())}" + (", HAProxy" if self.layout["database"]["proxy"] else ""))
        self.cpns("user", "add", USER, "--stdin", "--config", first, stdin=(self.folder / "password").read_text())
        self.cpns("device", "import", "devices.csv", "--config", first)
        self.say(f"the user {USER} and {self.layout['pnes']} devices are in it")

    def start_roles(self, between_pnes=lambda: None):
        for name in self.nodes:
            self.start_node(name)
        for name in self.nodes:
            self.wait_ready(f"{name}.server")
            self.say(f"{name} serves gateways at {self.layout['nodes'][name]['listen']}")
        for name in self.gateways:
            self.start(f"{name}.gateway", "gateway")
        for name in self.gateways:
            self.wait_ready(f"{name}.gateway")
        for name in self.gateways:
            self.start(f"{name}.pne", "pne")
            between_pnes()

    def prefix_of(self, node: str) -> list:
        """Words in front of the command of a node: a test can put it on a simulated machine."""
        return []

    def start_node(self, name: str):
        self.start(f"{name}.server", "server", self.prefix_of(name))

    def start(self, role: str, kind: str, prefix=()):
        plugins = self.binary.parents[1] / "lib/cpns/transports"
        env = {"HOME": str(self.folder), **({"CPNS_PLUGIN_PATH": str(plugins)} if plugins.is_dir() else {})}
        self.processes.start(role, [*prefix, self.binary, kind, "--config", f"{role}.yaml"], env=env)

    def wait_ready(self, role: str, seconds=60.0):
        def ready():
            self.processes.must_live(role)
            return self.cpns("status", "--config", f"{role}.yaml", check=False).returncode == 0

        wait_for(ready, seconds, f"{role} is ready; its log: {self.processes.log(role)}", every=0.2)

    def down(self):
        roles = [n for n in self.processes.names() if n.partition(".")[2]]
        for kind in ("pne", "gateway", "server"):
            self.processes.end([n for n in roles if n.endswith(f".{kind}")])
        self.database.end()

    # ---- what it is doing

    def node_of(self, gateway: str) -> str:
        """The node that the gateway is connected to; empty: none."""
        server = self.ask(f"{gateway}.gateway", "status").get("server", {})
        used = [s["address"] for s in server.get("servers", []) if s["in_use"]]
        return next((n for n, node in self.layout["nodes"].items() if used and node["listen"] == used[0]), "")

    def pnes(self) -> list:
        """What the gateways know about their PNEs."""
        return [p for g in self.gateways for p in self.ask(f"{g}.gateway", "pnes", "list").get("pnes", [])]

    def keyed(self) -> int:
        return sum(p["state"] == "keyed" for p in self.pnes())

    def wait_keyed(self):
        pnes = self.layout["pnes"]
        wait_for(lambda: self.keyed() == pnes, 60 + pnes / 20, f"{pnes} PNEs are keyed", every=0.3)
        self.say(f"{pnes} PNEs are keyed")

    def events(self, role: str) -> list:
        """The JSON lines that the role logged; a line that a kill cut off is left out."""
        out = []
        for line in self.processes.log(role).read_text(errors="replace").splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                pass
        return [e for e in out if isinstance(e, dict) and "event" in e]


def seconds_of(event: dict) -> float:
    """When the role wrote the line, since the epoch of Unix."""
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def run_cpns(*args, cwd=None, stdin="", check=True, timeout=120) -> subprocess.CompletedProcess:
    words = [str(cpns_binary()), *(str(a) for a in args)]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, cwd=cwd, timeout=timeout)
    if check and done.returncode != 0:
        raise Trouble(f"cpns {' '.join(words[1:])}: {done.stderr.strip() or done.stdout.strip()}")
    return done
