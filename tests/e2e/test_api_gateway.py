#!/usr/bin/env python3
"""The API of a gateway and of a process of PNEs with real roles: pages, one PNE, forgetting, the permit window, the server link, the
password; and the commands of `cpns pnes` and `cpns pne` over them."""

import json
import pathlib
import shutil
import socket
import unittest

from support.api_home import connect, metrics_with, wait_for_state
from support.case import E2ECase
from support.home import poll
from support.process import cpns_binary

UNRULY = pathlib.Path(cpns_binary()).parents[1] / "tests/unit/isolation/unruly.so"
JSON = {"Content-Type": "application/json"}


class GatewayCase(E2ECase):
    def start(self, devices, policy="auto", **options):
        self.place = self.home(devices=devices, **options)
        self.place.gateway["validation"]["policy"] = policy
        self.place.write()
        self.place.start()
        self.entities = sorted(entity for entity, _ in self.place.devices)
        if policy == "auto":
            self.place.wait_for_each()
        return self.place

    def ask(self, verb, target, body=None, role="gateway"):
        sent = json.dumps(body).encode() if body is not None else b""
        return connect(self.place, role).ask(verb, target, sent, JSON if body is not None else {})

    def get(self, target, role="gateway"):
        answer = self.ask("GET", target, role=role)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def pnes(self, *args, config="gateway.yaml", check=True):
        return self.place.cli("pnes", *args, "--config", config, check=check)

    def update_when_in_reach(self, entity):
        poll(lambda: self.pnes("update", entity, check=False).returncode == 0, what="an update of a PNE in reach")


class Pages(GatewayCase):
    def test_of_pnes_and_devices_are_in_order(self):
        self.start(devices=7)
        for role, path, rows in (("gateway", "/v1/pnes", "pnes"), ("pne", "/v1/devices", "devices")):
            seen, after, pages = [], "", 0
            while after is not None:
                page = self.get(f"{path}?limit=3" + (f"&after={after}" if after else ""), role)
                self.assertLessEqual(len(page[rows]), 3)
                seen += [row["entity"] for row in page[rows]]
                after, pages = page["next"], pages + 1
            self.assertEqual((seen, pages), (self.entities, 3))
            prefix = self.entities[0][:-1]
            self.assertEqual([row["entity"] for row in self.get(f"{path}?prefix={prefix}", role)[rows]],
                             [e for e in self.entities if e.startswith(prefix)])

    def test_have_pnes_in_a_state_alone_also_those_out_of_reach(self):
        place = self.start(devices=3)
        for name in ("pne", "gateway"):
            place.role(name).terminate()
        place.start("gateway")

        def states():
            return {p["entity"]: p["state"] for p in self.get("/v1/pnes")["pnes"]}

        # A PNE that owes the server a report has an actor until the server has answered.
        poll(lambda: set(states().values()) == {"not_in_reach"}, what="no PNE owes a report")
        self.assertEqual(list(states()), self.entities)
        for state in ("asleep", "not_in_reach", "keyed"):
            page = self.get(f"/v1/pnes?state={state}")
            self.assertEqual([p["entity"] for p in page["pnes"]], self.entities if state == "not_in_reach" else [])
            self.assertIsNone(page["next"])
        refused = self.ask("GET", "/v1/pnes?state=happy")
        self.assertEqual((refused.code, refused.json["field"]), ("out-of-range", "state"))

    def test_are_put_together_by_the_commands(self):
        self.start(devices=3)
        listed = json.loads(self.pnes("list", "--json").stdout)["pnes"]
        self.assertEqual([p["entity"] for p in listed], self.entities)
        lines = self.pnes("list", "--state", "keyed", "--prefix", self.entities[1]).stdout.splitlines()
        self.assertEqual([line.split()[:2] for line in lines[1:]], [[self.entities[1], "keyed"]])
        listed = json.loads(self.place.cli("pne", "--config", "pne.yaml", "list", "--json").stdout)["devices"]
        self.assertEqual([d["entity"] for d in listed], self.entities)
        self.assertIn(self.entities[2], self.place.tell_pne("list").stdout)


