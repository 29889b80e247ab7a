"""Schedules, policies and handlers in `leveret.testing.Environment`. That it agrees with the product is an integration test."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

import leveret.testing
from leveret import Fail, JobContext, Registry, Retry, Skip, Snooze, registry
from leveret.errors import ConfigurationError, Conflict, InvalidInput, LeveretError, LifespanError, NotFound
from leveret.testing import Environment, ServerRules

SATURDAY = "2026-03-28T00:00:00Z"
"""The day before the clocks of Berlin go forward."""


@pytest.fixture
def handlers() -> Registry:
    made = Registry()

    @made.job("report.*")
    async def report(ctx: JobContext, minutes: float = 0) -> str:
        ctx.log.info("for %s", ctx.scheduled_for.date())
        await asyncio.sleep(minutes * 60)
        return str(ctx.scheduled_for.date())

    @made.job("flaky")
    async def flaky(ctx: JobContext, good: int = 3) -> int:
        if ctx.attempt < good:
            raise ValueError("no such mailbox")
        return ctx.attempt

    return made


async def test_a_nightly_report_over_the_weekend_in_which_clocks_change(handlers: Registry) -> None:
    async with Environment(handlers, now=SATURDAY) as env:
        env.define("report", type="report.daily", cron="30 2 * * *", tz="Europe/Berlin", payload={"minutes": 10})
        assert [at.isoformat() for at in env.upcoming("report", 2)] == [
            "2026-03-28T02:30:00+01:00",
            "2026-03-29T03:00:00+02:00",
        ]
        await env.advance(days=2)
        first, second = env.assert_occurred("report", times=2, state="succeeded")
        assert (first.result, second.result) == ("2026-03-28", "2026-03-29")
        env.assert_occurred("report", at=["2026-03-28 02:30", "2026-03-29T01:00:00Z"], payload={"minutes": 10})
        assert [line.message for line in env.logs("report")] == ["for 2026-03-28", "for 2026-03-29"]
        assert [line.at for line in env.logs(occurrence=second)] == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
        assert env.now == datetime(2026, 3, 30, tzinfo=UTC)


def test_plain_tests_need_no_await(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily", every=timedelta(hours=1))
        env.advance(until="2026-01-01T03:30:00Z")
        env.assert_occurred("report", times=3, state="succeeded")
        assert env.occurrences("report", state=["failed", "timed_out"]) == []


def test_what_can_happen_now_has_happened_when_a_call_returns(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily")
        assert env.trigger("report").state == "succeeded"
        slow = env.trigger("report", payload={"minutes": 60})
        assert (slow.state, slow.result, slow.finished_at) == ("running", None, None)
        env.advance(minutes=59)
        assert slow.state == "running"
        env.advance(minutes=1)
        assert slow.state == "succeeded"


def test_retries_follow_each_other_by_the_policy_with_the_longest_delays(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("mail", type="flaky", retry={"max_attempts": 3, "delay": 10})
        mail = env.trigger("mail")
        assert (mail.state, mail.retry_at) == ("retrying", env.now + timedelta(seconds=10))
        env.finish()
        assert (mail.state, mail.result, env.now) == ("succeeded", 3, datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC))
        assert [attempt.outcome for attempt in mail.attempts] == ["failed", "failed", "succeeded"]
        error = mail.attempts[0].error
        assert error is not None
        assert "no such mailbox" in error.traceback
        assert mail.error is None


def test_a_seed_draws_the_delays_as_the_product_does_and_always_the_same(handlers: Registry) -> None:
    def delay(seed: int) -> timedelta:
        with Environment(handlers, seed=seed) as env:
            env.define("mail", type="flaky", retry={"delay": 100})
            at = env.trigger("mail").retry_at
            assert at is not None
            return at - env.now

    assert delay(1) == delay(1) != delay(2)
    assert timedelta(seconds=50) <= delay(1) <= timedelta(seconds=100)


def test_a_handler_that_runs_past_its_timeout_is_interrupted_then_and_its_context_goes_by_the_same_clock() -> None:
    seen: list[tuple[float | None, datetime | None]] = []
    made = Registry()

    @made.job("slow", timeout=90)
    async def slow(ctx: JobContext) -> None:
        await asyncio.sleep(30)
        seen.append((ctx.remaining, ctx.deadline))
        await asyncio.sleep(3600)

    with Environment(made) as env:
        env.define("slow", type="slow", retry={"max_attempts": 1})
        occurrence = env.trigger("slow")
        env.advance(seconds=89)
        assert occurrence.state == "running"
        env.advance(seconds=1)
        assert occurrence.state == "timed_out"
        assert seen == [(60.0, datetime(2026, 1, 1, 0, 1, 30, tzinfo=UTC))]


def test_what_handlers_say_is_understood() -> None:
    made = Registry()
    words = {"retry": Retry("busy", after=600), "skip": Skip("nothing new"), "snooze": Snooze("not yet", after=60, limit=1)}

    @made.job("says")
    async def says(word: str, ctx: JobContext) -> None:
        if ctx.attempt < 3:
            raise words.get(word, Fail("no such account"))

    with Environment(made) as env:
        env.define("says", type="says", concurrency="allow")
        made_of = {word: env.trigger("says", payload={"word": word}) for word in (*words, "fail")}
        assert made_of["retry"].retry_at == env.now + timedelta(minutes=10)
        assert made_of["snooze"].retry_at == env.now + timedelta(minutes=1)
        assert (made_of["skip"].state, made_of["skip"].reason) == ("skipped", "nothing new")
        assert (made_of["fail"].state, made_of["fail"].reason) == ("failed", "the handler said not to retry")
        env.finish()
        assert made_of["retry"].state == "succeeded"
        assert made_of["snooze"].reason == "snoozed 1 times, as often as its handler allows"


def test_a_payload_that_no_handler_takes_is_refused_and_fails_what_runs_all_the_same(handlers: Registry) -> None:
    with Environment(handlers) as env:
        with pytest.raises(InvalidInput, match=r"payload\.minutes: .*the handler is .*report"):
            env.define("report", type="report.daily", payload={"minutes": "ten"})
        env.define("report", type="report.daily")
        with pytest.raises(InvalidInput, match=r"payload\.minutes"):
            env.trigger("report", payload={"minutes": "ten"})
        done = env.requeue(env.trigger("report"), payload={"minutes": "ten"})
        assert done.state == "failed"
        assert done.error is not None
        assert "payload.minutes" in done.error.message


def test_an_outage_and_what_catch_up_says(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("latest", type="report.a", cron="0 * * * *")
        env.define("all", type="report.b", cron="0 * * * *", catch_up="all", catch_up_window=86_400, concurrency="queue")
        env.down(hours=3, minutes=30)
        env.assert_occurred("latest", at=["2026-01-01T03:00:00Z"], state="succeeded")
        env.assert_occurred("all", times=3, state="succeeded")
        (missed,) = env.occurrences("latest", state="missed")
        assert missed.missed == (2, datetime(2026, 1, 1, 2, tzinfo=UTC))


def test_a_paused_job_is_not_due_and_a_resumed_one_does_not_run_what_it_missed(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily", cron="0 * * * *")
        env.pause("report", "holidays")
        assert env.upcoming("report") == []
        env.advance(hours=5)
        env.assert_not_occurred("report")
        env.resume("report")
        env.advance(hours=1)
        env.assert_occurred("report", times=1)


def test_a_dead_worker_costs_its_lease_and_an_attempt_that_is_not_charged(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily", payload={"minutes": 60}, retry={"max_attempts": 1})
        occurrence = env.trigger("report")
        env.advance(minutes=30)
        env.kill_workers()
        assert occurrence.state == "running"
        env.finish()
        assert [attempt.outcome for attempt in occurrence.attempts] == ["lost", "succeeded"]
        assert env.now == datetime(2026, 1, 1, 1, 30, 30, tzinfo=UTC)


def test_an_occurrence_is_cancelled_and_requeued(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily", payload={"minutes": 60})
        occurrence = env.trigger("report")
        with pytest.raises(Conflict, match="only one that has ended"):
            env.requeue(occurrence)
        env.cancel(occurrence, "not wanted")
        assert (occurrence.state, occurrence.reason) == ("cancelled", "not wanted")
        with pytest.raises(Conflict, match="too late"):
            env.cancel(occurrence)
        again = env.requeue(occurrence, payload={})
        assert (again.state, again.origin, again.requeue_of) == ("succeeded", "requeue", occurrence.id)


def test_triggers_of_one_key_are_one_and_those_for_later_come_later(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily")
        first = env.trigger("report", idempotency_key="march", priority=9)
        assert env.trigger("report", idempotency_key="march") is first
        assert first.priority == 9
        later = env.trigger("report", delay=timedelta(days=3))
        other = env.trigger("report", at="2026-01-02T00:00:00Z")
        assert (later.state, other.state) == ("scheduled", "scheduled")
        env.advance(days=2)
        assert (later.state, other.state) == ("scheduled", "succeeded")
        env.finish(days=3)
        env.assert_occurred("report", at=["2026-01-01", "2026-01-02", "2026-01-04"])


def test_handlers_of_one_pattern_run_as_many_at_once_as_they_may() -> None:
    made, most, running = Registry(), 0, 0

    @made.job("busy", concurrency=2)
    async def busy() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(60)
        running -= 1

    with Environment(made) as env:
        env.define("busy", type="busy", concurrency="allow")
        for _ in range(5):
            env.trigger("busy")
        assert len(env.occurrences(state="pending")) == 3
        env.finish()
        assert (most, env.now) == (2, datetime(2026, 1, 1, 0, 3, tzinfo=UTC))


def test_jobs_declared_with_their_handlers_are_there_from_the_beginning() -> None:
    made = Registry()

    @made.job("report.nightly", cron="30 2 * * *", tz="Europe/Berlin", name="nightly", payload={"a": 1})
    async def nightly(a: int) -> int:
        return a

    with Environment(made, now=SATURDAY) as env:
        env.advance(days=3)
        env.assert_occurred("nightly", times=3, state="succeeded", payload={"a": 1})
        with pytest.raises(Conflict, match="nightly already"):
            env.define("nightly", type="report.nightly")
    with Environment(made, declared=False) as env, pytest.raises(NotFound):
        env.job("nightly")


class Pool:
    def __init__(self) -> None:
        self.open = True


def test_lifespans_begin_and_end_with_the_environment() -> None:
    made, pools = Registry(), list[Pool]()

    @made.lifespan
    async def pool() -> AsyncIterator[Pool]:
        await asyncio.sleep(5)
        pools.append(Pool())
        yield pools[0]
        await asyncio.sleep(5)
        pools[0].open = False

    @made.job("uses")
    async def uses(ctx: JobContext) -> bool:
        return ctx.state[Pool].open

    with Environment(made) as env:
        env.define("uses", type="uses")
        assert env.trigger("uses").result is True
    assert [pool.open for pool in pools] == [False]


def test_a_lifespan_that_does_not_start_is_an_error() -> None:
    made = Registry()

    @made.lifespan
    async def broken() -> AsyncIterator[None]:
        raise OSError("no route")
        yield

    @made.job("uses")
    async def uses() -> None: ...

    with pytest.raises(LifespanError, match="no route"), Environment(made):
        pass


def test_checkpoints_and_the_last_success_are_told_to_the_next() -> None:
    made, seen = Registry(), list[tuple[Any, datetime | None]]()

    @made.job("sync", last_success=True)
    async def sync(ctx: JobContext) -> None:
        seen.append((ctx.checkpoint, ctx.last_success_at))
        await ctx.save_checkpoint({"page": ctx.attempt})
        if ctx.attempt == 1:
            raise ValueError

    with Environment(made) as env:
        env.define("sync", type="sync", cron="0 * * * *")
        env.advance(hours=2, minutes=1)
    assert seen == [
        (None, None),
        ({"page": 1}, None),
        (None, datetime(2026, 1, 1, 1, tzinfo=UTC)),
        ({"page": 1}, datetime(2026, 1, 1, 1, tzinfo=UTC)),
    ]


def test_a_handler_may_trigger_another_job_and_may_not_move_the_clock(handlers: Registry) -> None:
    @handlers.job("first")
    async def first() -> None:
        env.trigger("report")
        with pytest.raises(LeveretError, match="cannot move the clock"):
            env.advance(hours=1)

    @handlers.job("second")
    def second() -> None:
        env.trigger("report")
        with pytest.raises(NotFound):
            env.trigger("nothing")

    with Environment(handlers) as env:
        env.define("first", type="first")
        env.define("second", type="second")
        env.define("report", type="report.daily")
        assert env.trigger("first").state == "succeeded"
        env.assert_occurred("report", times=1, state="succeeded")
        assert env.trigger("second").state == "succeeded"
        env.assert_occurred("report", times=2, state="succeeded")


# What failing tests say


def told(call: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        call(*args, **more)
    return str(raised.value)


def test_a_failed_assertion_tells_what_did_occur(handlers: Registry) -> None:
    with Environment(handlers, now=SATURDAY) as env:
        env.define(
            "report", type="report.daily", cron="30 2 * * *", tz="Europe/Berlin", payload={"minutes": 2000}, max_concurrent=1
        )
        env.define("mail", type="flaky", retry={"max_attempts": 2})
        env.advance(days=2)
        assert told(env.assert_occurred, "report", times=2, state="succeeded") == (
            "report should have occurred 2 times as succeeded; it did 1 time. "
            "All that occurred until Mon 2026-03-30 02:00:00 +02:00:\n"
            "  #1  Sat 2026-03-28 02:30:00 +01:00  succeeded\n"
            "  #2  Sun 2026-03-29 03:00:00 +02:00  skipped    (1 of 1 already live: occurrence 1 was running)"
        )
        assert told(env.assert_occurred, "report", at=["2026-03-28 02:30", "2026-03-30 02:30"]).startswith(
            "report should have occurred at Sat 2026-03-28 02:30:00 +01:00, Mon 2026-03-30 02:30:00 +02:00; it did 1 time."
        )
        assert told(env.assert_not_occurred, "report", state="skipped").startswith(
            "report should not have occurred as skipped; it did 1 time."
        )
        assert told(env.assert_occurred, "mail", payload={"to": "ada"}) == (
            "mail should have occurred at least once with the payload {'to': 'ada'}; "
            "it did not occur at all: it is not due, and now is Mon 2026-03-30 00:00:00 +00:00"
        )
        env.trigger("mail")
        assert told(env.finish, seconds=1) == (
            "this is not final at Mon 2026-03-30 00:00:01 +00:00:\n"
            "  mail  #3  Mon 2026-03-30 00:00:00 +00:00  retrying   next attempt Mon 2026-03-30 00:00:05 +00:00  "
            "ValueError: no such mailbox"
        )


def test_an_occurrence_that_no_handler_serves_says_so(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("lonely", type="none.serves.this")
        env.trigger("lonely")
        assert "(no handler serves none.serves.this)" in told(env.assert_occurred, "lonely", state="succeeded")


def test_everything_reads_well_in_a_debugger(handlers: Registry) -> None:
    with Environment(handlers, now=SATURDAY) as env:
        job = env.define("report", type="report.daily", cron="30 2 * * *", tz="Europe/Berlin")
        assert repr(job) == "<job report of type report.daily, due Sat 2026-03-28 02:30:00 +01:00>"
        env.advance(days=1)
        (done,) = env.occurrences()
        assert repr(done) == "<report #1  Sat 2026-03-28 02:30:00 +01:00  succeeded>"
        assert repr(done.attempts) == "[<attempt 1 succeeded, 2026-03-28 01:30:00 to 2026-03-28 01:30:00 UTC>]"
        assert str(env).splitlines()[1:] == ["  report  #1  Sat 2026-03-28 02:30:00 +01:00  succeeded"]


def test_long_lists_are_cut(handlers: Registry) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily", every=60)
        env.advance(hours=2)
        message = told(env.assert_occurred, "report", times=1)
        assert "it did 120 times" in message
        assert "  ... 90 earlier ones\n  #91" in message


MISTAKES: list[tuple[Callable[[Environment], object], str]] = [
    (lambda env: env.define("a", type="a.*"), "type: 'a.\\*' holds a wildcard"),
    (lambda env: env.define("a", type="a", cron="61 * * * *"), "trigger.expression: minute: 61 is above 59"),
    (lambda env: env.define("a", type="a", cron="* * * * *", every=5), "every: cannot be given together with cron"),
    (lambda env: env.define("a", type="a", tz="Europe/Berlin"), "tz: belongs to cron or at"),
    (lambda env: env.define("a", type="a", at="2020-01-01T00:00:00Z"), "trigger.at: is in the past"),
    (lambda env: env.define("a", type="a", concurency="skip"), "did you mean concurrency?"),
    (lambda env: env.define("a", type="a", payload={"x": (1, 2)}), "payload.x: is a tuple"),
    (lambda env: env.trigger("reprot"), "there is no job named 'reprot'; did you mean report\\? \\(there are: report\\)"),
    (lambda env: env.trigger("report", payload=cast("Any", [1])), "payload: must be a JSON object"),
    (lambda env: env.trigger("report", priority=11), "priority: must be a whole number from 0 to 9"),
    (lambda env: env.trigger("report", delay=1, at="2026-01-01"), "at: cannot be given together with delay"),
    (lambda env: env.advance(), "until: say either how long"),
    (lambda env: env.advance(until="2020-01-01"), "is past; time goes on from"),
    (lambda env: env.occurrences(state="done"), "'done' is not a state: scheduled, waiting"),
]


@pytest.mark.parametrize(("wrong", "message"), MISTAKES)
def test_mistakes_are_told_in_the_words_of_the_product(
    handlers: Registry, wrong: Callable[[Environment], object], message: str
) -> None:
    with Environment(handlers) as env:
        env.define("report", type="report.daily")
        with pytest.raises((InvalidInput, NotFound), match=message):
            wrong(env)
        assert env.occurrences() == []


def test_an_environment_is_opened_once(handlers: Registry) -> None:
    env = Environment(handlers)
    with pytest.raises(LeveretError, match="is not open: write `with Environment"):
        env.advance(hours=1)
    with env:
        pass
    with pytest.raises(LeveretError, match="opened once"):
        env.__enter__()


# Where handlers come from


def test_a_module_stands_for_the_handlers_in_it_and_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "default_registry", registry.Registry())
    monkeypatch.setattr("leveret.testing.handlers.default_registry", registry.default_registry)
    modules: list[types.ModuleType] = []
    for name in ("shop", "shop.mail", "shopping"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        code = f"async def work() -> str: return {name!r}"
        exec(compile(code, name, "exec"), module.__dict__)
        registry.default_registry.job(name)(module.work)
        modules.append(module)

    def served(source: Any) -> list[str]:
        found: list[str] = []
        with Environment(source) as env:
            for name in ("shop", "shop.mail", "shopping"):
                env.define(name, type=name)
                found += [name] if env.trigger(name).state == "succeeded" else []
        return found

    assert served(modules[0]) == ["shop", "shop.mail"]
    assert served(modules[1:]) == ["shop.mail", "shopping"]
    assert served(None) == ["shop", "shop.mail", "shopping"]
    with pytest.raises(ConfigurationError, match="no handlers in asyncio"):
        Environment(asyncio)


def test_a_library_that_is_missing_is_told_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("leveret.testing.", "leveret_core.triggers", "leveret_core.job_"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(leveret.testing, "environment", raising=False)
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ConfigurationError, match=r"Environment needs cronsim: install leveret\[testing\]"):
        _ = leveret.testing.Environment


def test_priority_is_felt_behind_the_publish_window() -> None:
    made, ran = Registry(), list[int]()

    @made.job("mail", concurrency=1)
    async def mail(ctx: JobContext, n: int) -> None:
        ran.append(n)
        await asyncio.sleep(60)

    with Environment(made, rules=ServerRules(publish_window=1)) as env:
        env.define("mail", type="mail", concurrency="allow")
        for n, priority in enumerate((5, 5, 5, 9, 7)):
            env.trigger("mail", payload={"n": n}, priority=priority)
        env.finish()
    assert ran == [0, 1, 3, 4, 2]
