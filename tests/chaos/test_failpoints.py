"""A replica is killed or stopped at one exact step of dispatch, beside a healthy one: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from chaos.cluster import Cluster, Replica
from chaos.load import PER_SECOND, runs_reach, ten_jobs_a_second, the_history_is_whole
from leveret_core.broker.rabbitmq_server import CONSUMER_HEARTBEAT
from leveret_core.failpoints import EXIT_CODE
from leveret_dispatcher.leadership import watchdog
from support.eventually import eventually


async def armed(cluster: Cluster, failpoints: str, **more: str) -> Replica:
    """A replica with `failpoints` that holds the term; beside it a worker and a healthy one, which serves the test."""
    first = await cluster.api(LEVERET_FAILPOINTS=failpoints, LEVERET_FAILPOINTS_ALLOWED="1", **more)
    assert await cluster.leader() is first
    await asyncio.gather(cluster.api(**more), cluster.worker())
    cluster.replicas.remove(first)
    return first


async def exited(replica: Replica, code: int = EXIT_CODE) -> None:
    await eventually(lambda: replica.process.returncode is not None, timeout=15)
    assert replica.process.returncode == code, replica.process.output()


async def stopped(replica: Replica) -> None:
    process = psutil.Process(replica.process.pid)
    await eventually(lambda: process.status() == psutil.STATUS_STOPPED, timeout=15)


@pytest.mark.parametrize(
    "step",
    [
        "before_create",
        "in_create_tx",
        "after_create_commit",
        "after_publish",
        "after_claim_commit",
        "before_ingest_commit",
        "after_ingest_commit",
    ],
)
async def test_a_replica_is_killed_at_a_step(cluster: Cluster, step: str) -> None:
    first = await armed(cluster, f"{step}=exit")
    await ten_jobs_a_second(cluster)
    await exited(first)
    await runs_reach(cluster, 20)
    await the_history_is_whole(cluster)


async def test_the_leader_is_killed_when_it_renews_its_term(cluster: Cluster) -> None:
    first = await armed(cluster, "renewing=exit@8")
    await ten_jobs_a_second(cluster)
    await exited(first)
    began = time.monotonic()
    await cluster.leader()
    assert time.monotonic() - began < 3 + 2
    await the_history_is_whole(cluster)


async def test_the_leader_is_killed_with_a_part_of_a_batch_published(cluster: Cluster) -> None:
    """700 jobs are due at one instant; the broker gets 500 of their dispatch messages."""
    first = await armed(cluster, "publish_write=exit@2", LEVERET_SCHEDULE_BATCH="1000")
    made = await cluster.job("many-0", trigger=PER_SECOND, concurrency="allow", max_runs=1)
    await cluster.post(f"/jobs/{made['id']}/pause", {})
    # In one transaction, so that all are due together.
    await cluster.sql(
        """insert into job (name, type, trigger, concurrency, payload, retry, max_runs, next_fire_at)
           select 'many-' || n, type, trigger, concurrency, payload, retry, max_runs, now() + interval '1 second'
           from job, generate_series(1, 700) as n where id = $1""",
        made["id"],
    )
    await exited(first)
    await eventually(lambda: len(cluster.runs()) == 700, timeout=30, interval=0.2)
    await cluster.quiet()
    assert set(cluster.runs().values()) == {1}
    rows = await cluster.sql("select state, count(*) from occurrence group by state")
    assert [tuple(row) for row in rows] == [("succeeded", 700)]


@pytest.mark.parametrize("step", ["in_create_tx", "publish_write", "after_publish", "renewing"])
async def test_the_leader_is_stopped_at_a_step_and_comes_back(cluster: Cluster, step: str) -> None:
    first = await armed(cluster, f"{step}=stop" + ("@8" if step == "renewing" else ""))
    await ten_jobs_a_second(cluster)
    await stopped(first)
    began = time.monotonic()
    # In a transaction it shares the lock of the fence: until Postgres ends that transaction nobody else can begin a term.
    await cluster.leader()
    assert time.monotonic() - began < 3 + 3 + 2
    await runs_reach(cluster, 20)
    first.process.thaw()
    cluster.replicas.append(first)
    await runs_reach(cluster, 20)
    await the_history_is_whole(cluster)


async def test_a_leader_whose_event_loop_hangs_is_ended_by_its_watchdog(cluster: Cluster) -> None:
    first = await armed(cluster, "after_publish=sleep:30")
    await ten_jobs_a_second(cluster)
    await exited(first, watchdog.EXIT_CODE)
    await runs_reach(cluster, 20)
    await the_history_is_whole(cluster)


async def test_an_error_between_commit_and_publish_costs_no_more_than_the_answer_timeout(cluster: Cluster) -> None:
    first = await armed(cluster, "after_create_commit=raise@3")
    await ten_jobs_a_second(cluster)
    await eventually(lambda: "FailpointError" in first.process.output(), timeout=15)
    await runs_reach(cluster, 20)
    await the_history_is_whole(cluster)
    assert first.process.returncode is None


async def test_ends_that_a_frozen_ingestor_holds_are_settled_by_another_one(cluster: Cluster) -> None:
    """Neither it nor its connection says anything: RabbitMQ gives them to another one when its heartbeats stay away. Until then
    the workers do not name these runs any more, and the reconciler, without patience here, must not take them for lost."""
    impatient = {"LEVERET_UNNAMED_GRACE": "1"}
    healthy = await cluster.api(**impatient)
    assert await cluster.leader() is healthy
    arms = {"LEVERET_FAILPOINTS": "before_ingest_commit=stop", "LEVERET_FAILPOINTS_ALLOWED": "1"}
    frozen = await cluster.api(**impatient, **arms)
    cluster.replicas.remove(frozen)
    await cluster.worker()
    await cluster.job("ends", concurrency="allow")
    await cluster.post("/triggers", {"items": [{"job": "ends"}] * 60})
    await stopped(frozen)
    began = time.monotonic()

    async def left() -> int:
        (row,) = await cluster.sql("select count(*) from occurrence where state <> 'succeeded'")
        return int(row[0])

    await eventually(lambda: len(cluster.runs()) == 60, timeout=15, interval=0.1)
    assert await left() > 0, "it holds none"

    async def settled() -> None:
        assert await left() == 0

    await eventually(settled, timeout=40, interval=0.2)
    assert time.monotonic() - began < 3 * CONSUMER_HEARTBEAT + 10
    frozen.process.thaw()
    cluster.replicas.append(frozen)
    await the_history_is_whole(cluster)
    (row,) = await cluster.sql("select count(*) from occurrence where attempt <> 1 or lost_count <> 0 or state <> 'succeeded'")
    assert row[0] == 0


async def many_runs_are_planned(cluster: Cluster) -> int:
    """Over REST and by a transaction of somebody's own, all due at one moment soon; returns how many."""
    await cluster.job("later", concurrency="allow")
    await cluster.job("line", concurrency="queue", max_concurrent=3)
    items = [{"job": "later" if n % 10 else "line", "delay": 2} for n in range(400)]
    await cluster.post("/triggers", {"items": items})
    await cluster.sql("select leveret_trigger('later', at => now() + interval '2 seconds') from generate_series(1, 100)")
    return 500


