"""A mosquitto broker with the plugin of this tree, and its clients."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import threading
import time

from support.home import free_port, poll
from support.process import Process, cpns_binary

ROOT = pathlib.Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "consumers/mosquitto/sample"
BUILD = pathlib.Path(cpns_binary()).parents[1]
PLUGIN = BUILD / "lib/cpns/cpns_mosquitto.so"
SENSOR = BUILD / "examples/mqtt_sensor"
PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
CIPHER = "ECDHE-PSK-CHACHA20-POLY1305"


def missing() -> str:
    """What this machine lacks for the tests; empty: nothing."""
    lacks = [name for name, there in (("mosquitto", PROGRAM), ("mosquitto_pub", shutil.which("mosquitto_pub")),
                                      (PLUGIN.name, PLUGIN.exists()), (SENSOR.name, SENSOR.exists())) if not there]
    return ", ".join(lacks)


def broker_user() -> str:
    """Root's broker becomes the user that the package made."""
    return "mosquitto" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


class Broker(Process):
    """`self.conf`: the lines of its configuration, from the sample; a second listener without TLS is for tests that watch."""

    def __init__(self, home, key_socket, name="broker"):
        self.path = home.folder / f"{name}.conf"
        # As docs/application-keys.md says.
        super().__init__(name, [PROGRAM, "-c", self.path], home.events, home.folder, {"LD_BIND_NOW": "1"})
        self.port, self.plain_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
        acl = home.folder / f"{name}.acl"
        acl.write_text("topic read #\n" + (SAMPLE / "cpns.acl").read_text())  # the first line is for clients without a name
        text = (SAMPLE / "mosquitto.conf").read_text()
        for old, new in (("listener 8883", f"listener {self.port} 127.0.0.1"), ("/etc/mosquitto/cpns.acl", str(acl)),
                         ("/usr/lib/cpns/cpns_mosquitto.so", str(PLUGIN)), ("/run/cpns/gateway/keys.sock", str(key_socket)),
                         ("allow_anonymous false", "allow_anonymous true")):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.conf = [*text.splitlines(), f"listener {self.plain_port} 127.0.0.1", f"user {broker_user()}", "log_dest stderr",
                     "log_type all", "connection_messages true"]
        home.processes.append(self)

    def change(self, old: str, new: str):
        assert self.conf.count(old) == 1, old
        self.conf[self.conf.index(old)] = new

    def write(self):
        self.path.write_text("\n".join(self.conf) + "\n")

    def log(self) -> str:
        file = self.folder / f"{self.name}.err"
        return file.read_text() if file.exists() else ""

    def says(self, text: str, timeout=10.0):
        poll(lambda: text in self.log(), timeout=timeout, what=f"a line of the broker with {text!r}\n{self.log()[-3000:]}")

    def start(self):
        self.write()
        self.spawn()
        return self.wait_ready()

    def wait_ready(self):
        poll(lambda: not self.running() or self.log().count(" running\n") == self.run, what="a broker that runs")
        assert self.running(), self.log()
        return self

    def publish(self, identity: str, key: str, topic: str, *options) -> subprocess.CompletedProcess:
        """By a stock client: one message with QoS 1."""
        return subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "--psk", key, "--psk-identity", identity,
                               "--tls-version", "tlsv1.2", "--ciphers", CIPHER, "-q", "1", "-t", topic, "-m", "x", *options],
                              capture_output=True, text=True, timeout=20)


class Subscriber(Process):
    """All messages, at the listener without TLS, one line each: topic and payload."""

    def __init__(self, home, broker):
        super().__init__("subscriber", ["stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", broker.plain_port, "-q", "1",
                                        "-t", "#", "-v", "-d", "-i", "watcher", "-c"], home.events, home.folder)
        home.processes.append(self)

    def start(self):
        self.spawn()
        poll(lambda: "Subscribed" in self.text(), what="a subscription")
        return self

    def text(self) -> str:
        file = self.folder / "subscriber.out"
        return file.read_text() if file.exists() else ""

    def readings(self, entity: str) -> list:
        topic = f"pn/{entity}/reading "
        return [int(line.removeprefix(topic)) for line in self.text().splitlines() if line.startswith(topic)]


class Sensor(Process):
    def __init__(self, home, broker, key_socket, entity, *options, name):
        super().__init__(name, [SENSOR, "--socket", key_socket, "--entity", entity, "--broker", f"127.0.0.1:{broker.port}", *options],
                         home.events, home.folder)
        home.processes.append(self)

    def errors(self) -> str:
        file = self.folder / f"{self.name}.err"
        return file.read_text() if file.exists() else ""

    def result(self, timeout=60.0) -> dict:
        """What it counted, when it has ended."""
        assert self.wait(timeout) == 0, self.errors()
        line = (self.folder / f"{self.name}.out").read_text().splitlines()[-1]
        return {name: int(number) for name, number in (part.split() for part in line.split(", "))}


CONNECT = bytes.fromhex("100f00044d51545404020014") + b"\x00\x03abc"


class TlsClient:
    """OpenSSL's client, which can keep the ticket of a session and resume it."""

    def __init__(self, broker, ticket: pathlib.Path, version="1.2"):
        self.broker, self.ticket = broker, ticket
        self.version = ["-tls1_2", "-cipher", CIPHER] if version == "1.2" else ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]

    def _run(self, *options, send=b"") -> subprocess.CompletedProcess:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.broker.port}", *self.version, *options]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = []
        done = threading.Event()

        def read():
            while chunk := os.read(child.stdout.fileno(), 65536):
                out.append(chunk)
                if b"Extended master secret" in b"".join(out) or b"\x20\x02" in b"".join(out):
                    done.set()
            done.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        if send:
            child.stdin.write(send)
            child.stdin.flush()
        # With TLS 1.3 the client keeps what it says of its tickets in a buffer.
        until = time.monotonic() + 10
        while not done.wait(0.02) and not ("-sess_out" in options and self._has_ticket()) and time.monotonic() < until:
            pass
        child.stdin.close()
        child.wait(10)
        reader.join(10)
        child.stdout.close()
        return b"".join(out)

    def _has_ticket(self) -> bool:
        return self.ticket.exists() and "-----END SSL SESSION PARAMETERS-----" in self.ticket.read_text()

    def take_ticket(self, identity: str, key: str) -> bytes:
        """A handshake, without a word of MQTT after it."""
        return self._run("-psk", key, "-psk_identity", identity, "-sess_out", self.ticket)

    def resume(self) -> bytes:
        """Resumes the session and connects. Returns the CONNACK of the broker, or nothing."""
        key = ["-psk", "00" * 32] if "-tls1_2" in self.version else []  # without one OpenSSL offers no PSK cipher
        out = self._run(*key, "-sess_in", self.ticket, "-quiet", send=CONNECT)
        at = out.find(b"\x20\x02")
        return out[at:at + 4] if at >= 0 else b""
