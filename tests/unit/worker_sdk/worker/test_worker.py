"""From dispatch message to confirmed end, in one worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time

import pytest

from leveret import BrokerUnavailable, ConfigurationError, JobContext, Registry
from leveret.config import WorkerConfig
from leveret.worker import Worker
from leveret.worker.intake import consumers
from leveret.worker.intake.membership import Membership
from leveret_core.messages import Ask, Cancel, Claim, Drain, HandlerInfo, Heartbeat, Hello, encode, take_request
from support.eventually import eventually
from support.fake_broker import FakeBroker, FakeServers
from support.workers import serving


class Gate:
    """A handler that runs until it is opened, and knows how often it began."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun: list[int] = []

    async def __call__(self, ctx: JobContext) -> None:
        self.begun.append(ctx.occurrence)
        await self.open.wait()


@pytest.fixture
def servers() -> FakeServers:
    return FakeServers()


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def test_a_hello_stays_within_what_servers_take_and_leaves_out_the_largest_schemas(
    servers: FakeServers, caplog: pytest.LogCaptureFixture
) -> None:
    schemas = [{"description": "x" * size} for size in (100_000, 120_000, 1_000, 150_000)]
    handlers = [HandlerInfo(pattern=f"a{n}", name=f"m.a{n}", concurrency=1, schema=s) for n, s in enumerate(schemas)]
    membership = Membership(FakeBroker(servers), handlers, 1, WorkerConfig())
    await membership.join()
    (hello,) = servers.of(Hello)
    assert isinstance(take_request(encode(hello)), Hello)
    assert [each.schema is None for each in hello.handlers] == [False, False, False, True]
    assert "the schema of handler m.a3 is too large" in caplog.text


async def test_an_attempt_cancelled_before_its_answer_came_is_not_begun_and_its_end_is_told(
    servers: FakeServers, registry: Registry
) -> None:
    gate = Gate()
    registry.job("mail.*")(gate.__call__)
    async with serving(servers, registry):
        servers.answers[1, 1] = "cancelled"
        key = servers.publish("mail.welcome", occurrence=1)
        await eventually(lambda: servers.acked == [key])
        (end,) = servers.finished
        assert (end.outcome, end.occurrence, end.token) == ("cancelled", 1, "token-1-1")
    assert gate.begun == []


