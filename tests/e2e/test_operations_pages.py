#!/usr/bin/env python3
"""docs/operations: the commands of its pages do what they say, word for word, and its list of events is the program's."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from support.home import free_port
from support.process import cpns_binary

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs/operations"
# Each block of a page goes on where the one before ended; roles are jobs of this shell, and end with it.
PROLOGUE = 'set -eu\ntrap \'kill $(jobs -p) 2>/dev/null || true; wait\' EXIT\n'
GATEWAY = """cpns gateway --config trial/gateway.yaml >gateway.log 2>&1 &
until cpns pnes server --config trial/gateway.yaml 2>/dev/null | grep 'user: enrolled'; do sleep 1; done
"""
MODULES = ("actors", "api", "audit", "base", "cli", "crypto", "plugins/host", "plugins/isolation", "server", "storage")


def blocks_of(page: str) -> list:
    return re.findall(r"^```sh\n(.*?)^```$", (PAGES / page).read_text(), re.M | re.S)


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-operations-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # Parallel tests must not meet, so the ports and the network of the pages are replaced.
        self.ports = {"7443": str(free_port(socket.SOCK_STREAM)), "7450": str(free_port(socket.SOCK_STREAM)),
                      "7451": str(free_port(socket.SOCK_DGRAM)), "7480": str(free_port(socket.SOCK_STREAM))}

    def run_page(self, page: str, before="", leave_out=("/etc/cpns",), after=""):
        """The packages have other commands, with /etc/cpns; tests/packages runs those."""
        blocks = blocks_of(page)
        self.assertGreater(len(blocks), 3)
        kept = [b for b in blocks if not any(x in b for x in leave_out)]
        script = PROLOGUE + before + "".join(f"echo '--- block {n}'\n{b}" for n, b in enumerate(kept)) + after
        script = script.replace("cpns init trial", "cpns init trial --listen 127.0.0.1:7443")
        changes = [f"s/{known[:-1]}[{known[-1]}]/{port}/" for known, port in self.ports.items()]
        change = f"sed -i -e '{';'.join(changes)};s/cpns-de[v]/{self.folder.name}/' trial/*.yaml"
        script = re.sub(r"^(cpns init trial\b.*)$", rf"\1\n{change}", script, flags=re.M)
        script = script.replace("DNS:cpns.example.org,IP:192.0.2.7", "DNS:localhost,IP:127.0.0.1")
        for known, port in self.ports.items():
            script = script.replace(known, port)
        path = f"{pathlib.Path(cpns_binary()).parent}:{os.environ['PATH']}"
        child = subprocess.Popen(["bash", "-c", script], cwd=self.folder, env={**os.environ, "PATH": path}, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            said, _ = child.communicate(timeout=90)
        finally:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.assertEqual(child.returncode, 0, said[-6000:])
        return said

    def test_first_steps_end_with_a_device_that_has_a_key(self):
        said = self.run_page("first-steps.md")
        self.assertRegex(said, r"urn:dev:mac:02000000000000a1 +keyed")
        self.assertIn("0 errors", said)
        self.assertFalse((self.folder / "gateway/password").exists())

    def test_a_backup_can_be_restored(self):
        said = self.run_page("backup.md")
        self.assertRegex(said, r"opens the store in /\S+/check/state/server, and all \d+ rows can be read")
        self.assertRegex(said, r"/check/state/server\.audit\.jsonl: \d+ lines")
        self.assertIn("The chain is whole", said)
        self.assertIn("user-add bob@example.org done", said)
        self.assertNotIn("user-add alice", said, "older than the backup")

    def test_a_user_is_added_changed_and_removed(self):
        before = "".join(blocks_of("remote.md")[:2]) + GATEWAY
        said = self.run_page("users.md", before, after="cpns user list --config trial/server.yaml --json\n")
        self.assertIn("password-changed", said)
        self.assertIn('{"unchanged":false}', said)
        self.assertIn("Removed the user carl@example.org.", said)
        left = next(line for line in said.splitlines() if line.startswith('{"users"'))
        self.assertEqual([u["user"] for u in json.loads(left)["users"]], ["alice@example.org"])
        self.assertNotIn("user-refused", (self.folder / "gateway.log").read_text())

    def test_a_batch_is_added_exported_and_ended(self):
        said = self.run_page("batches.md")
        self.assertIn("Wrote the Temporary Keys of 100 devices to sensors.csv, mode 0600.", said)
        self.assertRegex(said, r"batch-export sensor-2026-07 done")
        self.assertIn("blocked           no gateway gets keys for it", said)
        self.assertEqual(len(re.findall(r"(?m)^urn:dev:mac:0024bf00000\d\t128bit\t", said)), 10, said)
        self.assertEqual(list(self.folder.glob("*.csv")), [])

    def test_a_manufacturers_service_is_tried_and_asked(self):
        said = self.run_page("key-services.md", before=f"export CPNS_DOCS={ROOT / 'docs'}\n")
        self.assertRegex(said, r"key-service +the service maker at https://127\.0\.0\.1:\d+ answers")
        self.assertRegex(said, r"key_services\.maker\.breaker +closed")

    def test_a_hub_connects_by_key_and_loses_it(self):
        before = ("cpns init trial >/dev/null\ncpns server --config trial/server.yaml &\n"
                  "until cpns status --config trial/server.yaml 2>/dev/null; do sleep 1; done\n"
                  "cpns pne --config trial/pne.yaml >pne.log 2>&1 &\n")
        said = self.run_page("hubs.md", before)
        self.assertIn("server-connected", said)
        self.assertRegex(said, r"has +key\n")
        self.assertEqual(said.count("Removed the key of urn:cpns:psk:hall"), 2)
        self.assertRegex(said, r"urn:cpns:psk:hall\t(known|connected)\t.*\tno key")

    def test_a_key_is_changed_in_each_way(self):
        said = self.run_page("rewrap.md")
        self.assertEqual(said.count("rewrapped 1 data key"), 3, said)
        self.assertIn('"file":', said)
        self.assertIn("alice@example.org", said)

    def test_a_server_is_administered_from_another_machine(self):
        said = self.run_page("remote.md")
        self.assertIn("Added the user bob@example.org.", said)
        self.assertIn("urn:cpns:admin:anna at 127.", said)
        self.assertIn("urn:cpns:admin:carl at 127.", said)
        self.assertIn("is viewer; this request needs admin", said)

    def test_certificates_of_an_own_ca_are_made_and_revoked(self):
        """The configuration is one of a trial. In the end the server serves with these certificates, and has the list."""
        before = ("cpns init base --listen 127.0.0.1:7443 >/dev/null\ncp base/server.yaml base/server.kek .\n"
                  "mkdir -p -m 700 state keys/server\nsed -i -e 's,tls/,,' -e '/crl:/d' server.yaml\n")
        curl = "curl -sS --retry 20 --retry-delay 1 --retry-all-errors --cert anna.pem --key anna.key --cacert ca.pem"
        after = ("sed -i -e 's,  ca: ca.pem,&\\n  crl: ca.crl,' -e '/^api:/r /dev/stdin' server.yaml <<END\n"
                 "  listen: 127.0.0.1:7480\n  tls: {certificate: api.pem, key: api.key, ca: ca.pem, crl: ca.crl}\n"
                 "  certificates: {\"urn:cpns:admin:anna\": admin}\nEND\n"
                 f"cpns config check server.yaml\ncpns server --config server.yaml &\n{curl} https://localhost:7480/v1/status\n")
        said = self.run_page("certificates.md", before, ("systemctl", "/etc/cpns"), after)
        self.assertEqual(said.count("server.yaml: ok"), 2)
        self.assertIn("Serial Number", said)
        self.assertIn('"role":"server"', said)
        self.assertIn("BEGIN X509 CRL", (self.folder / "trial/tls/ca.crl").read_text())


def events_of_the_program() -> set:
    """Those of level warn and error, as the sources name them."""
    out = set()
    for module in MODULES:
        for file in sorted((ROOT / module).rglob("*.cpp")):
            out |= set(re.findall(r'log::(?:warn|error)\(\s*[^,"]+,\s*"([a-z0-9-]+)"', file.read_text()))
            out |= set(re.findall(r'log::(?:warn|error)\(\s*"[a-z_]+",\s*"([a-z0-9-]+)"', file.read_text()))
    table = (ROOT / "protocol/pn_gw/gw_event.hpp").read_text()
    return out | set(re.findall(r'X\([a-z_]+,\s+"([a-z-]+)",\s+(?:warn|error),', table))


class Events(unittest.TestCase):
    def test_troubleshooting_has_each_event_that_is_a_warning_or_an_error(self):
        page = (PAGES / "troubleshooting.md").read_text()
        rows = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| (?:any|info|warn|error)", page, re.M)
        listed = {name for row in rows for name in re.findall(r"[a-z-]+", row)}
        listed |= set(re.findall(r"`([a-z-]+)`", page.partition("### Certificates\n")[2].partition("\n### ")[0]))
        known = events_of_the_program()
        self.assertGreater(len(known), 50)
        self.assertEqual(sorted(known - listed), [], "not in the page")
        words = "".join(f.read_text() for m in (*MODULES, "plugins", "protocol") for f in (ROOT / m).rglob("*.?pp"))
        self.assertEqual(sorted(name for name in listed if f'"{name}"' not in words), [], "not in the program")

    def test_a_link_to_a_page_of_this_folder_has_its_page(self):
        for page in sorted(PAGES.glob("*.md")):
            for link in re.findall(r"\]\(([a-z-]+\.md)", page.read_text()):
                with self.subTest(f"{page.name}: {link}"):
                    self.assertTrue((PAGES / link).exists())


if __name__ == "__main__":
    unittest.main()
