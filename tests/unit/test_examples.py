"""The example handlers, each run as a worker would run it."""

from __future__ import annotations

import asyncio
import csv
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from examples.app import mail_sink, migration, settings
from examples.app.migration import migrate
from examples.app.report import activity, summary
from examples.app.sendemail import send
from examples.app.shell import run as run_shell
from leveret.registry import default_registry
from leveret.testing import run_job, single_run
from leveret.worker.run.runner import Run
from support.command_line import command
from support.eventually import eventually

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "OUTPUT", tmp_path / "reports")
    return tmp_path / "reports"


def names(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern))


# Mails


@pytest.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """The folder of a mail sink that the handlers send to."""
    async with mail_sink.running(tmp_path / "mail") as port:
        monkeypatch.setattr(settings, "SMTP", ("127.0.0.1", port))
        yield tmp_path / "mail"


async def test_a_mail_goes_over_smtp_and_can_be_read(mails: Path) -> None:
    due = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    payload = {"to": "ann@example.com", "name": "Änn <b>"}

    done = await run_job(send, payload, type="sendemail.digest", occurrence=42, scheduled_for=due)

    assert done.outcome == "succeeded", done.error
    (file,) = names(mails, "*.eml")
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert mail["To"] == "ann@example.com"
    assert mail["Subject"] == "Your digest, Änn <b>"
    assert mail["Message-ID"] == done.result["message_id"] == "<occurrence-42@leveret.example.com>"
    body = mail.get_body()
    assert body
    assert "29 March 2026 01:00 UTC" in body.get_content()
    page = (mails / "index.html").read_text()
    assert file.name in page
    assert "Änn &lt;b&gt;" in page


async def test_an_unknown_template_fails_for_good(mails: Path) -> None:
    done = await run_job(send, {"to": "ann@example.com"}, type="sendemail.nonsense")

    assert (done.outcome, done.retry) == ("failed", False)
    assert done.error
    assert "there are welcome, digest, greeting" in done.error.message


async def test_a_payload_without_address_is_refused_by_its_field(mails: Path) -> None:
    done = await run_job(send, {}, type="sendemail.welcome")

    assert done.outcome == "failed"
    assert done.error
    assert "`to`" in done.error.message


