"""The log events of all processes of a test, in order of arrival, and functions that wait for them with a deadline.

An event is one JSON line of a process as a dict; the harness adds `role` (which process), `run` (1 is its first start) and `seen`
(monotonic seconds). A line that is not JSON becomes the event `raw`, the end of a process the event `process-ended`."""

import json
import threading
import time


class NotSeen(AssertionError):
    """A deadline passed. The message contains the last events."""


def matcher(match=None, **fields):
    """A predicate: all `fields` are equal, and `match(event)`, if given, is true."""
    def matches(event):
        return all(event.get(k) == v for k, v in fields.items()) and (match is None or bool(match(event)))
    return matches


class Events:
    """[thread-safe] Threads that read processes add events, tests wait for them."""

    def __init__(self):
        self._changed = threading.Condition()
        self._all = []

    def add(self, role: str, run: int, line: str, together=()):
        """`together`: the roles that run in this process; a line of one of them is its own."""
        try:
            event = json.loads(line)
            if not isinstance(event, dict):
                raise ValueError(line)
        except ValueError:
            event = {"event": "raw", "text": line}
        self.put(event["component"] if event.get("component") in together else role, run, event)

    def put(self, role: str, run: int, event: dict):
        event.update(role=role, run=run, seen=time.monotonic())
        with self._changed:
            self._all.append(event)
            self._changed.notify_all()

    def mark(self) -> int:
        """Pass the result as `since` to see only events that arrive later."""
        with self._changed:
            return len(self._all)

    def find(self, match=None, since=0, **fields) -> list:
        matches = matcher(match, **fields)
        with self._changed:
            return [e for e in self._all[since:] if matches(e)]

    def wait(self, match=None, count=1, since=0, timeout=30.0, **fields) -> list:
        """Waits for `count` matching events and returns them."""
        matches = matcher(match, **fields)
        found = []
        what = ", ".join(f"{k}={v}" for k, v in fields.items()) or "a condition"

        def enough(events):
            found.extend(e for e in events if matches(e))
            return len(found) >= count

        self._scan(enough, since, timeout, lambda: f"{count} of ({what}) within {timeout} s, saw {len(found)}")
        return found[:count]

    def wait_until(self, done, since=0, timeout=30.0, what="a condition"):
        """Calls `done(event)` once for each event until it returns true. `what`: a text, or a function that gives it at the deadline."""
        def said():
            return f"{what() if callable(what) else what} within {timeout} s"

        self._scan(lambda events: any(done(e) for e in events), since, timeout, said)

    def _scan(self, enough, since, timeout, what):
        deadline, at = time.monotonic() + timeout, since
        while True:
            with self._changed:
                while len(self._all) == at:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                new, at = self._all[at:], len(self._all)
            if new and enough(new):
                return
            if not new or time.monotonic() > deadline:  # nothing came, or other events keep arriving
                raise NotSeen("not seen: " + what() + "\n" + self.tail())

    def tail(self, lines=25, **fields) -> str:
        """The last events, of all or of those with these `fields`."""
        hide = ("role", "run", "seen", "time")
        return "\n".join(f"  {e['seen']:.3f} {e['role']}#{e['run']} " + json.dumps({k: v for k, v in e.items() if k not in hide})
                         for e in self.find(**fields)[-lines:])
