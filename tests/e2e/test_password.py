"""A changed password of the user reaches a running gateway by its file; a wrong one changes nothing."""

import subprocess
import unittest

from support.case import E2ECase


class ChangedPassword(E2ECase):
    NEW = "battery staple 9"

    def change_at_the_server(self, home, password):
        """The server is stopped for this command."""
        home.role("server").terminate()
        home.cli("user", "passwd", home.user, "--stdin", "--config", "server.yaml", stdin=password + "\n")
        home.start("server")

    def said(self, home, event):
        return home.events.find(role="gateway", event=event)

    def test_in_the_file_is_proven_and_used_without_a_restart(self):
        home = self.home(devices=2)
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=20)
        self.change_at_the_server(home, self.NEW)
        home.events.wait(role="gateway", event="server-connected", since=home.role("server").since, timeout=20)
        (home.folder / "password").write_text(self.NEW + "\n")
        home.role("gateway").reload()
        home.events.wait(role="gateway", event="password-changed", timeout=10)
        self.assertEqual(self.said(home, "user-refused"), [])
        home.start("pne")
        home.wait_for_each()
        # The new credentials are durable, and the file is not needed any more.
        (home.folder / "password").unlink()
        for name in ("pne", "gateway"):
            self.assertEqual(home.role(name).terminate(), 0)
        self.assertEqual(home.role("server").terminate(), 0)
        self.assertNotIn(self.NEW, (home.folder / "gateway.err").read_text() + (home.folder / "server.err").read_text())
        home.start()
        home.events.wait(role="gateway", event="confirmed", since=home.role("gateway").since, timeout=20)

    def test_that_is_wrong_is_reported_once_and_the_former_one_goes_on(self):
        home = self.home(devices=2, rekey="1s")
        home.start()
        home.wait_for_each()
        (home.folder / "password").write_text("not the password\n")
        home.role("gateway").reload()
        said = home.events.wait(role="gateway", event="password-refused", timeout=10)[0]
        self.assertEqual(said["level"], "error")
        self.assertIn("the former one stays in use", said["text"])
        since = home.events.mark()
        home.wait_for_each(since)  # renewals go on
        refused = home.events.find(role="server", event="assignment-refused")
        self.assertEqual([e["status"] for e in refused], ["unknown_user_or_bad_proof"])
        self.assertEqual(self.said(home, "user-refused"), [])
        self.assertEqual(len(self.said(home, "password-refused")), 1)

    def test_of_an_unreadable_file_is_left(self):
        home = self.home(devices=1)
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=20)
        (home.folder / "password").write_text("something new\n")
        (home.folder / "password").chmod(0o644)
        home.role("gateway").reload()
        said = home.events.wait(role="gateway", event="password-unreadable", timeout=10)[0]
        self.assertIn("group or others have access to this secret file", said["text"])
        home.start("pne")
        home.wait_for_each()

    def test_a_file_that_the_configuration_names_later_is_read(self):
        home = self.home(devices=1)
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="enrolled", timeout=20)
        self.change_at_the_server(home, self.NEW)
        home.events.wait(role="gateway", event="server-connected", since=home.role("server").since, timeout=20)
        subprocess.run(["install", "-m", "600", "/dev/null", home.folder / "next"], check=True)
        (home.folder / "next").write_text(self.NEW + "\n")
        home.gateway["user_password_file"] = "next"
        home.write()
        self.assertIn("user_password_file", home.role("gateway").reload()["changed"])
        home.events.wait(role="gateway", event="password-changed", timeout=10)


if __name__ == "__main__":
    unittest.main()
