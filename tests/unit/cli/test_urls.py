"""No command tells a part of a password, wherever in a URL it stands and whatever is in it."""

from __future__ import annotations

import pytest

from support.command_line import Done, command

VARIABLES = {"LEVERET_DATABASE_URL": "postgresql", "LEVERET_REDIS_URL": "redis", "LEVERET_AMQP_URL": "amqp"}
SERVERS = [("api",), ("dispatcher",), ("all", "examples.app"), ("migrate",), ("doctor",), ("doctor", "--json"), ("bench",)]
WORKERS = [("worker", "examples.app"), ("worker", "examples.app", "--processes", "2")]
CLIENTS = [("jobs", "list"), ("occurrences", "list"), ("workers", "list"), ("limits", "list"), ("dead-letters", "list")]


def tells_nothing(done: Done, variable: str) -> None:
    said = done.out + done.err
    assert done.code == 2, said
    assert variable in said
    assert "%2F" in said
    assert "Traceback" not in said
    for part in ("CAN", "ARY"):
        assert part not in said


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("words", SERVERS, ids=" ".join)
def test_servers(words: tuple[str, ...], variable: str) -> None:
    tells_nothing(command(*words, env={variable: f"{VARIABLES[variable]}://leveret:CAN/ARY@localhost:1/0"}), variable)


@pytest.mark.parametrize("words", WORKERS, ids=" ".join)
def test_workers(words: tuple[str, ...]) -> None:
    variable = "LEVERET_AMQP_URL"
    tells_nothing(command(*words, env={variable: "amqp://leveret:CAN/ARY@localhost:1/"}), variable)


@pytest.mark.parametrize("words", CLIENTS, ids=" ".join)
def test_clients(words: tuple[str, ...]) -> None:
    tells_nothing(command(*words, env={"LEVERET_URL": "http://ann:CAN#ARY@localhost:1"}), "LEVERET_URL")


def test_a_server_that_is_not_there_is_named_without_the_login() -> None:
    done = command("jobs", "list", env={"LEVERET_URL": "http://ann:CANARY@127.0.0.1:1"})
    assert done.code == 1
    assert "no Leveret server answers at http://127.0.0.1:1 " in done.err
    assert "CANARY" not in done.out + done.err


def test_doctor_names_services_that_are_not_there_without_the_login() -> None:
    env = {variable: f"{scheme}://leveret:CANARY@127.0.0.1:1/0" for variable, scheme in VARIABLES.items()}
    done = command("doctor", env=env)
    assert done.code == 1
    assert "CANARY" not in done.out + done.err
