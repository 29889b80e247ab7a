"""Which entry of a source is which of the jobs that came from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """An entry, as it is now or as it was at the last import.

    Args:
        key: tells what is run; several entries may have the same, as one command at several times has.
        trigger: its JSON form.
    """

    key: str
    trigger: Any


def pair(known: Sequence[Entry], wanted: Sequence[Entry]) -> list[int | None]:
    """Return for each wanted entry the place of the known one that it is, or None for a new one.

    Only entries of the same key are paired: those with the same trigger first, the others in order. So when one of two times is
    taken out of a file, the job of the other time stays as it is.

    Args:
        known: what there is, oldest first.
        wanted: what there should be.
    """
    left: defaultdict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(known):
        left[entry.key].append(place)
    pairs: list[int | None] = [None] * len(wanted)
    for same_trigger in (True, False):
        for index, entry in enumerate(wanted):
            if pairs[index] is None:
                fitting = (p for p in left[entry.key] if not same_trigger or known[p].trigger == entry.trigger)
                found = next(fitting, None)
                if found is not None:
                    pairs[index] = found
                    left[entry.key].remove(found)
    return pairs
