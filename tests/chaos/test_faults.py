"""Kill and stop parts of a running system; afterwards nothing is missing and nothing ran twice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from chaos.cluster import Cluster, StartLeveret, freeze_frame
from chaos.load import runs_reach, ten_jobs_a_second, the_history_is_whole
from support.eventually import eventually
from support.servers import Server


async def test_the_leader_is_killed_and_nothing_is_lost_or_doubled(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.api()
    await cluster.worker()
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 20)
    leader = await cluster.leader()
    leader.process.kill()
    began = time.monotonic()
    await cluster.leader()
    took = time.monotonic() - began
    assert took < 3 + 2, f"the takeover took {took:.1f} s with a TTL of 3 s"
    await runs_reach(cluster, 20)
    await cluster.api()
    leader = await cluster.leader()
    leader.process.terminate()
    assert await asyncio.to_thread(leader.process.wait, 20) == 0
    await runs_reach(cluster, 20)
    await the_history_is_whole(cluster)


async def test_a_frozen_leader_comes_back_to_a_term_that_is_over(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.api()
    await cluster.worker()
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 10)
    leader = await cluster.leader()
    leader.process.freeze()
    cluster.replicas.remove(leader)
    cluster.replicas.append(leader)
    await runs_reach(cluster, 30)
    leader.process.thaw()
    await runs_reach(cluster, 30)
    (row,) = await cluster.sql("select epoch from term")
    assert row["epoch"] >= 2
    await the_history_is_whole(cluster)


async def test_a_worker_is_killed_in_mid_run_and_its_occurrence_runs_again_elsewhere(cluster: Cluster) -> None:
    await cluster.api()
    first = await cluster.worker()
    await cluster.job("long", payload={"seconds": 3})
    occurrence = await cluster.post("/jobs/long/trigger")
    await eventually(lambda: occurrence["id"] in cluster.runs(), timeout=15)
    second = await cluster.worker()
    first.kill()

    async def ended() -> None:
        assert (await cluster.get(f"/occurrences/{occurrence['id']}"))["state"] == "succeeded"

    await eventually(ended, timeout=40)
    shown = await cluster.get(f"/occurrences/{occurrence['id']}")
    assert [(a["attempt"], a["state"]) for a in shown["attempts"]] == [(1, "lost"), (2, "succeeded")]
    assert shown["lost_count"] == 1
    assert [line["pid"] for line in cluster.witnessed() if line["what"] == "end"] == [second.pid]


async def test_a_worker_frozen_past_its_lease_cannot_end_what_was_given_to_another(cluster: Cluster) -> None:
    await cluster.api()
    first = await cluster.worker()
    await cluster.job("long", payload={"seconds": 2})
    occurrence = await cluster.post("/jobs/long/trigger")
    await eventually(lambda: occurrence["id"] in cluster.runs(), timeout=15)
    first.freeze()
    second = await cluster.worker()

    async def ended() -> None:
        assert (await cluster.get(f"/occurrences/{occurrence['id']}"))["state"] == "succeeded"

    await eventually(ended, timeout=40)
    first.thaw()
    await eventually(lambda: len(cluster.witnessed()) >= 3, timeout=20)

    async def both_are_back() -> None:
        assert len(await cluster.workers()) == 2

    await eventually(both_are_back, timeout=20)
    shown = await cluster.get(f"/occurrences/{occurrence['id']}")
    assert (shown["state"], shown["attempt"]) == ("succeeded", 2)
    assert second.returncode is None


@pytest.fixture
def own_rabbit(
    start_leveret: StartLeveret, database_url: str, redis_url: str, private_rabbit: Server, tmp_path: Path
) -> Cluster:
    return Cluster(start_leveret, database_url, redis_url, private_rabbit.url, tmp_path)


@pytest.fixture
def own_redis(start_leveret: StartLeveret, database_url: str, private_redis: Server, amqp_url: str, tmp_path: Path) -> Cluster:
    return Cluster(start_leveret, database_url, private_redis.url, amqp_url, tmp_path)


@pytest.mark.timeout(240)
async def test_rabbitmq_is_away_for_twenty_seconds_and_work_flows_again_by_itself(
    own_rabbit: Cluster, private_rabbit: Server
) -> None:
    cluster = own_rabbit
    await cluster.api()
    await cluster.worker()
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 20)
    await asyncio.to_thread(private_rabbit.stop)
    await freeze_frame(20)
    await asyncio.to_thread(private_rabbit.start)
    await runs_reach(cluster, 200, timeout=60)
    await the_history_is_whole(cluster)


async def test_redis_is_away_and_dispatch_goes_on(own_redis: Cluster, private_redis: Server) -> None:
    cluster = own_redis
    await cluster.api()
    await cluster.api()
    await cluster.worker()
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 10)
    await asyncio.to_thread(private_redis.kill)
    await runs_reach(cluster, 80)
    await asyncio.to_thread(private_redis.start)
    await runs_reach(cluster, 30)
    await the_history_is_whole(cluster)
