"""The settings of server processes, read once from `LEVERET_*` and checked whole before anything starts."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from leveret_core.errors import ConfigurationError
from leveret_core.service_urls import POSTGRES, RABBITMQ, REDIS, url_problem

_SERVICES = {"database_url": POSTGRES, "redis_url": REDIS, "amqp_url": RABBITMQ}
_BASE_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
MAX_SECONDS, MAX_DAYS = 366 * 86_400.0, 36_600.0
"""A year and a century: well within what Postgres can add to a time."""


class Settings(BaseSettings):
    """Everything a server process can be told. Every name is an environment variable with the prefix `LEVERET_`."""

    model_config = SettingsConfigDict(env_prefix="LEVERET_", extra="ignore", frozen=True)

    database_url: str = Field(default="postgresql://leveret:leveret@localhost:5432/leveret", description="Postgres")
    redis_url: str = Field(default="redis://localhost:6379/0", description="Redis: who dispatches, and hints between replicas")
    amqp_url: str = Field(default="amqp://guest:guest@localhost:5672/", description="RabbitMQ")
    host: str = Field(default="127.0.0.1", description="address the API listens on")
    port: int = Field(default=8080, ge=0, le=65535, description="port the API listens on; 0 takes a free one")
    allowed_hosts: str = Field(
        default="",
        description="names under which the API is asked, with commas; `*.example.org` is any below; `*` is every name",
    )
    base_path: str = Field(
        default="",
        description="path at which a proxy serves it, such as /leveret; empty where it has a host of its own",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"

    lock_ttl: float = Field(default=15.0, gt=0, le=MAX_SECONDS, description="seconds the Redis lock of the dispatcher lasts")
    lock_renew: float = Field(default=5.0, gt=0, le=MAX_SECONDS, description="seconds between renewals of the lock")
    lock_margin: float = Field(
        default=3.0, ge=0, le=MAX_SECONDS, description="seconds of the TTL that the holder does not trust"
    )
    lock_retry: float = Field(default=1.0, gt=0, le=MAX_SECONDS, description="seconds between a candidate's tries")
    poll_interval: float = Field(
        default=5.0, gt=0, le=MAX_SECONDS, description="seconds after which the dispatcher looks although no hint woke it"
    )
    schedule_batch: int = Field(default=500, ge=1, le=10_000, description="due jobs handled in one transaction")
    publish_window: int = Field(
        default=10_000, ge=1, description="unclaimed dispatch messages of one type kept in the broker, at most"
    )
    ring_timeout: float = Field(
        default=60.0, gt=0, le=MAX_SECONDS, description="seconds after which an unclaimed dispatch message is published again"
    )
    unroutable_retry: float = Field(
        default=5.0, gt=0, le=MAX_SECONDS, description="seconds between tries while no worker is bound to a type"
    )
    catch_up_limit: int = Field(
        default=1_000, ge=1, le=100_000, description="late ticks of a job that run with catch_up=all, at most; the newest ones"
    )
    backfill_limit: int = Field(default=10_000, ge=1, le=1_000_000, description="fire times of one backfill, at most")
    backfill_ahead: int = Field(
        default=20, ge=1, le=10_000, description="occurrences of one backfill that exist and have not begun, at most"
    )

    lease: float = Field(
        default=30.0, gt=0, le=MAX_SECONDS, description="seconds without a heartbeat after which a worker counts as lost"
    )
    heartbeat: float = Field(default=5.0, gt=0, le=MAX_SECONDS, description="seconds between a worker's heartbeats")
    timeout_grace: float = Field(
        default=10.0,
        ge=0,
        le=MAX_SECONDS,
        description="seconds past a timeout before the server ends the attempt of a worker that lives and says nothing of it",
    )

    unnamed_grace: float = Field(
        default=60.0,
        ge=0,
        le=MAX_SECONDS,
        description="seconds a live worker must not have named what it runs by the tables, before that counts as lost",
    )

    payload_limit: int = Field(default=256 * 1024, ge=1, description="bytes of JSON in a payload, at most")
    result_limit: int = Field(default=256 * 1024, ge=1, description="bytes of JSON in a result, at most")
    log_limit: int = Field(default=2_000, ge=0, description="log records kept of one attempt, at most")
    history_days: float = Field(
        default=30.0, gt=0, le=MAX_DAYS, description="days a final occurrence is kept, and a dead event"
    )
    audit_days: float = Field(default=365.0, gt=0, le=MAX_DAYS, description="days it is kept who did what")

    pool_size: int = Field(
        default=8, ge=2, le=200, description="Postgres connections for REST, and as many for claims and events"
    )

    @field_validator("database_url", "redis_url", "amqp_url")
    @classmethod
    def _is_url(cls, value: str, info: ValidationInfo) -> str:
        if problem := url_problem(value, _SERVICES[info.field_name or ""]):
            raise ValueError(problem)
        return value

    @field_validator("base_path")
    @classmethod
    def _path(cls, value: str) -> str:
        path = value.rstrip("/")
        if path and not _BASE_PATH.fullmatch(path):
            raise ValueError(f"must be a path like /leveret, of letters, digits, '.', '_', '~' and '-', not {value[:40]!r}")
        return path

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.lock_renew + self.lock_margin >= self.lock_ttl:
            raise ValueError("LEVERET_LOCK_RENEW plus LEVERET_LOCK_MARGIN must be less than LEVERET_LOCK_TTL")
        if self.heartbeat * 2 > self.lease:
            raise ValueError("LEVERET_LEASE must be at least twice LEVERET_HEARTBEAT")
        return self


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment, with `overrides` (None means not given) on top.

    Raises:
        ConfigurationError: one message that names every wrong variable and what is wrong with it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(Settings(**given))  # type: ignore[arg-type]
    except ValidationError as error:
        lines: list[str] = []
        for item in error.errors():
            where = f"LEVERET_{str(item['loc'][0]).upper()}: " if item["loc"] else ""
            lines.append(f"  {where}{item['msg'].removeprefix('Value error, ')}")
        # Without the cause, whose text holds what was given, passwords too.
        raise ConfigurationError("wrong settings:\n" + "\n".join(lines)) from None
