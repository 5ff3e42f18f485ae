"""A KDC of MIT Kerberos and a FreeRADIUS of a benchmark: private configuration in a temporary folder, a UDP port of 127.0.0.1 that the
system gives, another user than root, no disk in the way of an answer."""
import grp
import os
import pathlib
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "e2e"))
from support.home import free_port  # noqa: E402

PACKAGES = "apt-get install --no-remove krb5-kdc krb5-admin-server freeradius"
PROGRAMS = "krb5kdc", "kdb5_util", "kadmin.local", "freeradius"
USERS = 100
REALM = "BENCH.EXAMPLE"
SECRET = "a secret of the bench"
READY_S = 10
AES256 = 18  # aes256-cts-hmac-sha1-96
OTHER_USER, OTHER_GROUP = "nobody", "nogroup"  # in place of root

KRB5_CONF = """[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
[logging]
 default = FILE:/dev/null
 kdc = FILE:/dev/null
 admin_server = FILE:/dev/null
[dbmodules]
 files = {{
  db_library = db2
  database_name = {folder}/principal
  disable_last_success = true
  disable_lockout = true
 }}
"""
KDC_CONF = """[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = ""
[realms]
 {realm} = {{
  database_module = files
  key_stash_file = {folder}/stash
  supported_enctypes = aes256-cts-hmac-sha1-96:normal
 }}
"""
# One worker. No log of a request, no accounting, no proxy.
RADIUSD_CONF = """prefix = /usr
libdir = {libdir}
raddbdir = {folder}
logdir = {folder}
run_dir = {folder}
max_requests = 65536
cleanup_delay = 2
hostname_lookups = no
log {{
  destination = files
  file = /dev/null
  auth = no
}}
security {{
  max_attributes = 200
  reject_delay = 0
  status_server = no
}}
proxy_requests = no
thread pool {{
  start_servers = 1
  max_servers = 1
  min_spare_servers = 0
  max_spare_servers = 1
  max_requests_per_server = 0
}}
client bench {{
  ipaddr = 127.0.0.1
  secret = "{secret}"
  limit {{
    max_connections = 0
    lifetime = 0
    idle_timeout = 0
  }}
}}
modules {{
  pap {{
  }}
  files {{
    filename = {folder}/users
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  authorize {{
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
  }}
}}
"""


def missing_programs():
    place = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [name for name in PROGRAMS if not shutil.which(name, path=place)]


def as_other_user():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(grp.getgrnam(OTHER_GROUP).gr_gid)
        os.setuid(pwd.getpwnam(OTHER_USER).pw_uid)


def keys_of(keytab):
    """By user. The format: doc/formats/keytab_file_format.rst of MIT Kerberos."""
    data, at, out = keytab.read_bytes(), 2, {}
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        entry, at = data[at + 4:at + 4 + max(size, 0)], at + 4 + abs(size)
        if size <= 0:
            continue  # removed
        (count,), place, parts = struct.unpack_from(">H", entry), 2, []
        for _ in range(count + 1):  # the realm is the first
            (length,) = struct.unpack_from(">H", entry, place)
            parts.append(entry[place + 2:place + 2 + length])
            place += 2 + length
        place += 9  # kind of the name, time, version
        kind, length = struct.unpack_from(">HH", entry, place)
        if kind == AES256:
            out[parts[1].decode()] = entry[place + 4:place + 4 + length]
    return out


class Service:
    """One process. `folder` is a new one. `users` is a file for bench_peers."""

    def __init__(self, folder):
        folder.mkdir()
        folder.chmod(0o711)
        self.folder, self.port, self.child = folder, free_port(socket.SOCK_DGRAM), None
        self.environment = {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C", "HOME": str(folder)}
        try:
            self.prepare()
            if os.geteuid() == 0:
                for path in (folder, *folder.rglob("*")):
                    shutil.chown(path, OTHER_USER, OTHER_GROUP)
            with open(folder / "output", "wb") as output:
                self.child = subprocess.Popen(self.words(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment,
                                              cwd=folder, preexec_fn=as_other_user)
            self.wait()
        except BaseException:
            self.close()
            raise

    def write_users(self, keys):
        if len(keys) != USERS:
            raise RuntimeError(f"{type(self).__name__} has {len(keys)} of {USERS} users")
        self.users = self.folder / "users.bench"
        self.users.write_text("".join(f"{name}\t{key.hex()}\n" for name, key in keys.items()))

    def run(self, *words, text=""):
        done = subprocess.run([*map(str, words)], input=text, capture_output=True, text=True, env=self.environment, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def wait(self):
        """Until it has bound its port: a datagram to a port that nobody has is answered with an error."""
        until = time.monotonic() + READY_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", self.port))
            s.settimeout(0.1)
            while time.monotonic() < until and self.child.poll() is None:
                try:
                    s.send(b"?")
                    s.recv(1)
                    return
                except TimeoutError:
                    return
                except ConnectionRefusedError:
                    time.sleep(0.05)
        raise RuntimeError(f"{type(self).__name__} did not start: {(self.folder / 'output').read_text(errors='replace')[-400:]}")

    def close(self):
        if self.child and self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Kdc(Service):
    NAME = "krb5kdc, AS-REQ"
    PROTOCOL, SHARED = "kerberos", REALM

    def prepare(self):
        names = {"realm": REALM, "folder": self.folder, "port": self.port}
        (self.folder / "krb5.conf").write_text(KRB5_CONF.format(**names))
        (self.folder / "kdc.conf").write_text(KDC_CONF.format(**names))
        self.environment |= {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf")}
        keytab = self.folder / "keytab"
        self.run("kdb5_util", "-r", REALM, "create", "-s", "-W", "-P", "a master password of the bench")
        self.run("kadmin.local", text="".join(f"addprinc -randkey +requires_preauth user{n}\nktadd -norandkey -k {keytab} user{n}\n"
                                              for n in range(USERS)))
        self.write_users(keys_of(keytab))

    def words(self):
        return ["krb5kdc", "-n", "-r", REALM]


class Radius(Service):
    NAME = "FreeRADIUS, PAP"
    PROTOCOL, SHARED = "radius", SECRET

    def prepare(self):
        libraries = sorted(pathlib.Path("/usr/lib").glob("**/rlm_pap.so"))
        if not libraries:
            raise RuntimeError("the module rlm_pap of FreeRADIUS is missing")
        (self.folder / "radiusd.conf").write_text(
            RADIUSD_CONF.format(folder=self.folder, port=self.port, secret=SECRET, libdir=libraries[0].parent))
        (self.folder / "dictionary").write_text("")
        passwords = {f"user{n}": f"password of user{n}" for n in range(USERS)}
        (self.folder / "users").write_text("".join(f'{name} Cleartext-Password := "{word}"\n' for name, word in passwords.items()))
        self.write_users({name: word.encode() for name, word in passwords.items()})

    def words(self):
        return ["freeradius", "-f", "-d", self.folder, "-n", "radiusd", "-l", "/dev/null"]
