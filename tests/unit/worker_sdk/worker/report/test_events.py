"""Events on their way to the servers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from leveret.config import WorkerConfig
from leveret.worker.report.events import EventBuffer
from leveret.worker.report.outbox import MAX_BATCH
from leveret_core.messages import Finished, Log
from support.eventually import eventually
from support.fake_broker import FakeBroker, FakeServers


def a_log(seq: int, occurrence: int = 1) -> Log:
    now = datetime.now(UTC)
    return Log(occurrence=occurrence, attempt=1, token="t", seq=seq, at=now, level="info", message=f"record {seq}")


def a_finish(occurrence: int, result: bytes = b"null") -> Finished:
    return Finished(
        occurrence=occurrence, attempt=1, token="t", seq=1, outcome="succeeded", duration=0, result=msgspec.Raw(result)
    )


@asynccontextmanager
async def sending(servers: FakeServers, **config: Any) -> AsyncGenerator[EventBuffer]:
    config = {"send_timeout": 0.2, **config}
    buffer = EventBuffer(FakeBroker(servers), WorkerConfig(**config))
    task = asyncio.create_task(buffer.run())
    try:
        yield buffer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_go_out_in_order_and_in_batches() -> None:
    servers = FakeServers()
    async with sending(servers) as buffer:
        for seq in range(1, 1201):
            buffer.add("w", a_log(seq))
            if seq % 100 == 0:
                buffer.finish("w", a_finish(seq))
        assert await buffer.flush(5)
    assert [log.seq for log in servers.logs] == list(range(1, 1201))
    assert [servers.events.index(event) for event in servers.finished] == [101 * n - 1 for n in range(1, 13)]
    assert max(servers.batches) <= MAX_BATCH
    assert len(servers.batches) <= 5


async def test_a_batch_of_large_results_is_cut_before_servers_would_refuse_it() -> None:
    servers = FakeServers()
    async with sending(servers) as buffer:
        for number in range(1, 41):
            buffer.finish("w", a_finish(number, b'"' + b"x" * 250_000 + b'"'))
        assert await buffer.flush(5)
    assert len(servers.finished) == 40
    assert max(servers.batches) <= 5


async def test_a_confirmation_is_told_only_after_the_broker_has_confirmed() -> None:
    servers, confirmed = FakeServers(), list[int]()
    async with sending(servers) as buffer:
        servers.hold_events = True
        buffer.finish("w", a_finish(1), lambda: confirmed.append(1))
        assert not await buffer.flush(0.3)
        assert confirmed == []
        servers.hold_events = False
        await eventually(lambda: confirmed == [1])


async def test_while_the_broker_is_away_ends_are_kept_and_the_oldest_logs_are_dropped_with_a_count() -> None:
    servers = FakeServers()
    async with sending(servers, buffered_events=50) as buffer:
        servers.away = True
        for seq in range(1, 201):
            buffer.add("w", a_log(seq))
        for number in range(1, 101):
            buffer.finish("w", a_finish(number))
        await asyncio.sleep(0.1)
        assert buffer.waiting <= 150
        servers.away = False
        assert await buffer.flush(5)
    assert len(servers.finished) == 100
    assert [log.seq for log in servers.logs[-50:]] == list(range(151, 201))
    notice = servers.logs[0]
    assert "150 log records were dropped" in notice.message
    assert notice.seq == 1
    assert len({log.seq for log in servers.logs}) == len(servers.logs) == 51


async def test_events_of_two_incarnations_never_share_a_batch() -> None:
    servers = FakeServers()
    async with sending(servers) as buffer:
        for number in range(1, 7):
            buffer.finish("old" if number < 4 else "new", a_finish(number))
        assert await buffer.flush(5)
    assert servers.batches == [3, 3]


async def test_events_may_come_from_any_thread() -> None:
    servers = FakeServers()

    def write(occurrence: int) -> None:
        for seq in range(1, 301):
            buffer.add("w", a_log(seq, occurrence))

    async with sending(servers) as buffer:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await eventually(lambda: len(servers.logs) == 1200)
    for number in range(1, 5):
        assert [log.seq for log in servers.logs if log.occurrence == number] == list(range(1, 301))
