"""A load whose history can be counted to the last tick."""

from __future__ import annotations

from chaos.cluster import Cluster
from support.eventually import eventually
from support.liveness import assert_everything_owned

PER_SECOND = {"kind": "interval", "every": 1}


async def ten_jobs_a_second(cluster: Cluster) -> None:
    """Ten jobs that are due every second, whatever else they do."""
    for n in range(10):
        await cluster.job(f"tick-{n}", trigger=PER_SECOND, concurrency="allow", catch_up="all")


async def runs_reach(cluster: Cluster, more: int, timeout: float = 30) -> None:
    """Wait until handlers have begun `more` runs from here on."""
    before = len(cluster.runs())
    await eventually(lambda: len(cluster.runs()) >= before + more, timeout=timeout, interval=0.1)


async def the_history_is_whole(cluster: Cluster) -> None:
    """Every tick has its occurrence, each ran once, no term wrote after its successor, and nothing is nobody's."""
    await assert_everything_owned(cluster.database_url)
    await cluster.stop_schedules()
    await cluster.quiet()
    assert await cluster.gaps() == []
    twice = {occurrence: count for occurrence, count in cluster.runs().items() if count != 1}
    assert twice == {}
    ended = {row["id"] for row in await cluster.sql("select id from occurrence where state = 'succeeded'")}
    assert ended == set(cluster.runs())
    late = await cluster.sql(
        """select id, epoch from (
               select id, epoch, max(epoch) over (order by created_at, id rows unbounded preceding) as newest from occurrence
               where origin = 'schedule'
           ) o where epoch < newest"""
    )
    assert late == []
