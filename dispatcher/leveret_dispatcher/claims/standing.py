"""Who a worker is to the claim desk: whether it may speak in the name it gives, and which types it serves."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import re2

from leveret_core.errors import InvalidInput
from leveret_core.patterns import expression_of
from leveret_core.store.database import Database
from leveret_core.store.workers.membership import standings_of

REMEMBERED = 10_000
"""Workers that are remembered, and types of a set of patterns, at most."""
SETS = 500
"""Sets of patterns that are remembered, at most."""
MAX_MEMORY = 64 * 1024 * 1024
"""Bytes that looking for a set of patterns may take, at most."""


class Serves:
    """Whether a set of patterns matches a type, in time that grows with the type's length alone.

    Raises:
        InvalidInput: the patterns are too many and too long to be looked for together.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.never_capture = True
        options.log_errors = False
        try:
            self._matches = re2.compile(expression_of(patterns), options).search
        except re2.error as error:
            raise InvalidInput.at(
                "handlers", "their patterns together are too large; use wildcards, or several workers"
            ) from error
        self._known: dict[str, bool] = {}

    def __call__(self, job_type: str) -> bool:
        """Whether one of the patterns matches."""
        known = self._known.get(job_type)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[job_type] = self._matches("." + job_type) is not None
        return known


class Standing:
    """What stays the same of a worker as long as its id lives."""

    def __init__(self, secret: bytes, serves: Serves) -> None:
        self.secret = secret
        self.serves = serves


class Speaker(Protocol):
    """A request, as far as it says who sent it."""

    @property
    def worker(self) -> str:
        """The id that it gives."""
        ...

    @property
    def secret(self) -> str:
        """What proves it."""
        ...


class Standings:
    """Remembers the standing of workers. Whether one still lives it does not know: each statement looks at that.

    Args:
        database: where a worker's row tells what is not remembered.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._known: OrderedDict[uuid.UUID, Standing] = OrderedDict()
        self._serves: OrderedDict[tuple[str, ...], Serves] = OrderedDict()

    async def of(self, speakers: Iterable[Speaker]) -> dict[tuple[str, str], Standing]:
        """The standing of those who are who they say, by the id and secret they give."""
        said = {(speaker.worker, speaker.secret): worker_id(speaker.worker) for speaker in speakers}
        if unseen := {id_ for id_ in said.values() if id_ is not None and id_ not in self._known}:
            for row in await standings_of(self._db, unseen):
                self._remember(row.id, row.secret, row.patterns)
        found: dict[tuple[str, str], Standing] = {}
        for (text, secret), id_ in said.items():
            if id_ is not None and (standing := self._known.get(id_)) is not None and standing.secret == digest(secret):
                self._known.move_to_end(id_)
                found[text, secret] = standing
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    def serves(self, patterns: Iterable[str]) -> Serves:
        """Shared by the workers of the same code.

        Raises:
            InvalidInput: as `Serves`.
        """
        key = tuple(sorted(set(patterns)))
        if (known := self._serves.get(key)) is None:
            known = self._serves[key] = Serves(key)
            if len(self._serves) > SETS:
                self._serves.popitem(last=False)
        return known

    def _remember(self, id_: uuid.UUID, secret: bytes, patterns: Iterable[str]) -> None:
        try:
            serves = self.serves(patterns)
        except InvalidInput:
            # From before hellos were checked: what cannot be looked for is not served.
            serves = self.serves(())
        self._known[id_] = Standing(secret, serves)


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(secret.encode()).digest()


def worker_id(text: str) -> uuid.UUID | None:
    """The id that `text` is, if it is one."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
