"""Events while the broker takes none: memory first, then disk, then no more claims; results are never dropped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from leveret import JobContext, Registry
from leveret.config import WorkerConfig
from leveret.worker.report.events import EventBuffer
from leveret.worker.report.left_over import left_over
from leveret_core.messages import Finished, Log, decode_events
from support.eventually import eventually
from support.fake_broker import FakeBroker, FakeServers
from support.workers import serving


def a_log(seq: int, occurrence: int = 1, message: str = "") -> Log:
    at = datetime.now(UTC)
    return Log(occurrence=occurrence, attempt=1, token="t", seq=seq, at=at, level="info", message=message or f"record {seq}")


def a_finish(number: int, size: int = 10) -> Finished:
    """The end of the run `number`, from 0 on."""
    result = msgspec.Raw(b'"' + b"x" * size + b'"')
    return Finished(occurrence=number + 1, attempt=1, token="t", seq=1, outcome="succeeded", duration=0, result=result)


def ended(servers: FakeServers) -> list[int]:
    """The numbers of the runs whose ends have arrived, in that order."""
    return [event.occurrence - 1 for event in servers.finished]


@asynccontextmanager
async def sending(servers: FakeServers, folder: Path, **config: Any) -> AsyncGenerator[EventBuffer]:
    config = {"send_timeout": 0.2, "spool_dir": folder, **config}
    broker = FakeBroker(servers)
    broker.started = True
    buffer = EventBuffer(broker, WorkerConfig(**config))
    task = asyncio.create_task(buffer.run())
    try:
        yield buffer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        buffer.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def on_disk(folder: Path) -> list[int]:
    """Numbers of the runs whose ends are in files that no process holds."""
    found: list[int] = []
    with left_over(folder) as messages:
        for body in messages:
            found += [event.occurrence - 1 for event in decode_events(body).events if isinstance(event, Finished)]
    return found


async def test_what_the_broker_does_not_take_goes_to_disk_and_is_sent_in_order_when_it_does(tmp_path: Path) -> None:
    servers, confirmed = FakeServers(), list[int]()
    servers.away = True
    async with sending(servers, tmp_path) as buffer:
        for number in range(300):
            buffer.add("w", a_log(number + 1))
            buffer.finish("w", a_finish(number), partial(confirmed.append, number))
            if number % 100 == 0:
                await asyncio.sleep(0.1)
        await eventually(lambda: buffer.waiting == 0 and buffer.kept)
        assert confirmed == []
        servers.away = False
        assert await buffer.flush(10)
        assert ended(servers) == list(range(300))
        assert [event.seq for event in servers.logs] == list(range(1, 301))
        assert confirmed == list(range(300)), "a dispatch message is acknowledged when the end is confirmed, and not before"
        assert files(tmp_path) != []
    assert files(tmp_path) == []


async def test_nothing_is_written_while_the_broker_takes_everything(tmp_path: Path) -> None:
    servers = FakeServers()
    async with sending(servers, tmp_path / "spool") as buffer:
        for number in range(1000):
            buffer.finish("w", a_finish(number))
        assert await buffer.flush(5)
    assert not (tmp_path / "spool").exists()


async def test_memory_stays_bounded_while_ten_times_as_much_waits(tmp_path: Path) -> None:
    servers = FakeServers()
    servers.away = True
    async with sending(servers, tmp_path, buffered_bytes=200_000) as buffer:
        for number in range(20):
            buffer.finish("w", a_finish(number, 100_000))
            await eventually(lambda: buffer.waiting <= 2)
        await eventually(buffer.room.is_set)
        servers.away = False
        assert await buffer.flush(10)
    assert ended(servers) == list(range(20))


async def test_when_the_disk_fills_logs_are_dropped_and_counted_and_no_end_is_lost(tmp_path: Path) -> None:
    servers = FakeServers()
    servers.away = True
    async with sending(servers, tmp_path, buffered_events=100, spool_size=100_000) as buffer:
        for seq in range(1, 2001):
            buffer.add("w", a_log(seq, message="m" * 100))
            if seq % 20 == 0:
                buffer.finish("w", a_finish(seq))
                await asyncio.sleep(0.002)
        await eventually(lambda: buffer.waiting <= 100)
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 100_000
        servers.away = False
        assert await buffer.flush(10)
    assert ended(servers) == list(range(20, 2001, 20))
    assert len({event.seq for event in servers.logs}) == len(servers.logs)
    notices = [event for event in servers.logs if event.level == "warning"]
    told = sum(int(event.message.split()[0]) for event in notices)
    assert notices
    assert told + len(servers.logs) - len(notices) == 2000, "each record is there, or counted"


async def test_when_memory_and_disk_are_full_of_ends_there_is_no_room_until_the_broker_takes_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    servers = FakeServers()
    servers.away = True
    async with sending(servers, tmp_path, buffered_bytes=50_000, spool_size=100_000) as buffer:
        for number in range(20):
            buffer.finish("w", a_finish(number, 10_000))
            await asyncio.sleep(0.06)
        await eventually(lambda: not buffer.room.is_set())
        assert "nothing more is claimed" in caplog.text
        servers.away = False
        assert await buffer.flush(10)
        assert buffer.room.is_set()
    assert ended(servers) == list(range(20))


@pytest.mark.parametrize("disk", ["none", "broken"])
async def test_without_a_disk_ends_wait_in_memory_and_claims_stop(tmp_path: Path, disk: str) -> None:
    servers = FakeServers()
    servers.away = True
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" if disk == "broken" else None
    async with sending(servers, tmp_path, spool_dir=folder, buffered_bytes=50_000) as buffer:
        for number in range(10):
            buffer.finish("w", a_finish(number, 10_000))
        await eventually(lambda: not buffer.room.is_set())
        await asyncio.sleep(0.3)
        assert not buffer.room.is_set()
        servers.away = False
        assert await buffer.flush(10)
        assert buffer.room.is_set()
    assert ended(servers) == list(range(10))


async def test_a_worker_without_room_claims_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    servers, registry = FakeServers(), Registry()
    begun: list[int] = []

    @registry.job("mail", concurrency=2)
    async def mail(ctx: JobContext) -> str:
        begun.append(ctx.occurrence)
        return "x" * 10_000

    async with serving(servers, registry, buffered_bytes=25_000):
        servers.publish("mail")
        await eventually(lambda: len(servers.finished) == 1)
        # Runs are known to be short now, and their messages are acknowledged early: the queue holds nothing back any more.
        servers.hold_events = True
        for _ in range(39):
            servers.publish("mail")
        await eventually(lambda: len(begun) >= 4)
        quiet = -1
        while quiet != len(begun):
            quiet = len(begun)
            await asyncio.sleep(0.5)
        assert quiet < 20, "the results of the rest would not fit"
        assert len(set(servers.asks)) == quiet, "and nothing is claimed that does not run"
        servers.hold_events = False
        await eventually(lambda: len(servers.finished) == 40)
    assert len(begun) == 40


async def test_what_is_unconfirmed_at_the_end_is_sent_by_the_next_worker_under_the_old_name(tmp_path: Path) -> None:
    servers = FakeServers()
    servers.away = True
    async with sending(servers, tmp_path) as buffer:
        for number in range(5):
            buffer.finish("old", a_finish(number))
        await eventually(lambda: buffer.kept)
        buffer.finish("old", a_finish(5))
    servers.away = False
    async with sending(servers, tmp_path) as buffer:
        buffer.finish("new", a_finish(6))
        await eventually(lambda: len(servers.finished) == 7)
    told = dict(zip(ended(servers), servers.event_workers, strict=True))
    assert told == {**dict.fromkeys(range(6), "old"), 6: "new"}
    assert files(tmp_path) == []


async def test_what_a_dead_worker_left_waits_for_the_broker_too(tmp_path: Path) -> None:
    servers = FakeServers()
    servers.away = True
    async with sending(servers, tmp_path) as buffer:
        buffer.finish("old", a_finish(1))
    async with sending(servers, tmp_path):
        await asyncio.sleep(0.3)
    assert on_disk(tmp_path) == [1], "not sent, and still there"


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_broker_does_each_end_arrives_and_all_records_are_there_or_counted(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    servers, confirmed = FakeServers(), list[int]()
    limits = {"buffered_events": chance.choice([20, 1000]), "spool_size": chance.choice([0, 20_000, 10**6])}
    seq = 0
    async with sending(servers, tmp_path, buffered_bytes=30_000, **limits) as buffer:
        for number in range(150):
            if chance.random() < 0.2:
                servers.away, servers.hold_events = chance.choice(
                    [(True, False), (False, True), (False, False), (False, False)]
                )
            for _ in range(chance.randrange(6)):
                seq += 1
                buffer.add("w", a_log(seq, message="m" * chance.randrange(300)))
            buffer.finish(
                chance.choice(["w", "v"]), a_finish(number, chance.choice([10, 10, 3000])), partial(confirmed.append, number)
            )
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() / 20)
        servers.away = servers.hold_events = False
        assert await buffer.flush(20)
    assert list(dict.fromkeys(ended(servers))) == list(range(150))
    assert confirmed == list(range(150))
    notices = [event for event in servers.logs if event.level == "warning"]
    kept = {event.seq for event in servers.logs if event.level == "info"}
    assert len(kept) + sum(int(event.message.split()[0]) for event in notices) == seq
    assert files(tmp_path) == []