async def test_a_message_is_claimed_run_reported_and_then_acknowledged(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail.*", concurrency=3)
    async def mail(to: str) -> str:
        return to.upper()

    async with serving(servers, registry, name="here") as worker:
        key = servers.publish("mail.welcome", {"to": "ann"})
        await eventually(lambda: servers.acked == [key])
        (hello,) = servers.of(Hello)
        assert (hello.worker, hello.name, hello.concurrency) == (worker.id, "here", 3)
        assert [handler.pattern for handler in hello.handlers] == ["mail.*"]
        claim = Claim(worker=worker.id, secret=hello.secret, asks=[Ask(*key)], types=["mail.welcome"])
        assert servers.of(Claim) == [claim]
        assert len(hello.secret) > 40
        (finished,) = servers.finished
        assert (finished.occurrence, finished.attempt, finished.token) == (*key, "token-1-1")
        assert (finished.outcome, bytes(finished.result)) == ("succeeded", b'"ANN"')
        assert servers.event_workers == [worker.id]


async def test_a_message_is_not_acknowledged_before_its_end_is_confirmed(servers: FakeServers, registry: Registry) -> None:
    ran = asyncio.Event()

    @registry.job("mail")
    async def mail() -> None:
        ran.set()

    async with serving(servers, registry):
        servers.hold_events = True
        key = servers.publish("mail")
        await ran.wait()
        await asyncio.sleep(0.1)
        assert servers.acked == []
        servers.hold_events = False
        await eventually(lambda: servers.acked == [key])


async def test_claims_go_out_together_and_more_gather_while_one_is_asked(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail", concurrency=1000)
    async def mail() -> None: ...

    async with serving(servers, registry):
        servers.delay = 0.05
        for _ in range(300):
            servers.publish("mail")
        await asyncio.sleep(0.02)
        for _ in range(100):
            servers.publish("mail")
        await eventually(lambda: len(servers.acked) == 400)
        sizes = [len(claim.asks) for claim in servers.of(Claim)]
        assert sizes == [200, 200]


async def test_an_unanswered_claim_is_asked_again_unchanged_and_runs_once(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    gate.open.set()
    registry.job("mail")(gate)
    async with serving(servers, registry, ask_timeout=0.05) as worker:
        servers.mute = True
        key = servers.publish("mail")
        await eventually(lambda: len(servers.of(Claim)) >= 2)
        assert gate.begun == []
        servers.mute = False
        await eventually(lambda: servers.acked == [key])
        assert {claim.worker for claim in servers.of(Claim)} == {worker.id}
        assert set(servers.asks) == {key}
        assert gate.begun == [key[0]]


async def test_an_ask_left_out_of_the_reply_is_asked_again(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    gate.open.set()
    registry.job("mail")(gate)
    async with serving(servers, registry):
        servers.answers[7, 1] = "busy"
        servers.publish("mail", occurrence=7)
        servers.publish("mail", occurrence=8)
        await eventually(lambda: gate.begun == [8] and len(servers.asks) >= 4)
        del servers.answers[7, 1]
        await eventually(lambda: gate.begun == [8, 7])


@pytest.mark.parametrize("status", ["stale", "not_yet"])
async def test_what_is_not_granted_is_dropped(servers: FakeServers, registry: Registry, status: str) -> None:
    gate = Gate()
    registry.job("mail")(gate)
    async with serving(servers, registry):
        servers.answers[7, 1] = status  # type: ignore[assignment]  # pyright: ignore
        servers.publish("mail", occurrence=7)
        await eventually(lambda: servers.acked == [(7, 1)])
        assert gate.begun == []
        assert servers.finished == []


async def test_a_dispatch_message_delivered_twice_runs_once_and_both_are_acknowledged_at_the_end(
    servers: FakeServers, registry: Registry
) -> None:
    gate = Gate()
    registry.job("mail.*")(gate)
    registry.job("#")(gate)
    async with serving(servers, registry):
        servers.publish("mail.x", occurrence=7)
        servers.publish("mail.x", occurrence=7)
        await eventually(lambda: gate.begun == [7])
        assert servers.acked == []
        gate.open.set()
        await eventually(lambda: servers.acked == [(7, 1)] * 4)
        assert gate.begun == [7]
        assert servers.outcomes() == ["succeeded"]


async def test_an_attempt_that_was_handed_back_and_is_published_again_is_asked_for_again(
    servers: FakeServers, registry: Registry
) -> None:
    gate = Gate()
    gate.open.set()
    registry.job("mail")(gate)
    async with serving(servers, registry):
        servers.hold_events = True
        servers.publish("mail", occurrence=7)
        await eventually(lambda: gate.begun == [7])
        servers.publish("mail", occurrence=7)
        await eventually(lambda: servers.asks == [(7, 1), (7, 1)])


async def test_no_more_is_claimed_than_there_are_free_slots(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    registry.job("a", concurrency=2)(gate)
    registry.job("b", concurrency=5)(gate)
    async with serving(servers, registry, concurrency=4) as worker:
        for name in "aabbbbbb":
            servers.publish(name)
        servers.publish("a")
        await eventually(lambda: worker.running == 4)
        assert len(servers.asks) == 4
        assert servers.queues["a"].prefetch == 2
        assert servers.queues["b"].prefetch == 4
        gate.open.set()
        await eventually(lambda: len(servers.acked) == 9)


async def test_the_dispatch_message_of_a_long_run_is_acknowledged_early(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    registry.job("mail")(gate)
    async with serving(servers, registry, early_ack=0.1) as worker:
        key = servers.publish("mail")
        await eventually(lambda: servers.acked == [key])
        assert worker.running == 1
        servers.publish("mail", occurrence=key[0])
        await eventually(lambda: servers.acked == [key, key])
        gate.open.set()
        await eventually(lambda: servers.outcomes() == ["succeeded"])


async def test_a_busy_worker_leaves_to_others_what_it_has_no_slot_for(
    servers: FakeServers, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PATIENCE", 0.5)
    gate = Gate()
    registry.job("mail", concurrency=1)(gate)
    async with serving(servers, registry, early_ack=0.1):
        first = servers.publish("mail")
        await eventually(lambda: servers.acked == [first])
        # The broker may bring another one now, which this worker cannot run.
        second = servers.publish("mail")
        await eventually(lambda: servers.requeued == [second])
        assert second not in servers.asks
        assert servers.queues["mail"].unsettled == 0
        await asyncio.sleep(1.2)
        assert servers.requeued == [second], "it does not come back while there is no slot"
        gate.open.set()
        await eventually(lambda: servers.outcomes() == ["succeeded", "succeeded"])


async def test_slots_in_all_that_are_taken_hold_up_no_other_handlers_messages(
    servers: FakeServers, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PATIENCE", 0.5)
    gate = Gate()
    registry.job("mail", concurrency=1)(gate)
    registry.job("report", concurrency=1)(gate)
    async with serving(servers, registry, concurrency=1) as worker:
        servers.publish("mail")
        await eventually(lambda: worker.running == 1)
        report = servers.publish("report")
        await eventually(lambda: servers.requeued == [report])
        await worker.drain(0)
        assert servers.queues["report"].held
        assert servers.outcomes() == ["released"]


async def test_a_claim_asked_ahead_goes_back_when_no_slot_becomes_free(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()

    @registry.job("mail", concurrency=1)
    async def mail(ctx: JobContext, wait: bool = False) -> None:
        if wait:
            await gate(ctx)

    async with serving(servers, registry):
        servers.publish("mail")
        await eventually(lambda: len(servers.acked) == 1)
        servers.publish("mail", {"wait": True}, occurrence=8)
        await eventually(lambda: gate.begun == [8])
        servers.publish("mail", occurrence=9)
        await eventually(lambda: (9, 1) in servers.asks)
        await eventually(lambda: servers.outcomes() == ["succeeded", "released"])
        assert servers.finished[-1].occurrence == 9
        gate.open.set()


async def test_a_wrong_payload_fails_for_good(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail")
    async def mail(to: str) -> None: ...

    async with serving(servers, registry):
        servers.publish("mail", {"to": 1})
        await eventually(lambda: servers.outcomes() == ["failed"])
        (finished,) = servers.finished
        assert finished.retry is False
        assert finished.error is not None
        assert finished.error.message == "payload.to: Expected `str`, got `int`"


async def test_logs_and_progress_are_shipped_while_the_handler_runs(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        ctx.log.info("hello")
        ctx.progress(0.5, "half")
        await gate(ctx)
        ctx.progress(1, "all")

    async with serving(servers, registry):
        servers.publish("mail")
        await eventually(lambda: [log.message for log in servers.logs] == ["hello"])
        await eventually(lambda: [event.fraction for event in servers.progress] == [0.5])
        assert servers.finished == []
        gate.open.set()
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        assert [(event.fraction, event.seq) for event in servers.progress] == [(0.5, 1), (1.0, 2)]
        assert servers.finished[0].seq == 3
        assert servers.logs[0].token == "token-1-1"


async def test_the_jobs_timeout_stands_before_the_handlers(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    registry.job("mail", timeout=60)(gate)
    async with serving(servers, registry):
        servers.publish("mail", timeout=0.05)
        await eventually(lambda: servers.outcomes() == ["timed_out"])
        assert servers.finished[0].retry is True
        assert servers.finished[0].duration == pytest.approx(0.05, abs=0.05)


@pytest.mark.parametrize("way", ["control", "heartbeat"])
async def test_a_cancelled_run_is_interrupted_and_reported(registry: Registry, way: str) -> None:
    servers = FakeServers(heartbeat=0.05)
    gate = Gate()
    registry.job("mail", concurrency=2)(gate)
    async with serving(servers, registry) as worker:
        key, other = servers.publish("mail"), servers.publish("mail")
        await eventually(lambda: worker.running == 2)
        if way == "control":
            servers.tell(Cancel(worker="another", occurrence=other[0], attempt=1))
            servers.tell(Cancel(worker=worker.id, occurrence=other[0], attempt=2))
            servers.tell(Cancel(worker=worker.id, occurrence=key[0], attempt=1))
        else:
            servers.cancel = [Ask(*key), Ask(12345, 1)]
        await eventually(lambda: servers.outcomes() == ["cancelled"])
        assert servers.finished[0].occurrence == key[0]
        assert worker.running == 1


async def test_a_thread_that_ignores_its_timeout_keeps_its_slot_until_it_ends(servers: FakeServers, registry: Registry) -> None:
    release, begun = threading.Event(), list[int]()

    @registry.job("crunch", concurrency=1)
    def crunch(ctx: JobContext) -> None:
        begun.append(ctx.occurrence)
        release.wait(10)

    async with serving(servers, registry, stop_grace=0.1) as worker:
        servers.publish("crunch", occurrence=7, timeout=0.05)
        await eventually(lambda: servers.outcomes() == ["timed_out"])
        assert worker.stuck == 1
        servers.publish("crunch", occurrence=8)
        await asyncio.sleep(0.1)
        assert begun == [7]
        release.set()
        await eventually(lambda: servers.outcomes() == ["timed_out", "succeeded"])
        assert worker.stuck == 0
        assert [event.occurrence for event in servers.finished] == [7, 8]


async def test_a_handler_that_swallows_its_cancellation_counts_as_stuck(servers: FakeServers, registry: Registry) -> None:
    release = asyncio.Event()

    @registry.job("mail")
    async def mail() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async with serving(servers, registry, stop_grace=0.1) as worker:
        key = servers.publish("mail")
        await eventually(lambda: worker.running == 1)
        servers.tell(Cancel(worker=worker.id, occurrence=key[0], attempt=1))
        await eventually(lambda: servers.outcomes() == ["cancelled"])
        assert worker.stuck == 1
        release.set()
        await eventually(lambda: worker.running == 0)
        assert servers.outcomes() == ["cancelled"]


async def test_a_handler_that_blocks_the_loop_does_not_stop_the_heartbeat(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    servers = FakeServers(lease=1.0, heartbeat=0.1)

    @registry.job("block")
    async def block() -> None:
        time.sleep(1.5)  # noqa: ASYNC251  # the mistake under test

    async with serving(servers, registry) as worker:
        first = worker.id
        servers.publish("block")
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        assert worker.id == first
        beats = servers.of(Heartbeat)
        assert len(beats) > 8
        assert max(beat.loop_lag for beat in beats) > 1.0
        assert "leveret-heartbeat" in servers.request_threads
        assert "event loop has been blocked" in caplog.text


async def test_a_worker_without_a_second_broker_beats_on_the_main_loop(registry: Registry) -> None:
    servers = FakeServers(heartbeat=0.05)
    registry.job("mail")(Gate())
    async with serving(servers, registry, heartbeat=False):
        await eventually(lambda: len(servers.of(Heartbeat)) >= 2)
        assert "leveret-heartbeat" not in servers.request_threads


async def test_nothing_is_logged_for_each_job(
    servers: FakeServers, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @registry.job("mail")
    async def mail() -> None: ...

    async with serving(servers, registry):
        caplog.clear()
        caplog.set_level(logging.INFO)
        servers.publish("mail")
        await eventually(lambda: len(servers.acked) == 1)
        assert caplog.records == []


async def test_a_run_leaves_nothing_for_the_garbage_collector(servers: FakeServers, registry: Registry) -> None:
    @registry.job("mail", concurrency=50)
    async def mail(ctx: JobContext, n: int) -> int:
        ctx.log.info("number %d", n)
        return n

    async with serving(servers, registry):
        gc.collect()
        gc.disable()
        try:
            for n in range(100):
                servers.publish("mail", {"n": n})
            await eventually(lambda: len(servers.acked) == 100)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = {type(each).__name__ for each in gc.garbage}
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert left.isdisjoint({"OpenAttempt", "Run", "JobContext", "Reporter", "Answer", "Finished", "Log"})


async def test_servers_may_drain_a_worker_from_afar(servers: FakeServers, registry: Registry) -> None:
    registry.job("mail")(Gate())
    async with serving(servers, registry) as worker:
        waiting = asyncio.create_task(worker.wait())
        servers.tell(Drain(worker="another"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        servers.tell(Drain(worker=worker.id))
        await asyncio.wait_for(waiting, 5)


async def test_a_worker_that_missed_the_word_hears_it_in_the_answer_to_its_heartbeat(registry: Registry) -> None:
    servers = FakeServers(heartbeat=0.05)
    registry.job("mail")(Gate())
    async with serving(servers, registry) as worker, serving(servers, registry) as other:
        waiting, staying = (asyncio.create_task(each.wait()) for each in (worker, other))
        servers.drain.add(worker.id)
        await asyncio.wait_for(waiting, 5)
        assert not staying.done()
        staying.cancel()


async def test_a_worker_that_the_servers_refuse_says_why(servers: FakeServers, registry: Registry) -> None:
    servers.refuse = "protocol version 1 is too old"
    registry.job("mail")(Gate())
    worker = Worker(registry.handlers, FakeBroker(servers))
    await worker.start()
    with pytest.raises(ConfigurationError, match="too old"):
        await asyncio.wait_for(worker.wait(), 5)
    await worker.stop()


async def test_a_worker_waits_for_servers_that_come_later(servers: FakeServers, registry: Registry) -> None:
    gate = Gate()
    gate.open.set()
    registry.job("mail")(gate)
    servers.mute = True
    worker = Worker(registry.handlers, FakeBroker(servers), config=WorkerConfig(ask_timeout=0.05))
    await worker.start()
    await eventually(lambda: "mail" in servers.queues and len(servers.of(Hello)) >= 2)
    key = servers.publish("mail")
    assert not worker.serving.is_set()
    assert servers.asks == []
    servers.mute = False
    await eventually(lambda: servers.acked == [key])
    await worker.stop()


async def test_a_worker_that_cannot_connect_says_so_and_can_be_stopped(servers: FakeServers, registry: Registry) -> None:
    registry.job("mail")(Gate())
    servers.away = True
    worker = Worker(registry.handlers, FakeBroker(servers))
    with pytest.raises(BrokerUnavailable):
        await worker.start()
    await worker.stop()
    await worker.stop()


def test_a_worker_without_handlers_is_refused(servers: FakeServers) -> None:
    with pytest.raises(ConfigurationError, match="no handlers"):
        Worker([], FakeBroker(servers))


async def test_a_claim_is_used_once_though_the_servers_give_the_same_answer_until_they_have_read_its_end(
    servers: FakeServers, registry: Registry
) -> None:
    ran: list[int] = []

    @registry.job("mail")
    async def mail(ctx: JobContext) -> None:
        ran.append(ctx.occurrence)

    async with serving(servers, registry):
        key = servers.publish("mail")
        await eventually(lambda: servers.acked == [key])
        # Published again while the end of the run waits to be read: the row is still running, so the answer is the same.
        servers.publish("mail", occurrence=key[0])
        await eventually(lambda: servers.acked == [key, key])
        assert len(servers.of(Claim)) == 2
        assert ran == [key[0]]
        assert len(servers.finished) == 1
