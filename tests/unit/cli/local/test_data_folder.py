"""The folder of `leveret dev`."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.cli.local.data_folder import data_folder, forget
from leveret_core.errors import ConfigurationError


def test_it_is_made_and_can_be_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        with data_folder(tmp_path / "a" / ".leveret") as folder:
            (folder / "kept").touch()

    assert (tmp_path / "a" / ".leveret" / "kept").exists()


def test_two_at_a_time_are_refused_with_the_name_of_the_other(tmp_path: Path) -> None:
    with (
        data_folder(tmp_path / "data"),
        pytest.raises(ConfigurationError, match=r"another `leveret dev` \(process \d+\)"),
        data_folder(tmp_path / "data"),
    ):
        pass


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(ConfigurationError, match="not made by `leveret dev`"), data_folder(tmp_path):
        pass

    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_forgetting_keeps_nothing_but_the_lock_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    with data_folder(tmp_path / "data") as folder:
        (folder / "postgres" / "base").mkdir(parents=True)
        (folder / "jobs.json").touch()
        (folder / "link").symlink_to(outside)

        forget(folder)

        assert [each.name for each in folder.iterdir()] == ["dev.lock"]
    assert (outside / "file").exists()


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(ConfigurationError, match="cannot use"), data_folder(tmp_path / "data"):
        pass
