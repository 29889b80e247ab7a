"""A Postgres proxy that knows which statement passes by, and cuts the connection before it, or between it and its answer."""

from __future__ import annotations

import asyncio
import enum
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from support.ports import free_port

_SSL_REQUEST, _CANCEL_REQUEST = 80877103, 80877102
_OTHERS = {
    "begin": "begin",
    "commit": "commit",
    "rollback": "rollback",
    "select set_config(": "set up a connection",
    'listen "leveret_scheduled"': "listen",
    "select 1": "check a connection",
    # asyncpg's own, on a connection that has not seen a type yet.
    "with recursive typeinfo_tree(": "read types",
    "select current_setting('jit')": "read types, without jit",
}


class Moment(enum.Enum):
    """When the connection is cut."""

    BEFORE = "before it"
    AFTER = "after it, before its answer"


@dataclass(frozen=True)
class Passage:
    """The n-th time, from 1, that a statement goes by.

    Arguments:
        statement: a path below `store` without its ending, or one of a few words, as `commit`.
    """

    statement: str
    nth: int


@cache
def statements() -> dict[str, str]:
    """Text → name of each statement in a file."""
    found: dict[str, str] = {}

    def look(folder: Traversable, path: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name != "migrations":
                look(entry, f"{path}{entry.name}/")
            elif entry.name.endswith(".sql"):
                found[entry.read_text(encoding="utf-8")] = path + entry.name.removesuffix(".sql")

    look(files("leveret_core.store"), "")
    return found


class StatementProxy:
    """Stands before the Postgres of `target`, a URL; use it as an async context manager, and give `url` to what is tested.

    Attributes:
        seen: the statements that went by since `watch`, in their order.
        unknown: texts of statements that it does not know.
        cuts: how often it has cut a connection.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname or "127.0.0.1", parts.port or 5432
        self._port = free_port()
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))
        self.seen: list[str] = []
        self._counts: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self.cuts = 0
        self._plan: list[tuple[Passage, Moment]] = []
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def watch(self, *plan: tuple[Passage, Moment]) -> None:
        """Count from zero, and cut at each of `plan` once."""
        self.seen = []
        self._counts.clear()
        self.unknown = set()
        self._plan = list(plan)

    @property
    def left(self) -> list[tuple[Passage, Moment]]:
        """What of the plan has not come."""
        return list(self._plan)

    def passes(self, text: str) -> Moment | None:
        """A statement is about to be executed; when to cut the connection, if at all."""
        words = " ".join(text.lower().split())
        name = statements().get(text) or next((name for start, name in _OTHERS.items() if words.startswith(start)), None)
        if name is None:
            self.unknown.add(text)
            return None
        self.seen.append(name)
        self._counts[name] += 1
        for planned in self._plan:
            if planned[0] == Passage(name, self._counts[name]):
                self._plan.remove(planned)
                self.cuts += 1
                return planned[1]
        return None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await _Connection(self, reader, writer).run(self._target)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(task)
            writer.transport.abort()


class _Connection:
    def __init__(self, proxy: StatementProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = reader, writer
        self._texts: dict[bytes, str] = {}
        self._deaf = False
        """Whether answers are kept from the client, whose connection ends with the last of them."""
        self._cut = False

    async def run(self, target: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*target)
        try:
            if await self._start(writer):
                tasks = [asyncio.create_task(self._to_server(writer)), asyncio.create_task(self._to_client(reader))]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                if self._cut:
                    # It rolls back before it hangs up: the client that tries again at once finds no locks of its last try.
                    writer.write(b"X\0\0\0\4")
                    async with asyncio.timeout(5):
                        while await reader.read(65536):
                            pass
        finally:
            writer.transport.abort()

    async def _start(self, server: asyncio.StreamWriter) -> bool:
        """Pass on the first packet; whether messages follow."""
        reader, writer = self._client
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code == _SSL_REQUEST:
                writer.write(b"N")
                continue
            server.write(size + body)
            await server.drain()
            return bool(code != _CANCEL_REQUEST)

    async def _to_server(self, server: asyncio.StreamWriter) -> None:
        while True:
            kind, head, body = await _message(self._client[0])
            text = None
            if kind == b"P":
                name, query, _ = body.split(b"\0", 2)
                self._texts[name] = query.decode()
            elif kind == b"B":
                text = self._texts[body.split(b"\0", 2)[1]]
            elif kind == b"Q":
                text = body[:-1].decode()
            if text is not None:
                moment = self._proxy.passes(text)
                self._cut = self._cut or moment is not None
                if moment is Moment.BEFORE:
                    return
                self._deaf = self._deaf or moment is Moment.AFTER
            server.write(head + body)
            await server.drain()

    async def _to_client(self, server: asyncio.StreamReader) -> None:
        while True:
            kind, head, body = await _message(server)
            if not self._deaf:
                self._client[1].write(head + body)
                await self._client[1].drain()
            elif kind == b"Z":
                return


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head, await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
