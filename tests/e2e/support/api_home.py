"""A trial installation for tests of the HTTP API: each role with a socket at the place that docs/api names.

Its PNEs wait for approval."""

import pathlib

from support import openapi
from support.home import Home, poll
from support.unix_http import Connection

document = openapi.document

# Well-formed values that no role has, for the parameters of paths.
UNKNOWN = {"entity": "urn:dev:mac:fe00000000000000", "radio": "no-such-radio", "user": "nobody-here",
           "gateway": "urn:cpns:gw:no-such-gateway", "identity": "urn:cpns:psk:no-such-hub",
           "import": "no-such-import", "batch": "no-such-batch"}


def add_sockets(home: Home):
    """The roles listen where `cpns init` puts their sockets. Returns a folder in which `trial` is the folder of the home."""
    for role in document.ROLES:
        getattr(home, role)["api"] = {"socket": "pne.sock" if role == "pne" else f"state/{role}.sock"}
    base = home.folder / "base"
    base.mkdir()
    (base / "trial").symlink_to("..")
    return base


def socket_of(home: Home, role: str) -> pathlib.Path:
    return home.folder / getattr(home, role)["api"]["socket"]


def connect(home: Home, role: str, **peer) -> Connection:
    return Connection(role, socket_of(home, role), **peer)


def metrics_with(role, lines, timeout=5.0) -> str:
    """The text of /metrics once it has all of the lines; the last one otherwise. A role gives its text again for a second."""
    texts = []

    def complete():
        texts.append(role.ask("GET", "/metrics").text)
        return all(f"\n{line}\n" in texts[-1] for line in lines)

    try:
        poll(complete, timeout=timeout, every=0.2)
    except AssertionError:
        pass  # the test shows what is missing
    return texts[-1]


def wait_for_state(home: Home, state: str, entities) -> None:
    def reached():
        return all(connect(home, "gateway").ask("GET", f"/v1/pnes/{e}").json["state"] == state for e in entities)

    poll(lambda: home.pnes().keys() >= set(entities) and reached(), what=f"state {state} of {len(entities)} PNEs")


def path_with(operation, values: dict) -> str:
    """The path of the operation; values that are not in `values` are the examples of the document."""
    path = operation.path
    for p in operation.parameters_in("path"):
        path = path.replace("{" + p["name"] + "}", str(values.get(p["name"], p["example"])))
    return path
