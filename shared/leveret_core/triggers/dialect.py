"""What people write around the fields of a cron expression: aliases, `@every 5m`, `CRON_TZ=Europe/Berlin` in front."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

from .drawn import draw, has_draw
from .model import Cron, Interval, TriggerError
from .zones import instant, zone

ALIASES = {
    "@every_second": "* * * * * *",
    "@every_minute": "* * * * *",
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# Every list of every value, spelt out, fits into 460.
_LONGEST_EXPRESSION = 512
_ZONE_IN_FRONT = re.compile(r"(?:CRON_TZ|TZ)\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)(?:\s+(.*))?", re.ASCII | re.DOTALL)
_EVERY = re.compile(r"@every(?:\s+(.*))?", re.ASCII | re.DOTALL | re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def has_zone(expression: str) -> bool:
    """Whether an expression begins with a time zone, as in `CRON_TZ=Europe/Berlin 0 6 * * *`."""
    return _ZONE_IN_FRONT.match(expression.strip()) is not None


def read(trigger: Cron, *, zone_given: bool) -> Cron | Interval:
    """Return a trigger with bare fields: a zone in front becomes its `timezone`, `@every 5m` makes it an interval.

    Args:
        trigger: as a user wrote it.
        zone_given: whether the user gave `timezone` too, which then has to be the same.

    Raises:
        TriggerError: names the field at fault.
    """
    expression, timezone = _plain(trigger.expression), trigger.timezone
    match = _ZONE_IN_FRONT.match(expression)
    if match:
        named = match[1].strip("\"'")
        try:
            zone(named)
        except TriggerError as error:
            raise TriggerError("expression", error.message) from error
        if zone_given and named != timezone:
            raise TriggerError("expression", f"names the zone {named}, and timezone says {timezone[:64]}; give one of them")
        expression, timezone = (match[2] or "").strip(), named
    every = _EVERY.fullmatch(expression)
    if every:
        return Interval(
            every=_duration((every[1] or "").strip()),
            start_at=_aware(trigger.start_at, zone(timezone)),
            end_at=_aware(trigger.end_at, zone(timezone)),
            jitter=trigger.jitter,
        )
    seed = trigger.seed
    if seed is not None and not has_draw(split_fields(expression)):
        seed = None
    # What the user typed stays as it is where nothing was in front.
    shown = expression if match else trigger.expression
    return Cron(shown, timezone, trigger.start_at, trigger.end_at, trigger.jitter, seed)


def split_fields(expression: str) -> list[str]:
    """Return the fields of an expression in upper case, aliases resolved; their number is not checked.

    Raises:
        TriggerError: for what cannot be an expression at all: too long, not ASCII, an unknown alias.
    """
    text = _plain(expression)
    if text.startswith("@"):
        known = ALIASES.get(text.lower())
        if known is None:
            raise TriggerError("expression", _not_an_alias(text))
        text = known
    return text.upper().split()


def plain_fields(expression: str, seed: str | None) -> list[str]:
    """Return the fields that the parser knows: as `split_fields`, with `?` as `*` and what is drawn by `seed` as numbers.

    Raises:
        TriggerError: as `split_fields`, and for a draw that cannot be read.
    """
    fields = split_fields(expression)
    if len(fields) not in (5, 6):
        return fields
    for index in (-3, -1):
        if fields[index] == "?":
            fields[index] = "*"
    return draw(fields, seed) if has_draw(fields) else fields


def _plain(expression: str) -> str:
    if len(expression) > _LONGEST_EXPRESSION:
        raise TriggerError("expression", f"has {len(expression)} characters, at most {_LONGEST_EXPRESSION} are allowed")
    if not expression.isascii():
        raise TriggerError("expression", "has characters outside ASCII")
    return expression.strip()


def _not_an_alias(text: str) -> str:
    if text.lower().startswith("@reboot"):
        return "@reboot is not supported: a job has no machine to boot with"
    if " " in text and text.split()[0].lower() in ALIASES:
        return f"{text.split()[0]} stands alone, nothing may follow it"
    return f"{text[:24]} is not known, use one of {', '.join(ALIASES)}, or @every 5m"


def _duration(text: str) -> float:
    parts = _DURATION.findall(text.lower())
    if not text or "".join(number + unit for number, unit in parts) != text.lower():
        raise TriggerError("expression", "@every needs a duration such as 90s, 5m or 1h30m")
    return round(sum(float(number) * _SECONDS[unit] for number, unit in parts), 6)


def _aware(at: datetime | None, place: tzinfo) -> datetime | None:
    # An interval has no zone, in which a time without offset could be read later.
    return at if at is None or at.tzinfo is not None else instant(at, place)
