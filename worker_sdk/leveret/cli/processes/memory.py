"""How much memory processes take, with what they started."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from leveret_core.errors import ConfigurationError

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_PS = ("ps", "-axo", "pid=,ppid=,rss=")


def parse_size(text: str) -> int:
    """Bytes from `512M`, `1.5G`, `300MiB` or `1048576`; a unit is a power of 1024.

    Raises:
        ConfigurationError: `text` is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"{text!r} is no size: write a number of bytes, or one with K, M or G, such as 512M")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def show_size(size: int) -> str:
    """`size` bytes in mebibytes."""
    return f"{size / 1024**2:.0f} MiB"


def family_memory(pids: Iterable[int]) -> dict[int, int]:
    """Resident bytes of each of `pids` together with all its descendants. One that is gone takes 0.

    Pages that processes share count once for each of them.
    """
    children: defaultdict[int, list[int]] = defaultdict(list)
    resident: dict[int, int] = {}
    for pid, parent, size in _processes():
        children[parent].append(pid)
        resident[pid] = size

    def of(pid: int) -> int:
        return resident.get(pid, 0) + sum(of(child) for child in children[pid])

    return {pid: of(pid) for pid in pids}


def _processes() -> list[tuple[int, int, int]]:
    """Id, parent and resident bytes of every process."""
    if sys.platform != "linux":
        lines = subprocess.run(_PS, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603
        return [(int(pid), int(parent), int(size) * 1024) for pid, parent, size in map(str.split, lines)]
    import resource

    page, found = resource.getpagesize(), list[tuple[int, int, int]]()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # After the name, which may hold anything: state, parent, …; the 24th field of all is the resident set in pages.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found.append((int(folder.name), int(fields[1]), int(fields[21]) * page))
    return found
