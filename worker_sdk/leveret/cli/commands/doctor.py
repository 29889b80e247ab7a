"""`leveret doctor`: can each service be used, and what to do if not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import typer

from leveret.cli.doctor.checks import Check, Checks
from leveret.cli.output import AsJson, printable, show_json

_MARKS = {"ok": ("ok  ", typer.colors.GREEN), "warn": ("warn", typer.colors.YELLOW), "fail": ("fail", typer.colors.RED)}


def doctor(as_json: AsJson = False) -> None:
    """Check Postgres, Redis, RabbitMQ and the settings, and say what to do. Exits with 1 if something fails."""
    from leveret.cli.doctor import postgres, rabbitmq, redis
    from leveret.cli.doctor import settings as settings_checks
    from leveret_core.settings import load_settings

    settings = load_settings()
    # It would tell of a failure in its own words, beside ours.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    examinations: list[tuple[str, Callable[[Checks], Awaitable[None]]]] = [
        ("settings", lambda checks: settings_checks.examine(settings, checks)),
        ("postgres", lambda checks: postgres.examine(settings, checks)),
        ("redis", lambda checks: redis.examine(settings, checks)),
        ("rabbitmq", lambda checks: rabbitmq.examine(settings, checks)),
    ]
    found = asyncio.run(_examine(examinations))
    failed = any(each.status == "fail" for each in found)
    if as_json:
        show_json({"ok": not failed, "checks": [each.to_json() for each in found]})
    else:
        for each in found:
            _print(each)
    raise typer.Exit(1 if failed else 0)


async def _examine(examinations: list[tuple[str, Callable[[Checks], Awaitable[None]]]]) -> list[Check]:
    reports = [Checks(service) for service, _ in examinations]
    await asyncio.gather(*(examine(checks) for checks, (_, examine) in zip(reports, examinations, strict=True)))
    return [check for checks in reports for check in checks.found]


def _print(check: Check) -> None:
    mark, color = _MARKS[check.status]
    typer.echo(f"{typer.style(mark, fg=color)} {check.service:<9} {check.name}: {printable(check.detail)}")
    if check.advice:
        typer.echo(f"     {'':<9} → {printable(check.advice)}")
