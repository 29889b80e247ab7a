"""The events that earlier processes of this machine could not send before they died."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import random
import stat
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path

from leveret.worker.report.spool import HEADER, SUFFIX, read_frame

log = logging.getLogger(__name__)

KEPT_FOR = 3600.0
"""Seconds after which what a dead process left is of no use: its lease has long been over."""


async def send_left_over(folder: Path, send: Callable[[bytes], Awaitable[bool]], pauses: tuple[float, float]) -> None:
    """Send what lies in `folder`, each message until it is confirmed. Of attempts that are others' by now, servers ignore it.

    Args:
        send: sends one message, and says whether it was confirmed.
        pauses: seconds before one that was not is sent again: the first and the longest pause.
    """
    pause, longest = pauses
    try:
        with left_over(folder) as messages:
            for body in messages:
                while not await send(body):
                    await asyncio.sleep(random.uniform(pause / 2, pause))
                    pause = min(longest, pause * 2)
    except OSError as error:
        log.warning("what earlier workers left in %s is not sent: %s", folder, error)


@contextlib.contextmanager
def left_over(folder: Path) -> Generator[Iterator[bytes]]:
    """The messages that dead processes left in `folder`, oldest file first. What was read to its end is deleted.

    Leaving the context before that keeps the file. Files older than `KEPT_FOR` are deleted unread.
    """
    locked: list[int] = []
    try:
        yield _messages(folder, locked)
    finally:
        for file in locked:
            os.close(file)


def _messages(folder: Path, locked: list[int]) -> Iterator[bytes]:
    for path in _files(folder):
        file = _take_over(path)
        if file is None:
            continue
        locked.append(file)
        found, unusable, place = 0, 0, len(HEADER)
        if time.time() - os.fstat(file).st_mtime < KEPT_FOR and os.pread(file, len(HEADER), 0) == HEADER:
            while (frame := read_frame(file, place)) is not None:
                message, size = frame
                place += size
                if message is None:
                    unusable += size
                    continue
                yield message
                found += 1
        unusable += max(0, os.fstat(file).st_size - place)
        log.info("%s, left by an earlier worker: %d messages sent, %d bytes unusable", path.name, found, unusable)
        with contextlib.suppress(OSError):
            path.unlink()


def _files(folder: Path) -> list[Path]:
    try:
        dated = [(path.stat().st_mtime, path) for path in folder.glob(f"*{SUFFIX}")]
    except OSError:
        return []
    return [path for _, path in sorted(dated)]


def _take_over(path: Path) -> int | None:
    """The open file, locked; None when its process lives, or another one was quicker."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise PermissionError(f"{path} is gone, or not our own")  # in a folder such as /tmp any user can put one
    except OSError:
        os.close(file)
        return None
    return file
