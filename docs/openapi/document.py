"""Reads the OpenAPI documents of this folder, for the reference pages and for the tests. Needs python3-yaml.

A document is expanded: each $ref is replaced by its target, so that a reader of it sees plain dicts and lists. A schema that
came from components/schemas has its name in `x-name`.
"""

import dataclasses
import functools
import pathlib
import re

import yaml

FOLDER = pathlib.Path(__file__).resolve().parent
ROLES = ("server", "gateway", "pne")
DOCUMENTS = (*ROLES, "keys")  # the key socket of a gateway or of PNEs
VERBS = ("get", "post", "put", "patch", "delete")
BODY_MAX = 65536  # bytes, of an operation without x-body-max


class Broken(Exception):
    """A document that cannot be read; the text names the file and the place."""


class Files:
    """The YAML files of one folder."""

    def __init__(self, folder=FOLDER):
        self.folder, self._read = pathlib.Path(folder), {}

    def tree(self, name: str) -> dict:
        if name not in self._read:
            self._read[name] = yaml.safe_load((self.folder / name).read_text())
        return self._read[name]

    def target(self, ref: str, file: str) -> tuple:
        """The (node, file, name) that a $ref in `file` means."""
        name, _, pointer = ref.partition("#")
        file, node = name or file, self.tree(name or file)
        parts = [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]
        for part in parts:
            if not isinstance(node, dict) or part not in node:
                raise Broken(f"{file}: there is nothing at '{ref}'")
            node = node[part]
        return node, file, parts[-1] if parts[:2] == ["components", "schemas"] else ""

    def expanded(self, node, file: str, above=()):
        if isinstance(node, list):
            return [self.expanded(n, file, above) for n in node]
        if not isinstance(node, dict):
            return node
        beside = {k: self.expanded(v, file, above) for k, v in node.items() if k != "$ref"}
        if "$ref" not in node:
            return beside
        ref = node["$ref"]
        if (file, ref) in above:
            raise Broken(f"{file}: '{ref}' contains itself")
        found, where, name = self.target(ref, file)
        out = self.expanded(found, where, (*above, (file, ref)))
        return {**out, **({"x-name": name} if name else {}), **beside}


@dataclasses.dataclass(frozen=True)
class Operation:
    role: str
    verb: str  # in capital letters
    path: str
    node: dict  # the operation
    parameters: tuple  # those of the path, and its own

    @property
    def id(self) -> str:
        return self.node["operationId"]

    @property
    def changes(self) -> bool:
        return self.verb != "GET"

    @property
    def streams(self) -> bool:
        """Whether its answer is a stream of events."""
        return "text/event-stream" in (self.answer(200) or {}).get("content", {})

    @property
    def level(self) -> str:
        return self.node["x-level"]

    @property
    def body_max(self) -> int:
        return self.node.get("x-body-max", BODY_MAX)

    @property
    def body(self) -> dict:
        """{content type: media type object}; empty: the operation takes no body."""
        return self.node.get("requestBody", {}).get("content", {})

    def parameters_in(self, place: str) -> list:
        return [p for p in self.parameters if p["in"] == place]

    def answer(self, status: int) -> dict | None:
        """The response object that describes `status`; None: there is none."""
        answers = self.node["responses"]
        return answers.get(str(status)) or (answers.get("default") if status >= 400 else None)

    def may_refuse_with(self, code: str) -> bool:
        if code in self.node.get("x-problems", ()):
            return True
        of = problem_codes()[code].of
        return ("any" in of or ("change" in of and self.changes) or ("body" in of and bool(self.body)) or
                ("query" in of and bool(self.parameters_in("query"))) or ("path" in of and bool(self.parameters_in("path"))))

    def matches(self, path: str) -> bool:
        return re.fullmatch(re.sub(r"\\\{[^/{}]+\\\}", "[^/]+", re.escape(self.path)), path) is not None


@dataclasses.dataclass(frozen=True)
class ProblemCode:
    code: str
    status: int
    of: tuple
    text: str


class Document:
    def __init__(self, role: str, folder=FOLDER):
        self.role = role
        self.tree = Files(folder).expanded(Files(folder).tree(f"{role}.yaml"), f"{role}.yaml")
        self.operations = [Operation(role, verb.upper(), path, item[verb], (*item.get("parameters", ()), *item[verb].get("parameters", ())))
                           for path, item in self.tree["paths"].items() for verb in VERBS if verb in item]

    def find(self, verb: str, target: str) -> Operation | None:
        """The operation that answers a request; of two paths that fit, the one with fewer values in it."""
        path = target.partition("?")[0]
        fit = [o for o in self.operations if o.verb == verb and o.matches(path)]
        return min(fit, key=lambda o: o.path.count("{"), default=None)

    def operation(self, operation_id: str) -> Operation:
        return next(o for o in self.operations if o.id == operation_id)


@functools.lru_cache(maxsize=None)
def document(role: str) -> Document:
    return Document(role)


@functools.lru_cache(maxsize=None)
def problem_codes() -> dict:
    """Code to ProblemCode, in the order of the file."""
    out = {}
    for one in Files().tree("problems.yaml")["components"]["schemas"]["ProblemCode"]["oneOf"]:
        of = one.get("x-of", [])
        out[one["const"]] = ProblemCode(one["const"], one["x-status"], tuple([of] if isinstance(of, str) else of), one["description"])
    return out


@functools.lru_cache(maxsize=None)
def common_headers() -> dict:
    """Name in small letters to its header object, for those that every answer has."""
    headers = Files().tree("common.yaml")["components"]["headers"]
    return {name.lower(): h for name, h in headers.items() if h.get("x-every-answer")}
