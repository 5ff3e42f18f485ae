"""`cpns keys watch`, `render` and `exec` at a key socket that the test plays."""

import pathlib

from support.case import E2ECase
from support.home import poll
from support.key_role import KeyRole, key
from support.process import Process, cpns_binary

ENTITY = "urn:dev:mac:0024befffe804ff1"
OTHER = "urn:dev:mac:0024befffe804ff2"
FIRST, SECOND, THIRD = "a1" * 32, "b2" * 32, "c3" * 32
LINES = "{each}\n{identity}:{key}\n{end}\n"
# Tells its key, and ends with code 7 when it is told to.
PROGRAM = """trap 'exit 7' TERM; trap 'read -r name rest <"$CPNS_KEY_FILE"; echo "again $name"' HUP
read -r name rest <"{place}"; echo "began $name"
while :; do sleep 0.02; done"""


def put(epoch, secret, revision=1, entity=ENTITY, **more):
    return {"event": "put", "revision": revision, "entity": entity, "keys": [key(entity, epoch, secret)], **more}


def gone(reason, revision, entity=ENTITY):
    return {"event": "gone", "revision": revision, "entity": entity, "reason": reason, "text": "a sentence"}


def synced(revision=1, unreadable=0):
    return {"event": "synced", "revision": revision, "unreadable": unreadable}


def children_of(process) -> list:
    return [int(p) for p in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


class Commands(E2ECase):
    def setUp(self):
        self.place = self.home(devices=1)
        self.events, self.folder = self.place.events, self.place.folder
        (self.folder / "form").write_text(LINES)
        self.numbers = 0

    def role(self, **options) -> KeyRole:
        role = KeyRole(self.folder / "keys.sock", **options)
        self.addCleanup(role.close)
        return role

    def begin(self, command, *args, env=None) -> Process:
        """Its lines are events `raw` of its name."""
        self.numbers += 1
        line = [cpns_binary(), "keys", command, "mqtt", "--socket", "keys.sock", *args]
        made = Process(f"{command}{self.numbers}", line, self.events, self.folder, env)
        self.addCleanup(made.shut_down)
        return made.spawn()

    def render(self, *command, once=False):
        return self.begin("render", "--template", "form", "--output", "./psk", *(["--once"] if once else []), "--", *command)

    def exec(self, *options, program=PROGRAM):
        return self.begin("exec", ENTITY, *options, "--", "sh", "-c", program, env={"RUNTIME_DIRECTORY": str(self.folder)})

    def said(self, process, text, count=1, since=0):
        """Waits until the process said `text` so often."""
        return self.events.wait(lambda e: text in e.get("text", ""), role=process.name, since=since, count=count)

    def told(self, process, text) -> list:
        return [e["text"] for e in self.events.find(lambda e: text in e.get("text", ""), role=process.name)]

    def content(self):
        file = self.folder / "psk"
        return file.read_text() if file.exists() else None

    def until_content(self, *lines):
        wanted = "".join(line + "\n" for line in lines)
        poll(lambda: self.content() == wanted, what=f"a file with {wanted}")

    @staticmethod
    def line(epoch, secret, entity=ENTITY):
        return f"{key(entity, epoch, secret)['identity']}:{secret}"
