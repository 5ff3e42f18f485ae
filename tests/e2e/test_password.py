"""A changed password of the user reaches a running gateway by its file; a wrong one changes nothing."""

import json
import subprocess
import unittest

from support.api_home import add_sockets, connect, metrics_with
from support.case import E2ECase
from support.home import poll


class ChangedPassword(E2ECase):
    NEW = "battery staple 9"

    def change_at_the_server(self, home, password):
        """The server is stopped for this command."""
        home.role("server").terminate()
        home.cli("user", "passwd", home.user, "--stdin", "--config", "server.yaml", stdin=password + "\n")
        home.start("server")

    def said(self, home, event):
        return home.events.find(role="gateway", event=event)

    def recorded(self, home, count) -> list:
        """The lines of the gateway's audit trail; waits for `count`, since an outcome is written after its event."""
        file = home.folder / "state/gateway.audit.jsonl"

        def lines():
            return [line for line in map(json.loads, file.read_text().splitlines()) if line.get("action") == "gateway-password"]

        poll(lambda: len(lines()) >= count, what=f"{count} lines in {file.name}")
        return lines()

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
        intent, outcome = self.recorded(home, 2)
        self.assertEqual((intent["kind"], intent["via"], intent["who"]["pid"]), ("intent", "file", home.role("gateway").pid))
        self.assertEqual((outcome["intent"], outcome["outcome"]), (intent["number"], "done"))
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

    def test_of_the_first_enrolment_is_needed_until_the_server_accepts_it(self):
        home = self.home(devices=1)
        add_sockets(home)
        home.write()
        right = home.password()
        (home.folder / "password").write_text("not the password\n")
        home.start("server", "gateway")
        refused = home.events.wait(role="gateway", event="user-refused", timeout=20)
        self.assertEqual([e["level"] for e in refused], ["error"])
        self.assertEqual(self.said(home, "enrolled"), [])
        gateway = connect(home, "gateway")
        self.assertEqual(gateway.ask("GET", "/v1/server").json["user"], "refused")
        ready = gateway.ask("GET", "/health/ready")
        self.assertEqual((ready.status, ready.json["reasons"]), (503, ["the server rejects the user and the password of the gateway"]))
        self.assertIn("\ncpns_gateway_enrolled 0\n", metrics_with(gateway, ["cpns_gateway_enrolled 0"]))
        self.assertEqual(self.enrolment(home)[0][0], "error")
        self.assertIn(f"the server rejects the password of {home.user}; write the right password", self.enrolment(home)[0][1])
        (home.folder / "password").write_text(right + "\n")
        home.events.wait(role="gateway", event="enrolled", timeout=20)
        home.events.wait(role="server", event="password-proven", timeout=5)
        self.assertEqual([e["status"] for e in home.events.find(role="server", event="assignment-refused")], ["unknown_user_or_bad_proof"])
        self.assertEqual(gateway.ask("GET", "/health/ready").status, 200)
        self.assertIn("\ncpns_gateway_enrolled 1\n", metrics_with(gateway, ["cpns_gateway_enrolled 1"]))
        self.assertIn(("ok", f"the gateway is enrolled for {home.user}"), self.enrolment(home))
        self.assertEqual(home.role("gateway").terminate(), 0)
        self.assertIn(("ok", f"the gateway is enrolled for {home.user}"), self.enrolment(home))

    def test_is_not_proven_while_no_server_is_there(self):
        home = self.home(devices=1)
        add_sockets(home)
        home.write()
        self.assertIn(("ok", "the gateway is not enrolled yet"), self.enrolment(home))
        home.start("gateway")
        said = home.events.wait(role="gateway", event="server-unreachable", timeout=20)[0]
        self.assertIn("the server has not accepted the password of the user yet", said["text"])
        ready = connect(home, "gateway").ask("GET", "/health/ready")
        self.assertIn("the gateway is not enrolled: the server has not accepted its password yet", ready.json["reasons"][0])
        self.assertIn(("error", f"the gateway is not enrolled for {home.user}"), self.enrolment(home))

    def enrolment(self, home) -> list:
        """State and first words of what the doctor says about it."""
        said = json.loads(home.cli("doctor", "--config", "gateway.yaml", "--json", check=False).stdout)
        return [(one["state"], one["text"].split(": ")[0]) for one in said["lines"] if one["check"] == "enrolment"]

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
        self.assertEqual([(line["kind"], line["via"]) for line in self.recorded(home, 1)], [("refused", "file")])

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
