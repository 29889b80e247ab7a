"""Processes together with what they started."""

from __future__ import annotations

import contextlib
import time

import psutil


def family(pid: int) -> list[psutil.Process]:
    """The process and all its descendants, parents first; empty when it is gone."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    """Whether it still runs. One that ended and waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: list[psutil.Process], timeout: float = 10.0) -> None:
    """Wait until none of `processes` runs.

    Raises:
        AssertionError: some still run after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while left := [process for process in processes if alive(process)]:
        assert time.monotonic() < deadline, f"still running after {timeout:g} s: {left}"
        time.sleep(0.005)


def kill_all(processes: list[psutil.Process]) -> None:
    """SIGKILL to those of `processes` that still run; returns when they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_gone(processes)
