"""Processes forked from one that has imported their modules are what they would be when started cold."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.processes import StartLeveret
from support.trees import alive, family
from support.warm import can_start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process is started cold")

FACTS = """
import gc, json, logging, os, signal, sys, threading, warnings

main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "main": main.__file__, "package": main.__package__,
    "cwd": os.getcwd(), "env": dict(os.environ), "leads": [os.getpid() == os.getsid(0) == os.getpgrp()],
    "stdin": sys.stdin.read(), "files": len(os.listdir("/proc/self/fd")), "umask": os.umask(0o22),
    "signals": [str(signal.getsignal(each)) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)],
    "blocked": [str(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "streams": [(each.encoding, each.errors, each.line_buffering, each.write_through) for each in (sys.stdout, sys.stderr)],
    "modules": sorted(sys.modules),
    "threads": threading.active_count(), "gc": [gc.isenabled(), gc.get_threshold()], "bytecode": sys.dont_write_bytecode,
    "handlers": len(logging.getLogger().handlers), "warnings": [str(each) for each in warnings.filters],
}))
"""


def run(start: StartLeveret, folder: Path, end: str, *, cold: bool) -> tuple[int, str]:
    (folder / "facts.py").write_text(FACTS + end)
    env = {
        "LEVERET_AMQP_URL": "amqp://127.0.0.1:1/",
        "PYTHONPATH": f"{folder / 'mine'}{os.pathsep}relative",
        "OF_THE_TEST": "yes",
    }
    process = start("worker", "facts", "--name", "me", env=env, cwd=folder, cold=cold)
    return process.wait(), process.output()


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("raise KeyboardInterrupt", None),
        ("raise RuntimeError('mine')", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("__import__('atexit').register(print, 'bye', flush=True); os.kill(os.getpid(), signal.SIGINT)", None),
        ("print('no end of a line', end=''); os._exit(3)", 3),
    ],
)
def test_it_is_what_a_cold_one_is_and_ends_as_it_does(
    start_leveret: StartLeveret, tmp_path: Path, end: str, code: int | None
) -> None:
    def facts(*, cold: bool) -> tuple[int, Any, list[str]]:
        ended, output = run(start_leveret, tmp_path, end, cold=cold)
        first, *more = output.splitlines()
        return ended, json.loads(first), more[-1:]

    assert facts(cold=False) == facts(cold=True)
    assert code is None or run(start_leveret, tmp_path, end, cold=False)[0] == code


def test_what_is_random_differs_from_process_to_process(start_leveret: StartLeveret, tmp_path: Path) -> None:
    (tmp_path / "dice.py").write_text("import random; print(random.random(), flush=True); raise SystemExit")
    thrown = [start_leveret("worker", "dice", cwd=tmp_path) for _ in range(3)]
    assert [process.wait() for process in thrown] == [0, 0, 0]
    assert len({process.output() for process in thrown}) == 3


async def test_signals_and_a_stop_reach_it(start_leveret: StartLeveret, tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    process = start_leveret("worker", "sleeper", cwd=tmp_path)

    def here() -> None:
        assert "here" in process.output()

    await eventually(here)
    process.freeze()
    process.thaw()
    assert process.returncode is None
    process.interrupt()
    assert process.wait() in (1, 130, -signal.SIGINT)
    other = start_leveret("worker", "sleeper", cwd=tmp_path)
    members = family(other.pid)
    other.kill()
    assert other.returncode == -signal.SIGKILL
    assert not [member for member in members if alive(member)]


@pytest.mark.parametrize(
    ("args", "env", "warm"),
    [
        (("api",), {"LEVERET_PORT": "1", "PYTHONPATH": "x"}, True),
        (("worker", "jobs"), {}, True),
        (("dev", "jobs"), {}, False),
        ((), {}, False),
        (("api",), {"LD_PRELOAD": "libfaketime.so"}, False),
        (("api",), {"PYTHONDEVMODE": "1"}, False),
    ],
)
def test_what_is_read_before_any_import_is_started_cold(args: tuple[str, ...], env: dict[str, str], warm: bool) -> None:
    assert can_start(args, env) is warm
