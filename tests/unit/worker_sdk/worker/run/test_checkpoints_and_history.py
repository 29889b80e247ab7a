"""`ctx.checkpoint`, `ctx.save_checkpoint`, `ctx.last_success_at`, and the outcomes Skip and Snooze, as a worker tells them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from leveret import JobContext, Registry, Skip, Snooze, job
from leveret.testing import run_job
from leveret_core.messages import Checkpoint, Claim, Finished, encode
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving


def saved(servers: FakeServers) -> list[Any]:
    return [json.loads(bytes(event.data)) for event in servers.events if isinstance(event, Checkpoint)]


async def ended(servers: FakeServers, count: int = 1) -> list[Finished]:
    await eventually(lambda: len(servers.finished) == count, timeout=30)
    return servers.finished


async def test_the_last_of_several_checkpoints_is_sent_before_the_end() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("a")
    async def handler(ctx: JobContext) -> None:
        for row in range(50):
            await ctx.save_checkpoint({"row": row})

    async with serving(servers, registry):
        servers.publish("a")
        await ended(servers)
    assert saved(servers)[-1] == {"row": 49}
    assert len(saved(servers)) <= 2
    assert isinstance(servers.events[-1], Finished)
    assert [event.seq for event in servers.events] == list(range(1, len(servers.events) + 1))


async def test_a_thread_saves_and_the_next_attempt_finds_it() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("a")
    def handler(ctx: JobContext) -> Any:
        ctx.save_checkpoint({"row": (ctx.checkpoint or {"row": 0})["row"] + 1})
        return ctx.checkpoint

    async with serving(servers, registry):
        servers.publish("a", occurrence=1)
        servers.publish("a", occurrence=1, attempt=2, checkpoint=msgspec.Raw(b'{"row": 7}'))
        found = await ended(servers, 2)
    assert sorted(bytes(event.result) for event in found) == [b"null", b'{"row":7}']
    assert sorted(each["row"] for each in saved(servers)) == [1, 8]


def in_a_process(ctx: JobContext) -> Any:
    ctx.save_checkpoint({"row": 2})
    return [ctx.checkpoint, None if ctx.last_success_at is None else ctx.last_success_at.isoformat()]


async def test_a_process_has_them_too() -> None:
    servers, registry = FakeServers(), Registry()
    registry.job("a", process=True, last_success=True)(in_a_process)
    async with serving(servers, registry):
        before = datetime(2026, 1, 1, 6, tzinfo=UTC)
        servers.publish("a", checkpoint=msgspec.Raw(b'{"row": 1}'), last_success_at=before)
        found = await ended(servers)
    assert json.loads(bytes(found[0].result)) == [{"row": 1}, "2026-01-01T06:00:00+00:00"]
    assert saved(servers) == [{"row": 2}]


@pytest.mark.parametrize(
    ("data", "kind", "complaint"),
    [
        (object(), TypeError, "cannot be stored as JSON"),
        ("x" * 65_536, ValueError, "has 65538 bytes of JSON; at most 65536"),
        (json.loads("[" * 201 + "]" * 201), ValueError, "nested too deep; at most 200"),
    ],
)
async def test_what_cannot_be_kept_is_an_error_in_the_handler(data: object, kind: type[Exception], complaint: str) -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("a")
    async def handler(ctx: JobContext) -> str:
        with pytest.raises(kind, match=complaint):
            ctx.save_checkpoint(data)
        return "told"

    async with serving(servers, registry):
        servers.publish("a")
        assert bytes((await ended(servers))[0].result) == b'"told"'
    assert saved(servers) == []


async def test_only_handlers_that_ask_cost_a_look_at_the_past() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("a", last_success=True)
    async def asking(ctx: JobContext) -> str:
        return str(ctx.last_success_at)

    @registry.job("b")
    async def silent(ctx: JobContext) -> str:
        return str(ctx.last_success_at)

    async with serving(servers, registry):
        servers.publish("a", occurrence=1, last_success_at=datetime(2026, 1, 1, 6, tzinfo=UTC))
        servers.publish("b", occurrence=2)
        await ended(servers, 2)
    wanted = [id_ for claim in servers.of(Claim) for id_ in claim.last_success or ()]
    assert wanted == [1]
    by_occurrence = {event.occurrence: event for event in servers.finished}
    assert bytes(by_occurrence[1].result) == b'"2026-01-01 06:00:00+00:00"'
    error = by_occurrence[2].error
    assert error is not None
    assert "@job(..., last_success=True)" in error.message
    silent_claims = [claim for claim in servers.of(Claim) if not claim.last_success]
    assert all(b"last_success" not in encode(claim) for claim in silent_claims)


async def test_skip_and_snooze_are_told_as_they_are() -> None:
    servers, registry = FakeServers(), Registry()

    @registry.job("skip")
    async def skips() -> None:
        raise Skip("nothing new since yesterday")

    @registry.job("snooze")
    def snoozes() -> object:
        return Snooze("the file is not there", after=timedelta(minutes=5), limit=12)

    async with serving(servers, registry):
        servers.publish("skip", occurrence=1)
        servers.publish("snooze", occurrence=2)
        await ended(servers, 2)
    told = {event.occurrence: event for event in servers.finished}
    assert (told[1].outcome, told[1].error and told[1].error.message) == ("skipped", "nothing new since yesterday")
    assert (told[2].outcome, told[2].retry_after, told[2].max_snoozes) == ("snoozed", 300.0, 12)
    assert b"max_snoozes" not in encode(told[1])  # the ends of others carry none of it


@dataclass
class Rates:
    euro: float


async def test_a_test_gives_a_handler_its_state_checkpoint_and_history() -> None:
    async def handler(ctx: JobContext) -> list[object]:
        ctx.save_checkpoint({"row": ctx.checkpoint["row"] + 1})
        return [ctx.state[Rates].euro, str(ctx.last_success_at)]

    @job("test.history.kit", last_success=True)
    async def known(ctx: JobContext) -> list[object]:
        return await handler(ctx)

    before = datetime(2026, 1, 1, tzinfo=UTC)
    done = await run_job(known, state=[Rates(1.5)], checkpoint={"row": 7}, last_success_at=before)
    assert (done.result, done.checkpoint) == ([1.5, "2026-01-01 00:00:00+00:00"], {"row": 8})
    without = await run_job(handler, checkpoint={"row": 1})
    assert without.error is not None
    assert without.error.message == "ctx.state holds no Rates: give it to run_job(..., state=[...])"
    assert (await run_job(_skips)).outcome == "skipped"


async def _skips() -> None:
    raise Skip("nothing")


@pytest.mark.parametrize("wrong", [{"after": -1}, {"after": float("nan")}, {"after": 1e9}, {"after": 1, "limit": 0}])
def test_a_snooze_without_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Snooze(**wrong)
