"""A trial folder with one server of its own, for the benchmarks of a running server."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

READY = 60  # s


def programs(build, *names):
    """Paths of programs of a build. ValueError: one is missing."""
    for name in names:
        if not (build / "bin" / name).is_file():
            raise ValueError(f"{build}/bin has no {name}; build it with: make build PRESET=bench")
    return [str(build.resolve() / "bin" / name) for name in names]


def memory_mib(pid, what):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid, ended_children=False):
    """Of a process, and of its children that ended if wanted."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15 if ended_children else 13])) / os.sysconf("SC_CLK_TCK")


def cpu_of_tree(pid):
    """Of a process and its children, those that ended included."""
    while True:
        try:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            return cpu_seconds(pid, ended_children=True) + sum(map(cpu_seconds, children))
        except FileNotFoundError:
            continue  # a child ended meanwhile, and is one of those that ended now


def switches(pid):
    """Context switches of the threads of a process."""
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if "voluntary_ctxt_switches" in line)
    return total


def raise_descriptors():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def make_home(cpns, home):
    """A folder of `cpns init` whose server listens on a free port and logs warnings only."""
    subprocess.run([cpns, "init", home, "--devices", "0"], check=True, stdout=subprocess.DEVNULL)
    text = (home / "server.yaml").read_text().replace("format: text", "format: text\n  level: warn")
    text = re.sub("(?m)^listen: .*$", "listen: 127.0.0.1:0", text) + "ready_file: ready\n"
    (home / "server.yaml").write_text(text)


class Server:
    def __init__(self, cpns, home, config="server.yaml", ready_file="ready", core=None):
        """core: the one that the server may use; all if None."""
        pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
        command = [*pinned, cpns, "server", "--config", home / config]
        with open(home / "server.log", "a") as log:  # raised levels write much
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        ready = home / ready_file
        until = time.monotonic() + READY
        while not ready.exists() and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        if not ready.exists():
            self.process.kill()
            raise RuntimeError("the server did not become ready")
        self.host, self.port = ready.read_text().splitlines()[0].rsplit(":", 1)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Exit code, and seconds until the end."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60), time.monotonic() - begun

    def kill(self):
        self.process.kill()
        self.process.wait()
