"""What did not run is named, and fails in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
A_SKIP = """
import pytest

def test_that_needs_what_is_not_here():
    pytest.skip("no such server: install it")

def test_that_runs():
    pass
"""


def run(folder: Path, tests: str, *, ci: str | None) -> subprocess.CompletedProcess[str]:
    """pytest on `tests`, under the settings and the conftest of this project."""
    file = folder / "test_some.py"
    file.write_text(tests)
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    env["PYTHONPATH"] = str(ROOT / "tests")
    # Only the plugins that the settings name: to import the others takes longer than all the rest.
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    if ci is not None:
        env["CI"] = ci
    plugins = [word for name in ("conftest", "pytest_asyncio.plugin", "pytest_timeout") for word in ("-p", name)]
    settings: list[str | Path] = ["-c", ROOT / "pyproject.toml", "--rootdir", folder, "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, *settings, file]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(("ci", "code"), [(None, 0), ("false", 0), ("true", 1)])
def test_a_skipped_test_is_named_with_its_reason_and_fails_the_run_in_ci(tmp_path: Path, ci: str | None, code: int) -> None:
    done = run(tmp_path, A_SKIP, ci=ci)
    assert done.returncode == code, done.stdout + done.stderr
    assert "= not run =" in done.stdout
    assert "no such server: install it:\n" in done.stdout
    assert "test_some.py::test_that_needs_what_is_not_here\n" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_a_run_without_skips_says_nothing_of_them(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_that_runs(): pass", ci="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not run" not in done.stdout
