"""The fixture `leveret_env`, as a pytest of its own has it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

PYPROJECT = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())
ENTRY_POINT = "[pytest11]\n" + "\n".join(f"{k} = {v}" for k, v in PYPROJECT["project"]["entry-points"]["pytest11"].items())
CONFTEST = """
import pytest

@pytest.fixture
def leveret_options():
    return {"handlers": "app.jobs", "now": "2026-03-28T00:00:00Z"}
"""
JOBS = """
import asyncio
from leveret import job

@job("report.*")
async def report() -> str:
    await asyncio.sleep(600)
    return "made"
"""
TESTS = """
import asyncio
import pytest

NIGHTLY = {"type": "report.daily", "cron": "30 2 * * *", "tz": "Europe/Berlin"}

def test_plain(leveret_env):
    leveret_env.define("report", **NIGHTLY)
    leveret_env.advance(days=2)
    leveret_env.assert_occurred("report", times=2, state="succeeded")

@pytest.mark.asyncio
async def test_with_pytest_asyncio(leveret_env):
    leveret_env.define("report", **NIGHTLY)
    await leveret_env.advance(days=2)
    await asyncio.sleep(0)
    leveret_env.assert_occurred("report", times=2, state="succeeded")

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_with_anyio(leveret_env):
    test_plain(leveret_env)

@pytest.mark.leveret(now="2026-10-24T00:00:00Z")
def test_the_marker_changes_what_the_options_say(leveret_env):
    leveret_env.define("report", **NIGHTLY)
    assert [at.isoformat() for at in leveret_env.upcoming("report", 2)] == [
        "2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00"]

@pytest.mark.leveret("app")
def test_a_failure_is_shown(leveret_env):
    leveret_env.define("report", **NIGHTLY)
    leveret_env.assert_occurred("report")
"""
NOTHING = """
import sys

def test_nothing_is_imported_for_those_who_do_not_ask(request):
    assert "leveret_pytest" in sys.modules
    assert "leveret" not in sys.modules
    assert "leveret" in " ".join(request.config.getini("markers"))
"""


def run(folder: Path, *names: str) -> str:
    arguments = ["-q", "-p", "no:cacheprovider", "-W", "error", *names]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--strict-markers",
            "-o",
            "asyncio_mode=strict",
            "-o",
            "asyncio_default_fixture_loop_scope=function",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_it_serves_plain_tests_and_coroutines_alike_and_imports_nothing_before(tmp_path: Path) -> None:
    for name, text in {
        # As an installed leveret has it; the one of a development environment may be older than the entry point.
        "plugin-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: plugin\nVersion: 1\n",
        "plugin-1.dist-info/entry_points.txt": ENTRY_POINT,
        "conftest.py": CONFTEST,
        "app/__init__.py": "",
        "app/jobs.py": JOBS,
        "test_a_nothing.py": NOTHING,
        "test_tests.py": TESTS,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    output = run(tmp_path)
    assert "5 passed" in output, output
    assert "1 failed" in output, output
    assert "it did not occur at all: it is due Sat 2026-03-28 02:30:00 +01:00" in output
