"""A function that serves job types, as a worker announces and calls it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from leveret.errors import InvalidInput
from leveret.handlers.lifespan_functions import LifespanFunction
from leveret.handlers.parameters import Parameters, code_of
from leveret_core.messages import HandlerInfo
from leveret_core.messages.fields import MAX_NAME
from leveret_core.patterns import check_pattern

DEFAULT_CONCURRENCY = 10
MAX_CONCURRENCY = 50_000


@dataclass(frozen=True, eq=False)
class Handler:
    """A function and the pattern of job types it serves.

    Args:
        function: async, or plain (then it runs in a thread).
        pattern: a type such as `sendemail.welcome`, or with `*` for one word and `#` for any number of words.
        concurrency: runs at the same time in one worker, at most.
        timeout: seconds an attempt may take, where its job does not say; None for no limit.
        process: run it in a child process of its own, which can be killed: for plain functions that keep a core busy.
        last_success: whether it uses `ctx.last_success_at`, which costs the servers a look at the job's past.
        jobs: the jobs of its type that are declared with it, as `POST /api/v1/jobs` takes them.
        lifespans: of the registry it is in; a worker that serves it lives in them.

    Raises:
        InvalidInput: one of them cannot work; the message says why.
    """

    function: Callable[..., Any]
    pattern: str
    concurrency: int = DEFAULT_CONCURRENCY
    timeout: float | None = None
    process: bool = False
    last_success: bool = False
    jobs: tuple[dict[str, Any], ...] = ()
    lifespans: Sequence[LifespanFunction] = ()
    kind: Literal["async", "thread", "process"] = field(init=False)
    parameters: Parameters = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_pattern(self.pattern)
        where = f"@job({self.pattern!r}) on {self.name}"
        if not callable(self.function):
            raise InvalidInput.at(where, "is not on a function")
        if not 1 <= self.concurrency <= MAX_CONCURRENCY:
            raise InvalidInput.at(where, f"concurrency must be from 1 to {MAX_CONCURRENCY}, not {self.concurrency!r}")
        if self.timeout is not None and not (math.isfinite(self.timeout) and self.timeout > 0):
            raise InvalidInput.at(where, f"timeout must be a number of seconds above 0, not {self.timeout!r}")
        call = code_of(self.function)
        is_async = inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
        if self.process and (is_async or "<" in getattr(self.function, "__qualname__", "<")):
            raise InvalidInput.at(where, "process=True needs a plain function defined at the top of a module")
        # The dataclass is frozen for its users; these two follow from the rest.
        object.__setattr__(self, "kind", "process" if self.process else "async" if is_async else "thread")
        object.__setattr__(self, "parameters", Parameters(self.function, where))

    @property
    def name(self) -> str:
        """Module and name of the function."""
        code = code_of(self.function) if callable(self.function) else type(self.function)
        return f"{code.__module__}.{code.__qualname__}"

    @property
    def doc(self) -> str:
        """The first paragraph of the function's docstring."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0][:1000]

    def info(self) -> HandlerInfo:
        """The handler as announced to the servers."""
        return HandlerInfo(
            pattern=self.pattern,
            concurrency=self.concurrency,
            name=self.name[:MAX_NAME],
            timeout=self.timeout,
            schema=self.parameters.schema,
            doc=self.doc,
        )


def joined(first: Handler, second: Handler) -> Handler:
    """One function under two `@job` with the same pattern: one handler with the jobs of both."""
    where = f"@job({first.pattern!r}) on {first.name}"
    for name in ("concurrency", "timeout", "process", "last_success"):
        if getattr(first, name) != getattr(second, name):
            raise InvalidInput.at(
                where, f"stands there twice, with {name} {getattr(first, name)!r} and {getattr(second, name)!r}"
            )
    names = {job["name"] for job in first.jobs}
    if twice := [job["name"] for job in second.jobs if job["name"] in names]:
        raise InvalidInput.at(where, f"declares the job {twice[0]} twice; give one of them another name=")
    return replace(second, jobs=first.jobs + second.jobs)
