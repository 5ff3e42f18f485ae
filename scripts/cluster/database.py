"""etcd, PostgreSQL under Patroni, and HAProxy."""

import functools
import http.client
import importlib.util
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import signal
import subprocess

from cluster.processes import Processes, Trouble, as_user, children_of, program, wait_for

PROGRAMS = {"etcd": "etcd-server", "patroni": "patroni", "haproxy": "haproxy"}  # and their packages
# Of Patroni's store in etcd. A primary that died is replaced after `ttl`; Patroni wants ttl >= loop_wait + 2 * retry_timeout.
DCS = {
    "ttl": 5,
    "loop_wait": 1,
    "retry_timeout": 2,
    "maximum_lag_on_failover": 1048576,
    # A primary whose PostgreSQL crashed loses its office at once, and does not first try to start again.
    "primary_start_timeout": 0,
}
PARAMETERS = {
    "wal_level": "replica",
    "hot_standby": "on",
    # pg_rewind, by which a former primary follows the new one, needs this or checksums.
    "wal_log_hints": "on",
    "max_connections": 100,
    "max_wal_senders": 8,
    "max_replication_slots": 8,
    "wal_keep_size": "256MB",
    "max_wal_size": "2GB",
    # Or the kernel writes the rows of half a minute at once, and commits wait.
    "backend_flush_after": "1MB",
    "shared_buffers": "64MB",
    "synchronous_commit": "on",
    # A standby whose slot does not exist yet would wait for 5 s, and all writes with it.
    "wal_retrieve_retry_interval": "100ms",
    # A connection whose other side vanished ends, and its row locks with it.
    "tcp_keepalives_idle": 2,
    "tcp_keepalives_interval": 1,
    "tcp_keepalives_count": 2,
    "tcp_user_timeout": 3000,
    "wal_sender_timeout": "3s",
    "wal_receiver_timeout": "3s",
    "wal_receiver_status_interval": "1s",
    # Patroni decides who is the primary after a crash.
    "restart_after_crash": "off",
}
HAPROXY = """# Made by scripts/cluster-up: connections to the primary, as Patroni names it.
global
  maxconn 500
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
  option clitcpka
  option srvtcpka
  srvtcpka-idle 2s
  srvtcpka-intvl 1s
  srvtcpka-cnt 2
  option redispatch
listen primary
{binds}
  option httpchk OPTIONS /primary
  http-check expect status 200
  # A server that is not the primary any more loses its connections at once.
  default-server inter 500ms fastinter 250ms downinter 250ms rise 1 fall 2 on-marked-down shutdown-sessions
{servers}
"""


