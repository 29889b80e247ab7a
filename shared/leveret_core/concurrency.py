"""The concurrency policy of jobs: which new occurrences begin, wait or are skipped, and which older ones end for them.

Pure rules. Creation, the admission of runs planned for later, and the testing kit ask `decide`, and carry out what `effects`
says once the new occurrences have their ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from leveret_core.states import State

JOB_DELETED = "job deleted"
"""Reason of the occurrences that a deleted job leaves cancelled."""

Queue = TypeVar("Queue", bound=Hashable)
"""What a caller tells concurrency queues apart by, such as the job's id and the concurrency key."""


class Limits(NamedTuple):
    """What a job says about how many of its occurrences may be live at the same time.

    Args:
        concurrency: `skip`, `queue`, `allow` or `replace`.
        max_concurrent: slots in all; means nothing for `allow`.
        max_waiting: the longest queue for `queue`.
        key: the value of the job's concurrency key that this is about; empty for a job without one.
    """

    concurrency: str
    max_concurrent: int
    max_waiting: int
    key: str = ""


@dataclass
class QueueLoad:
    """How busy one concurrency queue is: a job's occurrences of one value of its key. Only valid under the job's lock.

    Args:
        limits: of its job.
        taken: slot → id of the occurrence that holds it.
        waiting: how many wait for a slot.
        waiting_ids: for `replace`: the ids of those.
        stopping: for `replace`: the holders that have been told to stop.
    """

    limits: Limits
    taken: dict[int, int] = field(default_factory=dict[int, int])
    waiting: int = 0
    waiting_ids: set[int] = field(default_factory=set[int])
    stopping: set[int] = field(default_factory=set[int])

    @property
    def together(self) -> int | None:
        """How many ticks that are found due at once are decided about; None for all.

        Under `skip` as many as there is room for, and the newest if there is none, which is then skipped for what is live. One
        that has not begun is no reason to skip another: the older ones are missed, as the dispatcher came too late for them.
        """
        return max(1, self.room) if self.limits.concurrency == "skip" else None

    @property
    def room(self) -> int:
        """How many more may begin now."""
        return max(0, self.limits.max_concurrent - len(self.taken)) if self.waiting == 0 else 0


def free_slots(max_concurrent: int, taken: Collection[int]) -> Iterator[int]:
    """The slots that may be taken, lowest first.

    After `max_concurrent` was lowered a number may be free although enough are live; then there is none.
    """
    if not taken:
        return iter(range(1, max_concurrent + 1))
    free = (n for n in range(1, max_concurrent + 1) if n not in taken)
    return islice(free, max(0, max_concurrent - len(taken)))


class New(NamedTuple, Generic[Queue]):
    """An occurrence to decide about.

    Args:
        queue: the concurrency queue it belongs to.
        missed: for a record of ticks that will not run: why.
    """

    queue: Queue
    missed: str | None = None


class Among(Enum):
    """One of the new occurrences of a queue, which have no ids yet: the first of them that begins, or the last of all."""

    FIRST = "first"
    LAST = "last"


class Decision(NamedTuple):
    """What becomes of a new occurrence.

    Args:
        state: `pending`, `waiting`, `skipped`, `missed`, or `cancelled` when its job was deleted.
        slot: the one it takes.
        reason: why it does not begin at once.
        blocker: the occurrence because of which it does not begin, or another one of the new ones.
        replaces: occurrences that have to end because of it, as soon as it exists.
    """

    state: State
    slot: int | None = None
    reason: str | None = None
    blocker: int | Among | None = None
    replaces: tuple[int, ...] = ()


def decide(new: Sequence[New[Queue]], loads: Mapping[Queue, QueueLoad]) -> list[Decision]:
    """Apply the policy to new occurrences; the decisions have the same order.

    Args:
        new: in the order of their times.
        loads: of each queue, as they are before; they stay so. A queue that is not among them is of a deleted job.
    """
    following = Counter([each.queue for each in new if each.missed is None])
    counts: dict[Queue, _Count] = {}
    decisions: list[Decision] = []
    for each in new:
        if each.missed is not None:
            decisions.append(Decision(State.MISSED, reason=each.missed))
        elif each.queue not in loads:
            decisions.append(Decision(State.CANCELLED, reason=JOB_DELETED))
        else:
            if (count := counts.get(each.queue)) is None:
                count = counts[each.queue] = _Count(loads[each.queue])
            following[each.queue] -= 1
            decisions.append(count.decide(following[each.queue]))
    return decisions


