"""The dashboard's types of the API, written by hand, are those of the OpenAPI document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.openapi import document

FOLDER = Path(__file__).parents[3] / "api/dashboard/src/api"
SAME = {
    "Failure": "AttemptError",
    "RetryPolicy": "Retry-Output",
    "CronTrigger": "CronTrigger-Output",
    "IntervalTrigger": "IntervalTrigger-Output",
    "OnceTrigger": "OnceTrigger-Output",
    "Upcoming": "UpcomingJob",
    "DeadLetterResult": "DeadLettersRequeued",
}
"""Interfaces whose schema has another name."""
PARTS = {"JobDefinition": "Job"}
"""Interfaces that are a part of a schema."""
NO_SCHEMA = {"Page"}
BEYOND = {
    # One interface for two resources of the API.
    "RateLimit": {"key"},
    "DeadLetterResult": {"discarded"},
    # What `leveret jobs` needs only.
    "CronTrigger": {"seed"},
}
"""Fields in which the two differ on purpose."""

_INTERFACE = re.compile(r"^export interface (\w+)(?:<\w+>)?(?: extends (\w+))? \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (\w+)\??:\s*(.*?);$", re.MULTILINE | re.DOTALL)
_ALIAS = re.compile(r"^export type (\w+) =\s*(.*?);$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"/\*\*.*?\*/", re.DOTALL)

SOURCE = "\n".join(_COMMENT.sub("", (FOLDER / name).read_text()) for name in ("types.ts", "operations.ts"))
ALIASES = dict(_ALIAS.findall(SOURCE))
OWN = {name: (base, dict(_FIELD.findall(body))) for name, base, body in _INTERFACE.findall(SOURCE)}


def _fields(interface: str) -> dict[str, str]:
    base, own = OWN[interface]
    return (_fields(base) if base else {}) | own


def _words(text: str) -> set[str]:
    """The words of a union, of an alias or written out."""
    text = ALIASES.get(text.removesuffix(" | null"), text)
    return set(re.findall(r'"(\w+)"', text))


SCHEMAS: dict[str, Any] = document()["components"]["schemas"]


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    choices = schema.get("anyOf", [schema])
    return [SCHEMAS[each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each for each in choices]


@pytest.mark.parametrize("interface", sorted(OWN.keys() - NO_SCHEMA - {"RateLimits"}))
def test_an_interface_has_the_fields_of_its_schema(interface: str) -> None:
    schema = SCHEMAS[PARTS.get(interface) or SAME.get(interface) or interface]
    there, here = schema["properties"], _fields(interface)
    beyond = BEYOND.get(interface, set())
    assert here.keys() - there.keys() - beyond == set(), "the API has no such fields"
    if interface not in PARTS:
        assert there.keys() - here.keys() - beyond == set(), "the dashboard does not know of these fields"
    for name in here.keys() & there.keys():
        choices = _choices(there[name])
        nullable = any(each.get("type") == "null" for each in choices)
        known = re.search(r"\bnull\b", here[name]) or here[name] == "JsonValue"
        if nullable and schema.get("additionalProperties") is not False:
            assert known, f"{interface}.{name} can be null"
        words = {word for each in choices for word in each.get("enum", ([each["const"]] if "const" in each else []))}
        if words:
            assert _words(here[name]) == words, f"{interface}.{name}"


def test_states_are_those_of_the_api() -> None:
    assert _words("State") == set(SCHEMAS["State"]["enum"])
