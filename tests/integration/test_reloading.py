"""What `leveret dev` notices of changed files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from leveret.cli.local.reloading import changes


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


def replace(file: Path, text: str) -> None:
    """As most editors save: another file takes its place."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


@asynccontextmanager
async def watching(path: Path) -> AsyncGenerator[AsyncIterator[list[str]]]:
    stopping = asyncio.Event()
    found = changes([path], stopping)
    try:
        yield found
    finally:
        stopping.set()
        await found.aclose()


async def noticed(found: AsyncIterator[list[str]], save: Callable[[], None]) -> list[str]:
    """What is found after a save; again and again, as nobody tells when the watch has begun."""
    waiting = asyncio.ensure_future(anext(found))
    async with asyncio.timeout(20):
        while not waiting.done():
            save()
            await asyncio.wait({waiting}, timeout=1)
    return waiting.result()


async def test_a_file_is_noticed_however_and_however_often_it_is_saved(tmp_path: Path) -> None:
    file, other = tmp_path / "app.py", tmp_path / "other.py"
    file.write_text("1")
    async with watching(file) as found:
        for turn, save in enumerate((rewrite, replace, replace, rewrite, replace)):
            other.write_text(f"{turn}")
            assert await noticed(found, lambda save=save, turn=turn: save(file, f"{turn}")) == [str(file)]  # type: ignore[misc]


async def test_a_package_is_noticed_with_all_below_it(tmp_path: Path) -> None:
    deep = tmp_path / "app" / "jobs"
    deep.mkdir(parents=True)
    file = deep / "mails.py"
    async with watching(tmp_path / "app") as found:
        assert await noticed(found, lambda: replace(file, "1")) == [str(file)]
        assert await noticed(found, lambda: replace(file, "2")) == [str(file)]
