"""HTTP connections with deadlines for their clients, and with room for new ones whatever the old ones do.

uvicorn waits for the head and the body of a request for ever, and answers 503 to all clients while too many connections are
open. Here a client has to send its request in time, and when the last places are taken, a connection is closed whose client is
awaited: first those that have not sent a whole request, then idle ones, those that wait longest first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

HEAD_SECONDS = 10.0
"""Seconds in which the head of a request has to come, from the connection's or the head's first byte."""
BODY_SECONDS = 10.0
"""Seconds in which a body has to come, besides one for every `BODY_RATE` bytes that have come."""
BODY_RATE = 20_000.0
_TELL = 10.0
"""Seconds between two lines of log, at least."""


class Waiting:
    """The connections of one server whose client is awaited.

    Args:
        most: connections, at most.
        head: seconds for the head of a request.
        body: seconds for a body, besides those for its length.
    """

    def __init__(self, most: int, *, head: float = HEAD_SECONDS, body: float = BODY_SECONDS) -> None:
        self.most = most
        self.head = head
        self.body = body
        # In the order in which the wait began.
        self.unfinished: dict[TimedProtocol, None] = {}
        self.idle: dict[TimedProtocol, None] = {}
        self._cut = 0
        self._told = -_TELL

    def make_room(self) -> None:
        """Cut off the connection that can best be done without."""
        for waiting in (self.unfinished, self.idle):
            if first := next(iter(waiting), None):
                first.cut("others need its place")
                return

    def note(self, why: str, client: object) -> None:
        """Tell that a connection was cut off, not more often than every `_TELL` seconds."""
        self._cut += 1
        now = time.monotonic()
        if now - self._told >= _TELL:
            log.warning(
                "%d connections were cut off that sent no whole request in time; the latest, of %s: %s", self._cut, client, why
            )
            self._cut, self._told = 0, now


class TimedProtocol(H11Protocol):
    """One connection. Arguments besides `waiting` are uvicorn's."""

    def __init__(self, *args: Any, waiting: Waiting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._body_began = 0.0
        self._received = 0
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) >= self._waiting.most:
            self._waiting.make_room()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._forget()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """It has sent something."""
        idle = self in self._waiting.idle
        if idle:
            del self._waiting.idle[self]
        awaited = self.conn.their_state
        super().data_received(data)
        if self._upgraded:
            return
        state = self.conn.their_state
        if state is h11.IDLE:
            if idle and not self.transport.is_closing():
                self._await_head()
        elif state is h11.SEND_BODY:
            if awaited is not h11.SEND_BODY:
                self._body_began, self._received = time.monotonic(), 0
            self._received += len(data)
            self._await(self._body_began + self._waiting.body + self._received / BODY_RATE)
        else:
            self._forget()

    def on_response_complete(self) -> None:
        """The answer is on its way; the next request may come, or has."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._forget()
            self._waiting.idle[self] = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on it is another protocol's."""
        self._upgraded = True
        self._forget()
        super().handle_websocket_upgrade(event)

    def cut(self, why: str) -> None:
        """End the connection at once."""
        self._waiting.note(why, self.client and self.client[0])
        self._forget()
        self.connections.discard(self)
        self.transport.abort()

    def _await_head(self) -> None:
        self._await(time.monotonic() + self._waiting.head)

    def _await(self, deadline: float) -> None:
        self._deadline = deadline
        self._waiting.unfinished.setdefault(self, None)
        if self._timer is None:
            self._timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline > time.monotonic() or self.flow.read_paused:
            # More has come since, or it is the server that does not read on.
            self._await(max(self._deadline, time.monotonic() + 1))
        else:
            self.cut("it took too long")

    def _forget(self) -> None:
        self._waiting.unfinished.pop(self, None)
        self._waiting.idle.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
