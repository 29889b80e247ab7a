"""Triggers as the client sends them: one, or many cut into requests that a server takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict

import msgspec

from leveret.errors import InvalidInput, Problem

MAX_ITEMS = 1_000
"""Items in a request, at most."""
MAX_BYTES = 7 * 1024 * 1024
"""Bytes of items in a request, at most; the server takes 8 MiB."""


class TriggerItem(TypedDict, total=False):
    """One run for `Client.trigger_many`; the values are those of `Client.trigger`."""

    job: Required[str | int]
    payload: Any
    delay: float | timedelta | None
    at: datetime | None
    idempotency_key: str | None
    priority: int | None


@dataclass(frozen=True)
class BulkRequest:
    """One request of a bulk trigger.

    Args:
        content: the body.
        first: index of its first item in the whole.
        safe: whether it can be repeated without harm.
    """

    content: bytes
    first: int
    safe: bool

    def placed(self, error: InvalidInput) -> InvalidInput:
        """The error with the indices of the whole."""
        return InvalidInput([Problem(self._placed(problem.field), problem.message) for problem in error.problems])

    def _placed(self, field: str) -> str:
        head, _, rest = field.partition(".")
        index, dot, name = rest.partition(".")
        return f"items.{int(index) + self.first}{dot}{name}" if head == "items" and index.isdigit() else field


def body_of(item: TriggerItem) -> dict[str, Any]:
    """The JSON object of a trigger, without what is None.

    Raises:
        InvalidInput: `at` has no time zone.
    """
    body: dict[str, Any] = {name: value for name, value in item.items() if value is not None}
    if isinstance(delay := body.get("delay"), timedelta):
        body["delay"] = delay.total_seconds()
    if isinstance(at := body.get("at"), datetime) and at.tzinfo is None:
        raise InvalidInput.at("at", "needs a time zone, as in datetime.now(timezone.utc)")
    return body


def requests_of(items: Iterable[TriggerItem]) -> Iterator[BulkRequest]:
    """The requests for `items`, in order; all are encoded before the first is sent."""
    encoded: list[tuple[bytes, bool]] = []
    for index, item in enumerate(items):
        try:
            body = body_of(item)
        except InvalidInput as error:
            raise InvalidInput([Problem(f"items.{index}.{p.field}", p.message) for p in error.problems]) from error
        encoded.append((msgspec.json.encode(body), "idempotency_key" in body))
    first, size = 0, 0
    for index, (content, _) in enumerate(encoded):
        if index > first and (index - first == MAX_ITEMS or size + len(content) > MAX_BYTES):
            yield _request(encoded, first, index)
            first, size = index, 0
        size += len(content) + 1
    if first < len(encoded):
        yield _request(encoded, first, len(encoded))


def _request(encoded: list[tuple[bytes, bool]], first: int, end: int) -> BulkRequest:
    part = encoded[first:end]
    content = b'{"items":[' + b",".join(item for item, _ in part) + b"]}"
    return BulkRequest(content, first, all(keyed for _, keyed in part))
