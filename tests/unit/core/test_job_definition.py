"""What a job may be defined by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_core import triggers
from leveret_core.errors import InvalidInput, Problem
from leveret_core.job_definition import JobDefinition, check, default_of, define
from leveret_core.payload import MAX_DEPTH, encode_payload
from leveret_core.retry import RetryPolicy
from leveret_core.settings import Settings

MINIMAL: dict[str, Any] = {"name": "daily", "type": "report.daily", "trigger": {"kind": "manual"}}


def problems(values: Mapping[str, Any], **limits: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        define(values, **limits)
    return {problem.field: problem.message for problem in caught.value.problems}


def test_a_minimal_definition_has_the_documented_defaults() -> None:
    assert define(MINIMAL) == JobDefinition(name="daily", type="report.daily", trigger=triggers.Manual())


def test_a_definition_survives_the_way_through_json() -> None:
    values = MINIMAL | {
        "trigger": {"kind": "cron", "expression": "0 6 * * *", "timezone": "Europe/Berlin", "end_at": "2099-01-01T00:00:00Z"},
        "tags": ["a", "b"],
        "payload": {"deep": [{"x": 1.5}]},
        "retry": {"max_attempts": 5},
        "timeout": 60,
        "max_runs": 10,
    }
    definition = define(values)
    assert definition.retry == RetryPolicy(max_attempts=5)
    assert define(definition.to_json()) == definition


def test_every_problem_is_told_at_once() -> None:
    found = problems(
        {
            "name": "9lives",
            "typ": "report",
            "trigger": {"kind": "cron", "expression": "61 * * * *"},
            "retry": {"max_attempts": 0, "delay": "soon", "tries": 1},
            "tags": ["fine", " spaced", 7],
            "payload": {"a": {"b": ["\x00"]}, "c": float("nan")},
            "max_concurrent": 0,
            "timeout": -1,
        }
    )
    assert found.keys() == {
        "name",
        "type",
        "typ",
        "trigger.expression",
        "retry.max_attempts",
        "retry.delay",
        "retry.tries",
        "tags.1",
        "payload.a.b[0]",
        "payload.c",
        "max_concurrent",
        "timeout",
    }
    assert found["type"] == "is required"
    assert found["typ"] == "is not a field of a job; did you mean type?"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "a" * 201),
        ("name", "with space"),
        ("name", "4711"),
        ("name", None),
        ("name", "trailing\n"),
        ("type", "sendemail.*"),
        ("type", "a..b"),
        ("type", 5),
        ("description", "a" * 10_001),
        ("description", "\ud800"),
        ("description", None),
        ("tags", "report"),
        ("tags", ["x"] * 21),
        ("tags", [""]),
        ("tags", ["a\nb"]),
        ("tags", ["a" * 65]),
        ("payload", []),
        ("payload", None),
        ("trigger", "daily"),
        ("trigger", {"kind": "weekly"}),
        ("trigger", {"kind": "interval", "every": 0}),
        ("concurrency", "swap"),
        ("concurrency", ["skip"]),
        ("max_concurrent", True),
        ("max_concurrent", 1.5),
        ("max_concurrent", 10_001),
        ("max_waiting", 0),
        ("catch_up", "some"),
        ("catch_up_window", float("nan")),
        ("catch_up_window", float("inf")),
        ("catch_up_window", -1),
        ("catch_up_window", 10**400),
        ("timeout", 0),
        ("timeout", "60"),
        ("max_runs", 0),
        ("retry", None),
        ("retry", {"max_attempts": 10**30}),
        ("retry", {"factor": float("nan")}),
        ("retry", {"max_lost": True}),
    ],
)
def test_what_a_field_may_not_be(field: str, value: object) -> None:
    (found,) = problems(MINIMAL | {field: value})
    assert found.split(".")[0] == field


@pytest.mark.parametrize(
    ("field", "value", "becomes"),
    [
        ("max_concurrent", 3.0, 3),
        ("timeout", 60, 60.0),
        ("timeout", None, None),
        ("tags", ["b", "a", "b"], ("b", "a")),
        ("description", "two\nlines", "two\nlines"),
    ],
)
def test_values_take_their_form(field: str, value: object, becomes: object) -> None:
    assert getattr(define(MINIMAL | {field: value}), field) == becomes


def test_only_given_fields_are_checked_for_an_edit() -> None:
    assert check({"max_runs": 5}) == {"max_runs": 5}
    with pytest.raises(InvalidInput, match="max_runs"):
        check({"max_runs": "5"})


def test_name_type_and_trigger_have_no_default() -> None:
    assert default_of("concurrency") == "skip"
    assert default_of("retry") == {"max_attempts": 3, "delay": 5.0, "factor": 2.0, "max_delay": 3600.0, "max_lost": 3}
    for field in ("name", "type", "trigger", "nothing"):
        with pytest.raises(InvalidInput, match="may not be null"):
            default_of(field)


def test_a_payload_is_measured_in_bytes_of_its_json() -> None:
    assert encode_payload({"a": "é"}, limit=10) == '{"a":"é"}'
    with pytest.raises(InvalidInput, match="has 10 bytes of JSON; at most 9 are allowed"):
        encode_payload({"a": "é"}, limit=9)
    assert problems(MINIMAL | {"payload": {"a": "x" * 100}}, payload_limit=50) == {
        "payload": "has 108 bytes of JSON; at most 50 are allowed"
    }


def test_a_payload_may_nest_only_so_deep() -> None:
    def nested(depth: int) -> dict[str, Any]:
        return {"x": nested(depth - 1)} if depth > 1 else {}

    encode_payload(nested(MAX_DEPTH))
    with pytest.raises(InvalidInput, match="nests deeper than 64 levels"):
        encode_payload(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidInput, match="nests deeper than 64 levels"):
        encode_payload(nested(900))


@pytest.mark.parametrize(
    "value", [{"a": float("inf")}, {"a": 10**309}, {"a\x00": 1}, {"a": "\udc00"}, {"a": b"bytes"}, {1: 2}, "text", [1], None]
)
def test_what_a_payload_may_not_hold(value: object) -> None:
    with pytest.raises(InvalidInput):
        encode_payload(value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*JobDefinition.__struct_fields__, "other"]) | st.text(), anything))
def test_no_json_object_does_anything_but_define_or_be_refused(values: dict[str, Any]) -> None:
    found: tuple[Problem, ...] = ()
    try:
        define(values)
    except InvalidInput as error:
        found = error.problems
    assert all(problem.field and problem.message for problem in found)


def test_a_payload_has_256_kib_unless_settings_say_otherwise() -> None:
    assert Settings().payload_limit == Settings().result_limit == 262_144
    largest = {"x": "y" * (262_144 - len('{"x":""}'))}
    assert len(encode_payload(largest)) == 262_144
    with pytest.raises(InvalidInput, match="has 262145 bytes of JSON; at most 262144 are allowed"):
        encode_payload({"x": largest["x"] + "y"})