class OnePne(GatewayCase):
    def test_has_its_recent_past(self):
        self.start(devices=1)
        entity = self.entities[0]
        shown = self.get(f"/v1/pnes/{entity}")
        events = [e["event"] for e in shown["events"]]
        self.assertTrue({"detected", "requested", "answered", "delivering", "confirmed"} <= set(events), events)
        self.assertEqual((shown["radio"], shown["state"]), ("radio", "keyed"))
        self.assertLessEqual(shown["keyed_since"], shown["last_contact"])
        text = self.pnes("show", entity).stdout
        self.assertIn("state: keyed", text)
        self.assertRegex(text, r"(?m)^  \S+Z confirmed: KeyConfirmation verified \(epoch \d+\.\d+\)$")

    def test_says_why_it_has_no_key(self):
        place = self.home(devices=1)
        self.place = place
        place.start("gateway", "pne")
        entity = place.devices[0][0]

        def failure():
            answer = self.ask("GET", f"/v1/pnes/{entity}")
            return answer.status == 200 and answer.json.get("last_failure")

        said = poll(failure, what="a failure without a server")
        self.assertEqual(said["event"], "backing-off")
        self.assertIn("next attempt", said["text"])

    def test_is_new_after_it_was_forgotten(self):
        place = self.start(devices=2)
        entity, other = self.entities
        before = self.get(f"/v1/pnes/{entity}")
        since = place.events.mark()
        self.assertEqual(self.ask("DELETE", f"/v1/pnes/{entity}").status, 204)
        place.events.wait(role="gateway", event="forgotten", entity=entity, since=since)
        place.wait_for_each(since, entities=[entity])
        after = self.get(f"/v1/pnes/{entity}")
        self.assertGreater(after["keyed_since"], before["keyed_since"])
        self.assertEqual(place.events.find(role="gateway", event="confirmed", entity=other, since=since), [])
        place.role("pne").terminate()
        self.assertEqual(json.loads(self.pnes("forget", entity, "--json").stdout), {"done": True})
        self.assertEqual(self.ask("GET", f"/v1/pnes/{entity}").code, "state-unknown")
        place.role("gateway").terminate()
        place.start("gateway")
        self.assertEqual([p["entity"] for p in self.get("/v1/pnes")["pnes"]], [other])
        trail = place.cli("audit", "show", "--config", "gateway.yaml").stdout
        self.assertEqual(trail.count("pne-forget"), 4, "an intent and an outcome for each")
        place.role("gateway").terminate()
        place.cli("audit", "verify", "--config", "gateway.yaml")


class Command(GatewayCase):
    def refused(self, what, entity, sentence):
        answer = self.ask("POST", f"/v1/pnes/{entity}/{what}")
        self.assertEqual((answer.status, answer.code), (409, "state-conflict"), answer.text)
        self.assertIn(sentence, answer.json["detail"])
        command = self.pnes(what, entity, check=False)
        self.assertEqual((command.returncode, command.stdout), (1, ""))
        self.assertIn(sentence, command.stderr)

    def test_that_would_change_nothing_is_refused_with_what_to_do(self):
        place = self.start(devices=2, policy="ask")
        first, second = self.entities
        wait_for_state(place, "awaiting_approval", self.entities)
        self.refused("update", first, "approve it first")
        self.pnes("reject", second)
        self.refused("update", second, "is rejected: approve it first")
        self.refused("reject", second, "is rejected already")
        self.pnes("approve", first)
        wait_for_state(place, "keyed", [first])
        self.refused("approve", first, "waits for no decision: its state is keyed")
        place.role("pne").terminate()
        wait_for_state(place, "asleep", [first])
        before = self.get(f"/v1/pnes/{first}")["epoch"]
        self.refused("update", first, "when it wakes up")
        place.start("pne")
        poll(lambda: self.get(f"/v1/pnes/{first}")["epoch"] != before, what="the next key after the wake-up")

    def test_approve_names_the_list_that_would_reject_the_pne(self):
        place = self.start(devices=1, policy="ask")
        entity = self.entities[0]
        wait_for_state(place, "awaiting_approval", [entity])
        place.gateway["validation"]["deny"] = [entity]
        place.write()
        place.role("gateway").reload()
        self.refused("approve", entity, "validation.deny of the gateway names the PNE")


