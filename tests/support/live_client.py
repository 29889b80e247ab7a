"""A socket.io client of a few lines: websocket only, default namespace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


class LiveClient:
    """One connection; everything it was told, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self.told: list[tuple[str, Any]] = []
        self.greeted = asyncio.Event()
        self.closed = asyncio.Event()

    def heard(self, event: str) -> list[Any]:
        """The messages of one kind."""
        return [data for name, data in self.told if name == event]

    async def ask(self, event: Any, *data: Any) -> Any:
        """Send an event and wait for its answer."""
        number = len(self._acks)
        self._acks[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(f"42{number}{json.dumps([event, *data])}")
        return await asyncio.wait_for(self._acks[number], 5)

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self._socket.send(frame)

    async def listen(self) -> None:
        """Read until the connection ends."""
        try:
            async for frame in self._socket:
                assert isinstance(frame, str)
                await self._take(frame)
        except ConnectionClosed:
            pass
        finally:
            self.closed.set()

    async def _take(self, frame: str) -> None:
        if frame == "2":
            await self._socket.send("3")
        elif frame.startswith("42"):
            name, data = json.loads(frame[2:])
            self.told.append((name, data))
            if name == "hello":
                self.greeted.set()
        elif frame.startswith("43"):
            number, _, rest = frame[2:].partition("[")
            self._acks[int(number)].set_result(json.loads("[" + rest)[0])


@asynccontextmanager
async def live_client(url: str, *, origin: str | None = None) -> AsyncGenerator[LiveClient]:
    """A connected client that has been greeted. `url` is the API's, `http://…`."""
    address = f"ws://{urlsplit(url).netloc}/socket.io/?EIO=4&transport=websocket"
    async with connect(address, additional_headers={"Origin": origin or url}) as socket:
        await socket.recv()
        await socket.send("40")
        client = LiveClient(socket)
        reading = asyncio.create_task(client.listen())
        try:
            await asyncio.wait_for(client.greeted.wait(), 5)
            yield client
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
