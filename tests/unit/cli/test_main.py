"""What holds for every command: what it loads, how it refuses, where it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import command

COMMANDS = (
    "api",
    "all",
    "dev",
    "dispatcher",
    "doctor",
    "jobs",
    "jobs apply",
    "jobs create",
    "jobs delete",
    "jobs import crontab",
    "jobs list",
    "jobs pause",
    "jobs resume",
    "jobs show",
    "jobs trigger",
    "migrate",
    "occurrences",
    "occurrences cancel",
    "occurrences list",
    "occurrences logs",
    "occurrences show",
    "schedule preview",
    "version",
    "worker",
    "workers drain",
    "workers list",
)
HEAVY = (
    *("aio_pika", "apscheduler", "asyncpg", "cronsim", "fakeredis", "fastapi", "httpx", "msgspec", "pydantic"),
    *("redis", "rich", "socketio", "uvicorn"),
)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, leveret.cli.console; print(*(m for m in {HEAVY} if m in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    # `import leveret` itself brings msgspec, and typer may bring rich for its help.
    assert set(loaded) <= {"msgspec", "rich"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = command(*name.split(), "--help")

    assert done.code == 0
    assert "Usage: leveret " + name in done.out


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("jobs", "nonsense"),
        ("jobs", "list", "--nonsense"),
        ("jobs", "list", "--limit", "many"),
        ("jobs", "show"),
        ("occurrences", "show", "x"),
        ("occurrences", "list", "--state", "asleep"),
        ("schedule", "preview", "* * * * *", "--count", "0"),
        ("api", "--port", "70000"),
        ("worker",),
    ],
)
def test_wrong_arguments_are_a_usage_error(args: tuple[str, ...]) -> None:
    done = command(*args)

    assert done.code == 2
    assert done.out == ""
    assert "Usage:" in done.err


@pytest.mark.parametrize("args", [("api",), ("dispatcher",), ("migrate",), ("doctor",), ("all", "examples.app")])
def test_wrong_settings_are_named_all_at_once_without_a_traceback(args: tuple[str, ...]) -> None:
    done = command(*args, env={"LEVERET_DATABASE_URL": "mysql://x", "LEVERET_LOCK_TTL": "soon"})

    assert done.code == 2
    assert "LEVERET_DATABASE_URL" in done.err
    assert "LEVERET_LOCK_TTL" in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_server_that_is_not_there_is_named_with_the_setting_that_names_it() -> None:
    done = command("jobs", "list", env={"LEVERET_URL": "http://127.0.0.1:9"})

    assert done.code == 1
    assert "http://127.0.0.1:9" in done.err
    assert "LEVERET_URL" in done.err
    assert done.out == ""


def test_the_url_option_wins_over_the_environment() -> None:
    done = command("workers", "list", "--url", "http://127.0.0.1:9", env={"LEVERET_URL": "http://127.0.0.1:7"})

    assert "http://127.0.0.1:9" in done.err


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://here", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    done = command("jobs", "list", "--url", url)

    assert done.code == 2
    assert "LEVERET_URL" in done.err


@pytest.mark.parametrize(
    ("args", "hidden", "extra"),
    [
        (("jobs", "list"), "httpx", "server"),
        (("schedule", "preview", "@daily"), "cronsim", "server"),
        (("api",), "pydantic_settings", "server"),
        (("api",), "asyncpg", "server"),
        (("doctor",), "redis", "server"),
        (("dev", "examples.app"), "fakeredis", "dev"),
    ],
)
def test_a_missing_extra_is_one_line_that_says_what_to_install(args: tuple[str, ...], hidden: str, extra: str) -> None:
    # As a base install: the library is not there.
    code = f"import sys; sys.modules[{hidden!r}] = None; sys.argv[1:] = {list(args)!r}; from leveret.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"pip install 'leveret[{extra}]'" in done.stderr


def test_a_library_that_a_users_module_lacks_is_not_mistaken_for_an_extra(tmp_path: Path) -> None:
    (tmp_path / "their_jobs.py").write_text("import httpx\n")
    code = (
        "import sys; sys.modules['httpx'] = None; sys.argv[1:] = ['worker', 'their_jobs']; from leveret.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 1
    assert "their_jobs.py" in done.stderr
    assert "leveret[server]" not in done.stderr


def test_version_tells_python_and_the_parts() -> None:
    found = command("version", "--json").json()

    assert found["leveret"]
    assert found["python"] == sys.version.split()[0]
    assert found["asyncpg"]
