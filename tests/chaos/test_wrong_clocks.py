"""Machines whose clocks are an hour wrong: what is due is Postgres's to say, and leases are counted from one's own boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.cluster import Cluster
from chaos.load import runs_reach, ten_jobs_a_second, the_history_is_whole
from support.eventually import eventually

HOUR = 3600


@pytest.fixture
def libfaketime() -> str:
    """The library that tells a process another time."""
    found = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if found is None:
        pytest.skip("no libfaketime (apt-get install libfaketime)")
    return str(found)


@pytest.fixture
def wrong(libfaketime: str) -> dict[int, dict[str, str]]:
    """Variables of a process whose clock is so many seconds ahead."""
    common = {"LD_PRELOAD": libfaketime, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    return {seconds: {**common, "FAKETIME": f"{seconds:+d}s"} for seconds in (-HOUR, HOUR)}


async def test_a_leader_and_workers_an_hour_off_lose_and_double_nothing(
    cluster: Cluster, wrong: dict[int, dict[str, str]]
) -> None:
    await cluster.api(**wrong[HOUR])
    await cluster.worker(**wrong[-HOUR])
    await cluster.worker(**wrong[HOUR])
    await ten_jobs_a_second(cluster)
    await runs_reach(cluster, 40)
    # The next holder of the term lives two hours earlier.
    first = await cluster.leader()
    await cluster.api(**wrong[-HOUR])
    first.process.kill()
    await cluster.leader()
    await runs_reach(cluster, 40)
    await the_history_is_whole(cluster)
    off = await cluster.sql(
        """select id from occurrence where abs(extract(epoch from created_at - scheduled_for)) > 20
           or abs(extract(epoch from started_at - created_at)) > 20 or abs(extract(epoch from finished_at - started_at)) > 20"""
    )
    assert off == []


async def test_the_lease_of_a_worker_an_hour_off_is_renewed_in_time(cluster: Cluster, wrong: dict[int, dict[str, str]]) -> None:
    await cluster.api()
    await cluster.worker(**wrong[HOUR])
    made = await cluster.job("long", payload={"seconds": 9})
    begun = await cluster.post(f"/jobs/{made['id']}/trigger", {})

    async def ended() -> None:
        assert (await cluster.get(f"/occurrences/{begun['id']}"))["state"] == "succeeded"

    # Longer than a lease of 6 s: the worker is neither lost nor gives up by itself.
    await eventually(ended, timeout=20, interval=0.2)
    assert cluster.runs()[begun["id"]] == 1