class Permit(GatewayCase):
    def test_lets_new_pnes_in_but_no_denied_one(self):
        place = self.home(devices=3)
        self.place = place
        denied, *welcome = sorted(entity for entity, _ in place.devices)
        place.gateway["validation"] = {"policy": "ask", "deny": [denied]}
        place.write()
        place.start()
        wait_for_state(place, "awaiting_approval", welcome)
        self.assertEqual(self.get("/v1/permit"), {"open": False, "seconds_left": 0})
        opened = self.ask("PUT", "/v1/permit", {"minutes": 2})
        self.assertEqual((opened.status, opened.json["open"]), (200, True))
        place.wait_for_each(entities=welcome)
        status = self.get("/v1/status")["permit"]
        self.assertTrue(status["open"] and 0 < status["seconds_left"] <= 120, status)
        place.events.wait(role="gateway", event="rejected", entity=denied)
        self.assertEqual(place.events.find(role="gateway", event="requested", entity=denied), [])
        self.assertIn("open: new PNEs are accepted for", self.pnes("permit").stdout)
        self.assertEqual(self.pnes("permit", "--close").stdout, "closed\n")
        self.assertEqual([e["event"] for e in place.events.find(lambda e: e["event"].startswith("permit-"))],
                         ["permit-opened", "permit-closed"])

    def test_is_closed_by_a_restart(self):
        place = self.start(devices=1, policy="ask")
        entity = self.entities[0]
        wait_for_state(place, "awaiting_approval", [entity])
        place.role("pne").terminate()
        self.pnes("permit", "5")
        place.role("gateway").terminate()
        place.start("gateway", "pne")
        self.assertFalse(self.get("/v1/permit")["open"])
        wait_for_state(place, "awaiting_approval", [entity])

    def test_is_refused_under_another_policy_and_out_of_its_bounds(self):
        self.start(devices=1)
        refused = self.ask("PUT", "/v1/permit", {"minutes": 5})
        self.assertEqual(refused.code, "state-conflict")
        self.assertIn("validation.policy", refused.json["detail"])
        for minutes in (0, 61):
            self.assertEqual(self.ask("PUT", "/v1/permit", {"minutes": minutes}).code, "out-of-range")
        self.assertEqual(self.pnes("permit", "61", check=False).returncode, 2)


