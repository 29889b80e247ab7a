"""What a client is told when Postgres fails: its own fault, somebody else's change, or to come again."""

from __future__ import annotations

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from leveret_api import errors

TOLD: list[tuple[int, Exception]] = [
    (422, asyncpg.DataError("invalid input for query argument $1: value out of int64 range")),
    (422, asyncpg.CharacterNotInRepertoireError("invalid byte sequence")),
    (422, asyncpg.CheckViolationError("a check")),
    (422, asyncpg.ProgramLimitExceededError("index row size exceeds maximum")),
    (422, asyncpg.StatementTooComplexError("stack depth limit exceeded")),
    (409, asyncpg.UniqueViolationError("duplicate key")),
    (409, asyncpg.ForeignKeyViolationError("no such job any more")),
    (409, asyncpg.RaiseError("no such change of state")),
    (503, asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction")),
    (503, asyncpg.DiskFullError("could not extend file")),
    (503, asyncpg.TooManyConnectionsError("too many clients")),
    (503, asyncpg.DeadlockDetectedError("deadlock")),
    (503, asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")),
    (503, asyncpg.InterfaceError("connection is closed")),
    (503, asyncpg.UndefinedColumnError("a migration is missing")),
    (503, ConnectionResetError()),
    (503, TimeoutError()),
    (500, KeyError("a bug of ours")),
]


@pytest.mark.parametrize(("status", "error"), TOLD, ids=[type(error).__name__ for _, error in TOLD])
async def test_what_is_told(status: int, error: Exception) -> None:
    app = FastAPI()
    errors.install(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://leveret.test") as http:
        answer = await http.get("/")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status == 503)
