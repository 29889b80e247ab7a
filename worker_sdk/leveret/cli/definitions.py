"""Jobs written down in a file or in code, and what becomes of them on a server."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, cast

from leveret.cli.client import Client, ref
from leveret.cli.errors import Refused
from leveret_core.errors import ConfigurationError, InvalidInput, NotFound

ATTRIBUTE = "JOBS"
"""The name a module gives its list of job definitions."""


@dataclass(frozen=True)
class Applied:
    """What became of one definition; `problem` is the server's words when it was refused."""

    name: str
    result: Literal["created", "updated", "unchanged", "refused"]
    job: Mapping[str, Any] | None = None
    problem: str = ""


def load_definitions(source: str) -> list[dict[str, Any]]:
    """The job definitions of a file or a module.

    Args:
        source: a `.json` file (a list, or an object with a list `jobs`), a `.toml` file (`[[jobs]]`), or the name of a module
            with a list `JOBS`. Each definition is an object as `POST /api/v1/jobs` takes it.

    Raises:
        ConfigurationError: there is no such file or module, or it holds no definitions.
        InvalidInput: one of them is not an object with a name.
    """
    path = Path(source)
    if path.suffix not in (".json", ".toml"):
        return definitions_of(source)
    try:
        text = path.read_text(encoding="utf-8")
        found: object = json.loads(text) if path.suffix == ".json" else _as_json(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{source} is not {path.suffix[1:].upper()}: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{source} is nested too deep") from error
    return _checked(found.get("jobs") if isinstance(found, dict) else found, source)  # pyright: ignore[reportUnknownMemberType]


def _as_json(value: object) -> object:
    """`value` of a TOML file, with its dates and times as ISO 8601 writes them."""
    match value:
        case dict():
            return {name: _as_json(each) for name, each in cast("dict[str, object]", value).items()}
        case list():
            return [_as_json(each) for each in cast("list[object]", value)]
        case date() | time():
            return value.isoformat()
        case _:
            return value


def definitions_of(module: str) -> list[dict[str, Any]]:
    """The list `JOBS` of a module, which is imported unless it has been.

    Raises:
        ConfigurationError: there is no such module, or it has no `JOBS`.
        InvalidInput: an entry is not an object with a name.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise ConfigurationError(f"there is no file or module {module!r} with job definitions") from error
        raise
    return _checked(getattr(found, ATTRIBUTE, None), f"{module}.{ATTRIBUTE}")


def apply(client: Client, definitions: Iterable[Mapping[str, Any]]) -> list[Applied]:
    """Make each definition true on the server, by name; doing it again changes nothing.

    A definition that the server refuses is reported and stops no other.

    Raises:
        ServerUnreachable: no server answers.
    """
    done: list[Applied] = []
    for definition in definitions:
        name = str(definition["name"])
        path = f"jobs/{ref(name)}"
        try:
            before = _version(client, path)
            status, job = client.send("PUT", path, definition)
        except Refused as error:
            done.append(Applied(name, "refused", problem=str(error)))
            continue
        same = status != 201 and before is not None and before == job["version"]
        done.append(Applied(name, "created" if status == 201 else "unchanged" if same else "updated", job))
    return done


def _version(client: Client, path: str) -> object:
    try:
        return client.get(path)["version"]
    except NotFound:
        return None


def _checked(found: object, source: str) -> list[dict[str, Any]]:
    if not isinstance(found, list | tuple):
        raise ConfigurationError(f"{source} holds no list of job definitions")
    checked: list[dict[str, Any]] = []
    for index, each in enumerate(cast("list[object]", found)):
        if not (isinstance(each, dict) and isinstance(cast("dict[str, Any]", each).get("name"), str)):
            raise InvalidInput.at(f"{source}[{index}]", "must be an object with a name, as POST /api/v1/jobs takes it")
        checked.append(cast("dict[str, Any]", each))
    return checked