class Radio(GatewayCase):
    def reopen(self, parameters=None, radio="radio"):
        return self.ask("POST", f"/v1/radios/{radio}/reopen", {"parameters": parameters} if parameters is not None else None)

    def test_is_opened_again_while_the_other_one_works(self):
        place = self.home(devices=2)
        self.place = place
        other = dict(place.gateway["transports"][0], name="other", isolation="process")
        other["params"] = dict(other["params"], network=place.network + "-2")
        place.gateway["transports"].append(other)
        place.write()
        place.start()
        place.wait_for_each()
        since = place.events.mark()
        self.assertEqual(self.reopen(radio="other").status, 204)
        opened = place.events.wait(role="gateway", event="radio-open", since=since)
        self.assertEqual([e["transport"] for e in opened], ["other"])
        self.assertEqual(place.events.find(role="gateway", event="asleep", since=since), [], "the PNEs are on the other radio")
        since = place.events.mark()
        self.assertEqual(self.reopen({"announce_ms": 50}).status, 204)
        self.assertEqual(self.get("/v1/radios")["radios"][0]["parameters"]["announce_ms"], "50")
        place.events.wait(role="gateway", event="asleep", count=2, since=since)
        poll(lambda: len(self.get("/v1/radios")["radios"][0]["links"]) == 2, what="the links of the radio")
        for entity in sorted(e for e, _ in place.devices):
            since = place.events.mark()
            poll(lambda e=entity: self.get(f"/v1/pnes/{e}")["state"] == "keyed", what="its PNE")
            self.pnes("update", entity)
            place.wait_for_each(since, entities=[entity])
        self.assertIn("radio-reopen", place.cli("audit", "show", "--config", "gateway.yaml").stdout)

    def test_goes_on_if_a_parameter_is_bad(self):
        place = self.start(devices=1)
        since = place.events.mark()
        for parameters, code in (({"announce_ms": "often"}, "config-range"), ({"colour": "red"}, "config-unknown-key"),
                                 ({"announce_ms": 0}, "config-range")):
            refused = self.reopen(parameters)
            self.assertEqual(refused.code, code, refused.text)
            self.assertIn("transport radio: ", refused.json["detail"])
        self.assertEqual(self.pnes("reopen", "radio", "--set", "colour=red", check=False).returncode, 1)
        self.assertEqual(self.pnes("reopen", "radio", "--set", "colour", check=False).returncode, 1)
        self.assertEqual(place.events.find(role="gateway", event="asleep", since=since), [])
        self.assertEqual(len(self.get("/v1/radios")["radios"][0]["links"]), 1)
        self.assertEqual(self.pnes("reopen", "radio").stdout, "done\n")

    def test_goes_on_if_an_address_is_in_use_or_missing(self):
        place = self.start(devices=1)
        with socket.socket() as other:
            other.bind((place.address, 0))
            other.listen()
            used = f"{place.address}:{other.getsockname()[1]}"
            for listen in (used, "192.0.2.1:7000"):
                refused = self.reopen({"listen": listen})
                self.assertEqual(refused.code, "plugin-failed", refused.text)
                self.assertIn("the radio is open as it was before", refused.json["detail"])
                self.assertIn(listen, refused.json["detail"])
                self.assertEqual(self.states(), {"radio": ("open", "")})
        self.assertTrue(self.get("/health/ready")["ready"])
        since = place.events.mark()
        self.update_when_in_reach(self.entities[0])
        place.wait_for_each(since)

    def test_that_waits_for_its_address_makes_the_gateway_not_ready(self):
        place = self.home(devices=1)
        self.place = place
        at = place.listen_at_fixed_port()
        place.write()
        host, port = at.split(":")
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((host, int(port)))
            other.listen()
            place.start()
            answer = self.ask("GET", "/health/ready")
            self.assertEqual((answer.status, answer.json["ready"]), (503, False))
            self.assertIn("the radio radio is not open: ", answer.json["reasons"][0])
            self.assertEqual(self.states()["radio"][0], "waiting")
            refused = self.reopen()
            self.assertIn("not open either, and waits", refused.json["detail"])
        poll(lambda: self.get("/v1/radios")["radios"][0]["state"] == "open", what="the radio opens by itself")
        self.assertEqual(self.get("/health/ready"), {"ready": True, "reasons": []})

    def start_with(self, **radio):
        self.place.gateway["transports"].insert(0, radio)
        self.place.write()
        self.place.start()
        self.place.wait_for_each()

    def states(self):
        """State and reason per radio; the list, the status and the metrics say the same."""
        shown = {r["name"]: r for r in self.get("/v1/radios")["radios"]}
        status = {r["name"]: r for r in self.get("/v1/status")["radios"]}
        up = {name: f'cpns_radio_up{{radio="{name}"}} {int(radio["state"] == "open")}' for name, radio in shown.items()}
        metrics = metrics_with(self, up.values())
        for name, radio in shown.items():
            self.assertEqual({k: radio.get(k) for k in ("state", "reason")}, {k: status[name].get(k) for k in ("state", "reason")})
            self.assertIn(up[name], metrics)
            self.assertIn(f"  {radio['state']}", self.pnes("radios").stdout)
        self.assertEqual(set(shown), set(status))
        return {name: (radio["state"], radio.get("reason", "")) for name, radio in shown.items()}

    def test_that_was_refused_at_the_start_is_closed_until_it_is_opened(self):
        self.place = self.home(devices=1)
        file = self.place.folder / "late.so"
        self.start_with(name="late", plugin=str(file))
        states = self.states()
        self.assertEqual([states["late"][0], states["radio"]], ["closed", ("open", "")])
        self.assertIn("file not found", states["late"][1])
        self.assertTrue(self.get("/health/ready")["ready"], "the other radio works")
        shutil.copy(UNRULY, file)
        self.assertEqual(self.reopen(radio="late").status, 204)
        self.assertEqual(self.states(), {"late": ("open", ""), "radio": ("open", "")})

    def test_that_cannot_be_opened_again_is_closed(self):
        self.place = self.home(devices=1)
        self.start_with(name="deaf", plugin=str(UNRULY), params={"does": "refuse to scan"})
        self.assertIn("it is closed", self.reopen(radio="deaf").json["detail"])
        states = self.states()
        self.assertEqual([states["deaf"][0], states["radio"]], ["closed", ("open", "")])
        self.assertIn("with its former parameters it cannot be opened either", states["deaf"][1])
        closed = self.place.events.find(role="gateway", event="radio-closed", transport="deaf")
        self.assertEqual([line["level"] for line in closed], ["error"])
        self.assertEqual(self.reopen({"does": "nothing"}, radio="deaf").status, 204)
        self.assertEqual(self.states(), {"deaf": ("open", ""), "radio": ("open", "")})


