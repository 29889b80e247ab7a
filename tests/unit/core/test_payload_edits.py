from __future__ import annotations

from typing import Any

import pytest

from leveret_core.payload_edits import merge_patch


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ([1], {"a": 1}, {"a": 1}),
    ],
)
def test_a_patch_says_what_is_different(target: Any, patch: dict[str, Any], merged: dict[str, Any]) -> None:
    assert merge_patch(target, patch) == merged


def test_neither_the_target_nor_the_patch_is_altered() -> None:
    target, patch = {"a": {"b": 1}}, {"a": {"b": None, "c": 2}}
    merge_patch(target, patch)["a"]["d"] = 3
    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"b": None, "c": 2}})
