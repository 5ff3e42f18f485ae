#!/usr/bin/env python3
"""A real Prometheus scrapes real roles: each metric that dashboards, rules and docs/operations/monitoring.md name is there, and promtool
has nothing to say about the files. Skipped (77) where scripts/get-prometheus has not unpacked Prometheus."""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.parse
import urllib.request

import yaml

from support import openapi
from support.api_home import document
from support.case import E2ECase
from support.home import free_port, poll
from support.process import Process

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs/operations"
RULES = OPERATIONS / "prometheus/alerts.yml"
RULE_TESTS = ROOT / "tests/e2e/prometheus/alerts.test.yml"
NAME = re.compile(r"\bcpns_[a-z0-9_]+\b")
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def unpacked() -> pathlib.Path:
    done = subprocess.run([ROOT / "scripts/get-prometheus", "--offline"], capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr.strip(), file=sys.stderr)
        sys.exit(77)
    return pathlib.Path(done.stdout.strip())


def rules() -> list:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries(dashboard: dict) -> list:
    """(title, expression) of each query, with values for the variables of Grafana."""
    found = [(p["title"], t["expr"]) for p in dashboard["panels"] for t in p["targets"]]
    return [(title, e.replace('instance=~"$instance"', 'instance=~".+"').replace("$__rate_interval", "1m")) for title, e in found]


def dashboards() -> dict:
    return {p.stem: json.loads(p.read_text()) for p in sorted((OPERATIONS / "grafana").glob("*.json"))}


class Files(unittest.TestCase):
    """What promtool says about files that no role is needed for."""

    def setUp(self):
        held = tempfile.TemporaryDirectory(prefix="cpns-e2e-")
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        for file in (RULES, OPERATIONS / "prometheus/prometheus.yml", RULE_TESTS):
            shutil.copy(file, self.folder)

    def promtool(self, *words, stdin=None):
        done = subprocess.run([TOOLS / "promtool", *words], input=stdin, capture_output=True, text=True, cwd=self.folder, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_the_rules_and_the_configuration_are_valid(self):
        self.assertIn(f"{len(rules())} rules found", self.promtool("check", "rules", "alerts.yml"))
        self.assertIn("SUCCESS", self.promtool("check", "config", "prometheus.yml"))

    def test_each_alert_fires_when_it_must_and_only_then(self):
        self.promtool("test", "rules", "alerts.test.yml")
        tried = [t for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] for t in test["alert_rule_test"]]
        names = {r["alert"] for r in rules()}
        self.assertEqual({t["alertname"] for t in tried if t.get("exp_alerts")}, names)
        self.assertEqual({t["alertname"] for t in tried if not t.get("exp_alerts")}, names)

    def test_the_page_explains_each_alert(self):
        page = (OPERATIONS / "monitoring.md").read_text()
        self.assertEqual(set(re.findall(r"^\| `(Cpns\w+)` ", page, re.M)), {r["alert"] for r in rules()})