class Server(GatewayCase):
    def test_link_has_its_state_certificate_and_last_error(self):
        place = self.start(devices=1)
        link = self.get("/v1/server")
        self.assertEqual((link["state"], link["user"], link["server"]), ("connected", "enrolled", f"{place.address}:{place.server_port}"))
        self.assertEqual(link["certificate"]["uri"], "urn:cpns:server:main")
        self.assertGreater(link["certificate"]["not_after"], link["since"])
        since = place.events.mark()
        place.role("server").kill9()
        place.events.wait(role="gateway", event="server-unreachable", since=since)
        link = poll(lambda: (now := self.get("/v1/server"))["state"] == "connecting" and now, what="the end of the connection")
        self.assertIn("last_error", link)
        text = self.pnes("server").stdout
        self.assertIn("state: connecting", text)
        self.assertIn("certificate.uri: urn:cpns:server:main", text)


class Password(GatewayCase):
    NEW = "battery staple 9"

    def put(self, password):
        return self.ask("PUT", "/v1/password", {"password": password})

    def test_is_changed_when_the_server_accepts_it(self):
        place = self.start(devices=1)
        self.assertEqual(self.put(place.password()).json, {"unchanged": True})
        wrong = self.put("not the password")
        self.assertEqual((wrong.status, wrong.code), (400, "peer-bad-tag"))
        place.role("server").terminate()
        place.cli("user", "passwd", place.user, "--stdin", "--config", "server.yaml", stdin=self.NEW + "\n")
        poll(lambda: self.get("/v1/server")["state"] == "connecting", what="the end of the connection")
        self.assertEqual(self.put(self.NEW).code, "peer-closed")
        place.start("server")
        poll(lambda: self.get("/v1/server")["state"] == "connected", what="a connection")
        self.assertEqual(self.put(self.NEW).json, {"unchanged": False})
        trail = place.cli("audit", "show", "--config", "gateway.yaml").stdout
        self.assertIn("gateway-password", trail)
        for secret in (self.NEW, "not the password"):
            for file in (place.folder / "gateway.err", *place.folder.glob("state/*audit*")):
                self.assertNotIn(secret.encode(), file.read_bytes(), file)
            self.assertNotIn(secret, trail)
        since = place.events.mark()
        for name in ("gateway", "pne"):
            place.role(name).terminate()
        (place.folder / "password").unlink()
        place.start("gateway", "pne")
        self.update_when_in_reach(self.entities[0])
        place.wait_for_each(since)


if __name__ == "__main__":
    unittest.main()
