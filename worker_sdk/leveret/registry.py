"""Handlers, and where `@job` keeps them until a worker serves them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, Unpack

from leveret.errors import ConfigurationError, InvalidInput
from leveret.handlers.handler import DEFAULT_CONCURRENCY, Handler, joined
from leveret.handlers.lifespan_functions import LifespanFunction, check_lifespan, name_of
from leveret.handlers.schedule import Overlap, Schedule, definition_of
from leveret_core.patterns import check_pattern, matches

__all__ = ["Handler", "Registry", "default_registry", "import_handlers", "job", "lifespan"]

F = TypeVar("F", bound=Callable[..., Any])
L = TypeVar("L", bound=LifespanFunction)


class Registry:
    """Handlers by pattern, and lifespans. `@leveret.job` adds to one of the process; one's own serve tests and embedding."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._lifespans: list[LifespanFunction] = []

    @property
    def handlers(self) -> list[Handler]:
        """All handlers, in the order of their definition."""
        return list(self._handlers.values())

    def job(
        self,
        pattern: str,
        *,
        concurrency: int | Overlap = DEFAULT_CONCURRENCY,
        timeout: float | None = None,
        process: bool = False,
        last_success: bool = False,
        **schedule: Unpack[Schedule],
    ) -> Callable[[F], F]:
        """Make a function the handler of all job types that match `pattern`. The function itself stays as it is.

        The fields of a job's payload become arguments of the same names, converted and checked by their type hints.

        Args:
            pattern: a type such as `sendemail.welcome`, or with `*` for one word and `#` for any number of words.
            concurrency: runs at the same time in one worker, at most; default 10. With a schedule, a word instead (`skip`,
                `queue`, `replace` or `allow`) is the job's concurrency policy.
            timeout: seconds an attempt may take, where its job does not say. Default: no limit.
            process: run it in a child process that can be killed; for plain functions that keep a core busy. Default: no.
            last_success: whether the handler uses `ctx.last_success_at`. Default: no.
            schedule: `cron=` or `every=`, and other fields of `Schedule`, make a job of this type when a worker starts.

        Raises:
            InvalidInput: the pattern is wrong or already served, the function cannot be a handler, or the schedule is wrong.
        """
        if not isinstance(pattern, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # the user may not check types
            raise InvalidInput.at("pattern", "write @job('sendemail.*'): the pattern of the job types comes first")

        overlap = concurrency if isinstance(concurrency, str) else None
        slots = DEFAULT_CONCURRENCY if isinstance(concurrency, str) else concurrency

        def register(function: F) -> F:
            handler = Handler(function, pattern, slots, timeout, process, last_success, lifespans=self._lifespans)
            declared = definition_of(
                schedule,
                type=pattern,
                where=f"@job({pattern!r}) on {handler.name}",
                overlap=overlap,
                timeout=timeout,
                doc=handler.doc,
                parameters=handler.parameters,
            )
            self.add(handler if declared is None else replace(handler, jobs=(declared,)))
            return function

        return register

    def lifespan(self, function: L) -> L:
        """Make an async generator function a lifespan of the workers that serve this registry.

        It is run to its `yield` before a worker takes work, and from there after the last run has ended. What it yields is
        found by its type in `ctx.state`. Several are entered in the order of their definition.

        Args:
            function: without parameters; yields once, an object or nothing.

        Raises:
            InvalidInput: it is not an async generator function, or wants arguments.
        """
        check_lifespan(function)
        names = [name_of(each) for each in self._lifespans]
        if name_of(function) in names:
            # Its module was loaded again.
            self._lifespans[names.index(name_of(function))] = function
        else:
            self._lifespans.append(function)
        return function

    def add(self, handler: Handler) -> None:
        """Add a handler; one of the same name (its module was loaded again) is replaced.

        Raises:
            InvalidInput: another function serves the pattern, or the same one declares a job twice.
        """
        other = self._handlers.get(handler.pattern)
        if other is not None and other is not handler and other.function is handler.function and (other.jobs or handler.jobs):
            handler = joined(other, handler)
        if other is not None and other.name != handler.name:
            raise InvalidInput.at(
                "pattern",
                f"{handler.pattern!r} is served by {other.name} and by {handler.name}; one function serves a pattern",
            )
        self._handlers[handler.pattern] = handler

    def clear(self) -> None:
        """Forget everything, before the modules are imported again."""
        self._handlers.clear()
        self._lifespans = []

    def of(self, function: Callable[..., Any]) -> Handler | None:
        """The first handler made of `function`, if any."""
        return next((handler for handler in self._handlers.values() if handler.function is function), None)


default_registry = Registry()
job = default_registry.job
lifespan = default_registry.lifespan


def import_handlers(
    modules: Sequence[str], *, only: Iterable[str] = (), registry: Registry = default_registry
) -> list[Handler]:
    """Import `modules` and return the handlers they define.

    Args:
        modules: names as in `import app.jobs`; the current directory is searched first.
        only: patterns; handlers whose pattern fits none of them are left out. Default: all handlers.
        registry: where the modules' `@job` puts them.

    Raises:
        ConfigurationError: a module is not there, or there is no handler to serve. What else goes wrong while importing
            is raised as it is.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    for name in modules:
        if name.endswith(".py") or os.sep in name:
            dotted = name.removesuffix(".py").strip("./").replace(os.sep, ".")
            raise ConfigurationError(f"{name!r} is a path; give the module's name: {dotted}")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
                raise ConfigurationError(f"there is no module {name!r} in {os.getcwd()} or on the Python path") from error
            raise
    chosen, wanted = registry.handlers, list(only)
    if not chosen:
        raise ConfigurationError(f"no handlers in {', '.join(modules)}; mark a function with @job('sendemail.*')")
    if wanted:
        for pattern in wanted:
            check_pattern(pattern, "--only")
        patterns = ", ".join(handler.pattern for handler in chosen)
        chosen = [handler for handler in chosen if any(matches(pattern, handler.pattern) for pattern in wanted)]
        if not chosen:
            raise ConfigurationError(f"--only {' '.join(wanted)} leaves no handler; there are: {patterns}")
    return chosen
