"""One trial: a cluster under load, its faults, and the count afterwards."""

import dataclasses
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/e2e")]
from books import ASSIGNED, Books, read_held  # noqa: E402
from cluster.nodes import Cluster, layout, seconds_of  # noqa: E402
from cluster.processes import Trouble, wait_for  # noqa: E402
from schedule import Schedule  # noqa: E402
from support.machines import INSIDE, Machine  # noqa: E402

MACHINE = 1  # number of the one simulated machine


@dataclasses.dataclass
class Size:
    nodes: int
    databases: int
    gateways: int
    pnes: int
    span: float  # s
    rekey: int  # s between two keys of a PNE


FULL = Size(3, 3, 8, 500, 60, 4)
SHORT = Size(3, 2, 2, 30, 40, 2)


def isolate():
    """Root runs the trial again in namespaces: of the network, so that a node can be cut off, and of processes, which end with it."""
    if os.geteuid() == 0 and INSIDE not in os.environ:
        words = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B", *sys.argv]
        sys.stdout.flush()
        os.execvpe("unshare", words, {**os.environ, INSIDE: "1"})
    if INSIDE in os.environ:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if os.getpid() == 1:
        wait_for_orphans(os.fork())


def wait_for_orphans(child: int):
    """Process 1 of the namespace: it reaps processes whose parents ended, since Patroni waits until they are gone. Returns in the child."""
    if child == 0:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended = 0
    while ended != child:
        ended, status = os.wait()
    os._exit(max(1, os.waitstatus_to_exitcode(status)) if status else 0)


def after(given: list, begin: float, until: float) -> str:
    """What gateways noticed of a fault. `given`: (time, seconds since the request) of each answer."""
    inside = [begin, *(t for t, _ in given if begin < t < until), until]
    took = sorted(s for t, s in given if begin <= t - s <= min(begin + 10, until))
    text = f"longest time without an assignment {max(b - a for a, b in zip(inside, inside[1:])):.1f} s"
    if took:
        p99 = took[math.ceil(0.99 * len(took)) - 1]
        text += f"; of {len(took)} that began in the next 10 s, p99 {p99:.2f} s, worst {took[-1]:.2f} s"
    return text


