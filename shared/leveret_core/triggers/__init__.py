"""Triggers: when a job is due.

A trigger is one of `Cron`, `Interval`, `Once`, `Manual`: immutable, with a JSON form. Everything here is a pure function:
fire times depend on the trigger, the instant asked for and the zone rules, and on nothing else.
"""

from __future__ import annotations

from .codec import anchored, decode, encode, load, load_json, needs_seed, validate
from .describe import describe
from .dialect import has_zone
from .fire import fire_delay, fire_times, fire_times_between, latest_fire_time, next_fire_time
from .model import Cron, Interval, Manual, Once, Trigger, TriggerError
from .notes import notes
from .preview import FireTime, next_clock_change, parse_after, preview, timezone_of
from .zones import TZDATA_VERSION, zone, zone_names

__all__ = [
    "TZDATA_VERSION",
    "Cron",
    "FireTime",
    "Interval",
    "Manual",
    "Once",
    "Trigger",
    "TriggerError",
    "anchored",
    "decode",
    "describe",
    "encode",
    "fire_delay",
    "fire_times",
    "fire_times_between",
    "has_zone",
    "latest_fire_time",
    "load",
    "load_json",
    "needs_seed",
    "next_clock_change",
    "next_fire_time",
    "notes",
    "parse_after",
    "preview",
    "timezone_of",
    "validate",
    "zone",
    "zone_names",
]