def postgres_programs() -> pathlib.Path:
    """The newest ones; Debian keeps them outside of PATH."""
    found = [f.parent for f in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        raise Trouble("PostgreSQL is missing; scripts/install-deps --cluster installs it (apt-get install postgresql)")
    return max(found, key=lambda p: [int(n) for n in p.parent.name.split(".")])


def etcd_interface(etcd: str) -> str:
    """`etcd`, which is the interface v2, or `etcd3`. Patroni before 3.0.3 loses acknowledged rows with etcd3 when a primary freezes and wakes up:
    it writes its lease back without a comparison."""
    version = subprocess.run([etcd, "--version"], capture_output=True, text=True).stdout
    number = [int(n) for n in re.search(r"Version: (\d+)\.(\d+)", version).groups()]
    return "etcd" if importlib.util.find_spec("etcd") and number < [3, 6] else "etcd3"


def database_user() -> str | None:
    """Whose processes the database has; None: this process is not root, so its own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            pass
    raise Trouble("PostgreSQL refuses to run as root, and this machine has no user postgres; scripts/install-deps --cluster makes it")


def check_packages():
    """Trouble, with the remedy, if a program of the cluster is missing."""
    postgres_programs()
    for name, package in PROGRAMS.items():
        program(name, package)


class Database:
    """`layout` is a part of FOLDER/cluster.json: `members` is {name: {sql, rest}} with ports at `address`; `proxy` is a port, or null."""

    def __init__(self, folder: pathlib.Path, processes: Processes, layout: dict):
        self.folder, self.processes, self.layout = folder / "database", processes, layout
        self.address, self.members = layout["address"], layout["members"]

    # Looked for when they are needed: a cluster can be ended after its packages were removed.

    @functools.cached_property
    def user(self) -> str | None:
        return database_user()

    @functools.cached_property
    def postgres(self) -> pathlib.Path:
        return postgres_programs()

    @functools.cached_property
    def etcd(self) -> str:
        return program("etcd", PROGRAMS["etcd"])

    @functools.cached_property
    def patroni(self) -> str:
        return program("patroni", PROGRAMS["patroni"])

    @functools.cached_property
    def haproxy(self) -> str:
        return program("haproxy", PROGRAMS["haproxy"])

    def find_programs(self) -> list:
        """Trouble, with the remedy, if one is missing."""
        return [self.postgres, self.etcd, self.patroni, *([self.haproxy] if self.layout["proxy"] else [])]

    # ---- files

    def configure(self, certificate: pathlib.Path, key: pathlib.Path):
        """Makes the folder, owned by the user of the database, who alone can read it."""
        self.find_programs()  # before the first one runs
        self.folder.mkdir(mode=0o700)
        passwords = {name: secrets.token_urlsafe(24) for name in ("superuser", "replication", "rewind")}
        for name, member in self.members.items():
            (self.folder / name).mkdir(mode=0o700)
            self._write(f"{name}.yaml", json.dumps(self._member(name, member, passwords), indent=1))
        self._write("superuser", passwords["superuser"])
        shutil.copy(certificate, self.folder / "server.pem")
        shutil.copy(key, self.folder / "server.key")
        if self.layout["proxy"]:
            self._write("haproxy.cfg", self._proxy())
        if self.user:
            owner = pwd.getpwnam(self.user)
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, owner.pw_uid, owner.pw_gid)
            if subprocess.run([*as_user(self.user), "test", "-r", str(self.folder / "superuser")]).returncode != 0:
                raise Trouble(f"the user {self.user}, as which PostgreSQL runs, cannot enter {self.folder}; use a folder below /tmp, or /var/tmp")

    def _write(self, name: str, text: str):
        with open(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(text + "\n")

    def _member(self, name: str, member: dict, passwords: dict) -> dict:
        """The configuration of Patroni, which is JSON, a kind of YAML."""
        here, data = self.address, self.folder / name / "data"
        synchronous = len(self.members) > 1
        dcs = {**DCS, "synchronous_mode": synchronous, "synchronous_mode_strict": synchronous,
               "synchronous_node_count": max(1, len(self.members) - 1),
               "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": PARAMETERS}}
        listen = ",".join([here, *self.layout["more_addresses"]])
        tls = {"ssl": "on", "ssl_cert_file": str(self.folder / "server.pem"), "ssl_key_file": str(self.folder / "server.key")}
        users = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        return {
            "scope": "cpns", "name": name,
            "restapi": {"listen": f"{here}:{member['rest']}", "connect_address": f"{here}:{member['rest']}"},
            etcd_interface(self.etcd): {"hosts": [f"{here}:{self.layout['etcd']}"]},
            "bootstrap": {"dcs": dcs, "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"]},
            "postgresql": {
                "listen": f"{listen}:{member['sql']}", "connect_address": f"{here}:{member['sql']}", "data_dir": str(data),
                "bin_dir": str(self.postgres), "pgpass": str(self.folder / name / "pgpass"), "use_unix_socket": False,
                "authentication": {what: {"username": user, "password": passwords[what]} for what, user in users.items()},
                # No Unix socket: its path may have 107 bytes, and a folder of a trial may be longer.
                "parameters": {"unix_socket_directories": "", **tls},
                "pg_hba": ["host all postgres,rewinder 127.0.0.0/8 scram-sha-256", "host replication replicator 127.0.0.0/8 scram-sha-256",
                           "hostssl cpns cpns_owner,cpns_node all scram-sha-256"],
                "basebackup": {"checkpoint": "fast"},
            },
            # A machine of its own needs one: a Patroni that hangs cannot stop its PostgreSQL.
            "watchdog": {"mode": "off", "safety_margin": -1},
        }

    def _proxy(self) -> str:
        binds = [f"  bind {a}:{self.layout['proxy']}" for a in (self.address, *self.layout["more_addresses"])]
        servers = [f"  server {n} {self.address}:{m['sql']} check port {m['rest']}" for n, m in self.members.items()]
        return HAPROXY.format(binds="\n".join(binds), servers="\n".join(servers))

    # ---- processes

    def start(self, say=lambda line: None):
        """Returns when there is a primary and all others are its standbys."""
        client, peer = (f"http://{self.address}:{self.layout[k]}" for k in ("etcd", "etcd_peer"))
        v2 = ["--enable-v2=true"] if etcd_interface(self.etcd) == "etcd" else []
        self._start("etcd", [self.etcd, "--name", "e", "--data-dir", self.folder / "etcd", "--listen-client-urls", client,
                             "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                             "--initial-cluster", f"e={peer}", *v2, "--heartbeat-interval", "100", "--election-timeout", "1000",
                             "--logger", "zap", "--log-level", "warn"])
        self._wait(lambda: self._asked(self.layout["etcd"], "/health"), 20, "etcd answers", ["etcd"])
        say(f"etcd answers; {len(self.members)} PostgreSQL under Patroni start")
        for name in self.members:
            self.start_member(name)
        everybody = list(self.members)
        self._wait(self.primary, 60, "Patroni has a primary", everybody)
        say(f"{self.primary()} is the primary")
        if self.layout["proxy"]:
            self._start("haproxy", [self.haproxy, "-db", "-f", self.folder / "haproxy.cfg"])
        self._wait(self._writable, 60, "the primary takes writes", everybody)  # Patroni promotes it after it has named it
        self.wait_for_standbys()

    def _writable(self) -> bool:
        try:
            return self.sql("SELECT NOT pg_is_in_recovery()") == "t"
        except Trouble:
            return False

    def wait_for_standbys(self, seconds=90.0):
        wanted = len(self.members) - 1
        self._wait(lambda: len(self.standbys()) == wanted, seconds, f"{wanted} synchronous standbys", list(self.members))

    def _start(self, name: str, args: list):
        self.processes.start(name, args, self.user, {"HOME": str(self.folder)}, cwd=self.folder)

    def _wait(self, condition, seconds, what, names):
        def step():
            for name in names:
                self.processes.must_live(name)
            return condition()

        try:
            return wait_for(step, seconds, what)
        except Trouble as failed:
            raise Trouble(f"{failed}\n" + "\n".join(f"{n}:\n{self.processes.tail(n, 6)}" for n in names)) from None

    def start_member(self, name: str):
        """Also after kill_member()."""
        self._start(name, [self.patroni, self.folder / f"{name}.yaml"])

    def end(self):
        """Also what a killed or a frozen Patroni left."""
        for name in self.members:
            self.thaw(name)
        self.processes.end([n for n in ("haproxy", *self.members)])
        for name in self.members:
            postmaster = self.postmaster(name)
            if postmaster:
                os.kill(postmaster, signal.SIGQUIT)
                wait_for(lambda n=name: not self.postmaster(n), 10, f"the end of PostgreSQL {name}")
        self.processes.end(["etcd"])

    def postmaster(self, name: str) -> int:
        """The main process of PostgreSQL; 0: it does not run."""
        data = self.folder / name / "data"
        try:
            pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if os.readlink(f"/proc/{pid}/cwd") == str(data) else 0
        except (OSError, ValueError):
            return 0

    def crash(self, name: str):
        """kill -9 of PostgreSQL; Patroni goes on."""
        os.kill(self.postmaster(name), signal.SIGKILL)

    def kill_member(self, name: str):
        """kill -9 of Patroni and all of PostgreSQL, as if the machine had lost its power."""
        self.processes.kill(name)
        postmaster = self.postmaster(name)
        if postmaster:
            self._signal_all([postmaster, *children_of(postmaster)], signal.SIGKILL)

    def freeze(self, name: str):
        """Stops Patroni and all of PostgreSQL; the kernel still acknowledges what arrives at their sockets."""
        self._signal_all(self._processes_of(name), signal.SIGSTOP)

    def thaw(self, name: str):
        self._signal_all(self._processes_of(name), signal.SIGCONT)

    def _processes_of(self, name: str) -> list:
        postmaster = self.postmaster(name)
        patroni = [self.processes.pid(name)] if self.processes.alive(name) else []
        return patroni + ([postmaster, *children_of(postmaster)] if postmaster else [])

    @staticmethod
    def _signal_all(pids: list, number: int):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it ended meanwhile

    # ---- what it is doing

    def _asked(self, port: int, path: str) -> dict | None:
        connection = http.client.HTTPConnection(self.address, port, timeout=1)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            return json.loads(body) if answer.status == 200 else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def seen(self) -> list:
        """The members as one of the Patronis sees them, [{name, role, state, timeline}]; empty: none answers."""
        for member in self.members.values():
            cluster = self._asked(member["rest"], "/cluster")
            if cluster and cluster.get("members"):
                return cluster["members"]
        return []

    def primary(self) -> str:
        """The member that itself says so; empty: none does."""
        return next((name for name, m in self.members.items() if self._asked(m["rest"], "/primary")), "")

    def standbys(self) -> list:
        return [m["name"] for m in self.seen() if m["role"] == "sync_standby" and m["state"] in ("running", "streaming")]

    def hosts(self, address=None) -> list:
        """Where a node finds the database, as seen from `address`."""
        ports = [self.layout["proxy"]] if self.layout["proxy"] else [m["sql"] for m in self.members.values()]
        return [f"{address or self.address}:{port}" for port in ports]

    def sql(self, text: str, database="postgres") -> str:
        """Runs the statements in the primary as its superuser. They arrive by standard input: an argument is public."""
        # The primary alone: a standby that has not got a new database yet refuses, and psql would not ask the next host.
        port = self.members[wait_for(self.primary, 30, "a primary")]["sql"]
        target = f"host={self.address} port={port} user=postgres dbname={database} connect_timeout=2"
        done = subprocess.run([str(self.postgres / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", target], input=text, capture_output=True,
                              text=True, timeout=60, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
                                                          "PGPASSWORD": (self.folder / "superuser").read_text().strip()})
        if done.returncode != 0:
            raise Trouble(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def make_roles(self, owner_password: str, node_password: str):
        """The database `cpns`; its tables belong to `cpns_owner`, and the nodes are `cpns_node`."""
        self.sql(f"CREATE ROLE cpns_owner LOGIN PASSWORD '{owner_password}';\nCREATE ROLE cpns_node LOGIN PASSWORD '{node_password}';\n"
                 "CREATE DATABASE cpns OWNER cpns_owner;")
        self.sql("REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO cpns_owner; GRANT USAGE ON SCHEMA public TO cpns_node;",
                 "cpns")
