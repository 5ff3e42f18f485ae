#!/usr/bin/env python3
"""The checker of answers (tests/e2e/support/openapi.py) finds each kind of fault: good answers, with one fault planted in each."""

import json
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
from support import openapi  # noqa: E402

STATUS = {"role": "server", "address": "127.0.0.1:7440", "listening": True, "connections": 0, "gateways": {"connected": 0, "blocked": 0},
          "jobs": 0, "admission": {"in_work": 0, "waiting": 0, "gateways_waiting": 0, "oldest_ms": 0, "jobs_per_second": 0, "returns": 0},
          "store": {"writable": True, "kind": "rocksdb"}, "doors": {"socket": "/run/server.sock", "listen": None, "probes": None}}
HEADERS = {"Content-Type": "application/json", "Content-Length": "1", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
           "Cpns-Request-Id": "r-1"}
PROBLEM_HEADERS = {**HEADERS, "Content-Type": "application/problem+json"}
EVENTS = 'id: run-0\nevent: snapshot\ndata: {}\n\n: \n\n'


def problem(code, status, **more):
    return {"type": f"urn:cpns:problem:{code}", "title": "A title", "status": status, "detail": "A sentence", "code": code,
            "request": "r-1", **more}


class Checker(unittest.TestCase):
    def check(self, status=200, body=STATUS, headers=None, verb="GET", target="/v1/status", role="server"):
        text = body if isinstance(body, str) else json.dumps(body)
        openapi.check_answer(role, verb, target, status, list((headers or HEADERS).items()), text)

    def fault(self, says, **answer):
        with self.assertRaisesRegex(openapi.Undocumented, says):
            self.check(**answer)

    def test_a_documented_answer_passes(self):
        self.check()
        self.check(target="/v1/status?x=1", status=400, body=problem("unknown-parameter", 400, field="x"), headers=PROBLEM_HEADERS)
        self.check(verb="POST", target="/v1/devices/a/wake", role="pne", status=204, body="",
                   headers={n: v for n, v in HEADERS.items() if n != "Content-Type"})
        self.check(status=503, target="/health/ready", body={"ready": False, "reasons": ["a reason"]})
        self.check(target="/v1/nothing", status=404, body=problem("no-such-path", 404), headers=PROBLEM_HEADERS)

    def test_an_undocumented_path_verb_or_status(self):
        self.fault("no such path", target="/v1/nothing")
        self.fault("no such path", verb="PUT")
        self.fault("does not have this status", status=201)
        self.fault("does not have this status", status=302)

    def test_a_member_that_is_missing_added_or_of_another_type(self):
        self.fault("'address' is a required", body={n: v for n, v in STATUS.items() if n != "address"})
        self.fault("'extra'", body={**STATUS, "extra": 1})
        self.fault("'extra'", body={**STATUS, "store": {"writable": True, "kind": "rocksdb", "extra": 1}})
        self.fault("is not of type 'integer'", body={**STATUS, "connections": "0"})
        self.fault("is less than the minimum", body={**STATUS, "connections": -1})
        self.fault("occurs twice", body=json.dumps(STATUS)[:-1] + ', "role": "server"}')
        self.fault("not JSON", body="{")

    def test_a_body_of_another_kind(self):
        self.fault("content type 'text/html' is not documented", headers={**HEADERS, "Content-Type": "text/html"})
        self.fault("has no body", verb="POST", target="/v1/devices/a/wake", role="pne", status=204, body="{}")

    def test_a_header_that_is_missing_added_or_wrong(self):
        self.fault("'server' is not documented", headers={**HEADERS, "Server": "cpns"})
        self.fault("'cache-control' is missing", headers={n: v for n, v in HEADERS.items() if n != "Cache-Control"})
        self.fault("'cpns-request-id' is missing", headers={n: v for n, v in HEADERS.items() if n != "Cpns-Request-Id"})
        self.fault("the header 'cache-control'", headers={**HEADERS, "Cache-Control": "public"})

    def test_a_problem_with_a_fault(self):
        def fault(says, body, status=400, headers=PROBLEM_HEADERS, **more):
            self.fault(says, body=body, status=status, headers=headers, **more)

        fault("at '\\$.code'", problem("no-such-code", 400))
        fault("that of the code is 400", problem("bad-query", 404), status=404)
        fault("that of the code is 400", problem("bad-query", 400), status=409)
        fault("does not document the code 'state-conflict'", problem("state-conflict", 409), status=409)
        fault("does not document the code 'bad-json'", problem("bad-json", 400))
        fault("belongs to an operation", problem("state-unknown", 404), status=404, target="/v1/nothing")
        fault("the type does not name", problem("bad-query", 400, type="urn:cpns:problem:forbidden"))
        fault("the member 'request'", problem("bad-query", 400, request="r-2"))
        fault("the header Allow", problem("wrong-method", 405), status=405, verb="PUT")
        fault("the header Allow", problem("bad-query", 400), headers={**PROBLEM_HEADERS, "Allow": "GET"})
        fault("'extra'", problem("bad-query", 400, extra=1))

    def test_events(self):
        stream = {"target": "/v1/events", "headers": {**HEADERS, "Content-Type": "text/event-stream"}}
        good = EVENTS.replace("{}", json.dumps(STATUS))
        self.check(body=good, **stream)
        found = openapi.check_events("server", "/v1/events", good)
        self.assertEqual(found, [("run-0", "snapshot", STATUS)])
        line = {"time": "2026-01-02T03:04:05.678Z", "level": "info", "component": "server", "event": "ready",
                "text": "A sentence", "entity": "x"}
        logged = f"id: run-1\nevent: ready\ndata: {json.dumps(line)}\n\n"
        self.check(body=good + logged, **stream)
        self.fault("has the data of 'ready'", body=logged.replace("event: ready", "event: steady"), **stream)
        self.fault("'text' is a required", body=logged.replace('"text"', '"words"'), **stream)
        self.fault("is not of type 'string'", body=logged.replace('"x"', "1"), **stream)
        self.fault("is a required property", body=EVENTS, **stream)
        self.fault("has no id", body=good.replace("id: run-0\n", ""), **stream)

    def test_a_line_of_metrics_in_another_form(self):
        text = {**HEADERS, "Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        good = "# HELP cpns_x_total A text.\n# TYPE cpns_x_total counter\ncpns_x_total{outcome=\"ok\"} 3\n"
        self.check(body=good, headers=text, target="/metrics")
        self.fault("the line is not documented", body=good + "node_load1 3\n", headers=text, target="/metrics")
        self.fault("the line is not documented", body=good + "cpns_x_total\n", headers=text, target="/metrics")


if __name__ == "__main__":
    unittest.main()
