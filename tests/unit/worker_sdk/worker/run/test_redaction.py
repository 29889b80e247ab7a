"""Secrets do not get into the logs that are kept with attempts."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from leveret import JobContext, Registry
from leveret.config import WorkerConfig
from leveret.errors import ConfigurationError
from leveret.testing import run_job
from support.eventually import eventually
from support.fake_broker import FakeServers
from support.workers import serving

HELD = "hunter2"


@dataclasses.dataclass
class Login:
    user: str
    password: str


async def kept(extra: dict[str, Any], **config: Any) -> dict[str, Any]:
    """The fields kept of one record with these."""

    async def handler(ctx: JobContext) -> None:
        ctx.log.info("a record", extra=extra)

    done = await run_job(handler, config=WorkerConfig(**config))
    assert done.outcome == "succeeded", done.error
    (log,) = done.logs
    assert log.fields is not None
    return log.fields


@pytest.mark.parametrize(
    "key",
    ["password", "db_passwd", "Passwort", "CLIENT_SECRET", "access_token", "apikey", "API_KEY", "x-api-key", "Set-Cookie"],
)
async def test_a_field_with_the_key_of_a_secret_loses_its_value(key: str) -> None:
    assert await kept({key: HELD, "user": "ann"}) == {key: "[redacted]", "user": "ann"}
    assert await kept({"sent": {key: {"whatever": HELD}}}) == {"sent": {key: "[redacted]"}}


async def test_secrets_are_found_at_any_depth() -> None:
    request = {"headers": [{"Authorization": HELD, "Accept": "*/*"}], "retries": 2}

    assert await kept({"request": request, "login": Login("ann", HELD), "pair": (1, {"token": HELD})}) == {
        "request": {"headers": [{"Authorization": "[redacted]", "Accept": "*/*"}], "retries": 2},
        "login": {"user": "ann", "password": "[redacted]"},
        "pair": [1, {"token": "[redacted]"}],
    }
    assert request["headers"] == [{"Authorization": HELD, "Accept": "*/*"}], "what the handler goes on with is its own"


async def test_a_value_too_long_or_too_odd_to_keep_whole_shows_no_secret_either() -> None:
    long = await kept({"sent": {"token": HELD, "body": "x" * 10_000}})
    assert isinstance(long["sent"], str)
    assert long["sent"].startswith('{"token":"[redacted]"')

    circle: dict[str, Any] = {"token": HELD}
    circle["itself"] = circle
    assert await kept({"sent": circle}) == {"sent": "[a dict that JSON cannot hold]"}


async def test_other_keys_can_be_named_instead() -> None:
    sent = {"iban": HELD, "tokens": 12}
    assert await kept(sent, redact="iban|card") == {"iban": "[redacted]", "tokens": 12}
    assert await kept({"password": HELD}, redact="") == {"password": HELD}


async def test_messages_are_kept_as_they_are_written() -> None:
    def handler() -> None:
        logging.getLogger("theirs").warning("password=%s", "shown")

    assert [log.message for log in (await run_job(handler)).logs] == ["password=shown"]


@pytest.mark.parametrize("process", [False, True])
async def test_a_worker_and_its_child_processes_redact_what_they_send(process: bool) -> None:
    servers, registry = FakeServers(), Registry()
    registry.job("log", process=process)(logs_a_number)
    async with serving(servers, registry, redact="iban"):
        servers.publish("log", {})
        await eventually(lambda: servers.outcomes() == ["succeeded"])
        assert [log.fields for log in servers.logs] == [{"sent": {"iban": "[redacted]"}}]


def test_keys_that_are_no_regular_expression_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"redact must be a regular expression, not '\('"):
        WorkerConfig(redact="(")


def logs_a_number() -> None:
    logging.getLogger("theirs").warning("a record", extra={"sent": {"iban": HELD}})
