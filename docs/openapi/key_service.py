#!/usr/bin/env python3
"""A manufacturer's service for Temporary Keys, as key-service.yaml describes it: the reference for those who write one.

    python3 key_service.py --listen 127.0.0.1:8443 --certificate service.pem --key service.key --clients ca.pem --devices devices.csv

`--clients` is the CA whose certificates may ask; `--devices` is a list as `cpns device import` reads it: the columns entity_id and
temporary_key, with keys as `hex:...` of at least 16 random bytes. Needs the standard library alone. It prints `listening HOST:PORT`,
and ends at SIGTERM.

It answers with TK' (form `derived`), so that the Temporary Key itself never leaves the manufacturer.
"""

import argparse
import csv
import hashlib
import hmac
import http.server
import json
import signal
import socketserver
import ssl
import sys
import threading
import urllib.parse

KEYS = "/v1/temporary-keys/"
HEALTH = "/v1/health"


def cbor_text(text: str) -> bytes:
    """A text of at most 255 bytes in deterministic CBOR (RFC 8949)."""
    raw = text.encode()
    return (bytes([0x60 + len(raw)]) if len(raw) < 24 else bytes([0x78, len(raw)])) + raw


def derived_key(entity: str, temporary_key: bytes) -> bytes:
    """TK' = Extract(S, TK), "Key schedule" in docs/protocol.md: HMAC-SHA-256 with the key S = E(["cpns/1 temporary key", entity_id])."""
    salt = b"\x82" + cbor_text("cpns/1 temporary key") + cbor_text(entity)
    return hmac.new(salt, temporary_key, hashlib.sha256).digest()


def read_devices(file: str) -> dict:
    """{Entity ID: Temporary Key}"""
    with open(file, newline="") as rows:
        return {row["entity_id"]: bytes.fromhex(row["temporary_key"].removeprefix("hex:")) for row in csv.DictReader(rows)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 60

    def setup(self):
        # In the thread of the connection: a client that does not shake hands stops nobody else.
        self.request.settimeout(self.timeout)
        self.request.do_handshake()
        super().setup()

    def do_GET(self):
        path = self.path.removeprefix(self.server.prefix)
        if path == HEALTH:
            return self.answer(200, {"status": "ok"})
        if path.startswith(KEYS):
            return self.answer_key(urllib.parse.unquote(path.removeprefix(KEYS)))
        self.answer(404, {"error": "there is nothing at this path"})

    def answer_key(self, entity: str):
        key = self.server.devices.get(entity)
        if key is None:
            return self.answer(404, {"error": "the device is not one of this manufacturer"})
        self.answer(200, {"entity": entity, "form": "derived", "encoding": "hex", "key": derived_key(entity, key).hex()})

    def answer(self, status: int, body: dict):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, text, *values):
        """Entity IDs are personal data of the users: nothing is logged."""


class Service(http.server.ThreadingHTTPServer):
    """`devices` may be replaced while it runs. `prefix`: the path in the URL of the service."""

    daemon_threads = True
    request_queue_size = 128  # a server opens several connections at once

    def __init__(self, address, context: ssl.SSLContext, devices: dict, handler=Handler, prefix=""):
        super().__init__(address, handler)
        self.devices, self.prefix = devices, prefix
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without the look-up of the own name
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, address):
        """A client whose certificate is refused, or that goes away."""
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, address)


def tls(certificate: str, key: str, clients: str) -> ssl.SSLContext:
    """TLS 1.3 alone; a client needs a certificate of the CA `clients`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("listen", "certificate", "key", "clients", "devices"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--prefix", default="", help="the path in front of /v1, for example /cpns")
    o = options.parse_args()
    host, _, port = o.listen.rpartition(":")
    service = Service((host, int(port)), tls(o.certificate, o.key, o.clients), read_devices(o.devices), prefix=o.prefix)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=service.shutdown).start())
    print(f"listening {host}:{service.server_port}", flush=True)
    service.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
