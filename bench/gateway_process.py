"""The processes of bench/gateway: a server whose store is in memory, a gateway, and a process of PNEs."""
import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import time

import server_process

READY = 60  # s
METRICS_AGE = 1.2  # s; a role answers questions for its metrics from a text of up to a second
USER = "alice@example.org"


def cpu_seconds(pid):
    """Of all threads of a process, those that ended included; in nanoseconds, unlike /proc/PID/stat."""
    return time.clock_gettime(~pid << 3 | 2)


def write_devices(path, devices):
    path.touch(0o600)
    with open(path, "w") as out:
        out.write("entity_id,temporary_key,strength\n")
        for n in range(devices):
            out.write(f"urn:dev:os:32473-g{n},{(n + 1) * 0x9e3779b97f4a7c15f39cc0605cedc835 % 2**128:032x},128bit\n")


def radio_of(programs):
    """The radio of the build of these programs. ValueError: it is missing."""
    radio = pathlib.Path(programs[0]).parents[1] / "lib/bench/bundle.so"
    if not radio.is_file():
        raise ValueError(f"{radio.parent} has no bundle.so; build it with: make build PRESET=bench")
    return str(radio)


def replaced(text, *pairs):
    for before, after in pairs:
        if text.count(before) != 1:
            raise RuntimeError(f"cpns init no longer writes {before!r}")
        text = text.replace(before, after)
    return text


def make_home(cpns, home, pnes):
    """A folder of `cpns init` with this many devices for all the rounds."""
    subprocess.run([cpns, "init", home, "--devices", "0"], check=True, stdout=subprocess.DEVNULL)
    write_devices(home / "devices.csv", pnes)
    server = replaced((home / "server.yaml").read_text(), ("listen: '127.0.0.1:7443'", "listen: 127.0.0.1:0"),
                      ("  kind: rocksdb\n  path: state/server\n", "  kind: memory\n"), ("format: text", "format: text\n  level: warn"),
                      ("audit:\n  file: state/server.audit.jsonl\n", ""))
    (home / "server.yaml").write_text(server + f"ready_file: ready\nlimits:\n  entities_live: {pnes + 1000}\n")


class MemoryServer(server_process.Server):
    """With the user and the devices of the folder."""

    def __init__(self, cpns, home):
        (home / "ready").unlink(missing_ok=True)
        super().__init__(cpns, home)
        try:
            self.run(cpns, "user", "add", USER, "--stdin", "--config", home / "server.yaml", text=(home / "password").read_text())
            self.run(cpns, "device", "import", home / "devices.csv", "--config", home / "server.yaml")
        except BaseException:
            self.kill()
            raise

    @staticmethod
    def run(*words, text=None):
        done = subprocess.run(list(map(str, words)), input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"cpns {words[1]} {words[2]}: {done.stderr.strip() or done.stdout.strip()}")


class Gateway:
    """`cpns gateway` with the radio of bench/bundle. `more`: YAML beside the other sections."""

    def __init__(self, cpns, radio, home, pnes, server, more=""):
        self.home, self.socket, self.process = home, home / "state/gateway.sock", None
        text = replaced((home / "gateway.yaml").read_text(), ("127.0.0.1:7443", f"{server.host}:{server.port}"))
        begin, end = text.index("transports:\n"), text.index("validation:\n")
        transports = f"transports:\n  - name: radio\n    plugin: '{radio}'\n    params: {{socket: '{home}/radio'}}\n\n"
        self.text = (text[:begin] + transports + text[end:]
                     + f"limits:\n  devices: {max(pnes + 1000, 100_000)}\n  links: {pnes * 2 + 1000}\n" + more)
        self.set_rekey("365d")
        with open(home / "gateway.log", "w") as log:
            self.process = subprocess.Popen([cpns, "gateway", "--config", home / "bench.yaml"], stdin=subprocess.DEVNULL, stderr=log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def set_rekey(self, interval):
        """When keys are renewed; at once if it runs."""
        (self.home / "bench.yaml").write_text(self.text + f"rekey:\n  interval: {interval}\n  jitter_percent: 0\n")
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def get(self, path):
        """Status, and the body as text."""
        link = http.client.HTTPConnection("localhost", timeout=30)
        link.sock = socket.socket(socket.AF_UNIX)
        try:
            link.sock.connect(str(self.socket))
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read().decode()
        finally:
            link.close()

    def _wait_until_ready(self):
        until = time.monotonic() + READY
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                if self.get("/health/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise RuntimeError(f"the gateway did not become ready; see {self.home}/gateway.log")

    @property
    def pid(self):
        return self.process.pid

    def cpu(self):
        return cpu_seconds(self.pid)

    def rows_and_writes(self):
        """Rows that became durable, and durable writes, since the start. Waits until the metrics are not those of a moment ago."""
        time.sleep(METRICS_AGE)
        found = dict(re.findall(r"(?m)^cpns_store_write_rows_(sum|count) ([0-9.e+]+)$", self.get("/metrics")[1]))
        return float(found["sum"]), float(found["count"])

    def memory_kib(self):
        return server_process.memory_mib(self.pid, "VmRSS") * 1024

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Pnes:
    """bench_pnes."""

    def __init__(self, program, radio, home):
        self.process = subprocess.Popen([program, radio, home / "radio", home / "devices.csv"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the PNEs ended with an error")
        said = json.loads(line)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said

    def do(self, command):
        self.tell(command)
        return self.answer()

    def kill(self):
        self.process.kill()
        self.process.wait()



class KeyReader:
    """bench_key_reader, when it has all keys."""

    def __init__(self, program, socket_path, purpose):
        self.process = subprocess.Popen([program, socket_path, purpose], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "synced\n":
            self.kill()
            raise RuntimeError("a program that reads keys ended with an error")

    def puts(self):
        """Ends it. The changes that it was told."""
        said, _ = self.process.communicate(timeout=READY)
        return json.loads(said)["puts"]

    def kill(self):
        self.process.kill()
        self.process.wait()
