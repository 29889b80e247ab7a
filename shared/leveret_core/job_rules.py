"""What each field of a job may hold."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from leveret_core import patterns, triggers
from leveret_core.errors import InvalidInput, Problem
from leveret_core.payload import text_problem
from leveret_core.retry import RetryPolicy
from leveret_core.triggers import Trigger

MAX_DESCRIPTION = 10_000
MAX_TAGS = 20
MAX_TAG = 64
MAX_PATH = 200
MAX_TIMEOUT = 30 * 86_400.0
MAX_CATCH_UP_WINDOW = 366 * 86_400.0

NAME = "[A-Za-z][A-Za-z0-9._-]{0,199}"
"""What a job's name looks like."""


def _problem(message: str) -> InvalidInput:
    return InvalidInput.at("", message)


def _text(value: object, *, longest: int, multiline: bool) -> str:
    if not isinstance(value, str):
        raise _problem("must be a string")
    if len(value) > longest:
        raise _problem(f"has {len(value)} characters; at most {longest} are allowed")
    if problem := text_problem(value, multiline=multiline):
        raise _problem(problem)
    return value


def _name(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(NAME, value):
        return value
    raise _problem("must begin with a letter and hold only letters, digits, '.', '_' and '-', at most 200")


def _type(value: object) -> str:
    if not isinstance(value, str):
        raise _problem("must be a string of words joined by dots, like sendemail.welcome")
    return patterns.check_type(value, "")


def _trigger(value: object) -> Trigger:
    if isinstance(value, Mapping):
        return triggers.decode(cast("Mapping[str, Any]", value))
    raise _problem('must be an object such as {"kind": "cron", "expression": "0 6 * * *"}')


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise _problem("must be a list of strings")
    tags = list(cast("list[object]", value))
    if len(tags) > MAX_TAGS:
        raise _problem(f"has {len(tags)} tags; at most {MAX_TAGS} are allowed")
    texts: list[str] = []
    for index, tag in enumerate(tags):
        try:
            text = _text(tag, longest=MAX_TAG, multiline=False)
        except InvalidInput as error:
            raise InvalidInput.at(str(index), error.problems[0].message) from error
        if not text or text != text.strip():
            raise InvalidInput.at(str(index), "may not be empty, nor begin or end with a space")
        texts.append(text)
    return tuple(dict.fromkeys(texts))


def _payload(value: object) -> dict[str, Any]:
    # Its content is checked in `check`, which knows the size limit.
    if not isinstance(value, dict):
        raise _problem("must be a JSON object")
    return cast("dict[str, Any]", value)


def _path(value: object) -> str:
    path = _text(value, longest=MAX_PATH, multiline=False)
    if not all(part and part == part.strip() for part in path.split(".")):
        raise _problem("must be names joined by dots, like customer.id")
    return path


def _one_of(*choices: str) -> Callable[[object], str]:
    def rule(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise _problem(f"must be one of {', '.join(choices)}")

    return rule


def _whole(low: int, high: int) -> Callable[[object], int]:
    def rule(value: object) -> int:
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(number, int) and not isinstance(number, bool) and low <= number <= high:
            return number
        raise _problem(f"must be a whole number from {low} to {high}")

    return rule


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def rule(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and math.isfinite(value):
            return float(value)
        raise _problem(f"must be a number of seconds from {low:g} to {high:.0f}")

    return rule


def _or_none(rule: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else rule(value)


def _retry(value: object) -> RetryPolicy:
    if not isinstance(value, Mapping):
        raise _problem('must be an object such as {"max_attempts": 3, "delay": 5}')
    problems: list[Problem] = []
    given: dict[str, Any] = {}
    for name, item in cast("Mapping[str, object]", value).items():
        if name not in RetryPolicy.__struct_fields__:
            hint = suggestion(name, RetryPolicy.__struct_fields__)
            problems.append(Problem(printable(name), "is not a field of a retry policy" + hint))
            continue
        whole = name in ("max_attempts", "max_lost")
        try:
            given[name] = _whole(-(2**31), 2**31)(item) if whole else _seconds(-1e12, 1e12)(item)
        except InvalidInput:
            problems.append(Problem(name, "must be a whole number" if whole else "must be a number"))
    problems += [Problem(name, message) for name, message in RetryPolicy(**given).problems()]
    if problems:
        raise InvalidInput(problems)
    return RetryPolicy(**given)


def suggestion(name: object, known: Collection[str]) -> str:
    """Words that name the known field that may have been meant by `name`; empty when there is none."""
    close = difflib.get_close_matches(str(name)[:32], known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def printable(name: object) -> str:
    """The name of an unknown field, short and in ASCII."""
    return str(name)[:64].encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00") or '""'


RULES: dict[str, Callable[[object], Any]] = {
    "name": _name,
    "type": _type,
    "description": lambda value: _text(value, longest=MAX_DESCRIPTION, multiline=True),
    "tags": _tags,
    "payload": _payload,
    "trigger": _trigger,
    "concurrency": _one_of("skip", "queue", "replace", "allow"),
    "concurrency_key": _or_none(_path),
    "max_concurrent": _whole(1, 10_000),
    "max_waiting": _whole(1, 100_000),
    "catch_up": _one_of("latest", "all", "none"),
    "catch_up_window": _seconds(0, MAX_CATCH_UP_WINDOW),
    "timeout": _or_none(_seconds(0.001, MAX_TIMEOUT)),
    "retry": _retry,
    "max_runs": _or_none(_whole(1, 10**12)),
    "priority": _whole(0, 9),
    "disable_after": _or_none(_whole(1, 1_000_000)),
}
"""Field of a job → what turns its JSON value into that of the definition; raises `InvalidInput` or `TriggerError`."""
