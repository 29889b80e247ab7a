"""Live updates for dashboards: what changed, never what it is. A page that hears of a change asks over REST.

Every replica listens to the hints of all of them and tells its own clients; there is nothing else between the replicas.
Any number of hints becomes at most four messages a second. Each message has a number: a client that sees a gap, or connects
anew, asks for everything it shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from importlib.metadata import version
from typing import Any

import socketio
from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leveret_api.live_packets import REFUSED, ClientPacket, is_frame
from leveret_api.metrics import Metrics
from leveret_api.origin import same_origin
from leveret_api.pending import Pending
from leveret_core.hints import Hint, Hints
from leveret_core.supervision import Kept, Supervisor

log = logging.getLogger(__name__)

INTERVAL = 0.25
"""Seconds between two messages to a client, at least."""
SEND_TIMEOUT = 10.0
"""Seconds a client may take to make room for a message; a slower one is cut off, and connects again if it lives."""
MAX_CLIENTS = 2_000
MAX_SOCKETS = MAX_CLIENTS + 100
"""Open websockets, those included that have not said yet what they want; the other connections are left to REST."""
MAX_WATCHED = 20
"""Occurrences whose logs one client watches, at most."""
MAX_MESSAGE = 4_096
"""Bytes of a message from a client, at most."""
_WANTED = 'send {"occurrence": id}'


class Live:
    """The socket.io server of one replica.

    Args:
        hints: where to hear of changes.
        metrics: counts clients and messages.
        supervisor: keeps the task that tells clients.
        interval: seconds between two messages to a client.
        send_timeout: seconds a client may take to make room for a message.
    """

    def __init__(
        self,
        hints: Hints,
        metrics: Metrics,
        *,
        supervisor: Supervisor | None = None,
        interval: float = INTERVAL,
        send_timeout: float = SEND_TIMEOUT,
    ) -> None:
        self._hints = hints
        self._metrics = metrics
        self._interval = interval
        self._send_timeout = send_timeout
        self._server = socketio.AsyncServer(
            async_mode="asgi",
            transports=["websocket"],
            cors_allowed_origins=_may_connect,
            max_http_buffer_size=MAX_MESSAGE,
            always_connect=True,
            async_handlers=False,
            serializer=ClientPacket,
            # Their own loggers write to a handler of their own, past our formats.
            logger=_quiet("socketio"),  # pyright: ignore[reportArgumentType]  (it takes loggers as well)
            engineio_logger=_quiet("engineio"),
        )
        self._server.on("connect", self._connected)
        self._server.on("disconnect", self._disconnected)
        self._server.on("watch", self._watch)
        self._server.on("unwatch", self._unwatch)
        self._server.on(REFUSED, self._refused)
        self._pending = Pending()
        self._dirty = asyncio.Event()
        self._watched: dict[str, set[int]] = {}
        self._watchers: Counter[int] = Counter()
        self._version = version("leveret")
        self._seq = 0
        self._supervisor = supervisor or Supervisor()
        self._kept: Kept | None = None
        self._unsubscribe = _nothing

    def mount(self, app: ASGIApp) -> ASGIApp:
        """An ASGI app that serves `/socket.io` and hands everything else to `app`."""
        return _Bounded(socketio.ASGIApp(self._server, app), self._send_timeout)

    async def start(self) -> None:
        """Begin to listen to the hints and to tell clients."""
        if self._kept is None:
            self._unsubscribe = self._hints.subscribe(self._note)
            self._kept = self._supervisor.keep("live updates", self._tell)

    async def stop(self) -> None:
        """End it. Safe to call twice and before `start`."""
        self._unsubscribe()
        self._unsubscribe = _nothing
        kept, self._kept = self._kept, None
        await self._supervisor.stop(kept)
        await self._server.shutdown()

    def _note(self, hint: Hint) -> None:
        self._pending.add(hint, self._watchers)
        if self._watched and not self._pending.empty:
            self._dirty.set()

    async def _tell(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            pending, self._pending = self._pending, Pending()
            try:
                await self._send(pending)
            except Exception:
                log.exception("live: a message was not sent")
            await asyncio.sleep(self._interval)

    async def _send(self, pending: Pending) -> None:
        if pending.anything_changed:
            self._seq += 1
            self._metrics.live_messages.labels("changed").inc()
            await self._server.emit("changed", {"seq": self._seq} | pending.body())
        for occurrence in pending.logs:
            self._metrics.live_messages.labels("logs").inc()
            await self._server.emit("logs", {"occurrence": occurrence, "last_seq": None}, room=_room(occurrence))

    async def _connected(self, sid: str, _: dict[str, Any]) -> None:
        if len(self._watched) >= MAX_CLIENTS:
            raise Refused("too many dashboards are connected to this replica")
        if not self._watched:
            # What was noted before is older than anything this client can have read.
            self._pending = Pending()
        self._watched[sid] = set()
        self._metrics.live_clients.set(len(self._watched))
        await self._server.emit("hello", {"version": self._version, "seq": self._seq}, to=sid)

    async def _disconnected(self, sid: str, *_: object) -> None:
        for occurrence in self._watched.pop(sid, set()):
            self._forget(occurrence)
        self._metrics.live_clients.set(len(self._watched))

    async def _refused(self, _: str, why: str) -> dict[str, Any]:
        return {"ok": False, "error": why}

    async def _watch(self, sid: str, data: object) -> dict[str, Any]:
        occurrence = _occurrence_in(data)
        watched = self._watched.get(sid)
        if occurrence is None or watched is None:
            return {"ok": False, "error": _WANTED}
        if occurrence not in watched:
            if len(watched) >= MAX_WATCHED:
                return {"ok": False, "error": f"at most {MAX_WATCHED} occurrences can be watched"}
            watched.add(occurrence)
            self._watchers[occurrence] += 1
            await self._server.enter_room(sid, _room(occurrence))
        return {"ok": True}

    async def _unwatch(self, sid: str, data: object = None) -> dict[str, Any]:
        watched = self._watched.get(sid, set())
        occurrence = _occurrence_in(data)
        if occurrence is None and data is not None:
            return {"ok": False, "error": _WANTED + ", or nothing to unwatch all"}
        for left in list(watched) if occurrence is None else [occurrence]:
            if left in watched:
                watched.discard(left)
                self._forget(left)
                await self._server.leave_room(sid, _room(left))
        return {"ok": True}

    def _forget(self, occurrence: int) -> None:
        self._watchers[occurrence] -= 1
        if self._watchers[occurrence] <= 0:
            del self._watchers[occurrence]


class _Bounded:
    """Cuts off websockets whose client does not read: what waits for it is bounded by the time it may take."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._timeout = timeout
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        if self._open >= MAX_SOCKETS:
            await receive()
            await send({"type": "websocket.close", "code": 1013})
            return
        self._open += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._open -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut = asyncio.Event()

        async def send_in_time(message: Message) -> None:
            if cut.is_set():
                raise OSError("the client was cut off")
            try:
                async with asyncio.timeout(self._timeout):
                    await send(message)
            except TimeoutError:
                cut.set()
                raise

        async def receive_until_cut() -> Message:
            waits = {asyncio.ensure_future(receive()), asyncio.ensure_future(cut.wait())}
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                done = [wait for wait in waits if wait.done() and not cut.is_set()]
                message: Message | None = done[0].result() if done else None  # type: ignore[assignment]
                return message if message is not None and is_frame(message) else {"type": "websocket.disconnect", "code": 1013}
            finally:
                for wait in waits:
                    wait.cancel()

        await self._app(scope, receive_until_cut, send_in_time)


def _may_connect(_: str | None, environ: dict[str, Any]) -> bool:
    names = {"HTTP_ORIGIN": "origin", "HTTP_HOST": "host", "HTTP_X_FORWARDED_HOST": "x-forwarded-host"}
    return same_origin({name: environ[key] for key, name in names.items() if key in environ})


def _occurrence_in(data: object) -> int | None:
    if isinstance(data, dict):
        occurrence: object = data.get("occurrence")
        if isinstance(occurrence, int) and not isinstance(occurrence, bool) and 0 < occurrence < 2**63:
            return occurrence
    return None


def _quiet(name: str) -> logging.Logger:
    logger = log.getChild(name)
    # What they tell below is of single clients, and at any rate that those like.
    logger.setLevel(logging.ERROR)
    return logger


def _room(occurrence: int) -> str:
    return f"occurrence {occurrence}"


def _nothing() -> None:
    return None
