"""Which worker a part of an id means."""

from __future__ import annotations

import pytest

from leveret.cli.commands.workers import _only  # pyright: ignore[reportPrivateUsage]
from leveret_core.errors import InvalidInput, NotFound


def worker(worker_id: str, stopped_at: str | None = None) -> dict[str, str | None]:
    return {"id": worker_id, "name": f"name of {worker_id}", "stopped_at": stopped_at}


def test_the_beginning_of_an_id_is_enough_when_one_worker_has_it() -> None:
    assert _only([worker("ab1"), worker("ab2"), worker("cd1")], "c") == "cd1"
    assert _only([worker("ab1"), worker("ab2")], "ab2") == "ab2"


def test_one_that_is_gone_does_not_stand_in_the_way_of_one_that_lives() -> None:
    assert _only([worker("ab1", "2026-01-01T00:00:00Z"), worker("ab2")], "ab") == "ab2"
    assert _only([worker("ab1", "2026-01-01T00:00:00Z")], "ab") == "ab1"


def test_what_fits_several_names_them() -> None:
    with pytest.raises(InvalidInput, match=r"ids of 6 workers: ab0 \(name of ab0\), .*, ab4 .* and 1 more"):
        _only([worker(f"ab{number}") for number in range(6)], "ab")


def test_what_fits_none_is_not_found() -> None:
    with pytest.raises(NotFound, match="begins with x"):
        _only([worker("ab1")], "x")
    with pytest.raises(InvalidInput, match="empty"):
        _only([worker("ab1")], "")
