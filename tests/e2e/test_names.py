"""Names of servers: a role waits for a name that does not resolve yet, and tries all addresses of a name. Each role has its own hosts
file, in a network without a name server."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import unittest

from support import machines
from support.case import E2ECase
from support.home import poll

NAME = "no-such-host.invalid"  # reserved by RFC 2606
GETS = "import json, socket; print(json.dumps([a[4][0] for a in socket.getaddrinfo({name!r}, 1, type=socket.SOCK_STREAM)]))"


class Rude:
    """Accepts connections, closes each of them at its first bytes, and counts them."""

    def __init__(self, address: str, port: int):
        self.hellos, self._listener = 0, socket.create_server((address, port), backlog=64)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                with self._listener.accept()[0] as peer:
                    peer.settimeout(5)
                    with contextlib.suppress(OSError):
                        self.hellos += 1 if peer.recv(1 << 16) else 0

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Deaf:
    """A listener with a full queue: further connections are dropped, as at a site without power."""

    def __init__(self, address: str, port: int):
        self._sockets = [socket.create_server((address, port), backlog=0)]
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex((address, port))
            self._sockets.append(caller)

    def close(self):
        for s in self._sockets:
            s.close()


class NamesCase(E2ECase):
    def place(self, **options):
        home = self.home(devices=1, **options)
        self.names = home.folder / "hosts"
        self.give_names()
        if machines.INSIDE not in os.environ or self.within("true").returncode != 0:
            self.skipTest("needs a network namespace and a mount of its own (unshare -n -m, with rights)")
        for name in ("server", "gateway"):
            role = home.role(name)
            role.args = self.wrapped(*role.args)
        return home

    def give_names(self, *addresses):
        self.names.write_text("".join(f"{a} {n}\n" for a, n in (("127.0.0.1", "localhost"), *((a, NAME) for a in addresses))))

    def wrapped(self, *args) -> list:
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self.names), *args]

    def within(self, *args):
        return subprocess.run(self.wrapped(*args), capture_output=True, text=True, timeout=30)


class LateNames(NamesCase):
    def test_a_server_waits_for_its_name(self):
        home = self.place()
        home.server |= {"listen": f"{NAME}:{home.server_port}", "ready_file": "server.ready"}
        home.write()
        server = home.role("server").spawn()
        said = home.events.wait(role="server", event="not-listening", level="error")[0]
        self.assertIn(f"listen: {NAME}:{home.server_port}: ", said["text"])
        self.assertIn("no gateway can connect; retrying", said["text"])
        home.start("gateway")
        home.events.wait(role="gateway", event="server-unreachable")
        self.assertTrue(server.running())
        self.assertFalse((home.folder / "server.ready").exists())
        self.give_names(home.address)
        home.events.wait(role="server", event="server-listening")
        poll((home.folder / "server.ready").exists)
        home.events.wait(role="gateway", event="server-connected")
        self.assertEqual(server.terminate(), 0)

    def test_a_server_that_waits_for_its_name_ends_on_sigterm(self):
        home = self.place()
        home.server["listen"] = f"{NAME}:{home.server_port}"
        home.write()
        home.role("server").spawn()
        home.events.wait(role="server", event="not-listening")
        self.assertEqual(home.role("server").terminate(), 0)

    def test_a_gateway_waits_for_the_name_of_its_server(self):
        home = self.place()
        home.gateway["servers"] = [f"{NAME}:{home.server_port}"]
        home.write()
        home.start()
        said = home.events.wait(role="gateway", event="server-unreachable")[0]
        self.assertIn(f"{NAME}:{home.server_port}: ", said["text"])
        poll(home.pnes, what="the control socket answers, and the radio finds the device")
        self.assertTrue(home.role("gateway").running())
        self.assertEqual(home.events.find(role="gateway", event="server-connected"), [])
        self.give_names(home.address)
        home.events.wait(role="gateway", event="confirmed", timeout=60)
        self.assertEqual(len(home.events.find(role="gateway", event="server-unreachable")), 1, "the same refusal is logged once")
        for name in ("pne", "gateway", "server"):
            self.assertEqual(home.role(name).terminate(), 0, name)


class SeveralAddresses(NamesCase):
    def place(self, **options):
        """The gateway tries the address `first` first; the server listens at the other address of the name."""
        home = super().place(**options)
        self.give_names(home.address, "127.10.0.9")
        self.first, second = json.loads(self.within(sys.executable, "-c", GETS.format(name=NAME)).stdout)
        home.server |= {"listen": f"{second}:{home.server_port}", "idle_timeout": "1s"}
        home.gateway["servers"] = [f"{NAME}:{home.server_port}"]
        home.write()
        return home

    def put(self, what, home):
        made = what(self.first, home.server_port)
        self.addCleanup(made.close)
        return made

    def test_the_next_attempt_begins_with_the_next_address(self):
        home = self.place()
        rude = self.put(Rude, home)
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=60)
        self.assertEqual(len(home.events.find(role="gateway", event="server-unreachable")), 1)
        self.assertEqual(rude.hellos, 1)

    def test_an_address_that_does_not_answer_is_skipped_within_the_attempt(self):
        home = self.place()
        self.put(Deaf, home)
        home.start("server", "gateway")
        home.events.wait(role="gateway", event="server-connected", timeout=60)
        self.assertEqual(home.events.find(role="gateway", event="server-unreachable"), [])

    def test_the_address_that_was_reached_is_the_first_one_of_the_next_attempt(self):
        home = self.place()
        home.start("server", "gateway")  # the first address has no listener
        home.events.wait(role="gateway", event="server-connected", timeout=60)
        self.assertEqual(home.events.find(role="gateway", event="server-unreachable"), [])
        rude = self.put(Rude, home)
        since = home.events.mark()
        # The server ends idle connections.
        home.events.wait(role="gateway", event="server-connected", since=since, count=3, timeout=60)
        self.assertEqual(rude.hellos, 0)


if __name__ == "__main__":
    machines.main()
