"""The leader is killed again and again, at random moments, under load. `LEVERET_EXHAUSTIVE=1` kills it 200 times."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time

import asyncpg
import pytest

from chaos.cluster import Cluster
from chaos.load import runs_reach, ten_jobs_a_second, the_history_is_whole
from support.eventually import eventually

EXHAUSTIVE = os.environ.get("LEVERET_EXHAUSTIVE") == "1"
KILLS = 200 if EXHAUSTIVE else 3
TTL = 2.0
SHORT = {
    "LEVERET_LOCK_TTL": str(TTL),
    "LEVERET_LOCK_RENEW": "0.6",
    "LEVERET_LOCK_MARGIN": "0.4",
    "LEVERET_LOCK_RETRY": "0.2",
}


@pytest.mark.timeout(3600 if EXHAUSTIVE else 180)
async def test_no_kill_of_the_leader_loses_or_doubles_anything(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("LEVERET_SEED", random.SystemRandom().randrange(10**6)))
    rng = random.Random(seed)
    cluster.env |= SHORT
    await asyncio.gather(*(cluster.api() for _ in range(3)))
    await cluster.worker()
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 10)
    takeovers: list[float] = []
    connection = await asyncpg.connect(cluster.database_url)
    try:
        for _ in range(KILLS):
            leader = await cluster.leader()
            await asyncio.sleep(rng.uniform(0, 1.5))
            epoch = await connection.fetchval("select epoch from term")
            leader.process.kill()
            takeovers.append(await _takeover(connection, epoch))
            cluster.replicas.remove(leader)
            await cluster.api()
    finally:
        await connection.close()
        with capsys.disabled():
            if takeovers:
                sys.stdout.write(
                    f"\nseed {seed}: {len(takeovers)} kills of the leader, TTL {TTL:g} s; takeover after"
                    f" {statistics.median(takeovers):.2f} s in the median, {max(takeovers):.2f} s at most\n"
                )
    await runs_reach(cluster, 10)
    await the_history_is_whole(cluster)
    (runs,) = await cluster.sql("select count(*) as runs, count(distinct epoch) as terms from occurrence")
    assert runs["terms"] > KILLS / 2
    assert max(takeovers) < TTL + 2


async def _takeover(connection: asyncpg.Connection[asyncpg.Record], epoch: int) -> float:
    """Seconds until a term with a higher epoch begins."""
    began = time.monotonic()

    async def begun() -> None:
        assert await connection.fetchval("select epoch from term") > epoch

    await eventually(begun, timeout=TTL + 20)
    return time.monotonic() - began
