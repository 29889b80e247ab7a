"""The example application as a newcomer meets it: `leveret dev examples.app`."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from support.command_line import command, run_leveret
from support.eventually import eventually
from support.http import http_client
from support.ports import free_port
from support.processes import LeveretProcess


class Example:
    """The running example and where it keeps things."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.data = data

    async def request(self, method: str, path: str, body: object = None) -> Any:
        async with http_client(f"{self.url}/api/v1") as client:
            answer = await client.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def trigger(self, job: str, **body: Any) -> int:
        made = await self.request("POST", f"/jobs/{job}/trigger", body)
        return int(made["id"])

    async def ended(self, occurrence: int) -> dict[str, Any]:
        async def final() -> dict[str, Any]:
            found: dict[str, Any] = await self.request("GET", f"/occurrences/{occurrence}")
            assert found["finished_at"], found["state"]
            return found

        return await eventually(final, timeout=30)


@pytest.fixture(scope="module")
async def example(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Example]:
    folder = tmp_path_factory.mktemp("example")
    port = free_port()
    args = ("dev", "examples.app", "--port", str(port), "--no-browser", "--no-reload")
    process = LeveretProcess(*args, env={"LEVERET_EXAMPLE_SHELL": "1"}, cwd=folder)

    def ready() -> None:
        assert process.returncode is None, process.output()
        assert "Dashboard: " in process.output()

    try:
        await eventually(ready, timeout=60, interval=0.1)
        yield Example(f"http://127.0.0.1:{port}", folder / ".leveret")
    finally:
        process.close()


def mails(folder: Path) -> dict[str, Path]:
    """The mails by their Message-ID."""
    files = folder.glob("*.eml")
    return {message_from_bytes(file.read_bytes(), policy=policy.default)["Message-ID"]: file for file in files}


def exists(path: str) -> bool:
    return Path(path).is_file()


async def test_its_jobs_are_there_and_put_into_words(example: Example) -> None:
    jobs = {job["name"]: job for job in (await example.request("GET", "/jobs"))["items"]}

    assert jobs.keys() >= {"digest-mail", "new-year-mail", "activity-report", "customer-migration"}
    assert jobs["digest-mail"]["trigger_description"] == "every minute"
    assert jobs["new-year-mail"]["next_fire_at"].endswith("-12-31T23:00:00Z")
    assert jobs["customer-migration"]["next_fire_at"] is None


async def test_a_mail_job_puts_a_mail_into_the_sink(example: Example) -> None:
    occurrence = await example.trigger("digest-mail")

    done = await example.ended(occurrence)

    assert done["state"] == "succeeded", done["error"]
    assert done["result"]["message_id"] in mails(example.data / "mail")
    logs = await example.request("GET", f"/occurrences/{occurrence}/logs")
    assert [record["message"] for record in logs["items"]] == ["sent 'Your digest, Ann' to ann@example.com"]


async def test_the_report_tells_of_this_very_scheduler(example: Example) -> None:
    await example.ended(await example.trigger("digest-mail"))

    done = await example.ended(await example.trigger("activity-report"))

    assert done["state"] == "succeeded", done["error"]
    rows = list(csv.DictReader(Path(done["result"]["csv"]).read_text().splitlines()))  # noqa: ASYNC240
    assert any(row["job"] == "digest-mail" and row["state"] == "succeeded" for row in rows)
    assert exists(done["result"]["chart"])


async def test_the_migration_shows_its_progress_can_be_cancelled_and_goes_on(example: Example) -> None:
    payload = {"rows": 3000, "batch": 50, "pause": 0.1}
    occurrence = await example.trigger("customer-migration", payload=payload)

    async def moving() -> None:
        progress = (await example.request("GET", f"/occurrences/{occurrence}"))["progress"]
        assert progress
        assert progress["fraction"] > 0
        assert progress["message"].endswith("of 3000 rows")

    await eventually(moving, timeout=20)
    await example.request("POST", f"/occurrences/{occurrence}/cancel", {"reason": "enough"})
    assert (await example.ended(occurrence))["state"] == "cancelled"

    rest = await example.ended(await example.trigger("customer-migration", payload={**payload, "batch": 3000}))
    assert (rest["state"], rest["result"]) == ("succeeded", {"rows": 3000})
    logs = await example.request("GET", f"/occurrences/{rest['id']}/logs")
    assert logs["items"][0]["message"].startswith("going on after ")


async def test_a_crontab_is_imported_and_its_commands_run(example: Example) -> None:
    crontab = "GREETING=hello\n# Says hello\n@yearly cat && echo $GREETING%from cron\n"
    done = await run_leveret("jobs", "import", "crontab", "-", "--json", env={"LEVERET_URL": example.url}, stdin=crontab)
    assert done.code == 0, done.err
    (imported,) = done.json()

    run = await example.ended(await example.trigger(imported["name"]))

    assert run["state"] == "succeeded", run["error"]
    assert run["result"] == {"exit_status": 0, "output": "from cron\nhello"}


async def test_applying_its_jobs_again_changes_nothing(example: Example) -> None:
    applied = command("jobs", "apply", "examples.app", "--json", env={"LEVERET_URL": example.url}).json()

    assert [each["result"] for each in applied] == ["unchanged"] * 4
