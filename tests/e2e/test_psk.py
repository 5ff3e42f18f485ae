"""Step 0 by pre-shared key: a hub without a certificate beside one with a certificate, at one server."""

import concurrent.futures
import json
import os
import socket
import ssl
import struct
import unittest

from support import pki, yaml
from support.case import E2ECase
from support.home import free_port
from support.process import Role

HALL = "urn:cpns:psk:hall"


class PreSharedKey(E2ECase):
    def place(self, devices=1, running=False, **options):
        """The gateway has a key instead of a certificate; the server got it while it was stopped, or running."""
        home = self.home(devices=devices, **options)
        home.server["api"] = {"socket": "state/server.sock"}
        del home.gateway["tls"], home.gateway["server_uri"]
        home.gateway["psk"] = {"identity": HALL, "key_file": "hall.psk"}
        home.write()
        if running:
            home.start("server")
        self.give_key(home)
        return home

    @staticmethod
    def give_key(home, identity=HALL, out="hall.psk", check=True):
        return home.cli("gateways", "key", identity, "--out", out, "--config", "server.yaml", "--json", check=check)

    @staticmethod
    def gateways(home):
        listed = json.loads(home.cli("gateways", "list", "--json", "--config", "server.yaml").stdout)
        return {g["uri"]: g for g in listed["gateways"]}

    def second(self, home):
        """A gateway with a certificate, and its own PNE process on a radio network of its own; both are started."""
        lines = (home.folder / "devices.csv").read_text().splitlines(keepends=True)
        for name, rows in (("devices", lines[:-1]), ("devices2", [lines[0], lines[-1]])):
            path = home.folder / f"{name}.csv"
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.writelines(rows)
        for name in ("gw2", "pne2"):
            with open(os.open(home.folder / f"{name}.kek", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write("42" * 32 + "\n")
        beacon, network = free_port(socket.SOCK_DGRAM), home.network[:-1] + "z"
        radio = {"listen": "127.0.0.1:0", "announce": f"127.255.255.255:{beacon}", "announce_ms": "100", "network": network}
        gateway = dict(home.gateway) | {
            "name": "gw2", "server_uri": "urn:cpns:server:main", "store": {"kind": "rocksdb", "path": "state/gw2"},
            "tls": {"certificate": "tls/gateway.pem", "key": "tls/gateway.key", "ca": "tls/ca.pem"},
            "protector": {"kind": "file", "file": "gw2.kek"}, "api": {"socket": "state/gw2.sock"},
            "transports": [{"name": "radio", "plugin": "tcp", "params": radio}]}
        del gateway["psk"]
        pne = dict(home.pne) | {
            "devices_file": "devices2.csv", "keys_dir": "state/pne2", "protector": {"kind": "file", "file": "pne2.kek"},
            "api": {"socket": "state/pne2.sock"},
            "transports": [{"name": "radio", "plugin": "tcp", "params": {"discover": str(beacon), "network": network}}]}
        for name, role, content in (("gw2", "gateway", gateway), ("pne2", "pne", pne)):
            (home.folder / f"{name}.yaml").write_text(yaml.dump(content))
            process = Role(name, home.folder / f"{name}.yaml", home.events, home.folder)
            process.args[1] = role
            home.processes.append(process)
            process.start()

    def test_a_hub_with_a_key_and_one_with_a_certificate_key_their_pnes_at_one_server(self):
        home = self.place(devices=2)
        home.start("server")
        self.second(home)
        home.start("gateway", "pne")
        first, second = (entity for entity, _ in home.devices)
        home.wait_for_each(entities=[first])
        home.wait_for_each(entities=[second], role="gw2")
        connected = {e["gateway"]: e for e in home.events.find(role="server", event="gateway-connected")}
        self.assertEqual((connected[HALL]["kind"], connected[HALL]["serial"]), ("psk", ""))
        self.assertEqual(connected["urn:cpns:gw:gw1"]["kind"], "x509")
        listed = self.gateways(home)
        self.assertEqual((listed[HALL]["kind"], listed["urn:cpns:gw:gw1"]["kind"]), ("psk", "x509"))
        self.assertTrue(listed[HALL]["key_since"])
        self.assertIsNone(listed["urn:cpns:gw:gw1"]["key_since"])
        self.assertEqual(len(listed[HALL]["connections"]), 1)
        # The doctor reaches the server by key while the hub runs.
        said = home.cli("doctor", "--config", "gateway.yaml", check=False).stdout
        self.assertIn(f"by the pre-shared key of {HALL}", said)
        self.assertIn("the gateway has a pre-shared key instead of a certificate", said)

    def test_a_removed_key_ends_the_connection_and_another_key_lets_the_hub_in_again(self):
        home = self.place(running=True)
        home.start("gateway", "pne")
        home.wait_for_each()
        mode = os.stat(home.folder / "hall.psk").st_mode & 0o777
        self.assertEqual(mode, 0o600)
        text = (home.folder / "hall.psk").read_text()
        self.assertRegex(text, r"\A[0-9a-f]{64}\n\Z")
        again = self.give_key(home, out="other.psk", check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn("already exists", again.stderr)
        self.assertFalse((home.folder / "other.psk").exists())
        since = home.events.mark()
        home.cli("gateways", "remove-key", HALL, "--config", "server.yaml")
        ended = home.events.wait(role="server", event="gateway-revoked", since=since, timeout=5)[0]
        self.assertIn(f"the pre-shared key of {HALL} was removed", ended["text"])
        refused = home.events.wait(role="server", event="gateway-refused", since=since, timeout=10)[0]
        self.assertIn(f"does not have the pre-shared key ({HALL}: no key is known of it)", refused["text"])
        home.events.wait(lambda e: "the server refused the pre-shared key" in e.get("text", ""), role="gateway",
                         event="server-unreachable", since=since, timeout=10)
        twice = home.cli("gateways", "remove-key", HALL, "--config", "server.yaml", check=False)
        self.assertEqual(twice.returncode, 1)
        self.assertIn("it has no pre-shared key", twice.stderr)
        # The hub takes the new key from its file without a restart.
        (home.folder / "hall.psk").unlink()
        self.give_key(home)
        self.assertNotEqual((home.folder / "hall.psk").read_text(), text)
        home.events.wait(role="gateway", event="server-connected", since=since, timeout=10)
        # The key is in no log line, and in no line of the trail.
        trail = b"".join(p.read_bytes() for p in home.folder.rglob("*audit*") if p.is_file())
        self.assertIn(b"gateway-key-add", trail)
        self.assertIn(b"gateway-key-remove", trail)
        for key in (text.strip(), (home.folder / "hall.psk").read_text().strip()):
            self.assertNotIn(key.encode(), trail)
            self.assertEqual(home.events.find(lambda e, k=key: k in json.dumps(e)), [])

    def test_of_two_administrators_who_give_one_hub_a_key_at_once_one_gets_it(self):
        home = self.place(running=True)
        for turn in range(4):
            identity, files = f"urn:cpns:psk:hub{turn}", [f"hub{turn}-{i}.psk" for i in range(4)]
            with concurrent.futures.ThreadPoolExecutor(len(files)) as at_once:
                done = list(at_once.map(lambda out, i=identity: self.give_key(home, i, out, check=False), files))
            won = [f for f, d in zip(files, done) if d.returncode == 0]
            self.assertEqual(len(won), 1, [d.stderr for d in done])
            self.assertEqual([f for f in files if (home.folder / f).exists()], won, "no other file has a key that counts")

    def test_a_key_holds_over_a_restart_and_can_be_removed_while_the_server_is_stopped(self):
        home = self.place()
        home.start("server", "gateway", "pne")
        home.wait_for_each()
        home.role("server").terminate()
        since = home.events.mark()
        home.start("server")
        home.events.wait(role="gateway", event="server-connected", since=since, timeout=10)
        home.role("server").kill9()
        since = home.events.mark()
        home.start("server")
        home.events.wait(role="gateway", event="server-connected", since=since, timeout=10)
        home.role("server").terminate()
        home.cli("gateways", "remove-key", HALL, "--config", "server.yaml")
        since = home.events.mark()
        home.start("server")
        home.events.wait(role="server", event="gateway-refused", since=since, timeout=10)
        self.assertEqual(home.events.find(role="gateway", event="server-connected", since=since), [])
        self.assertIsNone(self.gateways(home)[HALL]["key_since"])

    def test_a_blocked_hub_gets_no_keys(self):
        home = self.place()
        home.start("server")
        home.cli("gateways", "block", HALL, "--config", "server.yaml")
        home.start("gateway", "pne")
        home.events.wait(role="server", event="gateway-blocked", timeout=15)
        self.assertEqual(home.events.find(role="gateway", event="confirmed"), [])
        home.cli("gateways", "unblock", HALL, "--config", "server.yaml")
        home.wait_for_each(timeout=40)

    def test_a_wrong_key_and_an_unknown_identity_look_alike_from_outside(self):
        home = self.place(running=True)
        answers = {}
        for identity in (HALL, "urn:cpns:psk:nobody"):
            with socket.create_connection((home.address, home.server_port), timeout=5) as s:
                s.sendall(client_hello(identity))
                answers[identity] = read_all(s)
        self.assertEqual(answers[HALL].hex(), "15030300020" + "22f", "one alert, illegal_parameter")
        self.assertEqual(answers[HALL], answers["urn:cpns:psk:nobody"])
        said = [e["text"] for e in home.events.wait(role="server", event="gateway-refused", count=2, timeout=5)]
        self.assertTrue(any("its key is another one" in t for t in said), said)
        self.assertTrue(any("no key is known of it" in t for t in said), said)

    def test_a_hub_with_a_key_refuses_a_server_that_answers_with_a_certificate(self):
        home = self.place()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(home.folder / "tls/server.pem", home.folder / "tls/server.key")
        context.set_alpn_protocols(["cpns/1"])
        with socket.create_server((home.address, home.server_port)) as listening:
            listening.settimeout(15)
            home.start("gateway")
            taken, _ = listening.accept()
            with taken:
                taken.settimeout(5)
                with self.assertRaises((ssl.SSLError, OSError)):
                    with context.wrap_socket(taken, server_side=True) as stream:
                        stream.recv(1)
            home.events.wait(lambda e: "answered with a certificate instead of the pre-shared key" in e.get("text", ""),
                             role="gateway", event="server-unreachable", timeout=10)
        self.assertEqual(home.events.find(role="gateway", event="server-connected"), [])

    def test_a_certificate_with_the_name_of_a_hub_with_a_key_is_refused(self):
        home = self.place()
        home.server["gateway_uris"] = ["urn:cpns:*"]
        home.write()
        pki.Ca(home.folder / "tls").issue(home.folder / "tls", "fake", HALL, pki.CLIENT)
        del home.gateway["psk"]
        home.gateway |= {"server_uri": "urn:cpns:server:main",
                         "tls": {"certificate": "tls/fake.pem", "key": "tls/fake.key", "ca": "tls/ca.pem"}}
        home.write()
        home.start("server", "gateway")
        refused = home.events.wait(role="server", event="gateway-refused", timeout=10)[0]
        self.assertIn("is a name of gateways without a certificate", refused["text"])

    def test_the_configuration_names_either_a_certificate_or_a_key(self):
        home = self.place()
        good = dict(home.gateway)
        self.assertIn("gateway.yaml", home.cli("config", "check", "gateway.yaml").stdout)

        def said(change, remove=()):
            home.gateway = {k: v for k, v in good.items() if k not in remove} | change
            home.write()
            done = home.cli("config", "check", "gateway.yaml", check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            return done.stderr

        tls = {"certificate": "tls/gateway.pem", "key": "tls/gateway.key", "ca": "tls/ca.pem"}
        self.assertRegex(said({"tls": tls}), r"gateway\.yaml:\d+:\d+: 'psk' and 'tls' exclude each other")
        self.assertRegex(said({}, remove=["psk"]), r"gateway\.yaml:\d+:\d+: 'tls' is missing: .*\('psk'\)")
        self.assertRegex(said({"server_uri": "urn:cpns:server:main"}), r"gateway\.yaml:\d+:\d+: 'server_uri' has no meaning")
        self.assertRegex(said({"tls": tls}, remove=["psk"]), r"gateway\.yaml:\d+:\d+: 'server_uri' is missing")
        self.assertRegex(said({"psk": {"identity": "urn:cpns:gw:hall", "key_file": "hall.psk"}}),
                         r"gateway\.yaml:\d+:\d+: 'psk\.identity'.*is not an identity")
        self.assertRegex(said({"psk": {"identity": HALL}}), r"gateway\.yaml:\d+:\d+: .*'psk\.key_file' is missing")
        (home.folder / "hall.psk").chmod(0o644)
        self.assertRegex(said({}), r"gateway\.yaml:\d+:\d+: 'psk\.key_file'.*hall\.psk")
        (home.folder / "hall.psk").chmod(0o600)
        (home.folder / "hall.psk").write_text("00" * 31 + "\n")
        self.assertRegex(said({}), r"gateway\.yaml:\d+:\d+: 'psk\.key_file'.*32 to 64 bytes, not 31")


def read_all(s) -> bytes:
    out = b""
    while True:
        try:
            part = s.recv(4096)
        except ConnectionResetError:
            return out
        if not part:
            return out
        out += part


def client_hello(identity: str) -> bytes:
    """A ClientHello that offers an external key of this identity, with a binder that cannot verify."""
    def block(data, size):
        return len(data).to_bytes(size, "big") + data

    def extension(number, data):
        return struct.pack("!H", number) + block(data, 2)

    share = bytes([9]) + bytes(31)  # the base point of X25519
    extensions = b"".join((
        extension(43, block(b"\x03\x04", 1)),                        # supported_versions: TLS 1.3
        extension(10, block(b"\x00\x1d", 2)),                        # supported_groups: X25519
        extension(51, block(b"\x00\x1d" + block(share, 2), 2)),      # key_share
        extension(13, block(b"\x04\x03", 2)),                        # signature_algorithms
        extension(16, block(block(b"cpns/1", 1), 2)),                # ALPN
        extension(45, block(b"\x01", 1)),                            # psk_key_exchange_modes: psk_dhe_ke
        extension(41, block(block(identity.encode(), 2) + bytes(4), 2) + block(block(bytes(32), 1), 2))))
    body = b"\x03\x03" + bytes(32) + block(b"", 1) + block(b"\x13\x01", 2) + block(b"\x00", 1) + block(extensions, 2)
    return b"\x16\x03\x01" + block(b"\x01" + block(body, 3), 2)


if __name__ == "__main__":
    unittest.main()