async def each_planned_run_ran_once(cluster: Cluster, count: int) -> None:
    await eventually(lambda: len(cluster.runs()) == count, timeout=30, interval=0.2)
    await the_history_is_whole(cluster)
    rows = await cluster.sql("select state, count(*) from occurrence group by state")
    assert [tuple(row) for row in rows] == [("succeeded", count)]


@pytest.mark.parametrize("step", ["in_admit_tx", "after_admit_commit"])
async def test_the_leader_is_killed_while_it_admits_runs_that_were_planned(cluster: Cluster, step: str) -> None:
    first = await armed(cluster, f"{step}=exit@2", LEVERET_SCHEDULE_BATCH="100")
    count = await many_runs_are_planned(cluster)
    await exited(first)
    await each_planned_run_ran_once(cluster, count)


@pytest.mark.parametrize("step", ["in_admit_tx", "after_admit_commit"])
async def test_the_leader_is_stopped_while_it_admits_runs_that_were_planned_and_comes_back(cluster: Cluster, step: str) -> None:
    first = await armed(cluster, f"{step}=stop@2", LEVERET_SCHEDULE_BATCH="100")
    count = await many_runs_are_planned(cluster)
    await stopped(first)
    await cluster.leader()
    await eventually(lambda: len(cluster.runs()) > count / 2, timeout=30, interval=0.2)
    first.process.thaw()
    cluster.replicas.append(first)
    await each_planned_run_ran_once(cluster, count)
