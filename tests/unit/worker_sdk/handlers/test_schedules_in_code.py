"""`@job(..., cron=...)`: what it declares, what it refuses, and how a worker tells the servers."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from typing import Any

import pytest

import leveret.worker.intake.membership as membership
from leveret import InvalidInput, Registry
from leveret_core.messages import Declare, Hello
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


def jobs_of(registry: Registry) -> list[dict[str, Any]]:
    return [job for handler in registry.handlers for job in handler.jobs]


def test_a_cron_makes_a_job_of_the_handlers_type_and_name() -> None:
    registry = Registry()

    @registry.job("report.daily", cron="0 6 * * *", tz="Europe/Berlin")
    def report() -> None:
        """Make the report.

        With details that no reader wants in a list.
        """

    assert jobs_of(registry) == [
        {
            "name": "report.daily",
            "type": "report.daily",
            "trigger": {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"},
            "description": "Make the report.",
        }
    ]


def test_an_interval_and_the_policy_are_declared_as_rest_takes_them() -> None:
    registry = Registry()

    @registry.job(
        "sync",
        every=timedelta(minutes=5),
        concurrency="queue",
        timeout=30,
        name="sync-eu",
        payload={"since": date(2026, 1, 1)},
        catch_up="none",
        priority=7,
        retry={"max_attempts": 5},
        jitter=2,
        tags=("eu",),
    )
    def sync(since: date) -> None: ...

    assert jobs_of(registry) == [
        {
            "name": "sync-eu",
            "type": "sync",
            "trigger": {"kind": "interval", "every": 300.0, "jitter": 2},
            "concurrency": "queue",
            "timeout": 30,
            "payload": {"since": "2026-01-01"},
            "catch_up": "none",
            "priority": 7,
            "retry": {"max_attempts": 5},
            "tags": ["eu"],
        }
    ]
    assert registry.handlers[0].concurrency == 10  # the word is the job's policy, not the worker's slots


def test_two_schedules_of_one_function_make_two_jobs() -> None:
    registry = Registry()

    @registry.job("report", name="report-eu", cron="0 6 * * *", payload={"region": "eu"})
    @registry.job("report", name="report-us", cron="0 12 * * *", payload={"region": "us"})
    def report(region: str) -> None: ...

    assert [job["name"] for job in jobs_of(registry)] == ["report-us", "report-eu"]
    assert len(registry.handlers) == 1


def test_the_same_job_twice_is_refused_and_so_are_two_settings_of_one_handler() -> None:
    registry = Registry()

    def report() -> None: ...

    registry.job("report", cron="0 6 * * *")(report)
    with pytest.raises(InvalidInput, match="declares the job report twice"):
        registry.job("report", cron="0 7 * * *")(report)
    with pytest.raises(InvalidInput, match="stands there twice, with concurrency 10 and 3"):
        registry.job("report", concurrency=3)(report)


def test_a_module_that_is_loaded_again_declares_its_jobs_once() -> None:
    registry = Registry()
    for expression in ("0 6 * * *", "0 7 * * *"):

        @registry.job("report", cron=expression)
        def report() -> None: ...

    assert [job["trigger"]["expression"] for job in jobs_of(registry)] == ["0 7 * * *"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"cron": "0 61 * * *"}, "cron: hour: 61 is above 23"),
        ({"cron": "0 0 31 2 *"}, "cron: "),
        ({"cron": "* * * * *", "tz": "Europe/Berln"}, "tz: 'Europe/Berln' is not a known time zone"),
        ({"every": 0}, "every: expected 0.1"),
        ({"cron": "* * * * *", "every": 60}, "both cron= and every="),
        ({"every": 60, "tz": "UTC"}, "tz= is for cron="),
        ({"payload": {"n": 1}}, "payload= is for a scheduled job: give cron= or every="),
        ({"concurrency": "skip"}, "concurrency= is for a scheduled job"),
        ({"cron": "* * * * *", "concurrency": "skp"}, "concurrency: must be one of skip, queue"),
        ({"cron": "* * * * *", "prio": 3}, r"has no argument prio=; did you mean priority="),
        ({"cron": "* * * * *", "priority": 10}, "priority: must be a whole number from 0 to 9"),
        ({"cron": "* * * * *", "payload": {"m": 1}}, "does not take the payload of its own schedule: payload: .*`m`"),
        ({"cron": "* * * * *", "payload": {"n": {1, 2} and object()}}, "cannot be written as JSON"),
        ({"cron": "* * * * *", "name": "7"}, "name: must begin with a letter"),
    ],
)
def test_what_cannot_work_fails_where_it_is_written(arguments: dict[str, Any], complaint: str) -> None:
    def report(n: int = 1) -> None: ...

    with pytest.raises(InvalidInput, match=complaint) as caught:
        Registry().job("report.daily", **arguments)(report)
    assert caught.value.problems[0].field.startswith("@job('report.daily') on ")


def test_a_schedule_needs_a_type_without_wildcards() -> None:
    def report() -> None: ...

    with pytest.raises(InvalidInput, match=r"a schedule makes a job of one type, and 'report\.\*' holds a wildcard"):
        Registry().job("report.*", cron="0 6 * * *")(report)


def test_without_the_server_parts_the_import_works_and_the_servers_will_judge() -> None:
    code = """
import sys
sys.modules["cronsim"] = None
from leveret import job
@job("report", cron="0 61 * * *")
def report(): ...
print("declared")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "declared\n", done.stderr


async def test_a_worker_declares_after_hello_and_before_it_claims() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("report", cron="0 6 * * *")
    async def report() -> None: ...

    async with serving(servers, registry) as worker:
        servers.publish("report")
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        kinds = [type(request).__name__ for request in servers.requests if not type(request).__name__.startswith("Heart")]
        assert kinds[:3] == ["Hello", "Declare", "Claim"]
        (declare,) = servers.of(Declare)
        assert declare.worker == worker.id
        assert declare.jobs == jobs_of(registry)


async def test_a_worker_without_schedules_declares_nothing() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("report")
    async def report() -> None: ...

    async with serving(servers, registry):
        assert servers.of(Declare) == []


async def test_a_job_that_the_servers_refuse_is_told_and_the_worker_serves(caplog: pytest.LogCaptureFixture) -> None:
    servers, registry = FakeServers(), Registry()
    servers.problems = ["job report: trigger.expression: hour: 61 is above 23"]

    @registry.job("report", cron="0 6 * * *")
    async def report() -> None: ...

    async with serving(servers, registry):
        servers.publish("report")
        await eventually(lambda: servers.outcomes() == ["succeeded"])
    assert "job report: trigger.expression: hour: 61" in caplog.text


async def test_a_new_incarnation_declares_again() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("report", cron="0 6 * * *")
    async def report() -> None: ...

    async with serving(servers, registry) as worker:
        first = worker.id
        servers.unknown.add(first)
        servers.publish("report")

        def joined_again() -> None:
            assert [request.worker for request in servers.of(Declare)] == [first, worker.id]
            assert worker.id != first
            assert len(servers.of(Hello)) == 2

        await eventually(joined_again)


async def test_a_superseded_declaration_is_made_again_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "SUPERSEDED_INTERVAL", 0.01)
    servers, registry = FakeServers(), Registry()
    servers.superseded = {"report"}

    @registry.job("report", cron="0 6 * * *")
    async def report() -> None: ...

    async with serving(servers, registry):
        await eventually(lambda: len(servers.of(Declare)) >= 3)
        servers.superseded = set()
        known = len(servers.of(Declare))
        await eventually(lambda: len(servers.of(Declare)) == known + 1)
