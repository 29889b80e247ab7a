"""Schemas from outside: whatever is in them, a check ends soon, fetches nothing, and refuses only what is surely wrong."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from leveret_core import payload_schema
from leveret_core.payload_schema import (
    MAX_DEPTH,
    MAX_PATTERN,
    MAX_PATTERN_TEXT,
    MAX_SIZE,
    PayloadSchema,
    Uncheckable,
    schema_problems,
)

EMAIL = r"^([a-z0-9]+\.?)+@example\.com$"


def fields(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def wrong(schema: dict[str, Any], payload: dict[str, Any]) -> list[str]:
    """Where a payload is wrong."""
    errors = PayloadSchema(schema).errors(payload, limit=10)
    return [".".join(map(str, error.absolute_path)) for error in errors]


def nested(levels: int, key: str) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {key: value}
    return value


def doubling(levels: int) -> dict[str, Any]:
    """A small schema that stands for 2 to the power of `levels` checks."""
    twice = {f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)}
    return {"$defs": twice | {f"a{levels}": {}}, "$ref": "#/$defs/a0"}


def test_an_expression_that_backtracks_for_ever_elsewhere_takes_no_time() -> None:
    # In a process of its own: `re` would hold this one, its timeouts and its signals, for longer than anybody lives.
    program = (
        "from leveret_core.payload_schema import PayloadSchema\n"
        f"schema = PayloadSchema({fields(to={'type': 'string', 'pattern': EMAIL})!r})\n"
        "print(len(schema.errors({'to': 'a' * 40 + '!'}, limit=10)), len(schema.errors({'to': 'a@example.com'}, limit=10)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("1 0\n", "")


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (fields(x={"patternProperties": {EMAIL: {"type": "integer"}}}), {"x": {"a" * 40 + "!": "y"}}),
        (fields(x={"patternProperties": {EMAIL: True}, "additionalProperties": True}), {"x": {"a" * 40 + "!": "y"}}),
        (fields(x={"propertyNames": {"pattern": EMAIL}}), {"x": {}}),
        (fields(x={"uniqueItems": True}), {"x": [{"a": i} if i % 2 else [str(i)] for i in range(20_000)]}),
        (fields(x={"items": {"enum": [f"e{i}" for i in range(5_000)]}}), {"x": ["e4999"] * 200}),
    ],
)
def test_what_is_costly_elsewhere_is_checked(schema: dict[str, Any], payload: dict[str, Any]) -> None:
    assert wrong(schema, payload) == []


def test_other_expressions_are_those_of_the_payload() -> None:
    schema = {"patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False}
    assert wrong(schema, {"n_a": 1}) == []
    assert wrong(schema, {"n_a": "1", "x": 1}) == ["n_a", "x"]
    # Anywhere in the text, as JSON Schema has it.
    assert wrong(fields(x={"pattern": "b"}), {"x": "abc"}) == []


@pytest.mark.parametrize("items", [[1, 1.0], [{"a": [1, 2]}, {"a": [1, 2]}], ["x", "x"], [None, None]])
def test_items_that_are_the_same_are_not_unique(items: list[Any]) -> None:
    assert wrong(fields(x={"uniqueItems": True}), {"x": items}) == ["x"]


def test_items_that_differ_are_unique() -> None:
    different = [1, True, 0, False, "1", None, [], {}, [1], [[1]], {"a": 1}, {"a": [1]}, 1.5]
    assert wrong(fields(x={"uniqueItems": True}), {"x": different}) == []


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (doubling(40), {}),
        ({"$defs": {"n": fields(x={"allOf": [{"$ref": "#/$defs/n"}] * 2})}, "$ref": "#/$defs/n"}, nested(60, "x")),
        (fields(x={"items": {"pattern": "((a|b|ab){1,30}){1,30}c"}}), {"x": ["ab" * 8_000] * 30}),
    ],
    ids=["references that double", "recursion that doubles", "costly expressions"],
)
def test_a_check_without_end_ends_and_lets_others_run(
    schema: dict[str, Any], payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload_schema, "MAX_SECONDS", 0.2)
    beats = 0
    done = threading.Event()

    def beat() -> None:
        nonlocal beats
        while not done.wait(0.01):
            beats += 1

    other = threading.Thread(target=beat)
    other.start()
    started = time.thread_time()
    try:
        with pytest.raises(Uncheckable, match="took longer"):
            PayloadSchema(schema).errors(payload, limit=10)
    finally:
        done.set()
        other.join()
    assert time.thread_time() - started < 2.0
    assert beats > 5


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
    ],
)
def test_references_to_nowhere_and_to_themselves_refuse_nothing(schema: dict[str, Any]) -> None:
    with pytest.raises(Uncheckable, match="cannot be evaluated"):
        PayloadSchema(schema).errors({}, limit=10)


@pytest.mark.parametrize("pattern", ["^(?=a)b", r"(a)\1", "(a{1,500}){1,500}", "(", "a" * (MAX_PATTERN + 1)])
def test_an_expression_that_is_not_linear_is_named_and_all_else_checked(pattern: str) -> None:
    schema = fields(to={"type": "string", "pattern": pattern, "maxLength": 5}, n={"type": "integer"})
    found = PayloadSchema(schema).unchecked
    assert [problem.field for problem in found] == ["schema.properties.to.pattern"]
    assert found == schema_problems(schema)
    assert wrong(schema, {"to": "zz", "n": 1}) == []
    assert wrong(schema, {"to": "too long", "n": "x"}) == ["to", "n"]
    names = {"patternProperties": {pattern: {"type": "integer"}}, "additionalProperties": False, "required": ["r"]}
    assert wrong(names, {"x": "y"}) == [""]  # `x` may match; only what is required is missing for sure


def test_a_long_text_is_left_to_the_handler() -> None:
    schema = fields(x={"pattern": "^a*$", "maxLength": 10**6})
    assert wrong(schema, {"x": "b" * MAX_PATTERN_TEXT}) == ["x"]
    assert wrong(schema, {"x": "b" * (MAX_PATTERN_TEXT + 1)}) == []


def test_data_in_a_schema_is_not_taken_for_expressions() -> None:
    data = {"pattern": "(?=a)"}
    assert schema_problems(fields(pattern={"type": "string"}, x={"const": data, "enum": [data], "default": data})) == []


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"description": "x" * MAX_SIZE}, "bytes of JSON"),
        (nested(MAX_DEPTH + 1, "not"), "nests deeper"),
        (nested(5_000, "not"), "bytes of JSON|nests deeper|not JSON"),
        ({"type": "nonsense"}, "is no JSON Schema: type"),
        (fields(to={"pattern": "\ud800"}), "is not JSON"),
        ({"properties": 7}, "is no JSON Schema: properties"),
    ],
)
def test_a_schema_that_cannot_be_used_says_why_and_refuses_nothing(schema: dict[str, Any], said: str) -> None:
    ready = PayloadSchema(schema)
    assert [problem.field for problem in ready.unchecked] == ["schema"]
    assert re.search(said, ready.unchecked[0].message)
    assert ready.errors({"x": 1}, limit=10) == []
    assert wrong({"unevaluatedProperties": False}, {"x": 1}) == []
    assert [problem.field for problem in schema_problems({"unevaluatedProperties": False})] == ["schema.unevaluatedProperties"]