class Scraped(E2ECase):
    def setUp(self):
        self.place = self.home(devices=3)
        self.ports = {role: free_port(socket.SOCK_STREAM) for role in document.ROLES}
        for role, port in self.ports.items():
            getattr(self.place, role)["api"] = {"socket": f"state/{role}.sock", "probes": f"127.0.0.1:{port}"}
        self.place.write()
        self.place.start()
        self.place.wait_for_each()

    def text(self, role: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[role]}/metrics", timeout=20) as got:
            body = got.read().decode()
            openapi.check_answer(role, "GET", "/metrics", got.status, got.getheaders(), body)
            self.assertEqual(got.getheader("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        return body

    def value(self, role: str, series: str) -> float:
        lines = [line for line in self.text(role).splitlines() if line.rpartition(" ")[0] == series]
        self.assertEqual(len(lines), 1, series)
        return float(lines[0].rpartition(" ")[2])

    def start_prometheus(self):
        """On a port that the system gives, with the rules of the documentation; a scrape each second."""
        config = yaml.safe_load((OPERATIONS / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES)]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{p}" for p in self.ports.values()]
        file = self.place.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        process = self.place._keep(Process("prometheus", [TOOLS / "prometheus", f"--config.file={file}", "--web.listen-address=127.0.0.1:0",
                                                          f"--storage.tsdb.path={self.place.folder}/tsdb"],
                                           self.place.events, self.place.folder)).spawn()
        heard = re.compile(r'Listening on.* address="?127\.0\.0\.1:([1-9][0-9]*)')
        line = self.place.events.wait(lambda e: e["event"] == "process-ended" or heard.search(e.get("text", "")), role="prometheus")[0]
        self.assertIn("text", line, f"Prometheus ended\n{self.place.events.tail()}")
        self.place.events.wait(lambda e: "Server is ready to receive web requests" in e.get("text", ""), role="prometheus")
        self.base = f"http://127.0.0.1:{heard.search(line['text']).group(1)}/api/v1/"
        return process

    def ask(self, path: str, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        with urllib.request.urlopen(self.base + path + query, timeout=20) as got:
            answer = json.load(got)
        self.assertEqual(answer["status"], "success", answer)
        return answer["data"]

    def query(self, expression: str) -> list:
        return self.ask("query", query=expression)["result"]

    def test_promtool_accepts_the_text_of_each_role(self):
        for role in document.ROLES:
            with self.subTest(role):
                done = subprocess.run([TOOLS / "promtool", "check", "metrics"], input=self.text(role), capture_output=True, text=True,
                                      timeout=60)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_page_explains_each_metric_of_the_roles(self):
        page = (OPERATIONS / "monitoring.md").read_text()
        explained = set(re.findall(r"^\| `(cpns_[a-z0-9_]+)", page, re.M))
        real = {name for role in document.ROLES for name in re.findall(r"^# TYPE (\S+)", self.text(role), re.M)}
        self.assertEqual(explained, real)

    def test_the_numbers_are_those_of_what_happened(self):
        self.assertEqual(self.value("server", 'cpns_server_assignments_total{outcome="ok"}'), 3)
        self.assertEqual(self.value("server", 'cpns_server_assignment_seconds_count{step="whole"}'), 3)
        self.assertEqual(self.value("server", 'cpns_server_tls_handshakes_total{outcome="accepted"}'), 1)
        self.assertEqual(self.value("server", "cpns_server_connections"), 1)
        self.assertEqual(self.value("gateway", 'cpns_gateway_assignments_total{outcome="ok"}'), 3)
        self.assertEqual(self.value("gateway", 'cpns_gateway_events_total{event="confirmed"}'), 3)
        self.assertEqual(self.value("gateway", "cpns_gateway_server_up"), 1)
        self.assertEqual(self.value("gateway", 'cpns_radio_links{radio="radio"}'), 3)
        self.assertEqual(self.value("gateway", "cpns_gateway_keys_unused"), sum(p["unused_keys"] for p in self.place.pnes().values()))
        self.assertEqual(self.value("pne", 'cpns_pne_events_total{event="key-accepted"}'), 3)
        poll(lambda: self.value("gateway", 'cpns_gateway_pnes{state="keyed"}') == 3, what="three keyed PNEs")
        poll(lambda: self.value("pne", 'cpns_pne_devices{state="keyed"}') == 3, what="three keyed devices")
        self.place.role("server").kill9()
        poll(lambda: self.value("gateway", "cpns_gateway_server_up") == 0, what="the server link is down")
        self.assertGreater(self.value("gateway", 'cpns_gateway_server_ends_total{kind="fault"}'), 0)

    def test_no_metric_names_anybody(self):
        texts = "".join(self.text(role) for role in document.ROLES)
        for secret in (self.place.user, "urn:cpns:", *(entity for entity, _ in self.place.devices)):
            self.assertNotIn(secret, texts)

    def test_prometheus_has_all_that_dashboards_and_rules_name(self):
        prometheus = self.start_prometheus()
        poll(lambda: len(self.query('up{job="cpns"} == 1')) == 3, timeout=60, what="three roles that were scraped")
        rates = "count by (instance) (rate(cpns_api_answers_total[1m]))"  # there are any after the second scrape
        poll(lambda: len(self.query(rates)) == 3, timeout=60, what="rates of three roles")
        known = set(self.ask("label/__name__/values"))
        for name, board in dashboards().items():
            for title, expression in queries(board):
                with self.subTest(f"{name}: {title}"):
                    self.assertFalse(set(NAME.findall(expression)) - known, expression)
                    # With a threshold, such as "> 0", a quiet series is left out; quantiles of nothing are NaN.
                    self.assertTrue(self.query(expression.removesuffix(" > 0")), expression)
            variable = next(v for v in board["templating"]["list"] if v["name"] == "instance")["query"]["query"]
            self.assertFalse(set(NAME.findall(variable)) - known, variable)
        for rule in rules():
            with self.subTest(rule["alert"]):
                self.assertFalse(set(NAME.findall(rule["expr"])) - known, rule["expr"])
        self.check_rules()
        prometheus.terminate()

    def check_rules(self):
        """Prometheus evaluates all of them, none fires, and a role that ends is noticed."""
        def loaded():
            all_rules = [r for g in self.ask("rules")["groups"] for r in g["rules"]]
            return all_rules if all(r["health"] == "ok" for r in all_rules) else None

        known = poll(loaded, what="rules that were evaluated")
        self.assertEqual({r["name"] for r in known}, {r["alert"] for r in rules()})
        self.assertEqual([r["name"] for r in known if r["state"] == "firing"], [])
        self.place.role("server").kill9()
        poll(lambda: any(r["name"] == "CpnsRoleDown" and r["state"] == "pending" for r in loaded() or known),
             what="the alert of a role that is down")


if __name__ == "__main__":
    TOOLS = unpacked()
    unittest.main()
