"""User modules that are imported again when their files change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Container, Iterable, Sequence
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
    """The Python files in `paths` that changed, each time some do, until `stopping` is set.

    Args:
        paths: folders, with all below them, and files.
    """
    # A file is watched by its folder: editors put a new one in its place, and a watch would stay with the old one.
    files = {path for path in paths if path.is_file()}
    found: asyncio.Queue[list[str]] = asyncio.Queue()
    watching = [
        asyncio.create_task(_watch(places, found, stopping, only=only))
        for places, only in (([path for path in paths if path not in files], None), ({path.parent for path in files}, files))
        if places
    ]
    try:
        while not stopping.is_set():
            got, stopped = asyncio.create_task(found.get()), asyncio.create_task(stopping.wait())
            await asyncio.wait({got, stopped, *watching}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            for task in watching:
                if task.done() and not stopping.is_set():
                    task.result()
            if not got.done():
                got.cancel()
                break
            yield got.result()
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _watch(
    places: Iterable[Path], found: asyncio.Queue[list[str]], stopping: asyncio.Event, *, only: Container[Path] | None
) -> None:
    from watchfiles import PythonFilter, awatch

    async for changed in awatch(
        *places,
        watch_filter=PythonFilter(),
        debounce=DEBOUNCE,
        step=100,
        stop_event=stopping,
        recursive=only is None,
    ):
        if files := sorted({path for _, path in changed if only is None or Path(path) in only}):
            found.put_nowait(files)


def _forget(paths: Sequence[Path]) -> None:
    default_registry.clear()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and any(Path(file).resolve().is_relative_to(path) for path in paths):
            del sys.modules[name]
