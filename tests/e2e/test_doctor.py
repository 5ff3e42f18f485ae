"""`cpns doctor`: what it says about roles that run, that are stopped, and that have a fault; it changes nothing."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import unittest

from support.api_home import add_sockets
from support.case import E2ECase
from support.home import free_port
from support.keys import change_pne_keys
from support.mount import Tmpfs, server_store_on_disk
from support.process import cpns_binary

ROLES = ("server", "gateway", "pne")
OTHER = 12345  # an unused user and group id


def snapshot(folder: pathlib.Path) -> dict:
    """Names, modes, sizes and times of all files, and their content if they are small."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() and about.st_size < 1 << 20 else None
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_size, about.st_mtime_ns, content)
    return found


class DoctorCase(E2ECase):
    def examine(self, home, name: str, code=None) -> dict:
        begun = time.monotonic()
        done = home.cli("doctor", "--config", f"{name}.yaml", "--json", check=False)
        self.assertLess(time.monotonic() - begun, 30)
        said = json.loads(done.stdout)
        expected = 1 if said["errors"] else 0
        self.assertEqual(done.returncode, expected, said)
        self.assertEqual(said["errors"], len(self.of(said, "error")))
        self.assertEqual(said["warnings"], len(self.of(said, "warning")))
        if code is not None:
            self.assertEqual(done.returncode, code, json.dumps(said, indent=1))
        self.assertEqual(said["role"], name)
        for secret in ("password", "server.kek", "gateway.kek", "pne.kek"):
            content = (home.folder / secret).read_text().strip() if (home.folder / secret).exists() else ""
            if len(content) > 8:
                self.assertNotIn(content, done.stdout + done.stderr)
        return said

    @staticmethod
    def of(said: dict, state: str) -> list:
        return [line for line in said["lines"] if line["state"] == state]

    def line(self, said: dict, check: str, state: str, *texts: str) -> dict:
        """The line of this check with these texts; its state must be `state`."""
        found = [one for one in said["lines"] if one["check"] == check and all(t in one["text"] for t in texts)]
        self.assertEqual(len(found), 1, (check, texts, json.dumps(said, indent=1)))
        self.assertEqual(found[0]["state"], state, found)
        return found[0]


class Healthy(DoctorCase):
    def test_stopped_roles_have_no_error_and_nothing_is_changed(self):
        home = self.home(devices=1)
        home.gateway["servers"] = [f"{home.address}:{home.server_port}"]
        before = snapshot(home.folder)
        for name in ROLES:
            with self.subTest(name):
                said = self.examine(home, name)
                self.assertFalse(said["running"])
                self.line(said, "configuration", "ok", f"{name}.yaml has no error")
                self.line(said, "files", "ok", "no secret is open to other users")
                self.line(said, "user", "ok", f"the rights of user {os.geteuid()}")
                self.line(said, "disk", "ok", " left on the disk of ")
                self.assertTrue([one for one in said["lines"] if one["check"] == "clock" and "the clock shows 20" in one["text"]])
        self.assertEqual(snapshot(home.folder), before)
        server, gateway = self.examine(home, "server", 0), self.examine(home, "gateway", 1)
        self.line(server, "store", "ok", "the key opens the store in ", " rows can be read")
        self.line(server, "certificate", "ok", "the certificate of urn:cpns:server:main (serial ", ", in 82")
        self.line(server, "certificate", "ok", "the CA that issued it ends on ")
        self.line(server, "certificate", "ok", "tls.crl is not set")
        self.line(server, "listening", "ok", "does not run, and its address", "is free")
        self.line(gateway, "store", "ok", "the store in ", " does not exist yet; the role makes it at its first start")
        self.line(gateway, "radio", "ok", "the radio radio (tcp) can be opened")
        self.line(gateway, "server", "error", f"{home.address}:{home.server_port}: Connection refused", "look whether the server runs")
        self.line(self.examine(home, "pne"), "store", "ok", "the key files do not exist yet")
        self.assertEqual(snapshot(home.folder), before)

    def test_running_roles_are_seen_and_reached(self):
        home = self.home(devices=1, rekey="1s")
        home.server["tls"]["crl"] = home.gateway["tls"]["crl"] = "tls/ca.crl"
        home.write()
        home.start()
        home.wait_for_each()
        for name in ROLES:
            with self.subTest(name):
                said = self.examine(home, name, 0)
                self.assertTrue(said["running"])
                self.assertEqual(said["pid"], home.role(name).pid)
                self.line(said, "ready", "ok", f"the {name} says that it is ready")
                self.line(said, "store", "ok", f"runs (process {home.role(name).pid})")
                self.line(said, "descriptors", "ok" if name != "gateway" else self.descriptors(said),
                          f"process {home.role(name).pid} may open ")
        gateway, server = self.examine(home, "gateway", 0), self.examine(home, "server", 0)
        self.line(gateway, "server", "ok", f"connected to {home.address}:{home.server_port} in ",
                  "TLS handshake in ", " as urn:cpns:server:main, whose certificate ends on ")
        self.line(gateway, "radio", "ok", "is open in the running role")
        self.line(self.examine(home, "pne", 0), "radio", "ok", "is open in the running role; `cpns pne radios` shows its links")
        self.line(gateway, "certificate", "ok", "the CRL of /CN=cpns development CA ends on ", "revoked certificates in all CRLs: 0")
        self.line(server, "listening", "ok", f"the server listens at {home.address}:{home.server_port}")
        since = home.events.mark()
        home.events.wait(role="gateway", event="confirmed", since=since, count=2)
        for event in ("gateway-connected-twice", "gateway-refused", "bad-request"):
            self.assertEqual(home.events.find(role="server", event=event), [], "the examination must not look like a fault")
        self.assertEqual([home.role(name).terminate() for name in reversed(ROLES)], [0, 0, 0])

    @staticmethod
    def descriptors(said):
        return next(one["state"] for one in said["lines"] if one["check"] == "descriptors")

    def test_the_text_has_a_line_for_each_check_and_the_counts(self):
        home = self.home(devices=1)
        done = home.cli("doctor", "--config", "server.yaml")
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^ok       configuration  server\.yaml has no error$")
        self.assertRegex(lines[-1], r"^0 errors, \d warnings?$")
        self.assertEqual(home.cli("doctor", check=False).returncode, 2)
        self.assertIn("Examples:\n  cpns doctor --config", home.cli("doctor", "--help").stdout)


