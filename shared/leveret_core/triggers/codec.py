"""Triggers as JSON, checked: what REST takes and the database holds."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from .cron import plan
from .dialect import read
from .model import Cron, Interval, Manual, Once, Trigger, TriggerError
from .zones import instant, zone

_KINDS: dict[str, type[Trigger]] = {"cron": Cron, "interval": Interval, "once": Once, "manual": Manual}

_SHORTEST_INTERVAL = 0.1
_LONGEST_INTERVAL = 10 * 366 * 86_400.0
_LONGEST_JITTER = 86_400.0
_LONGEST_SEED = 200


def encode(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger's JSON form, e.g. `{"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"}`.

    Instants are ISO 8601 in UTC; what is absent or a jitter of 0 is left out.
    """
    data = cast("dict[str, Any]", msgspec.to_builtins(trigger))
    return {key: value for key, value in data.items() if value is not None and (key != "jitter" or value)}


def decode(data: Mapping[str, Any]) -> Trigger:
    """Return the trigger of a user's JSON object, checked and with instants in UTC.

    Raises:
        TriggerError: names the field at fault and what to do.
    """
    kind = data.get("kind")
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise TriggerError("kind", f"expected one of {', '.join(_KINDS)}")
    fields = known.__struct_fields__
    for name in data:
        if name != "kind" and name not in fields:
            close = difflib.get_close_matches(str(name)[:32], fields, n=1, cutoff=0.4)
            hint = f", did you mean {close[0]}?" if close else ""
            raise TriggerError(str(name)[:32], f"is not a field of a trigger of kind {kind}{hint}")
    trigger = _convert({name: _read_time(name, value) for name, value in data.items()})
    return _validated(trigger, zone_given="timezone" in data)


def load(data: Mapping[str, Any]) -> Trigger:
    """Return the trigger of a stored JSON object, as `encode` made it.

    Not checked again, and fields it does not know are passed over: during a rolling update they are a newer release's.

    Raises:
        TriggerError: if the object has not the form of a trigger.
    """
    return _convert(data)


def _read_time(name: str, value: Any) -> Any:
    # What a browser's field for a time gives has no seconds; RFC 3339, and so msgspec, would insist on them.
    if name not in ("at", "start_at", "end_at") or not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise TriggerError(name, "expected an ISO 8601 time such as 2026-03-29T06:00:00Z") from error


def load_json(text: str) -> Trigger:
    """As `load`, from JSON text and several times as fast: the dispatcher reads thousands in a second.

    Raises:
        TriggerError: if the text has not the form of a trigger.
    """
    try:
        return _stored.decode(text)
    except msgspec.DecodeError as error:
        raise TriggerError("trigger", str(error)) from error


_stored: msgspec.json.Decoder[Trigger] = msgspec.json.Decoder(Trigger)


def _convert(data: Mapping[str, Any]) -> Trigger:
    try:
        return cast("Trigger", msgspec.convert(data, Trigger))
    except msgspec.ValidationError as error:
        text = str(error)
        missing = re.fullmatch(r"Object missing required field `(\w+)`", text)
        if missing:
            raise TriggerError(missing[1], "is required") from error
        reason, _, path = text.partition(" - at `$.")
        raise TriggerError(path.rstrip("`") or "trigger", reason.replace("`", "")) from error


def validate(trigger: Trigger) -> Trigger:
    """Return a trigger with its instants in UTC, or say what is wrong with it.

    A time without offset is wall time in the trigger's zone: the first of two in a repeated hour, the moment of the jump
    in a skipped one. An interval has no zone, its times need an offset. A zone in front of a cron expression becomes its
    `timezone`, and `@every 5m` makes it an interval. Never blocks: a few ms for the worst input.

    Raises:
        TriggerError: names the field at fault and what to do.
    """
    return _validated(trigger, zone_given=isinstance(trigger, Cron) and trigger.timezone != "UTC")


def _validated(trigger: Trigger, *, zone_given: bool) -> Trigger:
    if isinstance(trigger, Manual):
        return trigger
    _check_seconds("jitter", trigger.jitter, 0, _LONGEST_JITTER)
    if isinstance(trigger, Once):
        return msgspec.structs.replace(trigger, at=_in_utc("at", trigger.at, trigger.timezone))
    if isinstance(trigger, Cron):
        _check_seed(trigger.seed)
        zone(trigger.timezone)
        trigger = read(trigger, zone_given=zone_given)
    timezone = None
    if isinstance(trigger, Cron):
        plan(trigger.expression, trigger.seed)
        timezone = trigger.timezone
    else:
        _check_seconds("every", trigger.every, _SHORTEST_INTERVAL, _LONGEST_INTERVAL)
        if trigger.jitter >= trigger.every:
            raise TriggerError("jitter", f"has to be less than every ({trigger.every:g} s)")
    start_at = None if trigger.start_at is None else _in_utc("start_at", trigger.start_at, timezone)
    end_at = None if trigger.end_at is None else _in_utc("end_at", trigger.end_at, timezone)
    if start_at is not None and end_at is not None and end_at < start_at:
        raise TriggerError("end_at", "is before start_at")
    return msgspec.structs.replace(trigger, start_at=start_at, end_at=end_at)


def anchored(trigger: Trigger, now: datetime, seed: str) -> Trigger:
    """Return a trigger that can be stored: what depends on the moment or on the job is settled.

    An interval without `start_at` counts from `now`: its first fire time is `now + every`, with the fraction of a second cut
    off where `every` has none. A cron expression with `H` or `~` and without a seed gets one.

    Args:
        trigger: a valid trigger.
        now: the aware time of creation.
        seed: the job's name.

    Raises:
        TriggerError: what the seed draws has no fire time, as the 31st of February.
    """
    if isinstance(trigger, Interval) and trigger.start_at is None:
        start_at = now.astimezone(UTC)
        if trigger.every == int(trigger.every):
            start_at = start_at.replace(microsecond=0)
        return msgspec.structs.replace(trigger, start_at=start_at)
    if isinstance(trigger, Cron) and needs_seed(trigger):
        trigger = msgspec.structs.replace(trigger, seed=seed)
        plan(trigger.expression, seed)
    return trigger


def needs_seed(trigger: Trigger) -> bool:
    """Whether a trigger has `H` or `~` and no seed that says what they stand for."""
    return isinstance(trigger, Cron) and trigger.seed is None and plan(trigger.expression).drawn


def _in_utc(field: str, at: datetime, timezone: str | None) -> datetime:
    place = None if timezone is None else zone(timezone)
    try:
        if at.tzinfo is not None:
            return at.astimezone(UTC)
        if place is not None:
            return instant(at, place)
    except OverflowError as error:
        raise TriggerError(field, "is outside the years 1 to 9999") from error
    raise TriggerError(field, f"needs an offset from UTC, e.g. {at.isoformat()}Z")


def _check_seed(seed: str | None) -> None:
    if seed is not None and not (0 < len(seed) <= _LONGEST_SEED and seed.isprintable()):
        raise TriggerError("seed", f"expected 1 to {_LONGEST_SEED} characters without control characters, as in a job's name")


def _check_seconds(field: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise TriggerError(field, f"expected {low:g} to {high:.0f} seconds, got {value:g}")
