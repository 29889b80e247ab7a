"""A bounded file of messages that the broker could not take, in order."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import struct
import uuid
import zlib
from pathlib import Path

log = logging.getLogger(__name__)

HEADER = b"leveret spool 1\n"
FRAME = struct.Struct(">II")
"""Before each message: its bytes, and their CRC-32."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a message; a greater length in a file is damage."""
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
        self._read = self._end = self._size = 0
        self.skipped = 0
        """Messages that the last call of `first` passed over, as they are damaged."""
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
        if self._end + FRAME.size + len(message) > self.limit:
            return False
        try:
            file = self._file if self._file is not None else self._create()
            frame = FRAME.pack(len(message), zlib.crc32(message)) + message
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
        """The oldest message that is whole; None when there is none. Damaged ones before it are dropped, and counted."""
        self.skipped = 0
        while self._file is not None and not self.empty:
            frame = read_frame(self._file, self._read)
            message, self._size = frame or (None, self._end - self._read)
            if message is not None:
                return message
            # No other process writes here: the disk has lost it.
            log.error("%s is damaged; %d bytes of events are lost", self._path, self._size)
            self.skipped += 1
            self.drop_first()
        return None

    def drop_first(self) -> None:
        """What `first` returned last is confirmed."""
        self._read += self._size
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


def read_frame(file: int, place: int) -> tuple[bytes | None, int] | None:
    """The message at a place of a file, None if it is damaged, and the bytes that it takes there.

    None at the end of the file, and where it cannot be told at which place the next message begins.
    """
    try:
        head = os.pread(file, FRAME.size, place)
        if len(head) < FRAME.size:
            return None
        length, checksum = FRAME.unpack(head)
        if length > LARGEST:
            return None
        message = os.pread(file, length, place + FRAME.size)
    except OSError as error:
        log.error("a spool cannot be read: %s", error)
        return None
    if len(message) < length:
        return None
    return message if zlib.crc32(message) == checksum else None, FRAME.size + length


def _write(file: int, data: bytes, place: int) -> int:
    written = 0
    while written < len(data):
        count = os.pwrite(file, data[written:], place + written)
        if count == 0:
            break
        written += count
    return written
