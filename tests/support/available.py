"""The servers this machine can offer: as private processes if their programs are here, else as containers."""

from __future__ import annotations

from support.postgres import PostgresProcess
from support.rabbitmq import RabbitProcess, RabbitServer
from support.redis import RedisProcess
from support.servers import NotAvailable, Server


def new_postgres() -> Server:
    """A Postgres, not started.

    Raises:
        NotAvailable: with what to install.
    """
    try:
        return PostgresProcess()
    except NotAvailable:
        if not _docker():
            raise
    from support.docker import postgres_container

    return postgres_container()


def new_redis() -> Server:
    """A Redis, not started.

    Raises:
        NotAvailable: with what to install.
    """
    try:
        return RedisProcess()
    except NotAvailable:
        if not _docker():
            raise
    from support.docker import redis_container

    return redis_container()


def new_rabbit() -> RabbitServer:
    """A RabbitMQ, not started.

    Raises:
        NotAvailable: with what to install.
    """
    try:
        return RabbitProcess()
    except NotAvailable:
        if not _docker():
            raise
    from support.docker import rabbitmq_container

    return rabbitmq_container()


def _docker() -> bool:
    from support.docker import docker_answers

    return docker_answers()
