"""Which faults come when: the same for the same seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import TypeAlias

from chaos.campaign.faults import FAULTS, Fault

Round: TypeAlias = tuple[Fault, ...]
"""Faults that come together: one, or two of different servers."""


def course(seed: int) -> Iterator[Round]:
    """Every fault alone, in a shuffled order, each followed half of the time by a pair; and so on, for ever."""
    rng = random.Random(f"course {seed}")
    while True:
        deck = list(FAULTS.values())
        rng.shuffle(deck)
        for fault in deck:
            yield (fault,)
            if rng.random() < 0.5:
                yield _pair(rng)


def chosen(words: str) -> Iterator[Round]:
    """What is named, `kill-leader freeze-redis+purge-queues`, over and over.

    Raises:
        ValueError: no such fault.
    """
    rounds: list[Round] = []
    for word in words.split():
        if unknown := [name for name in word.split("+") if name not in FAULTS]:
            raise ValueError(f"no fault {', '.join(unknown)}; there are {', '.join(sorted(FAULTS))}")
        rounds.append(tuple(FAULTS[name] for name in word.split("+")))
    return itertools.cycle(rounds)


def rng_of(seed: int, number: int, fault: Fault) -> random.Random:
    """The chances of one fault, which do not depend on how long those before it took."""
    return random.Random(f"{seed} {number} {fault.name}")


def _pair(rng: random.Random) -> Round:
    while True:
        one, other = rng.sample(list(FAULTS.values()), 2)
        if not set(one.target.split()) & set(other.target.split()):
            return one, other
