"""How time passes in an environment: what waits costs nothing, what works is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from leveret import JobContext, Registry
from leveret.config import WorkerConfig
from leveret.testing import Environment

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_an_hour_in_a_coroutine_takes_no_time(registry: Registry) -> None:
    @registry.job("waits")
    async def waits() -> list[str]:
        ways = ["slept"]
        await asyncio.sleep(3600)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3600):
                await asyncio.gather(asyncio.sleep(1800), asyncio.sleep(7200))
        done, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(86_400))], timeout=3600)
        return [*ways, str(len(done))]

    began = time.monotonic()
    with Environment(registry) as env:
        env.define("waits", type="waits")
        occurrence = env.trigger("waits")
        env.finish()
        assert (occurrence.result, env.now) == (["slept", "0"], START + timedelta(hours=4))
    assert time.monotonic() - began < 1


def test_an_hour_in_a_thread_takes_no_time_either(registry: Registry) -> None:
    @registry.job("blocks", timeout=5000)
    def blocks(ctx: JobContext) -> str:
        time.sleep(3600)
        assert ctx.remaining == 1400
        return threading.current_thread().name

    @registry.job("polls", timeout=60)
    def polls(ctx: JobContext) -> None:
        while not ctx.cancelled:
            time.sleep(1)

    began = time.monotonic()
    with Environment(registry) as env:
        env.define("blocks", type="blocks")
        env.define("polls", type="polls", retry={"max_attempts": 1})
        first, second = env.trigger("blocks"), env.trigger("polls")
        env.finish()
        assert (first.state, second.state) == ("succeeded", "timed_out")
        assert first.result.startswith("leveret-testing")
        assert env.now == START + timedelta(hours=1)
    assert time.monotonic() - began < 2


def test_threads_of_the_test_sleep_as_ever(registry: Registry) -> None:
    with Environment(registry):
        began = time.monotonic()
        time.sleep(0.02)
        assert time.monotonic() - began >= 0.02
        with Environment(registry):
            pass
        assert time.sleep.__module__ == "leveret.testing.sleep"
    assert time.sleep.__module__ == "time"


def test_work_in_a_thread_is_waited_for_while_the_clock_stands(registry: Registry) -> None:
    release = threading.Event()

    @registry.job("works", timeout=3600)
    def works() -> int:
        release.wait(10)
        return 1

    with Environment(registry, patience=10) as env:
        env.define("works", type="works", cron="* * * * *")
        threading.Timer(0.05, release.set).start()
        env.advance(minutes=1)
        env.assert_occurred("works", times=1, state="succeeded")


def test_a_thread_that_says_nothing_for_long_does_not_stop_the_clock(registry: Registry) -> None:
    release = threading.Event()

    @registry.job("hangs", timeout=0.2)
    def hangs(ctx: JobContext) -> None:
        release.wait(10)

    with Environment(registry, patience=0.05, config=WorkerConfig(stop_grace=0.1)) as env:
        env.define("hangs", type="hangs", retry={"max_attempts": 1})
        occurrence = env.trigger("hangs")
        assert occurrence.state == "running"
        env.advance(seconds=1)
        assert occurrence.state == "timed_out"
        release.set()


def test_a_child_process_is_waited_for(registry: Registry) -> None:
    @registry.job("spawns", timeout=3600)
    async def spawns() -> int:
        child = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "import time; time.sleep(0.05)")
        return await child.wait()

    with Environment(registry) as env:
        env.define("spawns", type="spawns")
        assert env.trigger("spawns").result == 0
        assert env.now == START


def test_a_socket_is_waited_for_with_patience(registry: Registry) -> None:
    here, there = socket.socketpair()

    @registry.job("reads", timeout=3600)
    async def reads() -> str:
        reader, writer = await asyncio.open_connection(sock=here)
        threading.Timer(0.05, there.sendall, [b"hello"]).start()
        text = (await reader.readexactly(5)).decode()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                await reader.read()
        writer.close()
        return text

    with there, Environment(registry, patience=2) as env:
        env.define("reads", type="reads")
        occurrence = env.trigger("reads")
        env.finish()
        assert (occurrence.result, env.now) == ("hello", START + timedelta(minutes=1))


async def test_the_loop_of_the_test_goes_on_afterwards(registry: Registry) -> None:
    @registry.job("asks")
    async def asks() -> bool:
        return asyncio.get_running_loop() is outer

    outer, task = asyncio.get_running_loop(), asyncio.current_task()
    async with Environment(registry) as env, asyncio.timeout(10):
        env.define("asks", type="asks")
        assert env.trigger("asks").result is False
        assert asyncio.get_running_loop() is outer
        assert asyncio.current_task() is task
        assert await asyncio.to_thread(lambda: 1) == 1
        await asyncio.sleep(0.001)


def test_handlers_see_what_the_test_has_patched(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    @registry.job("asks")
    async def asks() -> str:
        return socket.gethostname()

    monkeypatch.setattr(socket, "gethostname", lambda: "patched")
    with Environment(registry) as env:
        env.define("asks", type="asks")
        assert env.trigger("asks").result == "patched"


def test_an_event_of_the_test_wakes_a_handler_at_the_next_step(registry: Registry) -> None:
    go = asyncio.Event()

    @registry.job("waits")
    async def waits() -> None:
        await go.wait()

    with Environment(registry) as env:
        env.define("waits", type="waits")
        occurrence = env.trigger("waits")
        env.advance(hours=1)
        go.set()
        assert occurrence.state == "running"
        env.advance(seconds=0)
        assert occurrence.state == "succeeded"


def test_what_still_runs_at_the_end_is_interrupted(registry: Registry) -> None:
    ended: list[str] = []

    @registry.job("waits")
    async def waits() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("async")

    @registry.job("blocks")
    def blocks(ctx: JobContext) -> None:
        while not ctx.cancelled:
            time.sleep(1)
        ended.append("thread")

    with Environment(registry) as env:
        env.define("waits", type="waits")
        env.define("blocks", type="blocks")
        env.trigger("waits")
        env.trigger("blocks")
        for _ in range(3):
            env.trigger("waits")
    assert sorted(ended) == ["async", "thread"]


def test_a_thread_that_sleeps_on_and_on_ends_with_the_environment(registry: Registry) -> None:
    threads: list[threading.Thread] = []

    @registry.job("stubborn")
    def stubborn() -> None:
        threads.append(threading.current_thread())
        while True:
            time.sleep(1)

    with Environment(registry) as env:
        env.define("stubborn", type="stubborn")
        env.trigger("stubborn")
        env.advance(seconds=5)
    threads[0].join(5)
    assert not threads[0].is_alive()


def test_a_handler_for_a_process_runs_here(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    registry.job("burns", process=True)(burn)
    with Environment(registry) as env, caplog.at_level(logging.INFO):
        env.define("burns", type="burns")
        assert env.trigger("burns").result == "leveret-testing"
        assert [line.message for line in env.logs("burns", level="info")] == ["burning"]
        logging.getLogger("test").info("of the test")
        assert len(env.logs()) == 1


def burn() -> str:
    logging.getLogger("app").info("burning")
    return threading.current_thread().name.rsplit("_", 1)[0]


def test_three_months_of_hours_take_a_moment(registry: Registry) -> None:
    @registry.job("tick")
    async def tick() -> None: ...

    began = time.thread_time()
    with Environment(registry) as env:
        env.define("tick", type="tick", cron="0 * * * *")
        env.advance(days=90)
        env.assert_occurred("tick", times=90 * 24, state="succeeded")
    assert time.thread_time() - began < 5


def test_others_can_follow_the_clock(registry: Registry) -> None:
    followed: list[datetime] = []

    @registry.job("waits")
    async def waits() -> str:
        await asyncio.sleep(60)
        return followed[-1].isoformat()

    with Environment(registry, clock_moved=followed.append) as env:
        env.define("waits", type="waits")
        occurrence = env.trigger("waits")
        assert followed == [START]
        env.advance(hours=1)
        assert occurrence.result == "2026-01-01T00:01:00+00:00"
        assert followed == [START, START + timedelta(minutes=1), START + timedelta(hours=1)]
