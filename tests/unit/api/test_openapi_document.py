"""What programs that are generated from the OpenAPI document rely on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from support.openapi import document

DOCUMENT = document()
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]


def _named(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
        for each in part.values():
            yield from _named(each)
    elif isinstance(part, list):
        for each in part:
            yield from _named(each)


def _schemas_of(parts: list[Any]) -> set[str]:
    """Names of the schemas that these parts of the document use, also by way of others."""
    found: set[str] = set()
    left = list(_named(parts))
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _named(SCHEMAS[name])
    return found


def test_no_two_addresses_differ_in_the_name_of_a_parameter_alone() -> None:
    templates = Counter(re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT["paths"])
    assert {template for template, count in templates.items() if count > 1} == set()


def test_fields_that_an_answer_always_has_are_required_there_and_defaults_may_be_left_out_of_a_request() -> None:
    asked = _schemas_of([operation.get("requestBody") for operation in OPERATIONS])
    answered = _schemas_of([operation["responses"] for operation in OPERATIONS]) - asked
    assert {"Job", "Occurrence", "Worker"} <= answered
    optional = {
        f"{name}.{field}"
        for name in answered
        for field in SCHEMAS[name].get("properties", {})
        if field not in SCHEMAS[name].get("required", [])
    }
    assert optional == set()
    needed = {
        f"{name}.{field}"
        for name in asked
        for field, schema in SCHEMAS[name].get("properties", {}).items()
        if "default" in schema and field in SCHEMAS[name].get("required", [])
    }
    assert needed == set()
