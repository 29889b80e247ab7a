"""The leader is killed or stopped in the middle of a backfill: every fire time of the range runs, and none twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from chaos.cluster import Cluster, Replica
from chaos.load import PER_SECOND
from leveret_core.failpoints import EXIT_CODE
from support.eventually import eventually

FIRST = datetime(2026, 2, 1, tzinfo=UTC)
COUNT = 120


async def backfilled(cluster: Cluster, failpoint: str, **wanted: Any) -> tuple[Replica, dict[str, Any]]:
    """A replica that holds the term with `failpoint` armed, and a backfill; beside it others and a live job."""
    first = await cluster.api(LEVERET_FAILPOINTS=failpoint, LEVERET_FAILPOINTS_ALLOWED="1")
    assert await cluster.leader() is first
    await asyncio.gather(cluster.api(), cluster.worker())
    cluster.replicas.remove(first)
    await cluster.job("live", trigger=PER_SECOND, concurrency="allow", catch_up="all")
    old = {"kind": "interval", "every": 60, "start_at": FIRST.isoformat()}
    await cluster.job("old", trigger=old, concurrency="skip")
    ends = {"start_at": FIRST.isoformat(), "end_at": (FIRST + timedelta(minutes=COUNT - 1)).isoformat()}
    made: dict[str, Any] = await cluster.post("/jobs/old/backfills", ends | wanted)
    return first, made


async def the_range_is_whole(cluster: Cluster, backfill: int) -> None:
    async def completed() -> None:
        found = await cluster.get(f"/backfills/{backfill}")
        assert (found["state"], found["counts"]) == ("completed", {"succeeded": COUNT})
        assert (found["created"], found["existing"]) == (COUNT, 0)

    await eventually(completed, timeout=60, interval=0.2)
    rows = await cluster.sql("select id, scheduled_for from occurrence where backfill_id = $1 order by scheduled_for", backfill)
    assert [row["scheduled_for"] for row in rows] == [FIRST + timedelta(minutes=n) for n in range(COUNT)]
    assert {cluster.runs()[row["id"]] for row in rows} == {1}
    await cluster.stop_schedules()
    await cluster.quiet()
    assert await cluster.gaps() == []


@pytest.mark.parametrize("wanted", [{}, {"concurrency": "allow"}], ids=["queue", "allow"])
async def test_the_leader_is_killed_between_the_rows_of_a_batch_and_their_commit(
    cluster: Cluster, wanted: dict[str, Any]
) -> None:
    first, made = await backfilled(cluster, "in_backfill_tx=exit@3", **wanted)
    await eventually(lambda: first.process.returncode is not None, timeout=15)
    assert first.process.returncode == EXIT_CODE, first.process.output()
    await the_range_is_whole(cluster, made["id"])


async def test_the_leader_is_stopped_in_a_transaction_of_a_backfill_and_comes_back(cluster: Cluster) -> None:
    first, made = await backfilled(cluster, "in_backfill_tx=stop@3", concurrency="allow")
    process = psutil.Process(first.process.pid)
    await eventually(lambda: process.status() == psutil.STATUS_STOPPED, timeout=15)
    await cluster.leader()
    await eventually(lambda: len(cluster.runs()) >= 40, timeout=30, interval=0.1)
    first.process.thaw()
    cluster.replicas.append(first)
    await the_range_is_whole(cluster, made["id"])
