"""A TCP proxy that counts what passes: bytes, frames of AMQP, statements of Postgres."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from support.ports import free_port

_AMQP_GREETING = 8
_EXECUTE, _QUERY = ord("E"), ord("Q")
_BEFORE_THE_START = {80877103, 80877104, 80877102}
"""Codes of messages that ask for encryption, or cancel."""


@dataclass
class Counts:
    """What passed, both ways together.

    Arguments:
        bytes: of the streams.
        units: frames of AMQP, or statements that a client of Postgres sent.
    """

    bytes: int = 0
    units: int = 0

    def since(self, before: Counts) -> Counts:
        """What passed after `before`."""
        return Counts(self.bytes - before.bytes, self.units - before.units)

    def copy(self) -> Counts:
        """As it is now."""
        return Counts(self.bytes, self.units)


class _AmqpFrames:
    """Counts the frames of one direction: type, channel, size, body, end."""

    def __init__(self, *, greets: bool) -> None:
        self._rest = b""
        self._skip = _AMQP_GREETING if greets else 0

    def __call__(self, data: bytes) -> int:
        data, found = self._rest + data, 0
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        while len(data) >= 7:
            end = 7 + int.from_bytes(data[3:7]) + 1
            if len(data) < end:
                break
            data, found = data[end:], found + 1
        self._rest = data
        return found


class _PostgresStatements:
    """Counts what a client asks to be executed. The first message of a connection has no type."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def __call__(self, data: bytes) -> int:
        data, found = self._rest + data, 0
        while len(data) >= 8 or (self._started and len(data) >= 5):
            head = 0 if not self._started else 1
            end = head + int.from_bytes(data[head : head + 4])
            if len(data) < end:
                break
            if self._started:
                found += data[0] in (_EXECUTE, _QUERY)
            else:
                self._started = int.from_bytes(data[4:8]) not in _BEFORE_THE_START
            data = data[end:]
        self._rest = data
        return found


def _nothing(_: bytes) -> int:
    return 0


class CountingProxy:
    """Forwards connections to the server of `target`, an `amqp://` or `postgresql://` URL, and counts."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname
        assert parts.port
        self._amqp = parts.scheme.startswith("amqp")
        self._target = parts.hostname, parts.port
        port = free_port()
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))
        self.counts = Counts()
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        upwards = _AmqpFrames(greets=True) if self._amqp else _PostgresStatements()
        downwards = _AmqpFrames(greets=False) if self._amqp else _nothing
        for way in (self._forward(reader, server_writer, upwards), self._forward(server_reader, writer, downwards)):
            task = asyncio.create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[bytes], int]) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    self.counts.bytes += len(data)
                    self.counts.units += count(data)
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()
