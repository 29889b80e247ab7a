"""Types, patterns, what matches what, and names of queues."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_core.errors import InvalidInput
from leveret_core.patterns import MAX_TYPE_LENGTH, check_pattern, check_type, matches, queue_name

words = st.text("ab_-Z9", min_size=1, max_size=3) | st.sampled_from(["wildcard", "all", "wildcard_", "all_", "all__"])
job_types = st.lists(words, min_size=1, max_size=5).map(".".join)
patterns = st.lists(words | st.sampled_from(["*", "#"]), min_size=1, max_size=5).map(".".join)


def topic_matches(pattern: list[str], words: list[str]) -> bool:
    """The rule of AMQP 0-9-1, word by word."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(topic_matches(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and topic_matches(pattern[1:], words[1:])


@given(patterns, job_types)
def test_matching_follows_the_rule_of_the_topic_exchange(pattern: str, job_type: str) -> None:
    assert matches(pattern, job_type) == topic_matches(pattern.split("."), job_type.split("."))


@given(job_types)
def test_a_type_is_a_pattern_that_matches_itself(job_type: str) -> None:
    assert check_type(job_type) == check_pattern(job_type)
    assert matches(job_type, job_type)


@given(patterns)
def test_every_pattern_is_accepted_and_only_those_without_wildcards_are_types(pattern: str) -> None:
    assert check_pattern(pattern) == pattern
    if {"*", "#"} & set(pattern.split(".")):
        with pytest.raises(InvalidInput, match="wildcard"):
            check_type(pattern)


@given(patterns, patterns)
def test_different_patterns_have_different_queues(one: str, other: str) -> None:
    assert (queue_name(one) == queue_name(other)) == (one == other)


@given(patterns)
def test_a_queue_name_is_a_routing_key_of_amqp(pattern: str) -> None:
    assert len(queue_name("x" * (MAX_TYPE_LENGTH - 9) + ".wildcard")) <= 255
    assert queue_name(pattern).isascii()
    assert not {"*", "#"} & set(queue_name(pattern))


@pytest.mark.parametrize(
    ("pattern", "queue"),
    [
        ("sendemail.welcome", "jobs.sendemail.welcome"),
        ("sendemail.*", "jobs.sendemail.wildcard"),
        ("#", "jobs.all"),
        ("report.#", "jobs.report.all"),
        ("*.done.#", "jobs.wildcard.done.all"),
        ("report.all", "jobs.report.all_"),
        ("wildcard", "jobs.wildcard_"),
        ("all_", "jobs.all__"),
        ("overall.all_in", "jobs.overall.all_in"),
    ],
)
def test_the_queue_of_a_pattern_is_named_after_it(pattern: str, queue: str) -> None:
    assert queue_name(pattern) == queue


@pytest.mark.parametrize("value", ["", ".", "a.", ".a", "a..b", "a b", "ä", "a.b*", "#a", "a/b", "a\n", "a\x00", "a.**"])
def test_what_is_no_words_joined_by_dots_is_refused(value: str) -> None:
    for check in (check_type, check_pattern):
        with pytest.raises(InvalidInput) as caught:
            check(value, "field.name")
        assert caught.value.problems[0].field == "field.name"


def test_the_length_is_limited() -> None:
    assert check_type("a" * MAX_TYPE_LENGTH)
    with pytest.raises(InvalidInput, match="at most 200"):
        check_type("a" * (MAX_TYPE_LENGTH + 1))


def test_a_pattern_that_is_hostile_to_backtracking_is_still_matched_at_once() -> None:
    assert not matches(".".join(["#", "a"] * 40), ".".join(["a"] * 39 + ["b"] * 20))