async def test_an_address_that_the_server_refuses_fails_for_good(mails: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> str:
        return "550 no such mailbox"

    monkeypatch.setattr(mail_sink.Sink, "handle_RCPT", refuse, raising=False)

    done = await run_job(send, {"to": "nobody@example.com"}, type="sendemail.welcome")

    assert (done.outcome, done.retry) == ("failed", False)
    assert done.error
    assert "nobody@example.com was refused: 550" in done.error.message


async def test_a_mail_server_that_is_away_is_tried_again_by_the_jobs_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SMTP", ("127.0.0.1", 9))

    done = await run_job(send, {"to": "ann@example.com"}, type="sendemail.welcome")

    assert (done.outcome, done.retry) == ("failed", True)


# Reports


class _History(BaseHTTPRequestHandler):
    """`GET /api/v1/occurrences`: 1,200 occurrences, one a minute, newest first."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        first, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
        items = [an_occurrence(number) for number in range(first, min(first + limit, 1_200))]
        body = json.dumps({"items": items, "next_cursor": str(first + limit) if first + limit < 1_200 else None}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def an_occurrence(number: int) -> dict[str, Any]:
    return {
        "job_name": "mail" if number % 3 else "report",
        "state": "failed" if number % 10 == 0 else "succeeded",
        "duration": 0.5 if number % 10 else None,
        "created_at": (NOW - timedelta(minutes=number)).isoformat(),
    }


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), _History)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("LEVERET_URL", f"http://127.0.0.1:{server.server_port}/")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("history")
async def test_a_report_is_a_table_and_a_chart_of_all_pages_in_its_hours(output: Path) -> None:
    done = await run_job(activity, {"hours": 12}, job="daily-report", scheduled_for=NOW)

    assert done.outcome == "succeeded", done.error
    assert done.result["occurrences"] == 12 * 60 + 1
    rows = list(csv.DictReader((output / "daily-report.csv").read_text().splitlines()))
    assert sum(int(row["count"]) for row in rows) == 12 * 60 + 1
    assert [(row["job"], row["state"]) for row in rows] == [
        ("mail", "failed"),
        ("mail", "succeeded"),
        ("report", "failed"),
        ("report", "succeeded"),
    ]
    assert rows[1]["median_seconds"] == "0.5"
    assert (output / "daily-report.png").read_bytes().startswith(PNG)
    assert [path.name for path in names(output)] == ["daily-report.csv", "daily-report.png"], "nothing half done"


async def test_a_report_of_nothing_is_still_a_report(output: Path, history: None) -> None:
    done = await run_job(activity, {"hours": 1}, job="empty", scheduled_for=NOW + timedelta(days=9))

    assert done.outcome == "succeeded", done.error
    assert (output / "empty.csv").read_text().splitlines() == ["job,state,count,median_seconds"]
    assert (output / "empty.png").read_bytes().startswith(PNG)


def test_occurrences_without_a_duration_count_and_have_no_median() -> None:
    (row,) = summary([{"job_name": "a", "state": "pending", "duration": None}])

    assert row == {"job": "a", "state": "pending", "count": 1, "median_seconds": ""}


# The migration


def migrated(output: Path) -> int:
    database = sqlite3.connect(output / "customers.sqlite")
    (count,) = database.execute("select count(*) from customer_v2").fetchone()
    database.close()
    return int(count)


async def test_a_migration_tells_how_far_it_is_and_moves_every_row(output: Path) -> None:
    done = await run_job(migrate, {"rows": 1_000, "batch": 50, "pause": 0.02})

    assert (done.outcome, done.result) == ("succeeded", {"rows": 1_000}), done.error
    fractions = [fraction for fraction, _ in done.progress]
    assert fractions == sorted(fractions)
    assert len(fractions) > 2
    assert done.progress[-1] == (1.0, "1000 of 1000 rows")
    assert migrated(output) == 1_000


async def test_a_cancelled_migration_stops_between_batches_and_the_next_goes_on_from_there(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, batches, runs = asyncio.get_running_loop(), itertools.count(1), list[Run]()

    class Watched(Run):
        def start(self) -> None:
            runs.append(self)
            super().start()

    def pause(_: float) -> None:
        """In the thread of the handler, between two batches: it goes on when the cancel has come."""
        if next(batches) == 3:
            come = threading.Event()
            loop.call_soon_threadsafe(runs[0].stop, "cancelled")
            loop.call_soon_threadsafe(come.set)
            assert come.wait(30)

    with monkeypatch.context() as patched:
        patched.setattr(single_run, "Run", Watched)
        patched.setattr(migration, "time", SimpleNamespace(sleep=pause))
        stopped = await run_job(migrate, {"rows": 5_000, "batch": 50, "pause": 0.05})

    assert stopped.outcome == "cancelled"
    done_before = migrated(output)
    assert done_before == 150

    rest = await run_job(migrate, {"rows": 5_000, "batch": 1_000, "pause": 0})

    assert rest.outcome == "succeeded"
    assert rest.logs[0].message == f"going on after {done_before} of 5000 rows"
    assert migrated(output) == 5_000


# Shell commands


def test_shell_commands_are_served_only_when_the_environment_allows_it() -> None:
    assert not any(handler.pattern.startswith("shell") for handler in default_registry.handlers)
    code = "import examples.app; from leveret.registry import default_registry as r; print(*(h.pattern for h in r.handlers))"
    for allowed, served in (("1", True), ("0", False), ("yes", False)):
        env = {**os.environ, "LEVERET_EXAMPLE_SHELL": allowed}
        out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        assert ("shell.*" in out.split()) is served


async def test_a_command_gets_its_input_and_environment_and_its_output_is_logged() -> None:
    payload = {"command": 'cat; echo "$GREETING" >&2; printf end', "stdin": "one\ntwo\n", "env": {"GREETING": "hello"}}

    done = await run_job(run_shell, payload)

    assert done.outcome == "succeeded", done.error
    assert [record.message for record in done.logs] == ["one", "two", "hello", "end"]
    assert done.result == {"exit_status": 0, "output": "one\ntwo\nhello\nend"}


async def test_what_an_imported_crontab_runs_is_what_cron_would() -> None:
    crontab = "BACKUP=/srv\n5 4 * * * cat - && echo \\% $BACKUP%line%%last\n"
    path = settings.OUTPUT.parent / "tab"
    path.write_text(crontab)
    (job,) = command("jobs", "import", "crontab", str(path), "--check", "--json").json()

    done = await run_job(run_shell, job["payload"], type=job["type"])

    assert [record.message for record in done.logs] == ["line", "", "last", "% /srv"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("exit 3", "exit status 3"), ("kill -9 $$", "ended by SIGKILL"), ("nonsense-command", "exit status 127")],
)
async def test_a_command_that_fails_fails_for_good_as_cron_would_have_it(line: str, message: str) -> None:
    done = await run_job(run_shell, {"command": line})

    assert (done.outcome, done.retry) == ("failed", False)
    assert done.error
    assert message in done.error.message


async def test_shell_path_and_home_of_a_crontab_are_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "bin" / "hello").chmod(0o755)
    path = settings.OUTPUT.parent / "tab"
    path.write_text(
        f"SHELL=/bin/bash\nHOME={tmp_path}\nPATH={tmp_path}/bin:/usr/bin:/bin\n"
        "5 4 * * * source /dev/null && [[ a == a ]] && hello && pwd && echo $SHELL\n"
    )
    (job,) = command("jobs", "import", "crontab", str(path), "--check", "--json").json()

    done = await run_job(run_shell, job["payload"], type=job["type"])

    assert [record.message for record in done.logs] == ["hello", str(tmp_path), "/bin/bash"], done.error


async def test_without_variables_a_command_begins_at_home_with_sh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/zsh")

    done = await run_job(run_shell, {"command": "pwd; echo $SHELL"})

    assert [record.message for record in done.logs] == [str(tmp_path), "/bin/sh"]


@pytest.mark.parametrize("name", ["SHELL", "HOME"])
async def test_a_shell_or_home_that_is_not_there_is_said(name: str) -> None:
    done = await run_job(run_shell, {"command": "true", "env": {name: "/nowhere/at/all"}})

    assert done.outcome == "failed"
    assert done.error
    assert f"{name} is /nowhere/at/all, which this worker's machine does not have" in done.error.message


async def test_a_command_of_another_user_is_not_run() -> None:
    done = await run_job(run_shell, {"command": "echo no", "user": "somebody-else"})

    assert done.outcome == "failed"
    assert done.error
    assert "start a worker as somebody-else" in done.error.message
    assert done.logs == []


async def test_a_command_that_does_not_read_its_input_succeeds() -> None:
    done = await run_job(run_shell, {"command": "true", "stdin": "x" * 1_000_000})

    assert done.outcome == "succeeded", done.error


async def test_on_a_timeout_all_that_the_command_started_ends(tmp_path: Path) -> None:
    line = f"sleep 300 & echo $! > {tmp_path}/child; trap '' TERM; sleep 300"

    done = await run_job(run_shell, {"command": line}, timeout=0.5)

    assert done.outcome == "timed_out"
    child = int((tmp_path / "child").read_text())

    def gone() -> None:
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    try:
        await eventually(gone, timeout=10)
    finally:
        if psutil.pid_exists(child):
            os.kill(child, signal.SIGKILL)


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    done = await run_job(run_shell, {"command": "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo done"}, timeout=20)

    assert done.outcome == "succeeded", done.error
    assert done.logs[-1].message == "done"
    assert any("was left out" in record.message for record in done.logs)