def with_state(decision: Decision, state: str) -> Decision:
    """What is skipped says what it was skipped for; the blocker may have ended since, without that being known then.

    Args:
        state: the blocker's, as it was at the decision.
    """
    return decision._replace(reason=f"{decision.reason}: occurrence {decision.blocker} was {state}")


@dataclass
class Effects(Generic[Queue]):
    """What follows from decisions, once the new occurrences exist.

    Args:
        slots: (queue, slot, id of its holder).
        blockers: (id, id of the blocker) of those that could not name theirs before.
        replaced: (id of the older one, id of the new one that it ends for).
    """

    slots: list[tuple[Queue, int, int]] = field(default_factory=list[tuple[Queue, int, int]])
    blockers: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    replaced: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


def effects(new: Sequence[New[Queue]], decisions: Sequence[Decision], ids: Sequence[int | None]) -> Effects[Queue]:
    """What is to be done about slots, blockers and older occurrences.

    Args:
        new: as `decide` took them.
        decisions: as it gave them.
        ids: of each; None for one that was not created, as there was one for its time already.
    """
    found = Effects[Queue]()
    # Most batches have none that is blocked by another of the batch.
    some_among = any(isinstance(decision.blocker, Among) for decision in decisions)
    among = _among(new, decisions, ids) if some_among else {}
    for each, decision, id_ in zip(new, decisions, ids, strict=True):
        if id_ is None:
            continue
        if decision.slot is not None:
            found.slots.append((each.queue, decision.slot, id_))
        elif isinstance(decision.blocker, Among) and (blocker := among.get((each.queue, decision.blocker))) is not None:
            found.blockers.append((id_, blocker))
        if decision.replaces:
            found.replaced.extend((old, id_) for old in decision.replaces)
    return found


def _among(
    new: Sequence[New[Queue]], decisions: Sequence[Decision], ids: Sequence[int | None]
) -> dict[tuple[Queue, Among], int]:
    among: dict[tuple[Queue, Among], int] = {}
    for each, decision, id_ in zip(new, decisions, ids, strict=True):
        if id_ is not None:
            among[each.queue, Among.LAST] = id_
            if decision.slot is not None:
                among.setdefault((each.queue, Among.FIRST), id_)
    return among


_BEGINS = Decision(State.PENDING)


class _Count:
    """A queue's load, counted on from decision to decision."""

    __slots__ = ("_free", "_limits", "_load", "_replaced", "_stopping", "_taken", "_waiting")

    def __init__(self, load: QueueLoad) -> None:
        self._load = load
        self._limits = load.limits
        self._taken = len(load.taken)
        self._waiting = load.waiting
        self._free: Iterator[int] | None = None
        self._stopping = load.stopping
        self._replaced = False

    @property
    def _blocker(self) -> int | Among | None:
        return Among.FIRST if self._free is not None else min(self._load.taken.values(), default=None)

    def decide(self, following: int) -> Decision:
        """Decide about one more.

        Args:
            following: how many later ones of the same queue there are.
        """
        concurrency, max_concurrent, max_waiting, _ = self._limits
        if concurrency == "allow":
            return _BEGINS
        room = max(0, max_concurrent - self._taken) if self._waiting == 0 else 0
        if concurrency == "replace" and following >= max(1, room):
            return Decision(State.SKIPPED, reason="replaced by a newer occurrence before it began", blocker=Among.LAST)
        if room > 0:
            self._taken += 1
            if self._free is None:
                self._free = free_slots(max_concurrent, self._load.taken)
            return Decision(State.PENDING, slot=next(self._free))
        if concurrency == "replace":
            return self._replace()
        if concurrency == "skip":
            reason = f"{self._taken} of {max_concurrent} already live"
            return Decision(State.SKIPPED, reason=reason, blocker=self._blocker)
        if self._waiting >= max_waiting:
            reason = f"the queue is full: {self._waiting} are waiting"
            return Decision(State.SKIPPED, reason=reason, blocker=self._blocker)
        self._waiting += 1
        return Decision(State.WAITING, reason="waits for an earlier occurrence", blocker=self._blocker)

    def _replace(self) -> Decision:
        """The new one waits alone, and enough of the oldest holders end that its turn comes next."""
        needed = self._taken + 1 - self._limits.max_concurrent - len(self._stopping)
        ending = sorted(set(self._load.taken.values()) - self._stopping)[: max(0, needed)]
        self._stopping = self._stopping.union(ending)
        replaces = (*ending, *(() if self._replaced else sorted(self._load.waiting_ids)))
        self._replaced = True
        self._waiting = 1
        reason = "waits until an earlier occurrence has stopped"
        blocker = min(self._stopping, default=None)
        return Decision(State.WAITING, reason=reason, blocker=blocker, replaces=replaces)
