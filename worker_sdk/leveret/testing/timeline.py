"""How tests let time pass in an environment."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta

from leveret.errors import InvalidInput
from leveret.testing.given import Moment, instant
from leveret.testing.queries import Queries, table
from leveret.testing.records import wall_time


class Done:
    """What has happened already: tests that are coroutines may await it, and no test has to."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


class Timeline(Queries):
    """The part of an environment that moves its clock, with all that happens meanwhile."""

    @property
    def now(self) -> datetime:
        """The environment's time, UTC."""
        return self._runtime.clock.now

    def advance(self, until: Moment | None = None, **duration: float) -> Done:
        """Let time pass, with all that happens in it, its last moment included. May be awaited, and need not be.

        Args:
            until: an instant; text without an offset is UTC.
            duration: as for `timedelta`: `days=2`, `hours=1, minutes=30`.

        Raises:
            InvalidInput: neither or both are given, or it would be a step back.
        """
        target = self._target(until, duration)
        self._runtime.run(target)
        return Done()

    def down(self, until: Moment | None = None, **duration: float) -> Done:
        """Let time pass in which no dispatcher works, and then what `catch_up` says. May be awaited.

        As when all dispatchers are down: what workers have begun or were told of goes on, and nothing else begins, is due or
        is tried again.

        Args:
            until, duration: as for `advance`.
        """
        target = self._target(until, duration)
        self._runtime.server.dispatching = False
        try:
            self._runtime.run(target)
        finally:
            self._runtime.server.dispatching = True
        self._runtime.run(self.now)
        return Done()

    def finish(self, **within: float) -> Done:
        """Let time pass until nothing waits, runs or is to be tried again. May be awaited.

        Args:
            within: as for `timedelta`: how long that may take. Default: a day.

        Raises:
            AssertionError: some of it is not final even then.
        """
        live = self._runtime.server.occurrences.live
        self._runtime.run(self.now + (timedelta(**within) if within else timedelta(days=1)), lambda: not live)
        if live:
            left = table(map(self._explained, live.values()), jobs=True)
            raise AssertionError(f"this is not final at {wall_time(self.now, 'UTC')}:\n{left}")
        return Done()

    def kill_workers(self) -> None:
        """Let the worker die with all that it runs, and another take its place.

        The interrupted attempts count as lost when the lease of 30 s is over. (Their handlers get `CancelledError`, as a
        thread of the test cannot be killed.)
        """
        self._runtime.do(lambda: self._runtime.worker.die(self._runtime.rules.lease))

    def _target(self, until: Moment | None, duration: dict[str, float]) -> datetime:
        if (until is None) == (not duration):
            raise InvalidInput.at("until", "say either how long, such as hours=1, or until when")
        target = self.now + timedelta(**duration) if until is None else instant(until, "UTC")
        if target < self.now:
            raise InvalidInput.at("until", f"{target} is past; time goes on from {self.now}")
        return target
