"""A TCP proxy between a component and a server, through which a test breaks their network."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from support.ports import free_port

_DEFAULT_PORTS = {"amqp": 5672, "postgres": 5432, "postgresql": 5432, "redis": 6379, "http": 80, "ws": 80}
# How far back a pattern may begin before the bytes that complete it.
_TAIL = 4096


class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


@dataclass(eq=False)
class Trigger:
    """An armed `cut_after`. `fired` is set when it has cut a connection, which it does once."""

    after: int | re.Pattern[bytes]
    direction: Direction
    reset: bool
    fired: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class _Stream:
    """One direction of one connection: what was read and waits to be written, and what triggers saw of it."""

    direction: Direction
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    # (when to write it, by the loop's clock; the bytes, empty for the end of the stream)
    queue: asyncio.Queue[tuple[float, bytes]] = field(default_factory=lambda: asyncio.Queue(maxsize=256))
    counts: dict[Trigger, int] = field(default_factory=dict[Trigger, int])
    tails: dict[Trigger, bytes] = field(default_factory=dict[Trigger, bytes])

    def end_for(self, trigger: Trigger, data: bytes) -> int | None:
        """How many bytes of `data` still pass before `trigger` cuts; None when it does not cut yet."""
        if isinstance(trigger.after, int):
            seen = self.counts.get(trigger, 0)
            self.counts[trigger] = seen + len(data)
            return trigger.after - seen if seen + len(data) >= trigger.after else None
        tail = self.tails.get(trigger, b"")
        self.tails[trigger] = (tail + data)[-_TAIL:]
        match = trigger.after.search(tail + data)
        return max(0, match.end() - len(tail)) if match else None


class Proxy:
    """Forwards TCP connections to the server of `target`, a URL, and breaks them as told.

    Use it as an async context manager and give `url` to the component. `cut` and `reset` end the connections there are;
    `blackhole`, `delay` and `refuse` hold, for present and future connections, until `heal`.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORTS[parts.scheme]
        self.port = free_port()
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self.port}"))
        self.accepted = 0
        self._listener: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._flow = {direction: asyncio.Event() for direction in Direction}
        self._delay = dict.fromkeys(Direction, 0.0)
        self._triggers: list[Trigger] = []

    async def __aenter__(self) -> Self:
        await self.heal()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.reset()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many connections are open now; `accepted` counts all there ever were."""
        return len(self._open)

    def cut(self) -> None:
        """End every connection in the orderly way: both ends read the end of the stream."""
        for task, writers in self._open.items():
            task.cancel()
            for writer in writers:
                writer.close()

    def reset(self) -> None:
        """End every connection by RST: both ends get "connection reset by peer"."""
        for task, writers in self._open.items():
            task.cancel()
            for writer in writers:
                _reset(writer)

    def refuse(self) -> None:
        """Refuse new connections, as when no process listens. Those there are go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def blackhole(self, direction: Direction | None = None) -> None:
        """Let nothing through in `direction`, or in both: no data, no end of stream. Connecting still works.

        As when a network loses all packets: neither side is told, and after `heal` what was sent arrives.
        """
        for each in [direction] if direction else list(Direction):
            self._flow[each].clear()

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """Let bytes in `direction`, or in both, arrive `seconds` later, in order."""
        for each in [direction] if direction else list(Direction):
            self._delay[each] = seconds

    def cut_after(self, what: int | bytes, direction: Direction, *, reset: bool = False) -> Trigger:
        """Cut the first connection over which `what` goes in `direction` from now on; nothing after it gets through.

        Arguments:
            what: a number of bytes, or a regular expression, such as rb"COMMIT" (within 4096 bytes).
            direction: whose bytes are looked at.
            reset: end it by RST, and not in the orderly way.
        """
        trigger = Trigger(what if isinstance(what, int) else re.compile(what, re.DOTALL), direction, reset)
        self._triggers.append(trigger)
        return trigger

    async def heal(self) -> None:
        """Undo it all: listen, let everything through at once, forget triggers."""
        for direction in Direction:
            self._flow[direction].set()
        self.delay(0.0)
        self._triggers.clear()
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _accept(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server = await asyncio.open_connection(*self._target)
        except OSError:
            _reset(client)
            return
        streams = [
            _Stream(Direction.TO_SERVER, client_reader, server),
            _Stream(Direction.TO_CLIENT, server_reader, client),
        ]
        task = asyncio.create_task(self._forward(streams))
        self._open[task] = client, server
        task.add_done_callback(self._open.pop)

    async def _forward(self, streams: list[_Stream]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for stream in streams:
                    group.create_task(self._read(stream))
                    group.create_task(self._write(stream))
        except* OSError:
            # One end broke off: the other is to see it break off, too.
            for stream in streams:
                _reset(stream.writer)
        finally:
            for stream in streams:
                stream.writer.close()

    async def _read(self, stream: _Stream) -> None:
        loop, data = asyncio.get_running_loop(), b"-"
        while data:
            data = await stream.reader.read(65536)
            await stream.queue.put((loop.time() + self._delay[stream.direction], data))

    async def _write(self, stream: _Stream) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await stream.queue.get()
            await asyncio.sleep(due - loop.time())
            await self._flow[stream.direction].wait()
            if not data:
                if stream.writer.can_write_eof() and not stream.writer.is_closing():
                    stream.writer.write_eof()
                return
            ends = [
                (end, trigger)
                for trigger in self._triggers
                if trigger.direction is stream.direction and (end := stream.end_for(trigger, data)) is not None
            ]
            if ends:
                await self._pull(stream, data, *min(ends, key=lambda pair: pair[0]))
                return
            stream.writer.write(data)
            await stream.writer.drain()

    async def _pull(self, stream: _Stream, data: bytes, end: int, trigger: Trigger) -> None:
        """Write the last `end` bytes before `trigger` cuts the connection, and cut it."""
        self._triggers.remove(trigger)
        stream.writer.write(data[:end])
        await stream.writer.drain()
        mine = next(pair for pair in self._open.values() if stream.writer in pair)
        for writer in mine:
            if trigger.reset:
                _reset(writer)
            else:
                writer.close()
        trigger.fired.set()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close by RST."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() != -1:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
