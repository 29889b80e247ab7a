"""The `leveret` command run to its end, in this process or as one of its own."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from leveret.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended.

    Args:
        code: the exit code.
        out: what it printed on stdout.
        err: what it printed on stderr.
    """

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Stdout as JSON."""
        return json.loads(self.out)


def command(*args: str, env: dict[str, str] | None = None) -> Done:
    """Run `leveret ARGS` in this process, with no `LEVERET_*` variables but those in `env`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["leveret", *args]),
        patch.dict(os.environ, _environment(env), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())


async def run_leveret(*args: str, env: dict[str, str] | None = None, stdin: str = "", timeout: float = 60.0) -> Done:
    """Run `leveret ARGS` as a process, with no `LEVERET_*` variables but those in `env`, and wait for its end.

    Arguments:
        args: the command's words.
        env: environment variables on top of the test's own.
        stdin: what it can read.
        timeout: seconds it may take.
    """
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "leveret", *args],
        env=_environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _environment(env: dict[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LEVERET_", "TEST_"))}
    return {**inherited, **(env or {})}
