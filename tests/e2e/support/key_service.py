"""A manufacturer's service for tests: the reference of docs/openapi, in a thread of the test, with faults on demand."""

import importlib.util
import json
import pathlib
import threading

from support.pki import CLIENT, DAY, SERVER, Ca

REFERENCE = pathlib.Path(__file__).resolve().parents[3] / "docs/openapi/key_service.py"
_spec = importlib.util.spec_from_file_location("key_service_reference", REFERENCE)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


class Faulty(reference.Handler):
    """`server.fault` is a function of the handler that answers in place of the reference, or None."""

    def answer_key(self, entity):
        self.server.asked.append(entity)
        fault = self.server.fault
        return fault(self, entity) if fault else super().answer_key(entity)

    def send_raw(self, raw: bytes, status=200, length=None, kind="application/json", more=()):
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(raw) if length is None else length)), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def good(self, entity, named="", **changes) -> bytes:
        key = reference.derived_key(entity, self.server.devices.get(entity, bytes(range(7, 39))))
        return json.dumps({"entity": named or entity, "form": "derived", "encoding": "hex", "key": key.hex(), **changes}).encode()

    def close(self):
        self.close_connection = True


class MakersService:
    """Makes its own CA with certificates for the service and for the server in `folder`, and serves `devices`: {Entity ID: TK}."""

    def __init__(self, folder: pathlib.Path, devices: dict, prefix="/cpns"):
        self.folder, self.ca, self.devices, self.prefix = folder, Ca(name="maker CA"), devices, prefix
        folder.mkdir(exist_ok=True)
        (folder / "ca.pem").write_bytes(self.ca.pem())
        self.ca.issue(folder, "service", "urn:maker:service", SERVER, ip="127.0.0.1")
        self.ca.issue(folder, "client", "urn:maker:client:cpns", CLIENT)
        self.server = None
        self.port = 0

    def start(self, certificate="service"):
        context = reference.tls(self.folder / f"{certificate}.pem", self.folder / f"{certificate}.key", self.folder / "ca.pem")
        self.server = reference.Service(("127.0.0.1", self.port), context, self.devices, Faulty, self.prefix)
        self.server.fault, self.server.asked = None, []
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
            self.server = None

    def another_certificate(self, name: str, ca=None, **options):
        """For start(): by default of the right CA."""
        (ca or self.ca).issue(self.folder, name, "urn:maker:service", SERVER, **{"ip": "127.0.0.1", **options})

    def settings(self, entities: list, **more) -> dict:
        """An entry of temporary_keys.services; the folder is beside the server's YAML."""
        name = self.folder.name
        return {"name": "maker", "entities": entities, "url": f"https://127.0.0.1:{self.port}{self.prefix}",
                "tls": {"certificate": f"{name}/client.pem", "key": f"{name}/client.key", "ca": f"{name}/ca.pem"}, **more}


EXPIRED = {"begin": -2 * DAY, "end": -DAY}
