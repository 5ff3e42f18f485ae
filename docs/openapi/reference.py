#!/usr/bin/env python3
"""Writes the reference pages of the HTTP API from the OpenAPI documents of this folder.

usage: reference.py FOLDER     writes server.md, gateway.md, pne.md, keys.md and problems.md there

scripts/generated-pages calls it; the pages are docs/api/. Needs python3-yaml.
"""

import json
import pathlib
import re
import shlex
import sys

from document import BODY_MAX, DOCUMENTS, document, problem_codes

NOTE = "<!-- Made from docs/openapi/{} by `make docs`. Change that file, not this one. -->\n"
SOCKETS = {"server": "trial/state/server.sock", "gateway": "trial/state/gateway.sock", "pne": "trial/pne.sock",
           "keys": "/run/cpns/gateway/keys.sock"}


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def heading_of(operation) -> str:
    return f"{operation.verb} {operation.path}"


def one_line(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def with_values(operation) -> str:
    """The path and query with the examples of the document."""
    path = operation.path
    for p in operation.parameters_in("path"):
        path = path.replace("{" + p["name"] + "}", str(p["example"]))
    query = "&".join(f"{p['name']}={p['example']}" for p in operation.parameters_in("query") if "example" in p)
    return path + ("?" + query if query else "")


def curl_of(operation) -> str:
    """A command that works in the folder in which `cpns init trial` was run."""
    words = ["curl", *(["-N"] if operation.streams else []), "--unix-socket", SOCKETS[operation.role]]
    if operation.changes:
        words += ["-X", operation.verb]
    for p in operation.parameters_in("header"):
        if p.get("required"):
            words += ["-H", f"{p['name']}: {p['example']}"]
    for kind, body in operation.body.items():
        if "x-file" in body:
            words += ["-H", f"Content-Type: {kind}", "-T", body["x-file"]]
        elif "example" in body:
            words += ["--json", json.dumps(body["example"])]
        else:
            continue
        break
    return " ".join(shlex.quote(w) for w in [*words, "http://localhost" + with_values(operation)])


# ---- schemas


def kind_of(schema: dict) -> str:
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])
    kinds = schema.get("type", "object" if "properties" in schema or "allOf" in schema else "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    out = " or ".join("number" if k == "integer" else k for k in kinds)
    if kinds == ["array"]:
        items = schema["items"]
        return f"list of {link_to(items)}" if linked(items) else f"list of {kind_of(items)}"
    if "minimum" in schema and "maximum" in schema:
        out += f", {schema['minimum']} to {schema['maximum']}"
    if "default" in schema:
        out += f", default {schema['default']}"
    return out


def linked(schema: dict) -> bool:
    """Whether the schema has a section of its own."""
    return "x-name" in schema and bool(members_of(schema))


def link_to(schema: dict) -> str:
    return f"[{schema['x-name']}](#{anchor(schema['x-name'])})"


def members_of(schema: dict) -> dict:
    """Name to (schema, required) of an object, with those of its parts."""
    out = {}
    for part in schema.get("allOf", ()):
        out.update(members_of(part))
    required = schema.get("required", ())
    out.update({name: (s, name in required) for name, s in schema.get("properties", {}).items()})
    return out


def values_of(schema: dict) -> list:
    """The values of a member that are described one by one."""
    return [(f"`{v['const']}`", one_line(v.get("description", ""))) for v in schema.get("oneOf", ()) if "const" in v]


def tables_of(schema: dict) -> list:
    out = table(MEMBERS, rows_of(schema))
    for name, (s, _) in members_of(schema).items():
        if values_of(s):
            out += table((f"`{name}`", "meaning"), values_of(s))
    return out


def rows_of(schema: dict, prefix="") -> list:
    rows = []
    for name, (s, required) in members_of(schema).items():
        kind = "see below" if values_of(s) else link_to(s) if linked(s) else kind_of(s)
        rows.append((f"`{prefix}{name}`", kind, "" if required else "may be missing", one_line(s.get("description", ""))))
        if linked(s):
            continue
        if members_of(s):
            rows += rows_of(s, f"{prefix}{name}.")
        elif s.get("type") == "array" and members_of(s["items"]) and not linked(s["items"]):
            rows += rows_of(s["items"], f"{prefix}{name}[].")
    return rows


def table(head: tuple, rows: list) -> list:
    """Without the columns that are empty in all rows."""
    keep = [i for i in range(len(head)) if any(r[i] for r in rows)]
    lines = ["| " + " | ".join(cells[i] for i in keep) + " |" for cells in (head, *rows)]
    return [lines[0], "|" + "---|" * len(keep), *lines[1:], ""]


MEMBERS = ("member", "value", "presence", "meaning")


def describe_schema(schema: dict, names: dict) -> list:
    """The lines for an answer or a body; objects with a name are collected in `names`."""
    for s in [schema, *walk(schema)]:
        if linked(s):
            names.setdefault(s["x-name"], s)
    if linked(schema):
        return []
    return tables_of(schema) if members_of(schema) else []


def walk(schema):
    """The schemas in it, without its parts themselves."""
    for part in schema.get("allOf", ()):
        yield from walk(part)
    for s in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield s
        yield from walk(s)


# ---- operations


def describe_answers(operation, names: dict) -> list:
    out = []
    for status, answer in operation.node["responses"].items():
        if status == "default":
            continue
        text = one_line(answer["description"])
        for kind, content in answer.get("content", {}).items():
            schema = content["schema"]
            what = f", an object {link_to(schema)}" if linked(schema) else ""
            out += [f"Answer `{status}`, `{kind}`{what}: {text}", ""]
            out += describe_schema(schema, names)
            events = content.get("x-events", {})
            if events:
                out += table(("event", "data"), [(f"`{name}`" if name != "*" else "any other", link_to(s) if linked(s) else kind_of(s))
                                                  for name, s in events.items()])
                for s in events.values():
                    describe_schema(s, names)
        if not answer.get("content"):
            out += [f"Answer `{status}`: {text}", ""]
    return out


def describe_body(operation, names: dict) -> list:
    out = []
    for kind, content in operation.body.items():
        limit = f" At most {operation.body_max} bytes." if operation.body_max != BODY_MAX else ""
        what = f", an object {link_to(content['schema'])}" if linked(content["schema"]) else ""
        out += [f"Body, `{kind}`{what}: {one_line(operation.node['requestBody'].get('description', ''))}{limit}".rstrip(), ""]
        out += describe_schema(content["schema"], names)
    return out


def describe(operation, names: dict) -> list:
    node = operation.node
    out = [f"### {heading_of(operation)}", "", node["summary"] + ".", ""]
    if node.get("description"):
        out += [node["description"].strip(), ""]
    out += ["```sh", curl_of(operation), "```", ""]
    probe = "; the port for probes answers it to any client, too" if node.get("x-probe") else ""
    out += [f"Level: {operation.level}{probe}.", ""]
    rows = [(f"`{p['name']}`", p["in"], kind_of(p["schema"]), "" if p.get("required") else "optional", one_line(p["description"]))
            for p in operation.parameters if p["name"] != "Cpns-Request-Id"]
    if rows:
        out += table(("parameter", "in", "value", "presence", "meaning"), rows)
    out += describe_body(operation, names) + describe_answers(operation, names)
    problems = node.get("x-problems", [])
    if problems:
        out += ["Problems of its own: " + ", ".join(f"[`{c}`](problems.md)" for c in problems) + ".", ""]
    return out


def role_page(role: str) -> str:
    doc = document(role)
    info = doc.tree["info"]
    out = [NOTE.format(f"{role}.yaml"), f"# API: {info['title']}", "", info["summary"], "",
           info["description"].strip(), "", doc.tree["servers"][0]["description"].strip(), "",
           "Besides the problems that are named with a request, each may be refused with the general ones: [problems](problems.md).", ""]
    out += table(("request", "level", "purpose"),
                 [(f"[`{heading_of(o)}`](#{anchor(heading_of(o))})", o.level, one_line(o.node["summary"])) for o in doc.operations])
    names = {}
    for tag in doc.tree["tags"]:
        mine = [o for o in doc.operations if o.node["tags"] == [tag["name"]]]
        if mine:
            out += [f"## {tag['name']}", "", tag["description"], ""]
            for o in mine:
                out += describe(o, names)
    out += ["## Objects", "", "A later version may add members: ignore those that you do not know.", ""]
    for name, schema in sorted(names.items()):
        out += [f"### {name}", ""]
        if schema.get("description"):
            out += [one_line(schema["description"]), ""]
        out += tables_of(schema)
    return "\n".join(out).rstrip() + "\n"


WHEN = {"any": "any request", "change": "any change (every verb but GET)", "body": "requests with a JSON body",
        "query": "requests with parameters",
        "path": "requests with a value in the path"}


def problems_page() -> str:
    general = [c for c in problem_codes().values() if c.of]
    own = [c for c in problem_codes().values() if not c.of]

    def row(c):
        return f"`{c.code}`", str(c.status), one_line(c.text)

    out = [NOTE.format("problems.yaml"), "# API: problems", "",
           "Every `code` that a problem document can have; [Problems](../api.md#problems) shows such a document. A code is stable, "
           "means the same in all "
           "roles, and always has the same HTTP status.", "", "## General codes", "",
           "Requests of these kinds can be refused with them, whatever their path.", ""]
    out += table(("code", "status", "meaning", "of"), [(*row(c), "; ".join(WHEN[w] for w in c.of)) for c in general])
    out += ["## Codes of single requests", "", "The page of a role names them with the requests that can be refused with them.", ""]
    out += table(("code", "status", "meaning"), [row(c) for c in own])
    return "\n".join(out).rstrip() + "\n"


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = pathlib.Path(sys.argv[1])
    for role in DOCUMENTS:
        (folder / f"{role}.md").write_text(role_page(role))
    (folder / "problems.md").write_text(problems_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
