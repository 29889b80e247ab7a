"""Workers, the dispatcher, health and metrics over REST, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from leveret_api import status
from leveret_api.services import Services
from leveret_core.messages import HandlerInfo, Hello, Unreadable
from leveret_core.redis_clients import hints_client
from leveret_core.store.database import Database
from leveret_core.supervision import Steps, TaskState
from support.api import HOURLY, Api, running_api
from support.control import Control, finished
from support.eventually import eventually
from support.proxy import Proxy


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


@pytest.fixture
def control(api: Api) -> Control:
    return Control(api.db)


async def test_workers_are_listed_with_the_queues_of_their_handlers(api: Api, control: Control) -> None:
    worker = await control.worker()
    (item,) = (await api.ok("GET", "/workers"))["items"]
    assert (item["id"], item["name"], item["state"], item["concurrency"]) == (worker, "w", "alive", 10)
    assert item["handlers"] == [
        {"pattern": "#", "queue": "jobs.all", "concurrency": 10, "name": "", "timeout": None, "schema": None, "doc": ""}
    ]
    await api.db.pool.execute("update worker set state = 'lost', stopped_at = now() - interval '10 minutes'")
    assert (await api.ok("GET", "/workers"))["items"][0]["state"] == "lost"
    await api.db.pool.execute("update worker set stopped_at = now() - interval '2 hours'")
    assert (await api.ok("GET", "/workers"))["items"] == []


async def test_a_worker_is_shown_with_its_schemas_and_mistakes_and_the_list_stays_small(api: Api, control: Control) -> None:
    worker, refused = str(uuid.uuid4()), str(uuid.uuid4())
    schema = {"type": "object", "description": "x" * 100_000}
    handlers = [HandlerInfo(pattern="mail.*", concurrency=1, schema=schema, doc="Send.")]
    hello = Hello(worker=worker, name="mails", host="h", pid=1, sdk="s", concurrency=1, handlers=handlers)
    await control.desk.answer([hello])
    control.desk.refused(Unreadable(kind="heartbeat", worker=worker, reason="Expected `int` >= 0 - at `$.running`"))
    control.desk.refused(Unreadable(kind="hello", worker=refused, name="others", reason="Expected `int` >= 1 - at `$.pid`"))
    await control.desk.refusals.keep()
    answer = await api.http.get("/api/v1/workers")
    assert len(answer.content) < 2_000
    (listed,) = answer.json()["items"]
    assert (listed["handlers"][0]["pattern"], listed["handlers"][0]["schema"]) == ("mail.*", None)
    found = await api.ok("GET", f"/workers/{worker}")
    assert (found["handlers"][0]["schema"], found["handlers"][0]["doc"]) == (schema, "Send.")
    (mistake,) = found["refusals"]
    assert (mistake["kind"], mistake["count"], "$.running" in mistake["reason"]) == ("heartbeat", 1, True)
    assert "its hello was refused: Expected `int` >= 1" in (await api.refused("GET", f"/workers/{refused}", 404))[""]
    assert "there is no worker" in (await api.refused("GET", f"/workers/{uuid.uuid4()}", 404))[""]


async def test_jobs_are_told_by_whether_they_are_served_whatever_workers_announce(api: Api, control: Control) -> None:
    await api.job("one", type="report.daily")
    await control.worker()
    many = [{"pattern": f"team{n}.*.{'x' * 150}", "concurrency": 1} for n in range(5000)]
    bad = [{"pattern": "(", "concurrency": 1}, *many]
    await control.db.pool.execute(
        """insert into worker (id, name, host, pid, sdk, concurrency, handlers, lease_until)
        values ($1, 'old', 'h', 1, 's', 1, $2::text::jsonb, now() + interval '1 minute')""",
        *(uuid.uuid4(), json.dumps(bad)),
    )
    api.services.served.forget()
    assert [job["name"] for job in (await api.ok("GET", "/jobs?served=true"))["items"]] == ["one"]
    assert (await api.ok("GET", "/jobs?served=false"))["items"] == []


async def test_the_dispatcher_is_nobody_until_a_term_begins(api: Api, control: Control) -> None:
    before = await api.ok("GET", "/dispatcher")
    assert (before["holder"], before["epoch"], before["acquired_at"], before["lag_seconds"]) == (None, 0, None, 0)
    await control.term()
    now = await api.ok("GET", "/dispatcher")
    assert (uuid.UUID(now["holder"]).version, now["holder_name"], now["epoch"]) == (4, "test", 1)
    assert 0 <= now["since_seconds"] < 60
    await api.job(trigger=HOURLY)
    await api.db.pool.execute("update job set next_fire_at = now() - interval '90 seconds'")
    assert 90 <= (await api.ok("GET", "/dispatcher"))["lag_seconds"] < 150


async def test_the_overview_counts_what_lives_and_what_ended(api: Api, control: Control) -> None:
    await api.job("one", concurrency="queue")
    job = await api.job("two", trigger=HOURLY)
    await api.ok("POST", "/jobs/one/pause")
    first, _ = await api.trigger("one"), await api.trigger("one")
    await api.trigger("two")
    worker = await control.worker()
    await control.report(worker, finished(await control.claim(worker, first["id"])))
    seen = await api.ok("GET", "/overview")
    assert seen["occurrences"] == {"scheduled": 0, "waiting": 0, "pending": 2, "running": 0, "cancelling": 0, "retrying": 0}
    assert (seen["last_hour"], seen["last_hour_since"]) == ({"succeeded": 1}, None)
    assert seen["jobs"] == {"total": 2, "paused": 1}
    assert seen["workers"] == {"alive": 1, "slots": 10, "running": 0}
    assert seen["services"] == {"postgres": "ok", "redis": "ok", "rabbitmq": "ok"}
    assert seen["upcoming"] == [{"job_id": job["id"], "job_name": "two", "next_fire_at": job["next_fire_at"]}]


async def test_too_many_to_count_are_counted_since_a_later_time(
    api: Api, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "MAX_COUNTED", 2)
    await api.job(concurrency="allow")
    for _ in range(3):
        made = await api.trigger("daily")
        await api.ok("POST", f"/occurrences/{made['id']}/cancel", 202)
    seen = await api.ok("GET", "/overview")
    assert seen["last_hour"] == {"cancelled": 2}
    assert seen["last_hour_since"] is not None


async def test_many_readers_of_the_overview_share_one_count(api: Api) -> None:
    await asyncio.gather(*(api.ok("GET", "/overview") for _ in range(50)))
    calls = await api.db.pool.fetchval("select 1")
    assert calls == 1
    # A job that is made now shows only when the value is a second old.
    await api.job()
    assert (await api.ok("GET", "/overview"))["jobs"]["total"] == 0


async def test_a_process_without_rabbitmq_is_degraded_but_ready(api: Api) -> None:
    await dispatched(api, 1)
    assert (await api.http.get("/livez")).json() == {"status": "ok"}
    assert (await api.http.get("/readyz")).json()["status"] == "ok"


async def dispatched(api: Api, seconds: float) -> None:
    """A dispatcher last had done what was to be done so many seconds ago."""
    await api.db.pool.execute(
        "update term set progress_at = now() - $1 * interval '1 second', lease_until = now() + interval '1 hour'", seconds
    )


async def test_a_term_that_is_held_while_nobody_dispatches_shows(api: Api) -> None:
    ready = (await api.http.get("/readyz")).json()
    assert (ready["status"], ready["dispatch"]) == ("degraded", {"state": "stalled", "last_progress_seconds": None})
    await dispatched(api, 600)
    fresh = status.Status(api.services)
    health = await fresh.health()
    assert (health.status, health.dispatch.state) == ("degraded", "stalled")
    await dispatched(api, 5)
    fresh = status.Status(api.services)
    health = await fresh.health()
    assert (health.status, health.dispatch.state) == ("ok", "ok")


async def test_the_last_progress_of_dispatching_is_a_metric(api: Api) -> None:
    await dispatched(api, 600)
    progress = next(m for m in await metrics(api) if m.name == "leveret_dispatch_last_progress_seconds")
    assert progress.samples[0].value >= 600


async def metrics(api: Api) -> list[Metric]:
    return list(text_string_to_metric_families((await api.http.get("/metrics")).text))


async def test_a_task_that_should_run_and_does_not_shows(api: Api) -> None:
    await dispatched(api, 1)
    steps = Steps("claims", 0.01)

    async def dies() -> None:
        raise KeyError("a secret")

    async def hangs() -> None:
        steps.begin()
        await asyncio.Event().wait()

    supervisor = api.services.supervisor
    kept = [supervisor.keep("hints listener", dies), supervisor.keep("claims", hangs, steps=steps)]

    async def shows() -> None:
        ready = (await api.http.get("/readyz")).json()
        tasks = {task["name"]: task for task in ready["tasks"]}
        listener, claims = tasks["hints listener"], tasks["claims"]
        assert ready["status"] == "degraded"
        assert (listener["running"], listener["error"]) == (False, "KeyError")
        assert (claims["running"], claims["overdue_seconds"] > 0) == (True, True)
        samples = {(s.name, s.labels["task"]): s.value for m in await metrics(api) for s in m.samples if "task" in s.labels}
        assert samples["leveret_task_up", "hints listener"] == samples["leveret_task_up", "claims"] == 0
        assert samples["leveret_task_restarts_total", "hints listener"] >= 0

    await eventually(shows)
    await supervisor.stop(*kept)
    assert (await api.http.get("/readyz")).json()["status"] == "ok"


async def test_an_errand_that_fails_shows_with_how_often(api: Api) -> None:
    await dispatched(api, 1)
    pruner = TaskState("pruner", True, 0, "KeyError: 'a secret'", 0.0, failing=59.0, steps=7, failures=3)
    shown = [pruner]
    hide = api.services.supervisor.show(lambda: shown)
    ready = (await api.http.get("/readyz")).json()
    assert ready["status"] == "ok"
    shown[0] = replace(pruner, failing=61.0)
    ready = (await api.http.get("/readyz")).json()
    (task,) = ready["tasks"]
    assert (ready["status"], task["healthy"], task["error"]) == ("degraded", False, "KeyError")
    assert (task["failing_seconds"], task["steps"], task["failures"]) == (61.0, 7, 3)
    samples = {
        s.name.removeprefix("leveret_task_"): s.value for m in await metrics(api) for s in m.samples if "task" in s.labels
    }
    assert (samples["up"], samples["steps_total"], samples["failures_total"]) == (0, 7, 3)
    hide()
    assert (await api.http.get("/readyz")).json()["tasks"] == []


async def test_health_is_back_as_soon_as_postgres_is(api: Api) -> None:
    """However long it took to find that it was away."""
    await dispatched(api, 1)
    async with Proxy(api.db.url) as proxy:
        services = replace(api.services, database=Database(proxy.url, pool_size=2))
        await services.database.start()
        health = status.Status(services).health
        assert (await health()).status == "ok"
        proxy.blackhole()

        async def is_now(wanted: str) -> None:
            assert (await health()).status == wanted

        await eventually(partial(is_now, "unavailable"))
        await proxy.heal()
        # A second for the cached value, and one look. Ten times as long as it took to load would be twenty seconds.
        await eventually(partial(is_now, "ok"), timeout=6)
        await services.database.stop()


async def test_health_names_the_services_that_are_away(api: Api) -> None:
    await dispatched(api, 1)
    api.broker.connected = False
    answer = await api.http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["services"] == {"postgres": "ok", "redis": "ok", "rabbitmq": "down"}


async def test_a_redis_that_does_not_answer_degrades(api: Api, redis_url: str) -> None:
    services = api.services
    redis = hints_client(redis_url)
    async with redis:
        services.redis = redis
        assert (await api.http.get("/readyz")).json()["services"]["redis"] == "ok"
    away: Redis = hints_client("redis://127.0.0.1:1/0")
    async with away:
        api.services.redis = away
        fresh = status.Status(services)
        health = await fresh.health()
        assert health.status == "degraded"
        assert health.services.model_dump() == {"postgres": "ok", "redis": "down", "rabbitmq": "ok"}


async def test_a_draining_process_sends_new_requests_elsewhere_but_still_answers(api: Api) -> None:
    api.services.draining = True
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert "retry-after" in answer.headers
    assert (await api.http.get("/livez")).status_code == 200
    await api.ok("GET", "/jobs")


async def test_metrics_count_requests_by_route_and_states(api: Api) -> None:
    await api.job()
    await api.trigger("daily")
    for number in range(3):
        await api.http.get(f"/api/v1/jobs/{number + 500}")
        await api.http.get(f"/nowhere/{number}.txt")
    api.services.leads = lambda: True
    text = (await api.http.get("/metrics")).text
    for line in (
        'leveret_http_requests_total{method="GET",route="/api/v1/jobs/{ref}",status="404"} 3.0',
        'leveret_http_requests_total{method="POST",route="/api/v1/jobs",status="201"} 1.0',
        'leveret_http_requests_total{method="GET",route="other",status="404"} 3.0',
        'leveret_occurrences{state="pending"} 1.0',
        'leveret_jobs{paused="false"} 1.0',
        'leveret_service_up{service="postgres"} 1.0',
        "leveret_dispatcher_is_leader 1.0",
        "leveret_dispatcher_epoch 0.0",
        "leveret_live_clients 0.0",
    ):
        assert f"\n{line}\n" in text, line


async def test_two_apps_in_one_process_have_metrics_of_their_own(api: Api, database_url: str) -> None:
    await api.job()
    async with running_api(database_url) as other:
        assert 'route="/api/v1/jobs"' not in (await other.http.get("/metrics")).text


async def test_services_tell_only_after_they_are_asked(api: Api) -> None:
    assert isinstance(api.services, Services)
    await api.ok("GET", "/jobs")
    assert api.hints == []
