"""Strangers around a gateway, each with its own address, and a relay between a PNE and the gateway's radios. Both run in one asyncio loop
in a thread, so that many strangers are cheap."""

import asyncio
import contextlib
import random
import threading
import time

from support import forged, hostile

STAYS = 4.0  # seconds on one link, on average
AWAY = 0.3  # seconds between two links, at most


def split(at: str) -> tuple:
    host, port = at.rsplit(":", 1)
    return host, int(port)


class Loop:
    """An asyncio loop in a thread. Its tasks end with it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine):
        """Runs the coroutine to its end and returns the result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self):
        async def end():
            others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for t in others:
                t.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Crowd:
    """`size` strangers that claim to be `entity`. Each dials from its own address, answers every DREQ at once with a lie of this `kind`,
    leaves after a random time, and returns. It uses one random radio of `radios`: a claimant is a radio and an address, so a stranger
    that `roams` counts as several. The seed determines all choices of the strangers, but not the times of the gateway's DREQs."""

    def __init__(self, loop: Loop, radios: list, network: str, entity: str, size: int, kind: str, seed, own=lambda: 1 << 16,
                 roams=False, stays=STAYS):
        self.radios, self.network, self.entity, self.kind, self.own, self.roams = radios, network, entity, kind, own, roams
        self.stays, self.links, self.answers = stays, 0, 0
        self._loop = loop
        self._tasks = loop.call(self._begin(size, seed))

    async def _begin(self, size, seed):
        return [asyncio.create_task(self._live(i, random.Random(f"{seed}/{i}"))) for i in range(size)]

    def leave(self):
        async def end():
            for t in self._tasks:
                t.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._loop.call(end())

    async def _live(self, i, draw):
        address = f"127.251.{i // 250}.{i % 250 + 1}"
        host, port = split(draw.choice(self.radios))
        while True:
            await asyncio.sleep(draw.uniform(0, AWAY))
            if self.roams:
                host, port = split(draw.choice(self.radios))
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
                self.links += 1
                try:
                    async with asyncio.timeout(draw.expovariate(1 / self.stays)):
                        await self._talk(reader, writer, draw)
                except (asyncio.IncompleteReadError, TimeoutError):
                    pass
                finally:
                    writer.transport.abort()

    async def _talk(self, reader, writer, draw):
        writer.write(hostile.hello(self.network))
        sent = 0
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            message = (await reader.readexactly(size))[2:]  # a DREQ fits into one fragment
            if forged.is_dreq(message):
                answer = forged.lie(message, self.entity, self.kind, self.own(), draw)
                writer.write(hostile.frame(bytes([sent % 256, 0x80]) + answer))
                sent += 1
                self.answers += 1


class Relay:
    """A PNE dials the relay at `at`, and the relay dials `radio`. After leave_half_open(), connections of the PNE wait for go_on()."""

    def __init__(self, loop: Loop, at: str, radio: str):
        self.at, self.radio = at, radio
        self.up_since = None  # time of the first link to the gateway, or of the first one after leave_half_open()
        self._loop, self._running, self._left = loop, set(), []
        loop.call(self._begin())

    async def _begin(self):
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._serve, *split(self.at))

    def leave_half_open(self):
        """The PNE loses its link, but the connection to the gateway stays open without a peer."""
        async def part():
            self._open.clear()
            self.up_since = None
            for client, up in self._running:
                client.transport.abort()
                self._left.append(up)
            self._running.clear()

        self._loop.call(part())

    def go_on(self, radio: str):
        """Connects the PNE's next link, or the waiting one, to this radio."""
        async def resume():
            self.radio = radio
            self._open.set()

        self._loop.call(resume())

    def close(self):
        async def end():
            self._server.close()
            for up in self._left:
                up.transport.abort()

        self._loop.call(end())

    async def _serve(self, reader, writer):
        pumps = []
        try:
            await self._open.wait()
            up_reader, up = await asyncio.open_connection(*split(self.radio))
            self.up_since = self.up_since or time.monotonic()
            pair = (writer, up)
            self._running.add(pair)
            try:
                pumps = [asyncio.create_task(self._pump(*p)) for p in ((reader, up), (up_reader, writer))]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if pair in self._running:
                    self._running.discard(pair)
                    up.transport.abort()
        except OSError:
            pass
        finally:
            for p in pumps:
                p.cancel()
            writer.transport.abort()

    @staticmethod
    async def _pump(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
