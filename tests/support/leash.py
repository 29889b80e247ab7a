"""Ends the servers of a test run that was itself killed.

A run that ends in an orderly way stops its own servers. One that is killed cannot, so a small process of its own, which
reads a pipe from the test run, does it: when the pipe closes, it kills what it still holds.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_leash: subprocess.Popen[str] | None = None


def hold(pid: int) -> None:
    """Kill the process group led by `pid` when this process is gone."""
    _tell(f"hold {pid}")


def release(pid: int) -> None:
    """Forget `pid`: it has ended."""
    _tell(f"release {pid}")


def hold_folder(folder: Path) -> None:
    """Remove `folder` when this process is gone."""
    _tell(f"folder {folder}")


def _tell(line: str) -> None:
    global _leash
    if _leash is None:
        _leash = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        atexit.register(_release, _leash)
    assert _leash.stdin is not None
    _leash.stdin.write(line + "\n")
    _leash.stdin.flush()


def _release(leash: subprocess.Popen[str]) -> None:
    assert leash.stdin is not None
    leash.stdin.close()
    leash.wait()


def main() -> None:
    """The process at the other end of the pipe."""
    pids: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        verb, _, what = line.strip().partition(" ")
        if verb == "hold":
            pids.add(int(what))
        elif verb == "release":
            pids.discard(int(what))
        else:
            folders.append(what)
    for pid in pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
