"""Job types, the patterns that match them, and the names of the queues behind the patterns.

Types and patterns are AMQP topic routing keys: words of letters, digits, `_` and `-`, joined by dots. In a pattern `*` stands
for exactly one word and `#` for any number of words, none included (AMQP 0-9-1, topic exchange).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from leveret_core.errors import InvalidInput

MAX_TYPE_LENGTH = 200
"""Bytes; AMQP allows 255, the rest is left for the queue's prefix."""

_WILDCARDS = {"*": "wildcard", "#": "all"}
_WORD = re.compile(r"[A-Za-z0-9_-]+")


def check_type(value: str, field: str = "type") -> str:
    """Return `value` if it is a job type such as `sendemail.welcome`.

    Raises:
        InvalidInput: it is empty, longer than `MAX_TYPE_LENGTH`, holds a wildcard or another character, or an empty word.
    """
    if any(mark in value.split(".") for mark in ("*", "#")):
        raise InvalidInput.at(field, f"{value!r} holds a wildcard; a job's type names one thing, like sendemail.welcome")
    return _check(value, field, "type")


def check_pattern(value: str, field: str = "pattern") -> str:
    """Return `value` if it is a pattern such as `sendemail.*`, `report.#` or a plain type.

    Raises:
        InvalidInput: as for `check_type`, wildcards allowed as whole words.
    """
    return _check(value, field, "pattern")


def _check(value: str, field: str, noun: str) -> str:
    if not value:
        raise InvalidInput.at(field, f"a {noun} may not be empty; use words joined by dots, like sendemail.welcome")
    if len(value) > MAX_TYPE_LENGTH:
        raise InvalidInput.at(field, f"this {noun} has {len(value)} characters; at most {MAX_TYPE_LENGTH} are allowed")
    for word in value.split("."):
        if word in ("*", "#"):
            continue
        if not word:
            raise InvalidInput.at(field, f"{value!r} has an empty word; write words joined by single dots")
        if not _WORD.fullmatch(word):
            raise InvalidInput.at(
                field,
                f"the word {word!r} of {value!r} may only hold letters, digits, '_' and '-'"
                + ("; '*' and '#' stand alone between dots" if "*" in word or "#" in word else ""),
            )
    return value


def queue_name(pattern: str) -> str:
    """The queue of a pattern: `sendemail.*` → `jobs.sendemail.wildcard`, `#` → `jobs.all`. Users' autoscalers rely on it.

    A plain word that would read like a wildcard gets an underscore (`report.all` → `jobs.report.all_`), so that no two
    patterns ever share a queue.
    """
    return "jobs." + ".".join(map(_queue_word, pattern.split(".")))


def _queue_word(word: str) -> str:
    if word in _WILDCARDS:
        return _WILDCARDS[word]
    return word + "_" if word.rstrip("_") in _WILDCARDS.values() else word


def expression(pattern: str) -> str:
    """A regular expression for Postgres that matches, behind a dot, the types that `pattern` matches."""
    words = {"*": r"\.[^.]+", "#": r"(\.[^.]+)*"}
    return "^" + "".join(words.get(word, rf"\.{word}") for word in pattern.split(".")) + "$"


def matches(pattern: str, job_type: str) -> bool:
    """Whether the topic exchange would route `job_type` to a queue bound with `pattern`."""
    wanted, words = pattern.split("."), job_type.split(".")
    at = word = 0
    after_hash: int | None = None
    hash_ends = 0
    while word < len(words):
        if at < len(wanted) and wanted[at] == "#":
            at += 1
            after_hash, hash_ends = at, word
        elif at < len(wanted) and wanted[at] in ("*", words[word]):
            at += 1
            word += 1
        elif after_hash is not None:
            # The last `#` takes one word more. Earlier ones never need to: what they could take, it can take too.
            hash_ends += 1
            at, word = after_hash, hash_ends
        else:
            return False
    return all(rest == "#" for rest in wanted[at:])


def expression_of(patterns: Iterable[str]) -> str:
    """A regular expression that finds, behind a dot, the types that one of the patterns matches."""
    alternatives = sorted({_expression(pattern) for pattern in patterns})
    return f"^({'|'.join(alternatives)})$" if alternatives else "^$"


def _expression(pattern: str) -> str:
    words = {"*": r"\.[^.]+", "#": r"(\.[^.]+)*"}
    # Of several `#` in a row one says as much.
    kept = [word for word, after in pairwise([*pattern.split("."), ""]) if (word, after) != ("#", "#")]
    return "".join(words.get(word, rf"\.{word}") for word in kept)
