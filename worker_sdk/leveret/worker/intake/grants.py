"""The claims that were granted to a worker, so that it uses none twice."""

from __future__ import annotations

from leveret_core.messages import Answer

REMEMBERED = 200_000
"""Grants that a worker remembers: more than the events on their way to the servers."""


class Grants:
    """The attempt of each occurrence that was granted last; the oldest are forgotten."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def is_new(self, answer: Answer) -> bool:
        """Whether a grant is new. It is not when its dispatch message was published twice and the end of the run is on its way:
        until the servers have read that, they give the same answer again.
        """
        new = self._last.pop(answer.occurrence, 0) != answer.attempt
        self._last[answer.occurrence] = answer.attempt
        if len(self._last) > REMEMBERED:
            del self._last[next(iter(self._last))]
        return new
