"""How the client's requests reach a server: again where that does no harm, and what their failures mean."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from leveret.client.refusals import refusal
from leveret.client.results import Backfill, Job, Occurrence, Triggered
from leveret.errors import ConfigurationError, ServerUnreachable
from leveret_core.service_urls import split_login

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8080"
TRIES = 4
"""Times a request is sent that can be repeated without harm."""
PAUSE = 0.5
"""Seconds before the first repetition, at least; each further one waits twice as long."""

Result = TypeVar("Result", Job, Occurrence, Triggered, Backfill)


class Transport:
    """Connections to one server.

    Args:
        url, timeout, headers, transport: as of `Client`.

    Raises:
        ConfigurationError: `url` is not one, or httpx is not installed.
    """

    def __init__(
        self,
        url: str | None,
        *,
        timeout: float,
        headers: dict[str, str] | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise ConfigurationError("leveret.client needs httpx: pip install 'leveret[server]'") from error
        self.url, login = split_login(url or os.environ.get("LEVERET_URL") or DEFAULT_URL, "the server's URL")
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/api/v1/",
            timeout=timeout,
            auth=login,
            headers={"accept": "application/json", "user-agent": "leveret-client", **(headers or {})},
            transport=transport,
        )
        self._lost = httpx.TransportError

    async def close(self) -> None:
        """Close them."""
        await self._http.aclose()

    async def ask(self, result: type[Result], method: str, path: str, body: Any = None, *, safe: bool) -> Result:
        """Send a request, and read its answer.

        Args:
            result: what a good answer holds.
            body: JSON, encoded or not; None for none.
            safe: whether it can be sent again without harm.

        Raises:
            NotFound, Conflict, InvalidInput, Refused: the server says no.
            ServerUnreachable: no server answers, or not as Leveret does.
        """
        content = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        answer = await self._send(method, path, content, tries=TRIES if safe else 1)
        if answer.status_code >= 400:
            raise refusal(answer)
        try:
            return msgspec.json.decode(answer.content, type=result)
        except msgspec.DecodeError as error:
            raise ServerUnreachable(
                f"{self.url} answers, but not as a Leveret server does ({error}); is it the right URL?"
            ) from error

    async def _send(self, method: str, path: str, content: bytes | None, *, tries: int) -> httpx.Response:
        headers = {} if content is None else {"content-type": "application/json"}
        pause, began = PAUSE, time.monotonic()
        while True:
            tries -= 1
            try:
                answer = await self._http.request(method, path, content=content, headers=headers)
            except self._lost as error:
                if not tries:
                    took = time.monotonic() - began
                    raise ServerUnreachable(
                        f"no Leveret server answers at {self.url} ({str(error) or type(error).__name__}, after {took:.1f} s)"
                    ) from error
            else:
                if answer.status_code not in (502, 503, 504) or not tries:
                    return answer
            await asyncio.sleep(pause * random.uniform(1, 1.5))
            pause *= 2
