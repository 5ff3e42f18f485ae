"""Raw connections of misbehaving peers, and the CPU and memory that a process needs meanwhile."""

import os
import pathlib
import socket
import ssl
import struct
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def dial(at: str, timeout=10.0) -> socket.socket:
    host, port = at.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout)


def dial_tls(home, timeout=10.0, name="gateway", at="") -> ssl.SSLSocket:
    """A server link with the certificate `name`, by default that of the home's gateway, as a thief of it could open. `at`: an address, by
    default that of the home's server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the server's name is a URI
    context.load_verify_locations(home.folder / "tls/ca.pem")
    context.load_cert_chain(home.folder / f"tls/{name}.pem", home.folder / f"tls/{name}.key")
    context.set_alpn_protocols(["cpns/1"])
    return context.wrap_socket(dial(at or f"{home.address}:{home.server_port}", timeout))


def dial_unix(path: pathlib.Path, timeout=10.0) -> socket.socket:
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(path))  # with a timeout, connect would not wait for a place in the queue
    s.settimeout(timeout)
    return s


def hello(network: str) -> bytes:
    return frame(b"cpns-tcp/1\0" + network.encode())


def frame(body: bytes) -> bytes:
    """The frame of both links: a length of four bytes, then the body."""
    return struct.pack(">I", len(body)) + body


def closed_by_peer(s: socket.socket, timeout=15.0) -> bool:
    """True if the other side closes the connection in time; received data is discarded."""
    until = time.monotonic() + timeout
    try:
        while (left := until - time.monotonic()) > 0:
            s.settimeout(left)
            if not s.recv(65536):
                return True
    except TimeoutError:
        return False
    except OSError:  # a reset also ends the connection
        return True
    return False


class Dribble(threading.Thread):
    """Sends `data` at one byte per second until the other side closes the connection; `lasted` is the time that took."""

    def __init__(self, s: socket.socket, data: bytes, limit=15.0):
        super().__init__(daemon=True)
        self.socket, self.data, self.limit, self.lasted = s, data, limit, None
        self.start()

    def run(self):
        begun = time.monotonic()
        for byte in self.data:
            try:
                self.socket.sendall(bytes([byte]))
            except OSError:
                break
            if closed_by_peer(self.socket, 1.0):
                break
            if time.monotonic() - begun > self.limit:
                return
        self.lasted = time.monotonic() - begun
