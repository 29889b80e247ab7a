"""`migration.*`: long work in small steps, which shows its progress, stops when told to, and goes on where it stopped."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from examples.app import settings
from leveret import Cancel, JobContext, job

SCHEMA = """
create table if not exists customer (id integer primary key, name text not null);
create table if not exists customer_v2 (id integer primary key, first_name text not null, last_name text not null);
"""


@job("migration.*", concurrency=1)
def migrate(ctx: JobContext, rows: int = 20_000, batch: int = 100, pause: float = 0.1) -> dict[str, int]:
    """Split the names of the old customer table into the two columns of the new one.

    Args:
        ctx: of the attempt.
        rows: made in the old table first, if it has fewer.
        batch: rows in one transaction.
        pause: seconds between batches, so that others get at the database.
    """
    settings.OUTPUT.mkdir(parents=True, exist_ok=True)
    with closing(opened(settings.OUTPUT / "customers.sqlite", rows)) as database:
        (total,) = database.execute("select count(*) from customer").fetchone()
        (done,) = database.execute("select count(*) from customer_v2").fetchone()
        if done:
            ctx.log.info("going on after %d of %d rows", done, total)
        while done < total:
            if ctx.cancelled:
                raise Cancel(f"stopped after {done} of {total} rows; the next run goes on from there")
            done += move(database, batch)
            ctx.progress(done / total, f"{done} of {total} rows")
            time.sleep(pause)
    ctx.log.info("all %d rows are migrated", total)
    return {"rows": total}


def opened(path: Path, rows: int) -> sqlite3.Connection:
    """The database at `path`, with at least `rows` customers in the old table."""
    database = sqlite3.connect(path)
    database.executescript(SCHEMA)
    (found,) = database.execute("select count(*) from customer").fetchone()
    with database:
        new = ((number, f"First{number} Last{number}") for number in range(found + 1, rows + 1))
        database.executemany("insert into customer (id, name) values (?, ?)", new)
    return database


def move(database: sqlite3.Connection, batch: int) -> int:
    """Migrate the next `batch` customers in one transaction; how many there were."""
    old = database.execute(
        "select id, name from customer where id > (select coalesce(max(id), 0) from customer_v2) order by id limit ?", (batch,)
    ).fetchall()
    with database:
        database.executemany(
            "insert into customer_v2 (id, first_name, last_name) values (?, ?, ?)",
            [(number, *name.partition(" ")[::2]) for number, name in old],
        )
    return len(old)
