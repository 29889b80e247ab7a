"""The kinds of trigger: when a job is due."""

from __future__ import annotations

from datetime import datetime

import msgspec


class TriggerError(ValueError):
    """A trigger that cannot be used, with the field at fault.

    Args:
        field: name of the field, e.g. `"expression"`, `"timezone"`, `"every"`; `"trigger"` for the whole.
        message: what is wrong and what to do, without the field's name.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message

    def __reduce__(self) -> tuple[type[TriggerError], tuple[str, str]]:
        return TriggerError, (self.field, self.message)


class Cron(msgspec.Struct, frozen=True, tag_field="kind", tag="cron"):
    """Due whenever the clock on a wall in `timezone` matches a cron expression.

    Args:
        expression: five fields (minute hour day month weekday), six with seconds first, or an alias such as `@daily`. As
            users write it, a zone may stand in front (`CRON_TZ=Europe/Berlin 0 6 * * *`), and it may be `@every 5m`:
            `validate` and `decode` turn the first into `timezone` and the second into an `Interval`.
        timezone: IANA name, e.g. `"Europe/Berlin"`.
        start_at: nothing is due before this instant.
        end_at: nothing is due after this instant.
        jitter: seconds over which starts are spread; never early.
        seed: decides what `H` and `~` stand for. `anchored` fills in the job's name where the user left it out.
    """

    expression: str
    timezone: str = "UTC"
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter: float = 0.0
    seed: str | None = None


class Interval(msgspec.Struct, frozen=True, tag_field="kind", tag="interval"):
    """Due at `start_at`, `start_at + every`, `start_at + 2 * every`, ... in real time, whatever clocks on walls do.

    Args:
        every: seconds between two fire times.
        start_at: the anchor, and the first fire time. `anchored` fills it in where the user left it out.
        end_at: nothing is due after this instant.
        jitter: seconds over which starts are spread; never early; less than `every`.
    """

    every: float
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter: float = 0.0


class Once(msgspec.Struct, frozen=True, tag_field="kind", tag="once"):
    """Due one time.

    Args:
        at: the instant. Without an offset it is wall time in `timezone`; `validate` and `decode` turn it into UTC.
        timezone: IANA name, needed for an `at` without offset and shown to readers.
        jitter: seconds over which starts are spread; never early.
    """

    at: datetime
    timezone: str | None = None
    jitter: float = 0.0


class Manual(msgspec.Struct, frozen=True, tag_field="kind", tag="manual"):
    """Never due by itself: a user or a program triggers it."""


Trigger = Cron | Interval | Once | Manual
