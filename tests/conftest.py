"""Servers for tests, started when the first test asks; and the rule that nothing is skipped in silence.

Servers come from TEST_DATABASE_URL, TEST_REDIS_URL and TEST_AMQP_URL if set (they are written to, so name test servers
only), else from programs on this machine, else from Docker. Each test gets a database, an empty Redis and a virtual host
of its own. A test that needs a server which cannot be had is skipped; the end of the run names it and why, and with CI
set the run then fails.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from redis.asyncio import Redis

from support.available import new_postgres, new_rabbit, new_redis
from support.given import GivenServer, Located, clear_vhost
from support.processes import LeveretProcess, StartLeveret
from support.rabbitmq import RabbitServer, VirtualHosts
from support.servers import NotAvailable, Server, ServerProcess

AnyServer = TypeVar("AnyServer", bound=Server)
Witness = LeveretProcess | ServerProcess

# The processes and servers of a test's own, whose output it shows when it fails.
_WITNESSES = pytest.StashKey[list[Witness]]()


def pytest_sessionstart() -> None:
    """A run that a script started in the background ignores Ctrl-C, and so would every process of a test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _started(new: Callable[[], AnyServer]) -> Iterator[AnyServer]:
    try:
        server = new()
    except NotAvailable as error:
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.remove()


# Postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Located]:
    """The Postgres that tests share: its `url` is the maintenance database, as superuser."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield GivenServer(given)
    else:
        yield from _started(new_postgres)


@pytest.fixture(scope="session")
async def _migrated_template(postgres_server: Located) -> AsyncIterator[str]:
    from leveret_core.store.migrate import migrate

    async with _new_database(postgres_server) as url:
        await migrate(url)
        yield _name(url)


@pytest.fixture
async def database_url(postgres_server: Located, _migrated_template: str) -> AsyncIterator[str]:
    """A fresh database with all migrations applied; dropped after the test, whoever is still connected."""
    async with _new_database(postgres_server, template=_migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
async def shared_database_url(postgres_server: Located, _migrated_template: str) -> AsyncIterator[str]:
    """The same for all tests of a module, which leave behind in it what they will."""
    async with _new_database(postgres_server, template=_migrated_template) as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_server: Located) -> AsyncIterator[str]:
    """A fresh database with nothing in it; dropped after the test, whoever is still connected."""
    async with _new_database(postgres_server) as url:
        yield url


@pytest.fixture
def private_postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A Postgres of the test's own, to kill and stop. Empty: its `url` is the maintenance database."""
    yield from _witnessed(request, new_postgres)


# RabbitMQ


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer | GivenServer]:
    """The RabbitMQ that tests share: its `url` is the virtual host `/`. Use `amqp_url`, which is the test's own."""
    if given := os.environ.get("TEST_AMQP_URL"):
        yield GivenServer(given)
    else:
        yield from _started(new_rabbit)


@pytest.fixture(scope="session")
def _virtual_hosts(rabbit_server: RabbitServer | GivenServer) -> VirtualHosts | None:
    return None if isinstance(rabbit_server, GivenServer) else VirtualHosts(rabbit_server)


@pytest.fixture
async def amqp_url(rabbit_server: Located, _virtual_hosts: VirtualHosts | None) -> str:
    """A fresh virtual host; with TEST_AMQP_URL, that one, after deleting Leveret's exchanges and queues."""
    if _virtual_hosts:
        return _virtual_hosts.take()
    await clear_vhost(rabbit_server.url)
    return rabbit_server.url


@pytest.fixture
def private_rabbit(request: pytest.FixtureRequest) -> Iterator[RabbitServer]:
    """A RabbitMQ of the test's own, to kill and stop. Takes about 5 s to start."""
    yield from _witnessed(request, new_rabbit)


# Redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Located]:
    """The Redis that tests share. Use `redis_url`, which is empty at the start of the test."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield GivenServer(given)
    else:
        yield from _started(new_redis)


@pytest.fixture
async def redis_url(redis_server: Located) -> str:
    """A Redis database with nothing in it."""
    async with Redis.from_url(redis_server.url) as redis:
        await redis.flushdb()
    return redis_server.url


@pytest.fixture
def private_redis(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A Redis of the test's own, to kill and stop."""
    yield from _witnessed(request, new_redis)


# Processes


@pytest.fixture
def start_leveret(request: pytest.FixtureRequest) -> Iterator[StartLeveret]:
    """Starts the `leveret` command as a process. All are killed after the test; a failing test shows what they printed."""
    started: list[LeveretProcess] = []

    def start(*args: str, env: dict[str, str] | None = None, cwd: Path | None = None, cold: bool = False) -> LeveretProcess:
        process = LeveretProcess(*args, env=env, cwd=cwd, cold=cold)
        started.append(process)
        _witnesses(request).append(process)
        return process

    yield start
    for process in reversed(started):
        process.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome on this machine. As root it needs the switch --no-sandbox."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium: none of chromium, chromium-browser, google-chrome is on the PATH (apt-get install chromium)")


# What a failing test shows


def _witnesses(request: pytest.FixtureRequest) -> list[Witness]:
    item: pytest.Item = request.node
    return item.stash.setdefault(_WITNESSES, [])


def _witnessed(request: pytest.FixtureRequest, new: Callable[[], AnyServer]) -> Iterator[AnyServer]:
    for server in _started(new):
        if isinstance(server, ServerProcess):
            _witnesses(request).append(server)
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and report.when == "call":
        for witness in item.stash.get(_WITNESSES, []):
            report.sections.append((str(witness), witness.log_tail()))
    return report


# What only `make test-all` runs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `exhaustive` unless LEVERET_EXHAUSTIVE=1."""
    if os.environ.get("LEVERET_EXHAUSTIVE") == "1":
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


# Nothing is skipped in silence


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: dict[str, list[str]] = {}
    for report in _skipped(terminalreporter):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    if not reasons:
        return
    terminalreporter.section("not run", red=_in_ci(), yellow=not _in_ci())
    for reason, tests in reasons.items():
        terminalreporter.write_line(f"{reason}:")
        for test in tests:
            terminalreporter.write_line(f"    {test}")
    if _in_ci():
        terminalreporter.write_line("CI is set: that fails the run.", red=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.exitstatus == pytest.ExitCode.OK and _in_ci() and reporter and _skipped(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped(reporter: pytest.TerminalReporter) -> list[pytest.TestReport | pytest.CollectReport]:
    return reporter.stats.get("skipped", [])


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# Databases


@asynccontextmanager
async def _new_database(server: Located, template: str = "template1") -> AsyncGenerator[str]:
    name = f"leveret_test_{secrets.token_hex(6)}"
    # Copying files is several times as fast as the default, which writes the copy to the log.
    await _execute(server.url, f'create database "{name}" template "{template}" strategy file_copy')
    try:
        yield urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
    finally:
        await _execute(server.url, f'drop database "{name}" with (force)')


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute(sql, timeout=30)
    finally:
        await connection.close(timeout=10)
