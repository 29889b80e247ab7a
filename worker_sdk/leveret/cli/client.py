"""The REST API as commands see it: JSON in and out, every failure an error that says what to do."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import quote

import typer

from leveret.cli.errors import Refused, ServerUnreachable
from leveret_core.errors import NotFound
from leveret_core.service_urls import split_login

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT = 30.0
"""Seconds for one request."""

Url = Annotated[str, typer.Option("--url", envvar="LEVERET_URL", help="Where the Leveret server answers.")]


class Client:
    """A session with one server, to be used in a `with` block.

    Args:
        url: of the server's root, such as `http://127.0.0.1:8080`.

    Raises:
        ConfigurationError: `url` is not one.
    """

    def __init__(self, url: str) -> None:
        import httpx

        self.url, login = split_login(url, "LEVERET_URL (--url)")
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            timeout=TIMEOUT,
            auth=login,
            headers={"accept": "application/json", "user-agent": "leveret-cli"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> Any:
        """The JSON at `path` (below `/api/v1/`); a query argument that is None is left out, a list is repeated.

        Raises:
            ServerUnreachable, Refused, NotFound: see `send`.
        """
        return self.send("GET", path, query=query)[1]

    def pages(self, path: str, *, limit: int, page_size: int = 500, **query: object) -> list[Any]:
        """At most `limit` items of a listing, from as many pages as that takes."""
        items: list[Any] = []
        cursor: str | None = None
        while len(items) < limit:
            page = self.get(path, limit=min(limit - len(items), page_size), cursor=cursor, **query)
            items += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                break
        return items[:limit]

    def send(self, method: str, path: str, body: object = None, query: dict[str, object] | None = None) -> tuple[int, Any]:
        """Send a request.

        Args:
            method: of HTTP.
            path: below `/api/v1/`, without a slash in front.
            body: sent as JSON unless None.
            query: see `get`.

        Returns:
            The HTTP status and the JSON of the answer (None when it has no body).

        Raises:
            ServerUnreachable: no server answers, or not as Leveret does.
            NotFound: 404, with the server's words.
            Refused: any other status from 400, with the server's words; or the body is nothing that JSON can say.
        """
        import httpx

        given: dict[str, Any] = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(
                method,
                path,
                params=given,
                content=None if body is None else _encoded(body),
                headers={} if body is None else {"content-type": "application/json"},
            )
        except httpx.HTTPError as error:
            raise ServerUnreachable(
                f"no Leveret server answers at {self.url} ({str(error) or type(error).__name__}); "
                "start one (`leveret dev`, `leveret api`), or say where it is with LEVERET_URL or --url"
            ) from error
        return answer.status_code, self._content(answer)

    def _content(self, answer: httpx.Response) -> Any:
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if answer.status_code == 204:
            return None
        if kind not in ("application/json", "application/problem+json"):
            raise ServerUnreachable(
                f"{self.url} answers, but not as a Leveret server does ({answer.status_code} {answer.reason_phrase}, "
                f"{kind or 'no content type'}); is LEVERET_URL (--url) right?"
            )
        content: Any = answer.json()
        if answer.status_code >= 400:
            message = _problem(content, answer)
            raise NotFound(message) if answer.status_code == 404 else Refused(message, answer.status_code)
        return content


def ref(value: object) -> str:
    """An id or a name as one segment of a path."""
    return quote(str(value), safe="", errors="replace")


def _encoded(body: object) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(f"it cannot be sent as JSON: {error}", 422) from error


def _problem(content: Any, answer: httpx.Response) -> str:
    if not isinstance(content, dict):
        return f"{answer.status_code} {answer.reason_phrase}"
    # The fields at fault, if it names some: its own sentence only repeats them.
    errors: list[dict[str, Any]] = content.get("errors") or []
    lines = [f"{each.get('field', '')}: {each.get('message', '')}".removeprefix(": ") for each in errors]
    return "\n  ".join(lines) or str(content.get("detail") or content.get("title") or answer.reason_phrase)
