"""A retry policy as it is read from the database."""

from __future__ import annotations

import msgspec
import pytest

from leveret_core.retry import RetryPolicy, stored_policy


def test_a_field_of_a_newer_release_is_passed_over() -> None:
    policy = stored_policy('{"max_attempts": 5, "delay": 2, "budget": {"per": "day"}}')
    assert (policy.max_attempts, policy.delay, policy.factor) == (5, 2.0, 2.0)
    assert policy.problems() == []


def test_what_a_user_sends_is_read_strictly() -> None:
    with pytest.raises(msgspec.ValidationError, match="budget"):
        msgspec.json.decode('{"budget": 1}', type=RetryPolicy)
