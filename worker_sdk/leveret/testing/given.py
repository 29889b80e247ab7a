"""What users write in tests: instants, triggers, payloads, states."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from leveret.errors import InvalidInput
from leveret_core.payload import encode_payload
from leveret_core.states import State
from leveret_core.triggers import Trigger, encode, parse_after

Moment: TypeAlias = str | datetime
"""An instant: aware, or ISO 8601 text with an offset. Without one it is wall time, in a zone that is told."""


def instant(moment: Moment, timezone: str) -> datetime:
    """The instant that was written, UTC.

    Raises:
        TriggerError: it is not one.
    """
    return parse_after(moment if isinstance(moment, str) else moment.isoformat(), timezone).astimezone(UTC)


def trigger_of(
    cron: str | None,
    tz: str | None,
    every: float | timedelta | None,
    at: Moment | None,
    trigger: Trigger | Mapping[str, Any] | None,
) -> Mapping[str, Any]:
    """The trigger as REST takes it, from the arguments of `Environment.define`.

    Raises:
        InvalidInput: they do not go together.
    """
    given = [name for name, value in (("cron", cron), ("every", every), ("at", at), ("trigger", trigger)) if value is not None]
    if len(given) > 1:
        raise InvalidInput.at(given[1], f"cannot be given together with {given[0]}")
    if tz is not None and cron is None and at is None:
        raise InvalidInput.at("tz", "belongs to cron or at")
    place = {} if tz is None else {"timezone": tz}
    if cron is not None:
        return {"kind": "cron", "expression": cron, **place}
    if every is not None:
        return {"kind": "interval", "every": every.total_seconds() if isinstance(every, timedelta) else every}
    if at is not None:
        return {"kind": "once", "at": at if isinstance(at, str) else at.isoformat(), **place}
    if trigger is None:
        return {"kind": "manual"}
    return trigger if isinstance(trigger, Mapping) else encode(trigger)


def checked_payload(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload as it comes back from the server.

    Raises:
        InvalidInput: it is too large, or holds what JSON cannot.
    """
    checked: dict[str, Any] = msgspec.json.decode(encode_payload(payload))
    return checked


def states_of(state: str | Collection[str] | None) -> set[str] | None:
    """Names of states, checked; None for any.

    Raises:
        InvalidInput: one of them is not a state.
    """
    if state is None:
        return None
    states = {state} if isinstance(state, str) else set(state)
    if unknown := sorted(states - set(State)):
        raise InvalidInput.at("state", f"{unknown[0]!r} is not a state: {', '.join(State)}")
    return {str(word) for word in states}
