"""The Postgres of `leveret dev`, where it has to refuse or to clean up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from leveret.cli.local.embedded_postgres import EmbeddedPostgres
from leveret_core.errors import ConfigurationError


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path / "data" / "postgres")
    yield made
    made.stop()


async def version(url: str) -> str:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close(timeout=10)


async def test_it_starts_keeps_its_data_and_can_be_stopped_twice(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    for _ in range(2):
        url = postgres.start()
        postgres.wait()
        assert int((await version(url)).partition(".")[0]) >= 17
        postgres.stop()
        postgres.stop()

    assert not (tmp_path / "data/postgres/postmaster.pid").exists()
    assert not (tmp_path / "data/postgres.new").exists()


def test_a_number_that_is_another_programs_by_now_is_not_killed_for_its_lock_file(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    postgres.start()
    postgres.wait()
    postgres.stop()
    lock = tmp_path / "data/postgres/postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n")

    postgres.start()
    postgres.wait()

    assert psutil.pid_exists(os.getpid())


def test_a_server_that_outlived_its_run_is_ended_first(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    left_behind = EmbeddedPostgres(tmp_path / "data" / "postgres")
    left_behind.start()
    left_behind.wait()
    old = int((tmp_path / "data/postgres/postmaster.pid").read_text().splitlines()[0])

    postgres.start()
    postgres.wait()

    assert int((tmp_path / "data/postgres/postmaster.pid").read_text().splitlines()[0]) != old
    left_behind.stop()


def test_the_data_of_another_version_is_left_alone_and_the_way_out_named(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    (tmp_path / "data/postgres").mkdir(parents=True)
    (tmp_path / "data/postgres/PG_VERSION").write_text("9\n")

    with pytest.raises(ConfigurationError, match=r"made by Postgres 9.*leveret dev --fresh"):
        postgres.start()

    assert (tmp_path / "data/postgres/PG_VERSION").exists()


def test_why_it_does_not_start_is_shown(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.start()
    postgres.wait()
    postgres.stop()
    with (tmp_path / "data/postgres/postgresql.conf").open("a") as settings:
        settings.write("nonsense_setting = 1\n")

    postgres.start()
    with pytest.raises(ConfigurationError, match="nonsense_setting"):
        postgres.wait()


def test_a_half_made_database_is_made_anew(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    half = tmp_path / "data/postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    postgres.start()
    postgres.wait()

    assert not half.exists()


async def test_a_deep_folder_is_no_hindrance(tmp_path: Path) -> None:
    deep = EmbeddedPostgres(tmp_path / ("d" * 60) / ("e" * 60) / "postgres")
    try:
        url = deep.start()
        deep.wait()
        assert await version(url)
    finally:
        deep.stop()
