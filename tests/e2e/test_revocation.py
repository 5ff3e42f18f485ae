"""Revoked certificates: `cpns ca revoke` on one machine, and a server and gateways that read the list while they work."""

import os
import subprocess
import unittest

from support.case import E2ECase
from support.process import Role


class Revoked(E2ECase):
    def place(self, **options):
        home = self.home(devices=2, **options)
        for name in ("server", "gateway"):
            getattr(home, name)["tls"]["crl"] = "tls/ca.crl"
        home.write()
        return home

    def second_gateway(self, home):
        """Another gateway of the same user, with its own certificate, store and radio; it is started."""
        home.cli("ca", "issue", "gateway", "gw2", "--ca", "tls")
        one = dict(home.gateway)
        home.gateway.update({"name": "gw2", "tls": home.gateway["tls"] | {"certificate": "tls/gw2.pem", "key": "tls/gw2.key"},
                             "store": {"kind": "rocksdb", "path": "state/gw2"}, "protector": {"kind": "file", "file": "gw2.kek"},
                             "api": {"socket": "state/gw2.sock"}})
        with open(os.open(home.folder / "gw2.kek", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("42" * 32 + "\n")
        home.write()
        (home.folder / "gateway.yaml").rename(home.folder / "gw2.yaml")
        home.gateway = one
        home.write()
        second = Role("gw2", home.folder / "gw2.yaml", home.events, home.folder)
        second.args[1] = "gateway"
        home.processes.append(second)
        return second.start()

    def test_a_gateway_is_cut_off_while_others_work_and_comes_back_with_a_new_certificate(self):
        home = self.place(rekey="1s")
        home.start()
        home.wait_for_each()
        other = self.second_gateway(home)
        home.events.wait(role="gw2", event="server-connected", timeout=10)
        said = home.cli("ca", "revoke", "gw2", "--ca", "tls").stdout
        serial = home.cli("ca", "revoke", "--renew", "--ca", "tls", "--json").stdout
        self.assertIn('"revoked":1', serial)
        since = home.events.mark()
        self.assertEqual(home.role("server").reload()["event"], "reloaded")
        closed = home.events.wait(role="server", event="gateway-revoked", since=since, timeout=10)
        self.assertIn("the peer's certificate was revoked (urn:cpns:gw:gw2, serial ", closed[0]["text"])
        number = closed[0]["text"].split("serial ")[1].split(",")[0]
        self.assertIn(number, said)
        connected = home.events.find(role="server", event="gateway-connected", gateway="urn:cpns:gw:gw2")
        self.assertEqual(connected[0]["serial"], number, "the log gives the number for --serial")
        # It tries again, and is refused at once on both sides.
        refused = home.events.wait(role="server", event="gateway-refused", since=since, timeout=10)[0]
        self.assertIn(f"was revoked (urn:cpns:gw:gw2, serial {number}, revoked on ", refused["text"])
        home.events.wait(lambda e: "the peer refused our certificate: it was revoked" in e.get("text", ""), role="gw2",
                         event="server-unreachable", since=since, timeout=10)
        self.assertEqual(len(home.events.find(role="server", event="gateway-revoked")), 1)
        # The first gateway never lost its connection.
        self.assertEqual(len(home.events.find(role="gateway", event="server-connected")), 1)
        home.events.wait(role="gateway", event="confirmed", since=home.events.mark(), timeout=10)
        # The revoked gateway gets a new certificate, without a restart.
        home.cli("ca", "issue", "gateway", "gw2", "--ca", "tls", "--replace")
        since = home.events.mark()
        self.assertEqual(other.reload()["event"], "reloaded")
        home.events.wait(role="gw2", event="server-connected", since=since, timeout=20)

    def test_a_gateway_leaves_a_server_whose_certificate_was_revoked(self):
        home = self.place()
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=10)
        home.cli("ca", "revoke", "server", "--ca", "tls")
        home.role("server").terminate()
        home.start("server")
        own = home.events.wait(role="server", event="certificate-revoked", timeout=10)[0]
        self.assertIn("the certificate urn:cpns:server:main is in the CRL (serial ", own["text"])
        home.role("gateway").reload()
        refused = home.events.wait(lambda e: "was revoked (urn:cpns:server:main, serial " in e.get("text", ""), role="gateway",
                                   event="server-unreachable", timeout=15)[0]
        self.assertEqual(refused["level"], "warn")

    def test_a_bad_list_is_refused_with_one_line_and_the_old_one_goes_on(self):
        home = self.place()
        home.cli("ca", "revoke", "gateway", "--ca", "tls")
        crl = home.folder / "tls/ca.crl"
        good = crl.read_text()
        home.start("server")
        crl.write_text(good[:len(good) // 2])
        since = home.events.mark()
        home.role("server").reload()
        said = home.events.wait(role="server", event="crl-refused", since=since, timeout=10)
        self.assertIn("holds a damaged PEM CRL; the previous CRLs stay in use", said[0]["text"])
        home.role("server").reload()
        self.assertEqual(len(home.events.find(role="server", event="crl-refused")), 1)
        del home.gateway["tls"]["crl"]  # a role does not start with a damaged list
        home.write()
        home.start("gateway")
        home.events.wait(role="server", event="gateway-refused", timeout=10)
        checked = home.cli("config", "check", "server.yaml", check=False)
        self.assertEqual(checked.returncode, 1)
        self.assertRegex(checked.stderr, r"server\.yaml:\d+:\d+: 'tls\.crl': CRL file .*/ca\.crl holds a damaged PEM CRL")
        crl.unlink()
        self.assertEqual(home.role("server").terminate(), 0)
        role = home.role("server").spawn()
        self.assertEqual(role.wait(20), 1, "a start needs the list")
        self.assertTrue(home.events.find(lambda e: "'tls.crl'" in e.get("text", ""), role="server", event="not-started"))

    def test_lists_of_openssl_are_read(self):
        home = self.place()
        folder = home.folder / "tls"
        (folder / "index.txt").touch()
        (folder / "ca.conf").write_text("[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncertificate=ca.pem\nprivate_key=ca.key\n"
                                        "default_md=sha256\ndefault_crl_days=30\n")
        for options in (("-revoke", "gateway.pem"), ("-gencrl", "-out", "ca.crl")):
            done = subprocess.run(["openssl", "ca", "-config", "ca.conf", *options], cwd=folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        text = subprocess.run(["openssl", "crl", "-in", "ca.crl", "-noout", "-text"], cwd=folder, capture_output=True, text=True).stdout
        self.assertIn("Serial Number: ", text)
        home.start("server", "gateway")
        refused = home.events.wait(role="server", event="gateway-refused", timeout=10)[0]
        self.assertIn("was revoked (urn:cpns:gw:gw1, serial ", refused["text"])
        # openssl reads the lists of this program.
        (folder / "ca.crl").unlink()
        home.cli("ca", "revoke", "gateway", "--ca", "tls")
        verified = subprocess.run(["openssl", "crl", "-in", "ca.crl", "-CAfile", "ca.pem", "-noout"], cwd=folder, capture_output=True,
                                  text=True)
        self.assertIn("verify OK", verified.stderr)
        checked = subprocess.run(["openssl", "verify", "-crl_check", "-CRLfile", "ca.crl", "-CAfile", "ca.pem", "gateway.pem"],
                                 cwd=folder, capture_output=True, text=True)
        self.assertIn("certificate revoked", checked.stderr)

    def test_a_trial_folder_has_an_empty_list_that_its_roles_use(self):
        home = self.home(devices=1)
        home.cli("init", "trial", "--listen", f"{home.address}:{home.server_port}")
        for name in ("server", "gateway"):
            self.assertIn("crl: tls/ca.crl", (home.folder / f"trial/{name}.yaml").read_text())
        self.assertIn('"revoked":0', home.cli("ca", "revoke", "--renew", "--ca", "trial/tls", "--json").stdout)


if __name__ == "__main__":
    unittest.main()
