"""Files that a configuration names: their content, their permissions, and leftovers of a killed process."""

import os
import subprocess
import unittest

from support.case import E2ECase
from support.process import Role, cpns_binary

OTHER = 12345  # an unused user and group id


class NamedFiles(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)

    def fails_to_start(self, name: str) -> str:
        role = self.place.role(name).spawn()
        self.assertEqual(role.wait(20), 1, self.place.events.tail())
        return (self.place.folder / f"{name}.err").read_text()

    def test_the_start_and_the_check_report_the_position_of_a_bad_file(self):
        for name, file, key in (("server", "tls/server.pem", "tls.certificate"), ("gateway", "gateway.kek", "protector.file"),
                                ("pne", "devices.csv", "devices_file")):
            with self.subTest(file):
                (self.place.folder / file).unlink()
                checked = self.place.cli("config", "check", self.place.folder / f"{name}.yaml", check=False)
                self.assertEqual(checked.returncode, 1)
                line = checked.stderr.splitlines()[0]
                self.assertRegex(line, rf"^{self.place.folder}/{name}.yaml:\d+:\d+: '{key}': .*{file}: No such file or directory")
                self.assertIn(line, self.fails_to_start(name).splitlines())

    def test_a_ready_file_does_not_outlive_its_process(self):
        ready = self.place.folder / "gateway.ready"
        self.place.gateway["ready_file"] = "gateway.ready"
        self.place.write()
        gateway = self.place.role("gateway").start()
        for _ in range(2):
            self.assertEqual(ready.read_text().splitlines()[-1], f"pid {gateway.pid}")
            second = Role("second", self.place.folder / "gateway.yaml", self.place.events, self.place.folder)
            second.args[1] = "gateway"
            self.addCleanup(second.shut_down)
            self.assertEqual(second.spawn().wait(20), 1)
            self.assertIn(f"held by process {gateway.pid}", (self.place.folder / "second.err").read_text())
            self.assertTrue(ready.exists(), "the second start must not remove the file of the first process")
            gateway.kill9()
            self.assertTrue(ready.exists())
            broken = self.place.folder / "tls/gateway.key"
            kept = broken.read_bytes()
            broken.unlink()
            self.fails_to_start("gateway")
            self.assertFalse(ready.exists(), "the next start removes it, even if it fails")
            with open(os.open(broken, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as out:
                out.write(kept)
            gateway.start()
        gateway.kill9()
        with open(self.place.folder / "gateway.yaml", "a") as out:
            out.write("lisen: 1\n")
        self.fails_to_start("gateway")
        self.assertFalse(ready.exists(), "also if the configuration is wrong")
        self.place.write()
        gateway.start()
        self.assertEqual(gateway.terminate(), 0)
        self.assertFalse(ready.exists())

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_secrets_that_root_owns_and_the_group_may_read_are_accepted(self):
        """As Kubernetes mounts them: a folder of links to files that root owns and the group may read."""
        folder, tls = self.place.folder, self.place.folder / "tls"
        (tls / "..v1").mkdir()
        (tls / "..data").symlink_to("..v1")
        for name in ("server.pem", "server.key", "ca.pem"):
            (tls / name).rename(tls / "..v1" / name)
            (tls / name).symlink_to(f"..data/{name}")
        secrets = [tls / "..v1/server.key", folder / "server.kek"]
        for path in (folder, tls, tls / "..v1", *folder.glob("*.yaml"), *(tls / "..v1").glob("*.pem"), *secrets):
            os.chown(path, 0, OTHER)
            path.chmod(0o755 if path.is_dir() else 0o440)
        for root, folders, files in os.walk(folder / "state"):
            for name in (".", *folders, *files):
                os.chown(os.path.join(root, name), OTHER, OTHER)
        command = ["setpriv", "--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups", cpns_binary(), "config", "check",
                   folder / "server.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done)
        secrets[0].chmod(0o460)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertIn("'tls.key': private key file", done.stderr)
        self.assertIn("group or others have access to this secret file (mode 0460)", done.stderr)

    def test_a_wrong_parameter_on_the_command_line_is_reported(self):
        for command in (("demo", "--transport"), ("transport", "check")):
            with self.subTest(command):
                done = self.place.cli(*command, "tcp:127.0.0.1:7000,mtuu=200", check=False)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn("'tcp:127.0.0.1:7000,mtuu=200': parameter 'mtuu' is not known to tcp; did you mean 'mtu'?", done.stderr)
                self.assertNotIn(".yaml", done.stderr)
        done = self.place.cli("demo", "--transport", "loopback", "--param", "mtu=many", check=False)
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("--param 'mtu=many': parameter mtu of loopback", done.stderr)


if __name__ == "__main__":
    unittest.main()
