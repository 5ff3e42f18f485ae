"""Refusals at the server link, tested from outside: openssl's client is refused, the log contains the reason, and a real gateway is still
served."""

import subprocess
import unittest

from support import pki
from support.case import E2ECase
from support.process import cpns_binary

GATEWAY = "urn:cpns:gw:gw1"
ALPN = ["-alpn", "cpns/1"]
ONE_ANSWER = "the user is not known or the password is wrong"


class RefusedByTheServer(E2ECase):
    def refused(self, why: str, make_options):
        home = self.home(devices=1)
        home.start("server")
        tls = home.folder / "tls"
        # The input stays open, because a TLS 1.3 client notices the refusal only at its first read.
        with subprocess.Popen(["openssl", "s_client", "-connect", f"{home.address}:{home.server_port}", "-CAfile", tls / "ca.pem",
                               *make_options(tls)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            try:
                said = home.events.wait(role="server", event="gateway-refused", timeout=10)[0]
                self.assertEqual(client.wait(10), 1)
            finally:
                client.kill()
        self.assertIn(why, said["text"])
        self.assertTrue(said["peer"].startswith("127."), said)
        self.assertEqual(home.events.find(role="server", event="gateway-connected"), [])
        home.start("gateway", "pne")
        home.events.wait(role="gateway", event="confirmed", timeout=20)
        self.assertEqual(home.role("server").terminate(), 0)

    def test_no_certificate(self):
        self.refused("the peer sent no certificate", lambda tls: ALPN)

    def test_tls_1_2(self):
        self.refused("does not speak TLS 1.3", lambda tls: [*pki.options(tls, "gateway"), *ALPN, "-tls1_2"])

    def test_no_alpn(self):
        self.refused("the peer offers no ALPN, expected cpns/1", lambda tls: pki.options(tls, "gateway"))

    def test_another_alpn(self):
        self.refused("does not offer ALPN cpns/1.1 or cpns/1", lambda tls: [*pki.options(tls, "gateway"), "-alpn", "h2,cpns/2"])

    def test_a_certificate_of_another_ca(self):
        self.refused("comes from an unknown CA", lambda tls: [*pki.Ca().issue(tls, "foreign", GATEWAY, pki.CLIENT), *ALPN])

    def test_an_expired_certificate(self):
        self.refused("has expired", lambda tls: [
            *pki.Ca(tls).issue(tls, "old", GATEWAY, pki.CLIENT, begin=-2 * pki.DAY, end=-pki.DAY), *ALPN])

    def test_a_certificate_from_the_future(self):
        self.refused("is not valid yet", lambda tls: [
            *pki.Ca(tls).issue(tls, "early", GATEWAY, pki.CLIENT, begin=pki.DAY, end=2 * pki.DAY), *ALPN])

    def test_a_name_that_is_not_of_a_gateway(self):
        self.refused("urn:cpns:server:two is not one of a gateway; if it is one, add it to gateway_uris",
                     lambda tls: [*pki.Ca(tls).issue(tls, "other", "urn:cpns:server:two", pki.CLIENT), *ALPN])

    def test_a_servers_certificate_used_as_a_gateways(self):
        self.refused("is for another purpose", lambda tls: [*pki.options(tls, "server"), *ALPN])


    def test_an_administrator(self):
        def issued(tls):
            subprocess.run([cpns_binary(), "ca", "issue", "admin", "eve", "--ca", tls], check=True, capture_output=True)
            return [*pki.options(tls, "eve"), *ALPN]
        self.refused("urn:cpns:admin:eve is not one of a gateway", issued)


class IssuedCertificates(E2ECase):
    def test_a_gateway_is_served_whose_key_was_made_elsewhere(self):
        home = self.home(devices=1)
        key, csr = home.folder / "hall.key", home.folder / "hall.csr"
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/",
                        "-keyout", key, "-out", csr], check=True, capture_output=True)
        home.cli("ca", "issue", "gateway", "hall", "--ca", home.folder / "tls", "--csr", csr, "--days", "2")
        home.gateway["tls"] |= {"certificate": "tls/hall.pem", "key": "hall.key"}
        home.write()
        home.start()
        self.assertEqual(home.events.wait(role="gateway", event="certificate-ends-soon")[0]["level"], "error")
        home.events.wait(role="gateway", event="confirmed", timeout=20)


