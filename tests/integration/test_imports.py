"""Imports of the same source again and again, over REST."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from leveret_core.crontab import parse_crontab
from support.api import Api, running_api


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url) as running:
        yield running


async def imported(api: Api, text: str, source: str = "db1:ann", **body: Any) -> dict[str, str]:
    """Name → result of an import."""
    answer = await api.ok("POST", "/imports", json={"source": source, "jobs": parse_crontab(text).jobs} | body)
    return {each["name"]: each["result"] for each in answer["items"]}


async def due(api: Api) -> dict[str, str]:
    """Name → expression of all jobs."""
    jobs = (await api.ok("GET", "/jobs"))["items"]
    return {job["name"]: job["trigger"]["expression"] for job in jobs}


async def test_an_entry_that_is_gone_leaves_no_second_job_at_the_time_of_another(api: Api) -> None:
    both = "0 1 * * * /srv/q/once\n0 13 * * * /srv/q/once\n"
    assert await imported(api, both) == {"once": "created", "once-2": "created"}
    assert await imported(api, "0 13 * * * /srv/q/once\n") == {"once-2": "unchanged", "once": "gone"}
    assert await due(api) == {"once": "0 1 * * *", "once-2": "0 13 * * *"}, "it runs on until somebody says otherwise"
    assert await imported(api, both) == {"once": "unchanged", "once-2": "unchanged"}

    assert await imported(api, "0 13 * * * /srv/q/once\n", prune=True) == {"once-2": "unchanged", "once": "deleted"}
    assert await due(api) == {"once-2": "0 13 * * *"}


async def test_another_host_with_the_same_program_gets_jobs_of_its_own(api: Api) -> None:
    await imported(api, "0 1 * * * /opt/backup.sh\n")
    answer = await api.ok(
        "POST", "/imports", json={"source": "db2:ann", "jobs": parse_crontab("0 5 * * * /opt/backup.sh\n").jobs}
    )
    (second,) = answer["items"]
    assert (second["name"], second["result"]) == ("backup-sh-db2-ann", "created")
    assert second["problem"] == "another job is named backup-sh; this one is backup-sh-db2-ann"
    assert await due(api) == {"backup-sh": "0 1 * * *", "backup-sh-db2-ann": "0 5 * * *"}
    assert await imported(api, "0 6 * * * /opt/backup.sh\n", "db2:ann", prune=True) == {"backup-sh-db2-ann": "updated"}
    assert await due(api) == {"backup-sh": "0 1 * * *", "backup-sh-db2-ann": "0 6 * * *"}
    assert (await api.ok("GET", "/jobs/backup-sh"))["import_source"] == "db1:ann"

    # Nor is a job of somebody's own taken over.
    await api.job("report", type="shell.run", payload={"command": "mine"})
    assert await imported(api, "0 6 * * * report\n", "db3:ann") == {"report-db3-ann": "created"}
    assert (await api.ok("GET", "/jobs/report"))["source"] == "api"


async def test_what_was_edited_since_stays_until_the_entry_itself_changes(api: Api) -> None:
    await imported(api, "0 1 * * * sync\n0 2 * * * other\n")
    edits = {"timeout": 60, "tags": ["mine"], "concurrency": "queue", "description": "said by hand"}
    await api.ok("PATCH", "/jobs/sync", json=edits | {"trigger": {"kind": "cron", "expression": "0 4 * * *"}})
    await api.ok("PATCH", "/jobs/other", json={"name": "renamed"})
    before = await api.ok("GET", "/jobs/sync")

    assert await imported(api, "0 1 * * * sync\n0 2 * * * other\n") == {"sync": "unchanged", "renamed": "unchanged"}
    assert await api.ok("GET", "/jobs/sync") == before

    moved = await api.ok("POST", "/imports", json={"source": "db1:ann", "jobs": parse_crontab("0 5 * * * sync\n").jobs})
    assert (moved["items"][0]["result"], moved["items"][0]["fields"]) == ("updated", ["description", "trigger"])
    after = await api.ok("GET", "/jobs/sync")
    assert after["trigger"]["expression"] == "0 5 * * *"
    kept = ("timeout", "tags", "concurrency", "payload", "retry")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


async def test_a_dry_run_tells_what_would_happen_and_changes_nothing(api: Api) -> None:
    await imported(api, "0 1 * * * a\n0 2 * * * b\n0 3 * * * c\n")
    before = await due(api)
    events = len(api.hints)
    wanted = "0 1 * * * a\n0 9 * * * b\n0 4 * * * d\n"
    plan = {"a": "unchanged", "b": "updated", "d": "created", "c": "deleted"}

    assert await imported(api, wanted, prune=True, dry_run=True) == plan
    assert await due(api) == before
    assert len(api.hints) == events
    assert await imported(api, wanted, prune=True) == plan


async def test_a_wrong_entry_costs_itself_alone_and_nothing_is_deleted_for_it(api: Api) -> None:
    jobs: list[dict[str, Any]] = [dict(job) for job in parse_crontab("0 1 * * * a\n0 2 * * * b\n0 3 * * * c\n").jobs]
    await api.ok("POST", "/imports", json={"source": "s", "jobs": jobs})
    jobs[1] |= {"trigger": {"kind": "cron", "expression": "61 * * * *"}}
    answer = await api.ok("POST", "/imports", json={"source": "s", "jobs": [*jobs[:2], {"key": "\x00"}], "prune": True})

    assert [(each["name"], each["result"]) for each in answer["items"]] == [
        ("a", "unchanged"),
        ("b", "refused"),
        ("", "refused"),
        ("b", "gone"),
        ("c", "gone"),
    ]
    assert [each["entry"] for each in answer["items"]] == [0, 1, 2, None, None]
    assert "minute: 61 is above 59" in answer["items"][1]["problem"]
    assert "could not be read" in answer["items"][3]["problem"]
    bodies: list[dict[str, Any]] = [{"source": ""}, {"source": "a\nb"}, {"jobs": 1}, {"jobs": [{}] * 1001}, {"what": 1}]
    for wrong in bodies:
        await api.refused("POST", "/imports", 422, json={"source": "s", "jobs": []} | wrong)


async def test_an_entry_whose_job_has_another_name_is_told_by_its_place(api: Api) -> None:
    one = {"type": "report.daily", "trigger": {"kind": "manual"}}
    await api.job("older")
    await api.job("taken", type="report.other")
    jobs = [one | {"name": "new"}, one | {"name": "taken"}, 7, None, one | {"name": "last"}]
    answer = await api.ok("POST", "/imports", json={"source": "s", "jobs": jobs})
    assert [(each["entry"], each["name"], each["result"]) for each in answer["items"]] == [
        (0, "older", "adopted"),
        (1, "taken-s", "created"),
        (2, "", "refused"),
        (3, "", "refused"),
        (4, "last", "created"),
    ]
    assert answer["items"][2]["problem"] == "an entry must be an object"


async def test_jobs_of_an_import_that_did_not_remember_its_source_are_taken_over(api: Api) -> None:
    (entry,) = parse_crontab("A=1\n0 1 * * * sync\n").jobs
    await api.ok("POST", "/jobs", 201, json={name: value for name, value in entry.items() if name != "key"} | {"timeout": 5})
    text = "A=1\n0 1 * * * sync\n"
    assert await imported(api, text) == {"sync": "adopted"}
    assert await imported(api, text) == {"sync": "unchanged"}
    job = await api.ok("GET", "/jobs/sync")
    assert (job["timeout"], job["source"], job["import_source"]) == (5.0, "import", "db1:ann")


async def test_what_is_drawn_for_an_imported_entry_stays(api: Api) -> None:
    await imported(api, "H 3 * * * sync\n")
    before = await api.ok("GET", "/jobs/sync")
    await api.ok("PATCH", "/jobs/sync", json={"name": "copy"})
    assert await imported(api, "H 3 * * * sync\n") == {"copy": "unchanged"}
    assert await imported(api, "X=1\nH 3 * * * sync\n") == {"copy": "updated"}
    after = await api.ok("GET", "/jobs/copy")
    assert (after["next_fire_at"], after["trigger"]["seed"]) == (before["next_fire_at"], "sync")
