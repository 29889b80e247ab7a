"""A Postgres whose clock stands still until a test moves it: the functions that tell the time are shadowed in one database."""

from __future__ import annotations

from datetime import datetime

import asyncpg

from leveret_core.store.database import Database

_SHADOWS = """
create schema moved;
create table moved.clock (at timestamptz not null);
insert into moved.clock values ('2030-01-01Z');
create function moved.now() returns timestamptz language sql stable as 'select at from moved.clock';
create function moved.clock_timestamp() returns timestamptz language sql stable as 'select at from moved.clock';
"""


async def with_a_clock_to_move(url: str) -> str:
    """Shadow the clock of the database at `url`; sessions of the URL returned see it, at 2030-01-01 UTC."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_SHADOWS)
    finally:
        await connection.close()
    return f"{url}?search_path=moved,public,pg_catalog"


async def move_clock(database: Database, to: datetime) -> None:
    """Let it be another time, earlier or later."""
    await database.pool.execute("update moved.clock set at = $1", to)