class RefusedByTheGateway(E2ECase):
    """A false server answers at the server's address. The gateway logs the reason, sends no data, and finds the real server later."""

    def refused(self, why: str, make_options):
        home = self.home(devices=1)
        tls = home.folder / "tls"
        with subprocess.Popen(["openssl", "s_server", "-accept", f"{home.address}:{home.server_port}", "-CAfile", tls / "ca.pem",
                               "-Verify", "1", "-tls1_3", "-quiet", *ALPN, *make_options(tls)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as false_server:
            try:
                home.start("gateway", "pne")
                said = home.events.wait(lambda e: why in e.get("text", ""), role="gateway", timeout=15)[0]
            finally:
                false_server.kill()
            # With -quiet the output is the data that the gateway sent over the link.
            self.assertEqual(false_server.stdout.read(), b"")
        self.assertEqual(said["event"], "server-unreachable", said)
        self.assertEqual(home.events.find(role="gateway", event="server-connected"), [])
        self.assertEqual(home.events.find(role="gateway", event="requested"), [])
        home.start("server")
        home.events.wait(role="gateway", event="confirmed", timeout=20)
        self.assertEqual(home.role("gateway").terminate(), 0)

    def test_a_gateways_certificate_used_as_a_servers(self):
        self.refused("is for another purpose", lambda tls: pki.options(tls, "gateway"))

    def test_a_server_of_another_ca(self):
        self.refused("comes from an unknown CA", lambda tls: pki.Ca().issue(tls, "foreign", "urn:cpns:server:main", pki.SERVER))

    def test_an_expired_server(self):
        self.refused("has expired", lambda tls: pki.Ca(tls).issue(tls, "old", "urn:cpns:server:main", pki.SERVER,
                                                                  begin=-2 * pki.DAY, end=-pki.DAY))

    def test_a_server_of_another_name(self):
        self.refused("urn:cpns:server:other", lambda tls: pki.Ca(tls).issue(tls, "other", "urn:cpns:server:other", pki.SERVER))


class WrongPassword(E2ECase):
    def test_is_reported_with_the_remedy_and_mended_without_a_restart(self):
        home = self.home(devices=1)
        right = home.password()
        home.gateway["timers"]["backoff_max"] = "1s"  # interval at which a refused device asks again
        home.write()
        (home.folder / "password").write_text("not the password\n")
        home.start()
        refused = home.events.wait(role="server", event="assignment-refused", timeout=20)[0]
        self.assertEqual((refused["status"], refused["text"]), ("unknown_user_or_bad_proof", ONE_ANSWER))
        said = home.events.wait(lambda e: e.get("level") in ("warn", "error"), role="gateway", timeout=10)[0]
        self.assertIn("password", said["text"])
        self.assertEqual(home.events.find(role="gateway", event="delivering"), [])
        (home.folder / "password").write_text(right + "\n")
        home.events.wait(role="gateway", event="confirmed", timeout=30)

    def test_an_unknown_user_gets_the_same_answer(self):
        home = self.home(devices=1)
        home.gateway["user"] = "nobody@example.org"
        home.write()
        home.start()
        refused = home.events.wait(role="server", event="assignment-refused", timeout=20)[0]
        self.assertEqual(refused["status"], "unknown_user_or_bad_proof")
        self.assertEqual(refused["text"], ONE_ANSWER)
        home.events.wait(role="gateway", event="user-refused", timeout=20)
        for event in ("enrolled", "not-enrolled"):
            self.assertEqual(home.events.find(role="gateway", event=event), [], "the challenge for an unknown user looks like any other")
        self.assertEqual(home.events.find(role="gateway", event="delivering"), [])


if __name__ == "__main__":
    unittest.main()
