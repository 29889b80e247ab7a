"""Two replicas, two workers, real Postgres, Redis and RabbitMQ, from the shell: what everything else builds on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chaos.cluster import Cluster
from support.eventually import eventually

PER_SECOND = {"kind": "interval", "every": 1}


async def test_every_kind_of_trigger_runs_once_with_result_attempts_and_logs(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.api()
    await cluster.worker()
    await cluster.worker()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await cluster.job("by-cron", trigger={"kind": "cron", "expression": "* * * * * *"}, max_runs=3)
    await cluster.job("by-interval", trigger=PER_SECOND, max_runs=3)
    await cluster.job("one-time", trigger={"kind": "once", "at": soon.isoformat()})
    await cluster.job("by-hand", payload={"fail_first": True}, retry={"max_attempts": 2, "delay": 0.1})
    triggered = await cluster.post("/jobs/by-hand/trigger", {"idempotency_key": "once"})
    again = await cluster.post("/jobs/by-hand/trigger", {"idempotency_key": "once"})
    assert again["id"] == triggered["id"]

    async def all_ended() -> None:
        rows = await cluster.sql("select job_name, state from occurrence order by job_name")
        ended = [row["job_name"] for row in rows if row["state"] == "succeeded"]
        assert ended == ["by-cron"] * 3 + ["by-hand"] + ["by-interval"] * 3 + ["one-time"]

    await eventually(all_ended, timeout=20)
    by_hand = await cluster.get(f"/occurrences/{triggered['id']}")
    assert by_hand["result"] == {"slept": 0.0}
    assert [(a["attempt"], a["state"]) for a in by_hand["attempts"]] == [(1, "failed"), (2, "succeeded")]
    assert by_hand["attempts"][0]["error"]["message"] == "the first attempt fails"
    logs = (await cluster.get(f"/occurrences/{triggered['id']}/logs"))["items"]
    assert [line["message"] for line in logs if "begins" in line["message"]] == ["attempt 1 begins", "attempt 2 begins"]
    runs = cluster.runs()
    assert runs.pop(triggered["id"]) == 2
    assert set(runs.values()) == {1}


async def test_skip_leaves_rows_and_queue_runs_one_after_another(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.worker()
    await cluster.worker()
    slow = {"seconds": 1.5}
    await cluster.job("skips", trigger=PER_SECOND, payload=slow, concurrency="skip", max_runs=6)
    await cluster.job("queues", trigger=PER_SECOND, payload=slow, concurrency="queue", max_runs=4)

    async def all_there() -> None:
        (row,) = await cluster.sql("select count(*) from occurrence where origin = 'schedule'")
        assert row["count"] == 10

    await eventually(all_there, timeout=20)
    await cluster.quiet()
    skips = await cluster.sql("select state, blocker_id, reason from occurrence where job_name = 'skips' order by id")
    assert {row["state"] for row in skips} == {"succeeded", "skipped"}
    assert all(row["blocker_id"] and row["reason"] for row in skips if row["state"] == "skipped")
    for name in ("skips", "queues"):
        depth, order = 0, list[int]()
        for line in (line for line in cluster.witnessed() if line["job"] == name):
            depth += 1 if line["what"] == "start" else -1
            assert 0 <= depth <= 1, f"{name} overlaps"
            order += [line["occurrence"]] if line["what"] == "start" else []
        assert order == sorted(order)
    queued = await cluster.sql("select state from occurrence where job_name = 'queues'")
    assert [row["state"] for row in queued] == ["succeeded"] * 4


async def test_overlapping_patterns_run_an_occurrence_once(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.worker()
    await cluster.worker()
    await cluster.job("overlap", type="chaos.overlap.mail", trigger=PER_SECOND, max_runs=5, concurrency="allow")

    async def all_ended() -> None:
        (row,) = await cluster.sql("select count(*) from occurrence where state = 'succeeded'")
        assert row["count"] == 5

    await eventually(all_ended, timeout=20)
    await cluster.quiet()
    assert set(cluster.runs().values()) == {1}


async def test_what_no_worker_serves_waits_and_goes_out_as_soon_as_one_comes(cluster: Cluster) -> None:
    await cluster.api()
    await cluster.job("early")
    occurrence = await cluster.post("/jobs/early/trigger")
    assert occurrence["state"] == "pending"
    await cluster.worker()

    async def ran() -> None:
        assert (await cluster.get(f"/occurrences/{occurrence['id']}"))["state"] == "succeeded"

    await eventually(ran, timeout=15)


async def test_a_running_occurrence_is_cancelled_and_a_worker_drains_without_losing_anything(cluster: Cluster) -> None:
    await cluster.api()
    worker = await cluster.worker()
    await cluster.job("long", payload={"seconds": 60})
    await cluster.job("short", payload={"seconds": 2})
    long = await cluster.post("/jobs/long/trigger")
    short = await cluster.post("/jobs/short/trigger")
    await eventually(lambda: {long["id"], short["id"]} <= cluster.runs().keys(), timeout=15)
    assert (await cluster.post(f"/occurrences/{long['id']}/cancel", {"reason": "enough"}))["state"] in (
        "cancelling",
        "cancelled",
    )

    async def cancelled() -> None:
        assert (await cluster.get(f"/occurrences/{long['id']}"))["state"] == "cancelled"

    await eventually(cancelled, timeout=10)
    worker.terminate()
    await eventually(lambda: worker.returncode is not None, timeout=20)
    assert worker.returncode == 0, worker.output()

    async def finished_during_the_drain() -> None:
        assert (await cluster.get(f"/occurrences/{short['id']}"))["state"] == "succeeded"

    await eventually(finished_during_the_drain, timeout=10)
    assert await cluster.workers() == []
    assert cluster.runs() == {long["id"]: 1, short["id"]: 1}
