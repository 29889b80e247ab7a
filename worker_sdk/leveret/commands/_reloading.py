"""User modules that are imported again when their files change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from leveret.registry import Handler, default_registry, import_handlers

DEBOUNCE = 400
"""Milliseconds in which changes count as one: an editor or a checkout touches many files."""


def load(modules: Sequence[str]) -> list[Handler]:
    """Import the modules, again if they have been, and return their handlers.

    Raises:
        ConfigurationError: a module is not there, or none has a handler.
        Exception: whatever importing them raised.
    """
    _forget(watched(modules))
    return import_handlers(modules)


def watched(modules: Iterable[str]) -> list[Path]:
    """What belongs to the modules: the folder of their outermost package, or their file; not what was installed."""
    paths: set[Path] = set()
    for module in modules:
        try:
            spec = find_spec(module.partition(".")[0])
        except (ImportError, ValueError):
            continue
        if spec is None:
            continue
        places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
        paths |= {Path(place).resolve() for place in places if "site-packages" not in Path(place).parts}
    return sorted(paths)


async def changes(paths: Sequence[Path], stopping: asyncio.Event) -> AsyncGenerator[list[str]]:
    """The Python files below `paths` that changed, each time some do, until `stopping` is set."""
    from watchfiles import PythonFilter, awatch

    async for found in awatch(
        *paths, watch_filter=PythonFilter(), debounce=DEBOUNCE, step=100, stop_event=stopping, raise_interrupt=False
    ):
        yield sorted({path for _, path in found})


def _forget(paths: Sequence[Path]) -> None:
    default_registry.clear()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(Path(file).resolve().is_relative_to(path) for path in paths):
            del sys.modules[name]