class Trial:
    def __init__(self, seed: int, size: Size, say):
        self.seed, self.size, self.say = seed, size, say
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cpns-chaos-"))
        self.machine = Machine(MACHINE) if INSIDE in os.environ else None
        self.schedule = Schedule(seed, [f"node{i + 1}" for i in range(size.nodes)], size.span)
        self.cluster, self.faults, self.mending, self.happened = None, [], [], []
        self.phases, self.since = [], time.monotonic()

    def prefix_of(self, node: str) -> list:
        return [*self.machine.prefix(), "--"] if self.machine and node == self.schedule.cut else []

    def run(self):
        size, more = self.size, [self.machine.here] if self.machine else []
        what = layout(size.nodes, size.databases, size.gateways, size.pnes, self.schedule.proxy, f"{size.rekey}s", "json", True, more)
        if self.machine:
            port = what["nodes"][self.schedule.cut]["listen"].rpartition(":")[2]
            what["nodes"][self.schedule.cut] = {"listen": f"{self.machine.address}:{port}", "database": self.machine.here}
        self.cluster = Cluster.make(self.folder, what)
        self.cluster.prefix_of = self.prefix_of
        # Two keys need one assignment: the assignments are spread over that time.
        self.cluster.up(between_pnes=lambda: self.pause(2 * size.rekey / size.gateways))
        self.cluster.wait_keyed()
        self.phase("start")
        began = time.time()
        self.disturb()
        ended = time.time()
        self.phase("faults")
        self.cluster.database.wait_for_standbys(60)
        self.all_keyed_again(time.time())
        self.phase("a key for each PNE")
        result = self.count(began, ended)
        self.phase("count")
        return f"{result}; {', '.join(self.phases)}"

    def phase(self, name: str):
        now = time.monotonic()
        self.phases.append(f"{name} {now - self.since:.0f} s")
        self.since = now

    # ---- faults

    def disturb(self):
        began = time.monotonic()
        for fault in self.schedule.faults:
            self.pause(began + fault.at - time.monotonic())
            if fault.what.startswith("primary"):
                self.mend(lambda f=fault: f.what.startswith("primary"))
                self.cluster.database.wait_for_standbys(60)
            victim = fault.node or self.cluster.database.primary()
            self.happened.append((fault.what, time.time()))
            self.say(f"  {time.monotonic() - began:5.1f} s {fault.what}: {victim}")
            undo = getattr(self, "_" + fault.what.replace(" ", "_"))(victim, fault)
            timer = threading.Timer(fault.lasts, self.guarded, [undo])
            timer.start()
            self.mending.append((fault, timer))
        self.pause(began + self.size.span - time.monotonic())
        self.mend(lambda fault: True)

    def guarded(self, undo):
        try:
            undo()
        except (Trouble, OSError) as failed:
            self.faults.append(f"not mended: {failed}")

    def mend(self, which):
        for fault, timer in self.mending:
            if which(fault):
                timer.join()

    @staticmethod
    def pause(seconds: float):
        threading.Event().wait(max(0.0, seconds))

    def _primary_killed(self, victim, fault):
        database = self.cluster.database
        if fault.harder:
            database.kill_member(victim)
            return lambda: database.start_member(victim)
        database.crash(victim)
        return lambda: None  # Patroni starts it again

    def _primary_frozen(self, victim, fault):
        self.cluster.database.freeze(victim)
        return lambda: self.cluster.database.thaw(victim)

    def _node_killed(self, victim, fault):
        self.cluster.processes.kill(f"{victim}.server")
        return lambda: self.cluster.start_node(victim)

    def _node_drained(self, victim, fault):
        role = f"{victim}.server"
        self.cluster.cpns("server", "drain", "--config", f"{role}.yaml")  # needs no database

        def again():
            self.cluster.processes.end([role])
            self.cluster.start_node(victim)

        return again

    def _node_cut_off(self, victim, fault):
        if self.machine:
            self.machine.cut()
            return self.machine.mend
        self.cluster.processes.signal(f"{victim}.server", signal.SIGSTOP)
        return lambda: self.cluster.processes.signal(f"{victim}.server", signal.SIGCONT)

    # ---- afterwards

    def logs(self, kind: str) -> dict:
        names = self.cluster.nodes if kind == "server" else self.cluster.gateways
        return {f"{n}.{kind}": self.cluster.events(f"{n}.{kind}") for n in names}

    def all_keyed_again(self, since: float):
        """Each PNE gets one more key, by an assignment if it needs one."""
        def missing():
            seen = {e["entity"] for lines in self.logs("gateway").values() for e in lines
                    if e["event"] == "confirmed" and seconds_of(e) > since}
            return self.size.pnes - len(seen)

        try:
            wait_for(lambda: missing() == 0, 90, "a new key for each PNE after the last fault", every=1)
        except Trouble as late:
            self.faults.append(f"{late}: {missing()} of {self.size.pnes} are without")

    def count(self, began: float, ended: float) -> str:
        cluster = self.cluster
        for kind in ("pne", "gateway"):
            cluster.processes.end([f"{g}.{kind}" for g in cluster.gateways])
        listed = cluster.ask(f"{cluster.nodes[0]}.server", "entity", "list").get("entities", [])
        reports = {e["entity"]: e["last_report"] for e in listed}
        cluster.processes.end([f"{n}.server" for n in cluster.nodes])
        logs = {name: lines for kind in ("server", "gateway", "pne") for name, lines in self.logs(kind).items()}
        with open(self.folder / "devices.csv") as file:
            devices = [line.partition(",")[0] for line in file.read().splitlines()[1:]]
        books = Books(devices, logs, read_held(cluster), reports)
        self.faults += books.check()
        given = sorted((seconds_of(e), int(e["ms"]) / 1000) for e in books.of("gateway", *ASSIGNED))
        for (what, t), until in zip(self.happened, [*(t for _, t in self.happened[1:]), ended]):
            self.say(f"    {what}: {after(given, t, until)}")
        number = sum(began <= t <= ended for t, _ in given)
        return f"{number} assignments in {ended - began:.0f} s, {number / (ended - began):.1f} per second; {books.names} keys compared"

    def close(self, keep: bool):
        if self.cluster:
            self.cluster.down()
        if self.machine:
            self.machine.close()
        if keep:
            print(f"kept: {self.folder}", file=sys.stderr, flush=True)
        else:
            shutil.rmtree(self.folder)


def one(seed: int, size: Size, number="1/1", keep=False, say=lambda line: print(line, flush=True)) -> bool:
    """Runs a trial and prints its result; True: nothing was lost."""
    t = Trial(seed, size, say)
    say(f"{number} seed {seed}: {t.schedule}")
    result, good = "", False
    try:
        result = t.run()
    except Trouble as failed:
        t.faults.append(str(failed))
    finally:
        good = bool(result) and not t.faults
        t.close(keep or not good)
    say(f"{number} seed {seed}: {result or 'FAILED'}; {len(t.faults)} faults" + "".join(f"\n  {f}" for f in t.faults[:20]))
    return good
