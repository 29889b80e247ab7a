"""Backfills by the Python client, against the API on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import httpx
import pytest

from leveret.client import Client
from leveret.errors import Conflict, InvalidInput, NotFound
from support.api import Api, running_api
from support.control import Control

BERLIN = {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin"}

WALL = datetime.fromisoformat("2026-03-28T06:00")


def day(year: int, number: int) -> datetime:
    return datetime(year, 1, number, tzinfo=UTC)


@pytest.fixture
async def api(database_url: str) -> AsyncGenerator[Api]:
    async with running_api(database_url, backfill_limit=50) as running:
        yield running


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[Client]:
    async with Client("http://leveret.test", transport=httpx.ASGITransport(api.app)) as client:
        yield client


async def test_a_backfill_is_started_followed_and_cancelled(api: Api, client: Client) -> None:
    await client.put_job("mail", type="sendemail.x", trigger=BERLIN)
    made = await client.start_backfill("mail", WALL, datetime(2026, 3, 31, tzinfo=UTC), payload={"a": 1})
    assert (made.job_name, made.state, made.total, made.created, made.counts) == ("mail", "running", 3, 0, {})
    assert made.start_at == datetime(2026, 3, 28, 5, tzinfo=UTC)
    control = Control(api.db)
    await control.backfiller(await control.term()).run_once()
    read = await client.backfill(made.id)
    assert (read.created, read.counts) == (3, {"pending": 1, "waiting": 2})
    cancelled = await client.cancel_backfill(made.id, reason="wrong")
    assert (cancelled.state, cancelled.reason, cancelled.counts) == ("cancelled", "wrong", {"cancelled": 3})
    assert await client.cancel_backfill(made.id) == cancelled


async def test_what_cannot_be_is_refused(client: Client) -> None:
    await client.put_job("mail", type="sendemail.x", trigger=BERLIN)
    with pytest.raises(InvalidInput, match="more than 50 fire times"):
        await client.start_backfill("mail", day(2025, 1), day(2026, 1))
    with pytest.raises(NotFound):
        await client.start_backfill("nobody", day(2026, 1), day(2026, 2))
    with pytest.raises(NotFound):
        await client.backfill(4711)
    for _ in range(5):
        await client.start_backfill("mail", day(2026, 1), day(2026, 9))
    with pytest.raises(Conflict):
        await client.start_backfill("mail", day(2026, 1), day(2026, 9))
