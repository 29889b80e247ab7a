"""Postgres: there, recent enough, ours to write, and safe to trust."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

from leveret.cli.doctor.checks import Checks
from leveret_core.errors import ConfigurationError
from leveret_core.service_urls import told
from leveret_core.settings import Settings
from leveret_core.store.migrate import available, pending
from leveret_core.store.pooler import REFUSAL, shares_sessions
from leveret_core.store.server.examine import (
    Facts,
    Session,
    connected,
    count_dead_events_of_day,
    read_facts,
    read_failing,
    read_findings,
    read_time,
)

OLDEST = 14
MAX_SKEW = 2.0
"""Seconds between Postgres's clock and ours that are not worth a word."""
DISPATCHER_POOL = 6
"""Connections of a dispatcher, besides the two pools of LEVERET_POOL_SIZE."""
TIMEOUT = 5.0


async def examine(settings: Settings, checks: Checks) -> None:
    """Look at Postgres."""
    advice = "check LEVERET_DATABASE_URL, and that the server runs and lets this user in"
    answered = False
    try:
        async with connected(settings.database_url, TIMEOUT) as session:
            answered = True
            if await shares_sessions(settings.database_url):
                checks.fail("pooler", "it shares sessions between clients", REFUSAL.partition("; ")[2])
                return
            facts = await read_facts(session)
            checks.ok("connection", "it answers")
            _examine_server(facts, settings, checks)
            await _examine_tables(session, facts, checks)
            await _examine_clock(session, checks)
    except Exception as error:
        problem = told(error, settings.database_url)
        checks.fail("connection", f"lost: {problem}" if answered else problem, advice)


def _examine_server(facts: Facts, settings: Settings, checks: Checks) -> None:
    if facts.version_number >= OLDEST * 10_000:
        checks.ok("version", facts.version)
    else:
        checks.fail("version", facts.version, f"upgrade to Postgres {OLDEST} or newer")
    if facts.standby:
        checks.fail("role", "this is a standby, which cannot be written to", "name the primary in LEVERET_DATABASE_URL")
    needed, limit = 2 * settings.pool_size + DISPATCHER_POOL, facts.connections
    detail = f"a server process takes up to {needed}, {limit} are allowed: room for {limit // needed} processes"
    if limit >= 2 * needed:
        checks.ok("connections", detail)
    else:
        advice = "raise max_connections, or lower LEVERET_POOL_SIZE"
        (checks.warn if limit >= needed else checks.fail)("connections", detail, advice)
    if facts.fsync != "on":
        checks.warn("durability", "fsync is off", "set fsync = on: a crash of the machine may destroy the database")
    elif facts.synchronous_commit == "off":
        checks.warn(
            "durability",
            "synchronous_commit is off",
            "set synchronous_commit = on: a crash of the server may lose what was already confirmed",
        )
    else:
        checks.ok("durability", f"synchronous_commit is {facts.synchronous_commit}")


async def _examine_tables(session: Session, facts: Facts, checks: Checks) -> None:
    try:
        missing = await pending(session)
    except ConfigurationError as error:
        checks.fail("migrations", str(error), "install a newer Leveret")
        return
    if not missing:
        checks.ok("migrations", f"all {len(available())} applied")
        await _examine_findings(session, checks)
        await _examine_tasks(session, checks)
        await _examine_dead_events(session, checks)
    elif facts.may_create:
        checks.warn("migrations", f"missing: {', '.join(missing)}", "run `leveret migrate`; `leveret api` does it at its start")
    else:
        checks.fail(
            "migrations",
            f"missing: {', '.join(missing)}, and this user may not create tables in {facts.schema or 'any schema'}",
            "run `leveret migrate` as a user that may",
        )


async def _examine_findings(session: Session, checks: Checks) -> None:
    row = await read_findings(session)
    if not row.ownerless:
        checks.ok("liveness", "all that is not final has a component that is responsible for it")
        return
    shown = ", ".join(
        f"{'backfill' if each['kind'] == 'backfill' else 'occurrence'} {each['id']} ({each['state']}: {each['why']})"
        for each in json.loads(row.ownerless_examples)
    )
    checks.warn(
        "liveness",
        f"{row.ownerless} were without one at {row.ownerless_looked_at:%Y-%m-%d %H:%M:%S} UTC: {shown}",
        "look again in two minutes: the dispatcher mends what it can; see the section on liveness in docs/deploy.md",
    )


async def _examine_tasks(session: Session, checks: Checks) -> None:
    failing = await read_failing(session)
    if not failing:
        checks.ok("tasks", "all tasks of the dispatcher do their work")
        return
    checks.warn(
        "tasks",
        f"the dispatcher tells since {failing[0].since:%Y-%m-%d %H:%M:%S} UTC that these do not do their work: "
        + ", ".join(f"{task.name} ({task.error})" for task in failing),
        "see /readyz and the log of the replica that holds the term, and the section on health in docs/deploy.md",
    )


async def _examine_dead_events(session: Session, checks: Checks) -> None:
    count = await count_dead_events_of_day(session)
    if count:
        advice = "see `leveret dead-events list` for whose they are and what is wrong with them"
        checks.warn("events", f"workers sent {count} in the last day that could not be applied", advice)
    else:
        checks.ok("events", "all that workers sent in the last day could be applied")


async def _examine_clock(session: Session, checks: Checks) -> None:
    began, before = time.monotonic(), datetime.now(UTC)
    theirs = await read_time(session)
    trip = time.monotonic() - began
    skew = abs((theirs - before).total_seconds() - trip / 2)
    if skew <= MAX_SKEW:
        checks.ok("clock", f"{skew:.2f} s from this machine's, answers in {trip * 1000:.1f} ms")
    else:
        checks.warn(
            "clock",
            f"{skew:.0f} s from this machine's",
            "run a time service (NTP) on both: jobs are due by the clock of Postgres",
        )
