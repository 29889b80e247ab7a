"""Fire times for people: in UTC and on the wall, from any moment."""

from __future__ import annotations

from datetime import UTC, datetime

from .fire import fire_times
from .model import Cron, Once, Trigger, TriggerError
from .zones import instant, zone


def preview(trigger: Trigger, after: datetime, count: int) -> list[dict[str, str]]:
    """Return the next fire times as text.

    Args:
        trigger: a valid trigger; an interval needs its `start_at` (see `anchored`).
        after: an aware instant, excluded.
        count: how many, at most.

    Returns:
        Per fire time `{"utc": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00"}`, the latter in the
        trigger's own zone (UTC where it has none).
    """
    place = zone(timezone_of(trigger))
    return [
        {"utc": fire.astimezone(UTC).isoformat().replace("+00:00", "Z"), "local": fire.astimezone(place).isoformat()}
        for fire in fire_times(trigger, after, count)
    ]


def timezone_of(trigger: Trigger) -> str:
    """Return the IANA name of the zone that a reader of this trigger thinks in; `"UTC"` where it has none."""
    if isinstance(trigger, Cron | Once):
        return trigger.timezone or "UTC"
    return "UTC"


def parse_after(text: str, timezone: str = "UTC") -> datetime:
    """Return the instant (UTC) that a user wrote, e.g. as `--after`.

    Args:
        text: ISO 8601. Without an offset it is wall time in `timezone`: the first of two in a repeated hour, the moment of
            the jump in a skipped one. A date alone is its midnight.
        timezone: IANA name.

    Raises:
        TriggerError: with field `after` or `timezone`.
    """
    place = zone(timezone)
    try:
        at = datetime.fromisoformat(text.strip())
        return instant(at, place) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        shown = text if len(text) <= 40 else text[:37] + "..."
        raise TriggerError(
            "after", f"{shown!r} is not a time; write 2026-03-28T00:00:00 for wall time in {timezone}, or add an offset"
        ) from error
