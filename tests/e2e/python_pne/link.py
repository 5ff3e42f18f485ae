"""The PNE's side of the TCP transport, and messages over its frames (docs/protocol.md, "Transports")."""

import pathlib
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vectors" / "judge"))

import fragments  # noqa: E402

MAGIC = b"cpns-tcp/1\x00"


class Closed(Exception):
    pass


class Link:
    """One connection. receive() returns the next message, or None after `seconds` without one."""

    def __init__(self, host: str, port: int, network: str, mtu: int):
        self.socket = socket.create_connection((host, port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mtu, self.number, self.buffer, self.assembler = mtu, 0, b"", fragments.Assembler()
        self.frame(MAGIC + network.encode())

    def frame(self, body: bytes):
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def send(self, message: bytes):
        for f in fragments.split(self.number, message, self.mtu):
            self.frame(f)
        self.number += 1

    def receive(self, seconds: float):
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack(">I", self.buffer[:4])[0]
                if not 1 <= size <= 65535:
                    raise Closed(f"a frame of {size} bytes")
                if len(self.buffer) >= 4 + size:
                    body, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                    message = self.assembler.take(body)
                    if message is not None:
                        return message
                    continue
            self.socket.settimeout(seconds)
            try:
                more = self.socket.recv(65536)
            except socket.timeout:
                return None
            except OSError as problem:
                raise Closed(str(problem)) from problem
            if not more:
                raise Closed("the gateway closed the link")
            self.buffer += more

    def close(self):
        self.socket.close()
