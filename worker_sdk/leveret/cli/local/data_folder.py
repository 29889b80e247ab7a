"""The folder of `leveret dev`: one process at a time, and only ever its own."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from leveret_core.errors import ConfigurationError

_LOCK = "dev.lock"


@contextmanager
def data_folder(path: Path) -> Generator[Path]:
    """The folder, made and locked while the block runs; the lock goes with the process, however that ends.

    Raises:
        ConfigurationError: another process uses it, or it holds what `leveret dev` did not make.
    """
    path = path.resolve()
    lock = path / _LOCK
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not lock.exists() and any(path.iterdir()):
            raise ConfigurationError(f"{path} is not empty, and not made by `leveret dev`: name another folder with --data")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigurationError(f"cannot use {path}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield path
    except BlockingIOError as error:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace")
        raise ConfigurationError(
            f"another `leveret dev` (process {owner}) uses {path}: end it, or name another folder with --data"
        ) from error
    finally:
        os.close(descriptor)


def forget(path: Path) -> None:
    """Delete everything in a locked folder but its lock."""
    for each in path.iterdir():
        if each.name == _LOCK:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
