"""A process of the campaign that is started again when it ends, as a service manager does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from support.processes import LeveretProcess


def boottime() -> float:
    """The clock of the witnesses: seconds, also while something sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Exit:
    """One process that ended: of which part, with which code, and whether a fault had asked for it."""

    part: str
    pid: int
    code: int
    at: float
    asked: bool


@dataclass
class Part:
    """A replica or a worker through all its processes.

    Arguments:
        name: in what is printed, `replica 1`.
        args: of the `leveret` command.
        env: its environment.
        url: where it answers; empty for a worker.
    """

    name: str
    args: tuple[str, ...]
    env: dict[str, str]
    url: str = ""
    process: LeveretProcess | None = None
    past: list[LeveretProcess] = field(default_factory=list[LeveretProcess])
    exits: list[Exit] = field(default_factory=list[Exit])
    frozen: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])
    held_down: bool = False
    _asked: bool = False

    @property
    def processes(self) -> list[LeveretProcess]:
        """All there ever were, the present one last."""
        return [*self.past, self.process] if self.process else self.past

    def start(self) -> None:
        """Start it, if it does not run."""
        self.look()
        if self.process is None:
            self._asked = False
            self.process = LeveretProcess(*self.args, env=self.env)

    def look(self) -> None:
        """Note it when the process has ended."""
        if self.process is not None and (code := self.process.returncode) is not None:
            self.exits.append(Exit(self.name, self.process.pid, code, boottime(), self._asked))
            self.past.append(self.process)
            self.process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self._asked = True
            self.process.kill()
            self.look()

    async def end(self, timeout: float = 60) -> None:
        """SIGTERM, and wait until it is gone.

        Raises:
            AssertionError: it was still there after `timeout` seconds, and was killed.
        """
        if (process := self.process) is None:
            return
        self._asked = True
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, timeout)
        except AssertionError:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s of SIGTERM") from None
        self.look()

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP for some seconds."""
        if (process := self.process) is None:
            return
        began = boottime()
        process.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.thaw()
            self.frozen.append((process.pid, began, boottime()))
