"""Handlers and schedules in tests, without any server.

from leveret.testing import Environment, run_job

async def test_a_mail_needs_an_address():
    done = await run_job(send_email, {"subject": "Hi"})
    assert done.outcome == "failed" and "`to`" in done.error.message

async def test_the_report_is_made_each_night():
    with Environment("app.jobs", now="2026-03-28T00:00:00Z") as env:
        env.define("report", type="report.daily", cron="30 2 * * *", tz="Europe/Berlin")
        env.advance(days=2)
        env.assert_occurred("report", times=2, state="succeeded")

`run_job` needs nothing but a worker's libraries; `Environment` needs the extra `testing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.errors import ConfigurationError
from leveret.testing.single_run import JobDone, run_job

if TYPE_CHECKING:
    from leveret.testing.environment import Environment
    from leveret.testing.records import Attempt, Job, LogLine, Occurrence, ServerRules

__all__ = ["Attempt", "Environment", "Job", "JobDone", "LogLine", "Occurrence", "ServerRules", "run_job"]

_NEEDED = {"cronsim", "tzdata"}


def __getattr__(name: str) -> object:
    # Only now: cron needs libraries that a worker has no use for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from leveret.testing import environment
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in _NEEDED:
            raise
        raise ConfigurationError(f"{name} needs {error.name}: install leveret[testing]") from error
    return getattr(environment, name)
