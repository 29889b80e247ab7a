"""A bounded file of messages that the broker could not take, in order, and the files that dead processes left."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
import struct
import time
import uuid
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

log = logging.getLogger(__name__)

HEADER = b"leveret spool 1\n"
_FRAME = struct.Struct(">II")
"""Before each message: its bytes, and their CRC-32."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a message; a greater length in a file is damage."""
KEPT_FOR = 3600.0
"""Seconds after which what a dead process left is of no use to anybody: its lease has long been over."""
SUFFIX = ".spool"


class Spool:
    """The file of one process: messages are appended at its end, and read from its beginning until the broker has them.

    The file comes with the first message and is emptied when the last one is confirmed. Nothing is synced to the disk: it
    is to outlive the process, not the machine, after whose restart every lease is over. Methods block and may be called from
    any thread, one at a time.

    Args:
        folder: where the file goes; made when it is needed, for this user alone. One for each broker: whatever lies there
            is sent.
        limit: bytes of the file, at most.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit = limit
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        self._file: int | None = None
        self._read = self._end = self._length = 0
        self.broken = ""
        """Why the disk takes nothing, if it does not; tried again with the next message."""

    @property
    def size(self) -> int:
        """Bytes in the file, confirmed messages included until all are."""
        return self._end

    @property
    def empty(self) -> bool:
        """Whether every message was confirmed."""
        return self._read == self._end

    def append(self, message: bytes) -> bool:
        """Add a message; False, and nothing is written, when the file would grow too large or the disk refuses."""
        if self._end + _FRAME.size + len(message) > self.limit:
            return False
        try:
            file = self._file if self._file is not None else self._create()
            frame = _FRAME.pack(len(message), zlib.crc32(message)) + message
            # At a known place, so that the rest of a write that failed half way is overwritten by the next one.
            if _write(file, frame, self._end) < len(frame):
                raise OSError("the disk is full")
        except OSError as error:
            if not self.broken:
                log.error("events cannot be kept on disk in %s: %s", self._folder, error)
            self.broken = str(error)
            return False
        self.broken = ""
        self._end += len(frame)
        return True

    def first(self) -> bytes | None:
        """The oldest message; None when there is none."""
        if self._file is None or self.empty:
            return None
        message = _read_frame(self._file, self._read)
        if message is None:
            # Nobody but us writes here: the disk has lost it.
            log.error("%s is damaged; %d bytes of events are lost", self._path, self._end - self._read)
            self._empty()
        self._length = len(message or b"")
        return message

    def drop_first(self) -> None:
        """What `first` returned last is confirmed."""
        self._read += _FRAME.size + self._length
        if self._read >= self._end:
            self._empty()

    def close(self) -> None:
        """Close; a file with messages stays for the next process, an empty one goes."""
        file, self._file = self._file, None
        if file is None:
            return
        if self.empty:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(file)

    def _create(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Held as long as this process lives: who can take it has found what a dead one left.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(file, HEADER, 0)
        self._file, self._read, self._end = file, len(HEADER), len(HEADER)
        return file

    def _empty(self) -> None:
        assert self._file is not None
        with contextlib.suppress(OSError):  # what stays is overwritten, or sent once more by the next process
            os.ftruncate(self._file, len(HEADER))
        self._read = self._end = len(HEADER)


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
        file = _adopt(path)
        if file is None:
            continue
        locked.append(file)
        found, place = 0, len(HEADER)
        if time.time() - os.fstat(file).st_mtime < KEPT_FOR and os.pread(file, len(HEADER), 0) == HEADER:
            while (message := _read_frame(file, place)) is not None:
                yield message
                found += 1
                place += _FRAME.size + len(message)
        rest = os.fstat(file).st_size - place
        log.info("%s, left by an earlier worker: %d messages sent, %d bytes unusable", path.name, found, max(0, rest))
        with contextlib.suppress(OSError):
            path.unlink()


def _files(folder: Path) -> list[Path]:
    try:
        dated = [(path.stat().st_mtime, path) for path in folder.glob(f"*{SUFFIX}")]
    except OSError:
        return []
    return [path for _, path in sorted(dated)]


def _adopt(path: Path) -> int | None:
    """The open file, locked; None when its process lives, or another one was quicker."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise PermissionError(f"{path} is gone, or not our own")  # in a folder such as /tmp anybody can put one
    except OSError:
        os.close(file)
        return None
    return file


def _read_frame(file: int, place: int) -> bytes | None:
    try:
        head = os.pread(file, _FRAME.size, place)
        if len(head) < _FRAME.size:
            return None
        length, checksum = _FRAME.unpack(head)
        if length > LARGEST:
            return None
        message = os.pread(file, length, place + _FRAME.size)
    except OSError as error:
        log.error("a spool cannot be read: %s", error)
        return None
    return message if len(message) == length and zlib.crc32(message) == checksum else None


def _write(file: int, data: bytes, place: int) -> int:
    written = 0
    while written < len(data):
        count = os.pwrite(file, data[written:], place + written)
        if count == 0:
            break
        written += count
    return written
