"""Keys that rotate under load: roles over a radio that loses frames, a broker with the plugin, and a crowd of clients (mqtt_crowd.c)."""

import os
import threading
import time

from support import mosquitto
from support.home import poll
from support.lossy import frames_at_gateway, lose_frames
from support.mosquitto import BUILD, Broker, Subscriber
from support.process import Process

CROWD = BUILD / "lib/cpns/mqtt_crowd"
CALM = 2.0  # s after a restart, from which on no client may be refused


def missing() -> str:
    """What this machine lacks; empty: nothing."""
    return mosquitto.missing() or ("" if CROWD.exists() else CROWD.name)


class Load:
    """One client for each device of `home`, which nobody has started yet. The radio loses `loss` percent of the frames in each direction,
    and a client hears the broker `latency` ms late."""

    def __init__(self, home, overlap="60s", loss=10, seed=1, latency=20):
        self.home, self.loss = home, loss
        users = [mosquitto.broker_user(), *(["root"] if os.geteuid() == 0 else [])]
        self.sockets = {role: home.folder / f"state/{role}-keys.sock" for role in ("gateway", "pne")}
        for role, path in self.sockets.items():
            getattr(home, role)["application_keys"] = {"socket": str(path), "overlap": overlap,
                                                       "purposes": {"mqtt": {"allow": {"users": users}}}}
        lose_frames(home, percent=loss, seed=seed)
        home.gateway["timers"].update({"answer_timeout": "350ms", "backoff_max": "1s"})  # a lost frame is repeated within the time of a key
        home.write()
        home.folder.chmod(0o711)  # the broker reaches the key socket, its own files and the plugin
        self.broker = Broker(home, self.sockets["gateway"])
        self.broker.change("log_type all", "log_type error\nlog_type warning\nlog_type notice\nlog_type information")
        self.broker.change("connection_messages true", "connection_messages false\nmax_queued_messages 0")
        self.subscriber = Subscriber(home, self.broker)
        entities = [entity for entity, _ in home.devices]
        self.crowd = Process("crowd", [CROWD, "--socket", self.sockets["pne"], "--broker", f"127.0.0.1:{self.broker.port}",
                                       "--latency", latency, "--seed", seed, *entities], home.events, home.folder)
        home.processes.append(self.crowd)
        self.restarts = []  # (name, time of the kill, time at which it was ready again)

    def start(self):
        self.home.start()
        self.home.wait_for_each()
        (self.home.folder / "state").chmod(0o711)
        self.broker.start()
        self.subscriber.start()
        self.began, self.since = time.monotonic(), self.home.events.mark()
        self.crowd.spawn()
        return self

    def counts(self, event="counts") -> dict:
        """The newest that the crowd said, at most a second old."""
        said = self.home.events.find(role="crowd", event=event, since=self.since)
        assert self.crowd.running() or event == "done", "the crowd has ended\n" + self.home.events.tail(role="crowd")
        return said[-1] if said else {"handshakes": 0, "refused": 0}

    def rotations(self, since=None) -> int:
        return len(self.home.events.find(role="gateway", event="confirmed", since=self.since if since is None else since))

    def run(self, seconds, limit, handshakes=0, rotations=0, refused=0) -> str:
        """For `seconds`, and longer until the counts are reached, `limit` seconds at most. Returns why it took longer, or nothing."""
        def reached():
            said = self.counts()
            return said["handshakes"] >= handshakes and said["refused"] >= refused and self.rotations() >= rotations

        threading.Event().wait(seconds)
        if reached():
            return ""
        begin = time.monotonic()
        poll(reached, timeout=limit - seconds, every=0.5,
             what=f"{handshakes} handshakes, {rotations} rotations and {refused} refusals in {limit} s in all: {self.counts()}, "
                  f"{self.rotations()} rotations")
        return f"this machine needed {time.monotonic() - begin:.0f} s more than {seconds} s"

    def kill(self, name: str, away=0.0):
        """kill -9 of the gateway, the process of PNEs or the broker, and a restart `away` seconds later; each device gets a new key."""
        process = self.broker if name == "broker" else self.home.role(name)
        killed = time.monotonic()
        process.kill9()
        threading.Event().wait(away)
        since = self.home.events.mark()
        process.start()
        self.restarts.append((name, killed, time.monotonic()))
        self.home.wait_for_each(since=since, timeout=60)

    def finish(self) -> dict:
        """Ends the load. Returns its figures."""
        seconds, rotations = time.monotonic() - self.began, self.rotations()
        frames = frames_at_gateway(self.home)
        assert self.crowd.terminate() == 0, "the crowd failed\n" + self.home.events.tail(role="crowd")
        counted = self.counts("done")
        figures = {name: counted[name] for name in ("handshakes", "refused", "broken", "late", "unreachable", "without_key",
                                                    "oldest_key_ms", "longest_handshake_ms")}
        return {"seconds": round(seconds), "rotations": rotations, **figures, "messages": counted["published"], "lost": len(self.lost()),
                "refused_when_calm": len(self.refusals(calm=True)), "consumer_late": len(self.home.events.find(event="consumer-late")),
                "frames": frames["frames_sent"] + frames["frames_received"],
                "frames_lost": frames["frames_dropped_out"] + frames["frames_dropped_in"]}

    def refusals(self, calm=False) -> list:
        """What the crowd said of each connection that was refused. `calm`: only those later than 2 s after a restart."""
        def late(e):
            return all(not killed <= e["at"] / 1000 <= ready + CALM for _, killed, ready in self.restarts)

        return [e for e in self.home.events.find(role="crowd", event="refused", since=self.since) if not calm or late(e)]

    def lost(self) -> list:
        """(device, number) of each message that the broker acknowledged and the subscriber did not get, after the end of the crowd."""
        numbers = {e["entity"]: e["acknowledged"] for e in self.home.events.find(role="crowd", event="device", since=self.since)}

        def missing():
            seen = {}
            for line in self.subscriber.text().splitlines():
                topic, _, number = line.partition(" ")
                if topic.startswith("pn/"):
                    seen.setdefault(topic.split("/")[1], set()).add(int(number))
            return [(entity, n) for entity, last in numbers.items() for n in range(1, last + 1) if n not in seen.get(entity, ())]

        if any(name == "broker" for name, *_ in self.restarts):
            return []  # this broker keeps its queues in memory
        for _ in range(20):
            if not missing():
                break
            threading.Event().wait(0.25)
        return missing()

    def about(self, refusal: dict, around=0.5) -> str:
        """What the roles said of that device around that moment."""
        at = refusal["at"] / 1000
        lines = self.home.events.find(lambda e: e.get("entity") == refusal["entity"] and abs(e["seen"] - at) < around)
        return "\n".join(f"  {e['seen']:.3f} {e['role']} {({k: v for k, v in e.items() if k not in ('seen', 'role', 'run', 'time')})}"
                         for e in lines)

    def explain(self, calm=False) -> str:
        """The first refusals and what was logged around them, and the last words of the broker."""
        first = "\n".join(f"{e}\n{self.about(e)}" for e in self.refusals(calm)[:3])
        return f"{first}\n{self.broker.log()[-2000:]}"
