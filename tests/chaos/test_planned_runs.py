"""How soon runs begin that a transaction of somebody's own has planned, from its commit to the handler's first line."""

from __future__ import annotations

import time
from functools import partial

import asyncpg

from chaos.cluster import Cluster
from support.eventually import eventually

POLL = 30


async def test_a_commit_wakes_the_dispatcher_at_once(cluster: Cluster) -> None:
    """Without the notification a run would begin when the dispatcher looks by itself: after up to 30 s, here."""
    await cluster.api(LEVERET_POLL_INTERVAL=str(POLL))
    await cluster.worker()
    await cluster.job("receipt", concurrency="allow")

    def began(occurrence: int) -> None:
        assert occurrence in cluster.runs()

    connection = await asyncpg.connect(cluster.database_url)
    committed: dict[int, float] = {}
    for _ in range(60):
        async with connection.transaction():
            id_ = await connection.fetchval("select leveret_trigger('receipt')")
        committed[id_] = time.clock_gettime(time.CLOCK_BOOTTIME)
        await eventually(partial(began, id_), timeout=POLL / 2, interval=0.01)
    await connection.close()
    starts = {line["occurrence"]: line["at"] for line in cluster.witnessed() if line["what"] == "start"}
    took = sorted((starts[id_] - at) * 1000 for id_, at in committed.items())
    print(f"commit to handler: p50 {took[30]:.1f} ms, p95 {took[57]:.1f} ms, most {took[-1]:.1f} ms")
    assert took[30] < 500
    assert set(cluster.runs().values()) == {1}
