"""Outcomes of handlers, as `leveret.testing.run_job` shows them and a worker sends them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import leveret
from leveret import Cancel, Fail, JobContext, NoJobRunning, Registry, Retry, current, job
from leveret.config import WorkerConfig
from leveret.testing import run_job

QUICK = WorkerConfig(stop_grace=0.1)


async def test_a_result_comes_back_as_from_json() -> None:
    async def handler() -> object:
        return {"at": datetime(2026, 1, 1, tzinfo=UTC), "numbers": (1, 2)}

    done = await run_job(handler)
    assert (done.outcome, done.result) == ("succeeded", {"at": "2026-01-01T00:00:00Z", "numbers": [1, 2]})


async def test_an_error_is_kept_with_its_type_and_the_users_frames() -> None:
    def broken() -> None:
        raise ValueError("no such mailbox")

    async def handler() -> None:
        broken()

    done = await run_job(handler)
    assert (done.outcome, done.retry) == ("failed", True)
    assert done.error is not None
    assert (done.error.type, done.error.message) == ("ValueError", "no such mailbox")
    assert "in broken" in done.error.traceback
    assert "_invocation.py" not in done.error.traceback


async def test_an_error_that_cannot_be_shown_still_ends_the_attempt() -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def handler() -> None:
        raise UnprintableError

    done = await run_job(handler)
    assert done.outcome == "failed"
    assert done.error is not None
    assert "cannot be shown" in done.error.message


@pytest.mark.parametrize("how", ["return", "raise"])
@pytest.mark.parametrize("kind", ["async", "thread"])
@pytest.mark.parametrize(
    ("word", "outcome", "retry", "retry_after", "message"),
    [
        (Retry("busy", after=60), "failed", True, 60.0, "busy"),
        (Retry(after=timedelta(minutes=2)), "failed", True, 120.0, ""),
        (Retry(), "failed", True, None, ""),
        (Fail("no such user"), "failed", False, None, "no such user"),
        (Fail("later", retry=True), "failed", True, None, "later"),
        (Cancel("nothing to do"), "cancelled", True, None, "nothing to do"),
    ],
)
async def test_outcomes_may_be_returned_or_raised(
    how: str, kind: str, word: Any, outcome: str, retry: bool, retry_after: float | None, message: str
) -> None:
    def plain() -> object:
        if how == "raise":
            raise word
        return word

    async def handler() -> object:
        return plain()

    done = await run_job(handler if kind == "async" else plain)
    assert (done.outcome, done.retry, done.retry_after) == (outcome, retry, retry_after)
    assert done.error is not None
    assert done.error.message == message


@pytest.mark.parametrize("after", [-1, float("inf"), float("nan"), timedelta(seconds=-1)])
def test_a_retry_cannot_be_asked_for_the_past(after: float | timedelta) -> None:
    with pytest.raises(ValueError, match="after must be"):
        Retry(after=after)


def nested(levels: int) -> object:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("result", [nested(200), "[" * 1000, [[]] * 1000], ids=["deep", "brackets in a text", "wide"])
async def test_a_result_that_only_looks_too_deep_is_kept(result: object) -> None:
    async def handler() -> object:
        return result

    assert (await run_job(handler)).result == result


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (object(), "object is not a JSON type"),
        ("\ud800", "cannot be stored as JSON"),
        ("x" * 300_000, "at most 262144 are kept"),
        (nested(201), "nested too deep"),
    ],
)
async def test_a_result_that_cannot_be_kept_fails_for_good(result: object, message: str) -> None:
    async def handler() -> object:
        return result

    done = await run_job(handler)
    assert (done.outcome, done.retry) == ("failed", False)
    assert done.error is not None
    assert message in done.error.message


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_that_exits_takes_nothing_with_it(kind: str) -> None:
    async def handler() -> None:
        sys.exit(3)

    def plain() -> None:
        sys.exit(3)

    done = await run_job(handler if kind == "async" else plain)
    assert done.outcome == "failed"
    assert done.error is not None
    assert done.error.type == "SystemExit"


async def test_a_handler_that_waits_for_something_cancelled_has_failed_itself() -> None:
    async def handler() -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    done = await run_job(handler)
    assert done.outcome == "failed"
    assert done.error is not None
    assert "CancelledError" in done.error.type


async def test_an_async_handler_is_interrupted_at_its_timeout_and_may_clean_up() -> None:
    cleaned: list[bool] = []

    async def handler(ctx: JobContext) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            cleaned.append(ctx.cancelled)

    done = await run_job(handler, timeout=0.05)
    assert (done.outcome, cleaned) == ("timed_out", [True])
    assert done.error is not None
    assert "0.05 s" in done.error.message


async def test_a_thread_sees_that_it_should_stop() -> None:
    def handler(ctx: JobContext) -> str:
        while not ctx.cancelled:
            time.sleep(0.005)
        return "partial"

    done = await run_job(handler, timeout=0.05)
    assert (done.outcome, done.result) == ("timed_out", None)
    done = await run_job(handler, cancel_after=0.05)
    assert done.outcome == "cancelled"


async def test_an_attempt_that_ends_before_its_cancellation_has_succeeded() -> None:
    async def handler() -> int:
        return 1

    assert (await run_job(handler, cancel_after=5)).outcome == "succeeded"


async def test_a_handler_that_swallows_its_interruption_is_reported_after_the_grace() -> None:
    release = asyncio.Event()

    async def handler() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    done = await run_job(handler, cancel_after=0.01, config=QUICK)
    release.set()
    assert done.outcome == "cancelled"


async def test_the_context_tells_everything_about_the_attempt() -> None:
    seen: list[JobContext] = []

    @job("testing.context.*", timeout=40)
    async def handler(ctx: JobContext) -> None:
        seen.append(ctx)

    due = datetime(2026, 2, 3, tzinfo=UTC)
    await run_job(handler, job="nightly", occurrence=7, attempt=2, max_attempts=3, scheduled_for=due)
    (ctx,) = seen
    assert (ctx.job, ctx.type, ctx.occurrence, ctx.attempt, ctx.max_attempts) == ("nightly", "testing.context.test", 7, 2, 3)
    assert (ctx.scheduled_for, ctx.timeout, ctx.cancelled) == (due, 40, False)
    assert ctx.remaining is not None
    assert 35 < ctx.remaining <= 40
    assert ctx.deadline is not None
    assert timedelta(seconds=30) < ctx.deadline - datetime.now(UTC) <= timedelta(seconds=40)


async def test_current_works_in_whatever_the_handler_calls() -> None:
    async def in_task() -> int:
        return current().occurrence

    def in_thread() -> int:
        return current().occurrence

    async def handler() -> list[int]:
        context = contextvars.copy_context()
        return [
            current().occurrence,
            await asyncio.create_task(in_task()),
            await asyncio.to_thread(in_thread),
            context.run(in_thread),
        ]

    assert (await run_job(handler, occurrence=5)).result == [5] * 4
    assert (await run_job(in_thread, occurrence=6)).result == 6


def test_current_outside_of_a_handler_is_an_error() -> None:
    with pytest.raises(NoJobRunning, match="in a handler"):
        leveret.current()


async def test_log_records_of_any_logger_are_kept_with_level_and_fields() -> None:
    async def handler(ctx: JobContext) -> None:
        ctx.log.info("starting %s", "now")
        logging.getLogger("some.library").warning("slow", extra={"seconds": 2, "api_key": "abc", "odd": {1, 2}})
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("app").exception("went wrong")
        logging.getLogger("app").debug("not kept")

    done = await run_job(handler)
    assert [(log.level, log.seq) for log in done.logs] == [("info", 1), ("warning", 2), ("error", 3)]
    assert done.logs[0].message == "starting now"
    assert done.logs[0].fields is None
    assert done.logs[1].fields == {"api_key": "[redacted]", "odd": [1, 2], "seconds": 2}
    assert "KeyError: 'x'" in done.logs[2].message


async def test_records_from_threads_of_the_handler_are_its_own_and_others_are_not() -> None:
    def outside() -> None:
        logging.getLogger("app").error("not of this job")

    def handler(ctx: JobContext) -> None:
        thread = threading.Thread(target=outside)
        thread.start()
        thread.join()
        logging.getLogger("app").error("of this job")

    done = await run_job(handler)
    assert [log.message for log in done.logs] == ["of this job"]


async def test_log_records_are_cleaned_and_bounded() -> None:
    async def handler(ctx: JobContext) -> None:
        ctx.log.info("\x1b[31mred\x1b[0m\x00", extra={"text": "a\x00b\ud800", "size": "x" * 5_000})

    done = await run_job(handler)
    assert done.logs[0].message == "red"
    assert done.logs[0].fields is not None
    assert done.logs[0].fields["text"] == "ab?"
    assert len(done.logs[0].fields["size"]) == 2_000


async def test_of_many_log_records_the_first_and_the_latest_are_kept() -> None:
    async def handler(ctx: JobContext) -> None:
        for number in range(20_000):
            ctx.log.info("record %d", number)
        raise ValueError("here it went wrong")

    done = await run_job(handler, config=WorkerConfig(log_limit=5))
    messages = [log.message for log in done.logs]
    assert messages[:3] == ["record 0", "record 1", "record 2"]
    assert messages[3].startswith("19,995 log records are left out here")
    assert done.logs[3].fields == {"left_out": 19_995}
    assert messages[4:] == ["record 19998", "record 19999"]


async def test_none_of_few_log_records_is_left_out() -> None:
    async def handler(ctx: JobContext) -> None:
        for number in range(5):
            ctx.log.info("record %d", number)

    done = await run_job(handler, config=WorkerConfig(log_limit=5))
    assert [log.message for log in done.logs] == [f"record {number}" for number in range(5)]


async def test_the_latest_log_records_take_a_bounded_memory() -> None:
    async def handler(ctx: JobContext) -> None:
        for number in range(3_000):
            ctx.log.info("%d %s", number, "x" * 4_000)

    done = await run_job(handler)
    assert len(done.logs) < 1_000 + 1 + 300
    assert done.logs[-1].message.startswith("2999 ")


async def test_progress_is_gathered_and_the_last_report_is_sent() -> None:
    async def handler(ctx: JobContext) -> None:
        for step in range(1000):
            ctx.progress(step / 1000, "rows")
        ctx.progress(7)

    done = await run_job(handler)
    assert done.progress == [(1.0, "")]


async def test_progress_that_is_no_number_is_refused() -> None:
    async def handler(ctx: JobContext) -> None:
        ctx.progress(float("nan"))

    done = await run_job(handler)
    assert done.outcome == "failed"


async def test_a_process_handler_runs_in_a_thread_here() -> None:
    registry = Registry()
    function = registry.job("cpu", process=True)(threading_name)
    assert (await run_job(function)).result != "MainThread"


def threading_name() -> str:
    return threading.current_thread().name
