"""Answers of a role's API, judged by docs/openapi: a path, status, header or member that is not documented is a failure.

    openapi.check_answer("gateway", "GET", "/v1/pnes", status, headers, body)

Every client of the API in the tests calls it for each answer that it gets, and check_events for each stream.
"""

import copy
import functools
import json
import pathlib
import re
import sys

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "docs/openapi"))
import document  # noqa: E402  (docs/openapi/document.py)

# Of HTTP itself, on any answer.
HTTP_HEADERS = {"content-type", "content-length", "connection", "transfer-encoding", "date"}
STREAM = "text/event-stream"


class Undocumented(AssertionError):
    """An answer that docs/openapi does not describe."""


def check_answer(role: str, verb: str, target: str, status: int, headers, body) -> None:
    """`headers`: (name, value) pairs. `body`: bytes or text; of a stream, as much of it as was read, from its beginning.
    Raises Undocumented, with the request and the fault of its answer."""
    text = body.decode() if isinstance(body, bytes) else body
    try:
        _check(role, verb, target, status, [(n.lower(), v) for n, v in headers], text)
    except Undocumented as fault:
        raise Undocumented(f"{role}: {verb} {target} was answered {status}: {fault}\n{text[:2000]}") from None


def check_events(role: str, target: str, text: str) -> list:
    """Checks the complete events in `text` and returns them as (id, name, data as a dict). Comments are skipped."""
    documented = document.document(role).find("GET", target).answer(200)["content"][STREAM]["x-events"]
    out = []
    for block in text.split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        fields = dict(re.fullmatch(r"(id|event|data): (.*)", line).groups() for line in lines)
        name = fields["event"]
        if name not in documented and "*" not in documented:
            raise Undocumented(f"the event '{name}' is not documented")
        data = parse(fields["data"])
        _validate(documented.get(name) or documented["*"], data, f"the event '{name}'")
        if name not in documented and data["event"] != name:
            raise Undocumented(f"the event '{name}' has the data of '{data['event']}'")
        if name != "cut-off" and "id" not in fields:
            raise Undocumented(f"the event '{name}' has no id")
        out.append((fields.get("id", ""), name, data))
    return out


def parse(text: str):
    """JSON; a member that occurs twice is a failure."""

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise Undocumented("a member occurs twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as fault:
        raise Undocumented(f"not JSON: {fault}") from None


def _check(role, verb, target, status, headers, text):
    operation = document.document(role).find(verb, target)
    kind = dict(headers).get("content-type", "").partition(";")[0].strip()
    answer = operation.answer(status) if operation else None
    if kind == "application/problem+json":
        code = _check_problem(operation, status, dict(headers), parse(text))
    else:
        code = ""
        if operation is None:
            raise Undocumented("the document has no such path with this verb")
        if answer is None:
            raise Undocumented("the document does not have this status")
        _check_body(role, answer, target, kind, text)
    _check_headers(answer, headers)
    if status == 503 and code and "retry-after" not in dict(headers):
        raise Undocumented("status 503 has no Retry-After")


def _check_body(role, answer, target, kind, text):
    content = answer.get("content", {})
    if not content:
        if text or kind:
            raise Undocumented("this status has no body")
        return
    if kind not in content:
        raise Undocumented(f"the content type '{kind}' is not documented")
    if kind == STREAM:
        check_events(role, target, text)
    elif kind in ("text/plain", "text/csv"):
        for line in text.splitlines():
            if not re.fullmatch(content[kind]["x-lines"], line):
                raise Undocumented(f"the line is not documented: {line}")
    elif kind == "application/json":
        _validate(content[kind]["schema"], parse(text), "the answer")


def _check_problem(operation, status, headers, problem) -> str:
    _validate(_problem_schema(), problem, "the problem")
    code = problem["code"]
    known = document.problem_codes()[code]
    if (problem["status"], known.status) != (status, status):
        raise Undocumented(f"the status of the document is {problem['status']}, that of the code is {known.status}")
    if problem["type"] != f"urn:cpns:problem:{code}":
        raise Undocumented("the type does not name the code")
    if ("allow" in headers) != (status == 405):
        raise Undocumented("the header Allow belongs to status 405 and to no other")
    if problem.get("request") != headers.get("cpns-request-id"):
        raise Undocumented("the member 'request' is not the header Cpns-Request-Id")
    if operation is None:
        if "any" not in known.of:
            raise Undocumented(f"the code '{code}' belongs to an operation, and there is none")
    elif not operation.may_refuse_with(code):
        raise Undocumented(f"the operation {operation.id} does not document the code '{code}' (x-problems)")
    return code


def _check_headers(answer, headers):
    documented = {name.lower(): h for name, h in (answer or _problem_response()).get("headers", {}).items()}
    always = document.common_headers()
    for name, value in headers:
        schema = {**documented, **always}.get(name)
        if schema is None and name not in HTTP_HEADERS:
            raise Undocumented(f"the header '{name}' is not documented")
        if schema is not None:
            number = schema["schema"].get("type") == "integer"
            _validate(schema["schema"], int(value) if number and value.isdigit() else value, f"the header '{name}'")
    for name in always.keys() - dict(headers).keys():
        raise Undocumented(f"the header '{name}' is missing")


@functools.lru_cache(maxsize=None)
def _problem_response() -> dict:
    return document.document("server").find("GET", "/v1/status").answer(500)


@functools.lru_cache(maxsize=None)
def _problem_schema() -> dict:
    return _problem_response()["content"]["application/problem+json"]["schema"]


def _validate(schema, value, what):
    faults = list(jsonschema.Draft202012Validator(closed(schema)).iter_errors(value))
    # A fault in a member makes the whole object look unknown, too.
    fault = jsonschema.exceptions.best_match([f for f in faults if f.validator != "unevaluatedProperties"] or faults)
    if fault is not None:
        raise Undocumented(f"{what}, at '{fault.json_path}': {fault.message}")


def closed(schema: dict, part=False) -> dict:
    """`schema`, in which each object refuses the members that it does not document. `part`: of an allOf, whose other parts
    have members, too."""
    out = copy.copy(schema)
    for word in ("properties", "patternProperties"):
        if word in out:
            out[word] = {name: closed(s) for name, s in out[word].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(out.get(word), dict):
            out[word] = closed(out[word])
    shared = part or "properties" in out or "allOf" in out
    for word in ("allOf", "oneOf", "anyOf"):
        if word in out:
            out[word] = [closed(s, part=word == "allOf" or shared) for s in out[word]]
    if not part and ("properties" in out or "allOf" in out) and not out.keys() & {"additionalProperties", "unevaluatedProperties"}:
        out["unevaluatedProperties" if out.keys() & {"allOf", "oneOf", "anyOf"} else "additionalProperties"] = False
    return out