class Pairs(DoctorCase):
    """Two files, with the plugins as they describe themselves; all differences: tests/unit/cli/compare_test.cpp."""

    def compare(self, home, one: str, other: str, code: int) -> dict:
        before = snapshot(home.folder)
        done = home.cli("doctor", "--config", f"{one}.yaml", "--with", f"{other}.yaml", "--json", check=False)
        self.assertEqual(snapshot(home.folder), before)
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode, code, json.dumps(said, indent=1))
        self.assertEqual([said[key] for key in ("config", "role", "with", "with_role")], [f"{one}.yaml", one, f"{other}.yaml", other])
        return said

    def test_that_fit(self):
        home = self.home(devices=2)
        for one, other, check, text in (("gateway", "pne", "radios", "can meet"), ("pne", "gateway", "devices", "2 devices of "),
                                        ("gateway", "server", "identity", "'server_uri' is that of "),
                                        ("server", "gateway", "address", " can be ")):
            said = self.compare(home, one, other, 0)
            self.assertEqual(said["warnings"], 0, said)
            self.line(said, check, "ok", text)

    def test_that_differ(self):
        home = self.home(devices=1)
        for role, bytes_ in ((home.gateway, 16), (home.pne, 32)):
            role["application_keys"] = {"socket": "keys.sock", "purposes": {"mqtt": {"bytes": bytes_, "allow": {"users": ["root"]}}}}
        home.pne["transports"][0]["params"]["network"] = "another"
        home.write()
        said = self.compare(home, "pne", "gateway", 1)
        place = r"(gateway|pne)\.yaml:\d+:\d+: '"
        self.assertRegex(self.line(said, "purposes", "error", "is 16, but ", "is 32")["text"], f"^{place}.*but {place}")
        self.assertRegex(self.line(said, "radios", "error", "is another")["text"], f"^{place}transports.*but {place}transports")
        self.assertEqual((said["errors"], said["warnings"]), (2, 0))

    def test_of_one_role(self):
        home = self.home(devices=1)
        empty = home.cli("doctor", "--config", "pne.yaml", "--with", "", check=False)
        self.assertEqual((empty.returncode, empty.stdout), (2, ""))
        self.assertIn("name a file", empty.stderr)
        done = home.cli("doctor", "--config", "pne.yaml", "--with", "pne.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"\nerror +configuration +pne\.yaml and pne\.yaml are both the configuration of a pne; ")


class Faulty(DoctorCase):
    def test_a_wrong_configuration(self):
        home = self.home(devices=1)
        home.server["lisen"] = "127.0.0.1:1"
        home.write()
        done = home.cli("doctor", "--config", "server.yaml", "--json", check=False)
        self.assertEqual(done.returncode, 1)
        said = json.loads(done.stdout)
        self.assertEqual([one["check"] for one in said["lines"]], ["configuration"])
        self.assertRegex(said["lines"][0]["text"], r"server\.yaml:\d+:\d+: .*'lisen'.*listen")
        self.assertEqual(home.cli("doctor", "--config", "none.yaml", check=False).returncode, 1)

    def test_missing_files_and_wrong_modes(self):
        home = self.home(devices=1)
        (home.folder / "tls/server.pem").unlink()
        (home.folder / "server.kek").chmod(0o644)
        said = self.examine(home, "server", 1)
        self.line(said, "files", "error", "'tls.certificate': certificate file",
                  "No such file or directory; restore the file from a backup")
        self.line(said, "files", "error", "'protector.file': the key file", "chmod 600")
        self.line(said, "certificate", "error", "the TLS files cannot be used")
        self.line(said, "store", "error", "server.kek", "chmod 600")

    def test_certificates_that_end(self):
        home = self.home(devices=1)
        for days, state, text in ((20, "warning", "ends on "), (2, "error", "in 1 day")):
            home.cli("ca", "issue", "server", "server", "--ca", "tls", "--days", days, "--replace")
            said = self.examine(home, "server", 0 if state == "warning" else 1)
            self.line(said, "certificate", state, "certificate file", text, "issue a new one")
        home.cli("ca", "issue", "server", "server", "--ca", "tls", "--replace")
        home.cli("ca", "revoke", "server", "--ca", "tls")
        home.server["tls"]["crl"] = "tls/ca.crl"
        home.write()
        self.line(self.examine(home, "server", 1), "certificate", "error", "is in the CRL (serial ", "issue a new one")

    def test_servers_that_cannot_be_used(self):
        home = self.home(devices=1)
        home.start("server")
        silent = socket.create_server((home.address, 0))
        self.addCleanup(silent.close)
        home.gateway["servers"] = [f"{home.address}:{home.server_port}", f"{home.address}:{silent.getsockname()[1]}",
                                   "no-such-host.invalid:7443", f"{home.address}:9"]
        home.write()
        begun = time.monotonic()
        said = self.examine(home, "gateway", 1)
        self.assertLess(time.monotonic() - begun, 25)
        self.line(said, "server", "ok", "TLS handshake in ")
        self.line(said, "server", "error", "no TLS handshake within ")
        self.line(said, "server", "error", f"{home.address}:9: Connection refused")
        names = [one for one in said["lines"] if "no-such-host" in one["text"] or "did not end within" in one["text"]]
        self.assertEqual([one["state"] for one in names], ["error"], said)
        home.gateway["servers"] = home.gateway["servers"][:1]
        home.gateway["server_uri"] = "urn:cpns:server:other"
        home.write()
        self.line(self.examine(home, "gateway", 1), "server", "error", "the peer is urn:cpns:server:main, expected urn:cpns:server:other")

    def test_a_gateway_that_the_server_refuses(self):
        home = self.home(devices=1)
        home.server["tls"]["crl"] = "tls/ca.crl"
        home.write()
        home.cli("ca", "revoke", "gateway", "--ca", "tls")
        home.start("server")
        self.line(self.examine(home, "gateway", 1), "server", "error", "the peer refused our certificate: it was revoked")
        home.role("server").terminate()
        home.server["gateway_uris"] = ["urn:example:*"]
        del home.server["tls"]["crl"]
        home.write()
        home.start("server")
        self.line(self.examine(home, "gateway", 1), "server", "error", "is not one of its gateway_uris")

    def test_an_address_in_use(self):
        home = self.home(devices=1)
        with socket.create_server((home.address, home.server_port)):
            self.line(self.examine(home, "server", 1), "listening", "error", "Address already in use", "another process uses the port")
        home.server["listen"] = "192.0.2.1:7443"
        home.write()
        self.line(self.examine(home, "server", 0), "listening", "warning", "Cannot assign requested address")

    def test_addresses_of_the_api_in_use(self):
        home = self.home(devices=1)
        ports = {"probes": free_port(socket.SOCK_STREAM, home.address), "listen": free_port(socket.SOCK_STREAM, home.address)}
        home.server["api"] = {"socket": "none", "tls": home.server["tls"], "certificates": {"urn:cpns:admin:*": "admin"},
                              **{key: f"{home.address}:{port}" for key, port in ports.items()}}
        home.write()
        for key, port in ports.items():
            with self.subTest(key), socket.create_server((home.address, port)):
                self.line(self.examine(home, "server", 1), "api-address", "error", f"api.{key}: ", "Address already in use", "ss -ltnp")
                self.ends_at_its_start(home, f"api.{key}")
            self.line(self.examine(home, "server", 0), "api-address", "ok", f"(api.{key}) is free")
        with socket.create_server((home.address, home.server_port)):
            self.ends_at_its_start(home, "listen: ")

    def ends_at_its_start(self, home, setting: str):
        done = home.cli("server", "--config", "server.yaml", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, f"cpns: conflicts with the current state: {setting}.*Address already in use")

    def test_the_audit_file(self):
        home = self.home(devices=1)
        self.line(self.examine(home, "gateway"), "audit", "ok", "does not exist; the role makes it")
        home.add_user("bob@example.org", "a long password")
        file = home.folder / "state/server.audit.jsonl"
        sound = file.read_bytes()
        self.line(self.examine(home, "server", 0), "audit", "ok", "has the right mode")
        file.chmod(0o644)
        self.line(self.examine(home, "server", 1), "audit", "error", "'audit.file': ", f"run: chmod 640 {file}")
        self.assertEqual(home.cli("server", "--config", "server.yaml", check=False).returncode, 1)
        file.chmod(0o600)
        for content, text in ((sound + b'{"number":', "its last 10 bytes are not a line"), (sound[:-1], "its last "),
                              (sound[:sound[:-1].rindex(b"\n") + 1], "lines are missing that the store knows")):
            file.write_bytes(content)
            self.line(self.examine(home, "server", 0), "audit", "warning", text, "run `cpns audit verify`")
            self.assertEqual(file.read_bytes(), content)
        self.assertEqual(home.cli("audit", "verify", "--config", "server.yaml", check=False).returncode, 1)
        file.write_bytes(sound)
        self.line(self.examine(home, "server", 0), "audit", "ok", "has the right mode")

    def test_full_disks_of_the_audit_trail_and_of_the_log(self):
        home = self.home(devices=1)
        for key, state, text in (("audit", "error", "the role refuses changes until there is space"),
                                 ("log", "warning", "the role goes on, and drops log lines")):
            disk = Tmpfs(home.folder / key, "4m")
            self.addCleanup(disk.close)
            home.server.setdefault(key, {})["file"] = f"{key}/lines"
            home.write()
            disk.fill()
            self.line(self.examine(home, "server", 1), "disk", state, f"({key}.file)", text)

    def test_the_address_of_a_radio_in_use(self):
        home = self.home(devices=1)
        home.listen_at_fixed_port()
        home.write()
        self.line(self.examine(home, "gateway"), "radio", "ok", "can be opened")
        with socket.create_server((home.address, home.radio_port)):
            self.line(self.examine(home, "gateway"), "radio", "warning", "cannot be opened", "Address already in use", "ss -ltnp")
        self.line(self.examine(home, "gateway"), "radio", "ok", "can be opened")

    def test_a_running_gateway_whose_radio_is_not_open(self):
        home = self.home(devices=1)
        home.listen_at_fixed_port()
        home.write()
        home.start("server")
        with socket.create_server((home.address, home.radio_port)):
            home.start("gateway")
            home.events.wait(role="gateway", event="enrolled", timeout=20)
            said = self.examine(home, "gateway", 1)
            self.line(said, "ready", "error", "the gateway is not ready: the radio radio is not open", "ss -ltnp")
            self.line(said, "radio", "error", "is not open in the running role: ", "Address already in use", "ss -ltnp")
        self.assertEqual(home.role("gateway").terminate(), 0)

    def test_a_running_server_whose_store_accepts_no_writes(self):
        home = self.home(devices=1)
        disk = server_store_on_disk(self, home, "40m")
        home.server["audit"] = {"file": "state/audit.jsonl"}  # on another disk, so that changes reach the store
        add_sockets(home)
        home.write()
        home.start("server")
        self.line(self.examine(home, "server"), "ready", "ok", "says that it is ready")
        disk.fill()
        for n in range(100):  # the last page of a file may have room for some rows
            if home.cli("user", "add", f"bob{n}@example.org", "--stdin", "--config", "server.yaml", stdin="a long password\n",
                        check=False).returncode:
                break
        said = self.examine(home, "server", 1)
        self.line(said, "ready", "error", "the store accepts no writes", "free space on the disk of the store")
        self.line(said, "store", "error", "but it accepts no writes", "the line `ready`")

    def test_stores_that_cannot_be_read(self):
        home = self.home(devices=1)
        home.start()
        home.wait_for_each()
        for name in reversed(ROLES):
            home.role(name).terminate()
        for name in ("server", "gateway"):
            folder = home.folder / "state" / name
            with self.subTest(name):
                self.line(self.examine(home, name), "store", "ok", "the key opens the store in ", " rows can be read")
                sound = (folder / "CURRENT").read_bytes()
                (folder / "CURRENT").unlink()
                before = snapshot(folder)
                self.line(self.examine(home, name, 1), "store", "error", "lost its file CURRENT; restore it from a backup")
                self.assertEqual(snapshot(folder), before)
                (folder / "CURRENT").write_bytes(sound)
                kek = home.folder / f"{name}.kek"
                right = kek.read_text()
                kek.write_text("0" * 64 + "\n")
                self.line(self.examine(home, name, 1), "store", "error", f"{name}.kek cannot unwrap the data key", "restore the key file")
                kek.unlink()
                self.line(self.examine(home, name, 1), "store", "error", "No such file or directory", "restore the key file")
                kek.touch(0o600)
                kek.write_text(right)
                shutil.copy(kek, f"{kek}.rewrap")
                self.line(self.examine(home, name, 1), "store", "error", f"{kek}.rewrap exists",
                          "a change of the key in place was interrupted")
                pathlib.Path(f"{kek}.rewrap").unlink()
        shared = home.folder / "state/pne/data.key"
        self.line(self.examine(home, "pne"), "store", "ok", "the key opens 1 of 1 key files")
        self.line(self.examine(home, "pne"), "store", "ok", "the key opens the store in", "state/pne/store", "can be read")
        change_pne_keys(home.folder, "--damage", home.devices[0][0])
        self.line(self.examine(home, "pne", 1), "store", "error", "state/pne/store", "cannot be read", "restore the store from a backup")
        content = shared.read_bytes()
        shared.unlink()
        self.line(self.examine(home, "pne", 1), "store", "error", f"the file {shared} is missing", "put it back from a backup")
        self.assertFalse(shared.exists())
        shared.write_bytes(content[:-1])
        self.line(self.examine(home, "pne", 1), "store", "error", "data.key")

    def test_a_full_disk_and_a_read_only_one(self):
        home = self.home(devices=1)
        disk = server_store_on_disk(self, home, "32m")
        home.write()
        self.line(self.examine(home, "server", 0), "disk", "warning", " MiB are left on the disk of ", "free some space")
        disk.fill(leave=8 << 20)
        self.line(self.examine(home, "server", 1), "disk", "error", "the role answers overloaded until there is space")
        disk.make_read_only()
        said = self.examine(home, "server", 1)
        self.line(said, "disk", "error", "is mounted read-only")
        self.line(said, "store", "ok", " rows can be read")

    def test_too_few_descriptors(self):
        home = self.home(devices=1)
        done = subprocess.run(["sh", "-c", f'ulimit -n 128 && exec "{cpns_binary()}" doctor --config server.yaml --json'],
                              cwd=home.folder, capture_output=True, text=True)
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0, said)
        self.line(said, "descriptors", "warning", "may open 128 files, but limits.connections is 4096", "raise the limit")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_another_user_gets_an_answer_without_rights(self):
        home = self.home(devices=1)
        home.folder.chmod(0o755)
        command = ["setpriv", "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups", cpns_binary(), "doctor", "--config",
                   home.folder / "server.yaml", "--json"]
        said = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
        self.assertGreater(said["errors"], 0)
        self.line(said, "files", "error", "'tls.key'", "Permission denied")
        # With the files of its own it finds no error.
        for root, folders, files in os.walk(home.folder):
            for name in (".", *folders, *files):
                os.lchown(os.path.join(root, name), OTHER, OTHER)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.line(json.loads(done.stdout), "user", "ok", f"the rights of user {OTHER}, as the role")
        # Root would overlook what this user cannot read.
        self.line(self.examine(home, "server", 0), "user", "warning", f"belongs to user {OTHER}", "run the command as that user")


if __name__ == "__main__":
    unittest.main()
