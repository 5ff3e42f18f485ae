"""Requests that any operation of docs/openapi has to refuse, made from its document alone."""

import dataclasses
import json

from support.api_home import UNKNOWN, path_with

JSON = "application/json"
NO_MEMBER = "no-such-member"


@dataclasses.dataclass
class Probe:
    name: str
    code: str  # of the expected problem
    target: str
    body: bytes = b""
    headers: dict = dataclasses.field(default_factory=dict)
    verb: str = ""  # empty: that of the operation
    field: str = ""  # the expected member `field`; empty: not checked


def value_of_another_type(schema: dict):
    kinds = schema.get("type", "object")
    return 7 if "string" in kinds or "array" in kinds or "object" in kinds else "text"


def probes_of(operation, values: dict, other_verb: str):
    """`values`: the parameters of its path. `other_verb`: one that its path does not have; empty: it has all."""
    target = path_with(operation, values)
    yield Probe("a query with a name twice", "bad-query", target + "?a=1&a=2")
    yield Probe("an unknown parameter", "unknown-parameter", target + "?no-such-parameter=1", field="no-such-parameter")
    yield Probe("a malformed request id", "bad-request-id", target, headers={"Cpns-Request-Id": "a b"}, field="Cpns-Request-Id")
    yield Probe("a page of another site", "foreign-origin", target, headers={"Origin": "http://evil.example"}, field="Origin")
    yield Probe("a request across sites", "foreign-origin", target, headers={"Sec-Fetch-Site": "cross-site"})
    if other_verb:
        yield Probe("another verb", "wrong-method", target, verb=other_verb)
    yield from in_query(operation, target)
    yield from in_path(operation, values)
    if operation.changes:
        yield Probe("a change without a request id", "no-request-id", target, headers={"Cpns-Request-Id": None}, field="Cpns-Request-Id")
        yield Probe("a body that is too large", "body-too-large", target, headers={"Content-Length": str(operation.body_max + 1)})
        yield from in_body(operation, target)


def in_query(operation, target):
    for p in operation.parameters_in("query"):
        schema, name = p["schema"], p["name"]
        if schema.get("type") == "integer":
            for wrong in ("x", schema.get("minimum", 0) - 1, *([schema["maximum"] + 1] if "maximum" in schema else [])):
                yield Probe(f"{name}={wrong}", "out-of-range", f"{target}?{name}={wrong}", field=name)


def in_path(operation, values):
    for p in operation.parameters_in("path"):
        name = p["name"]
        yield Probe(f"{name} that is not UTF-8", "no-such-path", path_with(operation, {**values, name: "%ff"}))
        if name in UNKNOWN and "state-unknown" in operation.node.get("x-problems", ()):
            yield Probe(f"an unknown {name}", "state-unknown", path_with(operation, {**values, name: UNKNOWN[name]}),
                        body=example_of(operation),
                        headers={"Content-Type": next(iter(operation.body), JSON)})


def example_of(operation) -> bytes:
    body = operation.body.get(JSON)
    return json.dumps(body["example"]).encode() if body else b""


def in_body(operation, target):
    yield Probe("a body of another type", "wrong-content-type", target, b"text", {"Content-Type": "text/x-nothing"})
    if operation.body and JSON not in operation.body:
        return

    def with_json(name, code, content, field=""):
        return Probe(name, code, target, content if isinstance(content, bytes) else json.dumps(content).encode(),
                     {"Content-Type": JSON}, field=field)

    yield with_json("a body that is not JSON", "bad-json", b"{")
    yield with_json("a body that is not an object", "bad-json", [])
    yield with_json("a body of many levels", "bad-json", b'{"a":' * 20 + b"1" + b"}" * 20)
    example = operation.body[JSON]["example"] if operation.body else {}
    yield with_json("an unknown member", "unknown-field", {**example, NO_MEMBER: 1}, NO_MEMBER)
    if not operation.body:
        return
    schema = operation.body[JSON]["schema"]
    for name in schema.get("required", ()):
        yield with_json(f"a body without {name}", "missing-field", {n: v for n, v in example.items() if n != name}, name)
    for name in example:
        wrong = value_of_another_type(schema["properties"][name])
        yield with_json(f"{name} of another type", "wrong-type", {**example, name: wrong}, name)
