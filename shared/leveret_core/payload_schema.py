"""JSON Schemas that workers announce for their payloads: checked here within bounds, whatever is in them.

A schema comes from outside, and so does what is checked against it. Regular expressions run in linear time (RE2), nothing is
fetched, and a check that takes longer than `MAX_SECONDS` ends. What cannot be checked here is left to the handler, which
checks its payload in any case: it never refuses anything, and `PayloadSchema.unchecked` names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import Any, cast

import msgspec
import re2
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Registry

from leveret_core.errors import Problem

WHOLE = "schema"
"""The field of a problem that is the whole schema's; those of its parts begin with it."""
MAX_SECONDS = 2.0
"""Processor time for one check, at most."""
MAX_SIZE = 64 * 1024
"""Bytes of JSON in a schema, at most."""
MAX_DEPTH = 64
"""Objects and lists within each other in a schema, at most."""
MAX_PATTERN = 1_000
"""Characters of a regular expression, at most."""
MAX_PATTERN_TEXT = 16 * 1024
"""Characters of a text that a regular expression looks at, at most; a longer one is left to the handler."""
_MAX_PROGRAM = 256 * 1024
"""Bytes of memory for a compiled expression: what does not fit, such as `(a{1,500}){1,500}`, is refused."""
_UNBOUNDED = ("unevaluatedItems", "unevaluatedProperties")
"""Keywords whose cost we cannot bound; no library for type hints writes them."""
_LITERAL = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose values are data, not schemas."""
_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords whose values are schemas by names."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]
"""How `jsonschema` calls the check of a keyword: validator, value, instance, schema."""


class PayloadSchema:
    """A schema made ready for checks, which may run in any thread.

    Args:
        schema: the JSON Schema (draft 2020-12) as announced.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        problems = schema_problems(schema)
        whole = any(problem.field == WHOLE for problem in problems)
        if not whole and (invalid := _invalid(schema)) is not None:
            problems, whole = [invalid], True
        self.unchecked: Sequence[Problem] = problems
        """What in the schema cannot be checked here, and why; the field is a path such as `schema.properties.to.pattern`."""
        # An empty registry: what a worker announces makes no server fetch anything.
        self._validator = None if whole else _Validator(schema, registry=Registry())

    def errors(self, payload: Mapping[str, Any], *, limit: int) -> list[ValidationError]:
        """What is wrong with a payload; `[]` if nothing is, or if that cannot be told here.

        Args:
            payload: a JSON object.
            limit: errors to return, at most.

        Raises:
            Uncheckable: the check took too long, or the schema cannot be evaluated.
        """
        if self._validator is None:
            return []
        with _bounded():
            return list(islice(self._validator.iter_errors(payload), limit))


class Uncheckable(Exception):
    """A payload could not be checked here; the text says why. It may be right."""


_deadline: ContextVar[float] = ContextVar("deadline")


@contextmanager
def _bounded() -> Generator[None]:
    token = _deadline.set(time.thread_time() + MAX_SECONDS)
    try:
        yield
    except Uncheckable:
        raise
    except Exception as error:  # e.g. a reference to what is not there, or one that refers to itself for ever
        raise Uncheckable(f"the schema cannot be evaluated ({type(error).__name__})") from error
    finally:
        _deadline.reset(token)


def expression_problem(pattern: object) -> str | None:
    """Why a regular expression is not checked here, or None.

    Args:
        pattern: of a schema's `pattern` or `patternProperties`.
    """
    if not isinstance(pattern, str):
        return "is not a text"
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern)} characters; expressions of at most {MAX_PATTERN} are checked here"
    expression = _expression(pattern)
    return expression if isinstance(expression, str) else None


@lru_cache(maxsize=128)
def _expression(pattern: str) -> Any:
    """The compiled expression, or as a text why there is none."""
    options = re2.Options()
    options.max_mem = _MAX_PROGRAM
    options.never_capture = True
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        return (
            f"is not an expression that is matched in linear time ({error.args[0].decode(errors='replace')}); "
            "write it without look-around, back references and large repetitions of repetitions"
        )


def _found(pattern: str, text: str) -> bool | None:
    """Whether the expression is found in the text; None where that is not checked here."""
    if len(text) > MAX_PATTERN_TEXT or expression_problem(pattern) is not None:
        return None
    return _expression(pattern).search(text) is not None


def schema_problems(schema: Mapping[str, Any]) -> list[Problem]:
    """What in a schema cannot be checked here, and why; `[]` if all can. Linear in the schema's size.

    Args:
        schema: as announced. Whether it is a JSON Schema at all is found out by `PayloadSchema`.
    """
    try:
        size = len(msgspec.json.encode(schema))
    except (ValueError, TypeError, RecursionError) as error:
        return [Problem(WHOLE, f"is not JSON: {error}")]
    if size > MAX_SIZE:
        return [Problem(WHOLE, f"has {size} bytes of JSON; payloads are checked by schemas of at most {MAX_SIZE}")]
    if _depth(schema) > MAX_DEPTH:
        return [Problem(WHOLE, f"nests deeper than {MAX_DEPTH} levels")]
    return list(_unchecked(schema, WHOLE))


def _invalid(schema: Mapping[str, Any]) -> Problem | None:
    try:
        with _bounded():
            error = next(_METASCHEMA.iter_errors(schema), None)
    except Uncheckable as slow:
        return Problem(WHOLE, str(slow))
    if error is None:
        return None
    path = ".".join(map(str, error.absolute_path))
    return Problem(WHOLE, f"is no JSON Schema: {path + ': ' if path else ''}{error.message[:200]}")


def _depth(value: object) -> int:
    """How deep a value nests; found level by level, since it may be too deep for a recursion."""
    level: list[Any] = [value]
    depth = 0
    while level and depth <= MAX_DEPTH:
        level = [item for each in level for item in _items(each)]
        depth += 1
    return depth


def _items(value: Any) -> Sequence[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict | list)]


def _unchecked(schema: Any, path: str) -> Iterator[Problem]:
    if isinstance(schema, list):
        for index, each in enumerate(schema):
            yield from _unchecked(each, f"{path}.{index}")
    if not isinstance(schema, dict):
        return
    for name, value in cast("dict[str, Any]", schema).items():
        where = f"{path}.{name}"
        if name in _UNBOUNDED:
            yield Problem(where, "is not checked here")
        elif name == "pattern" and (problem := expression_problem(value)):
            yield Problem(where, problem)
        elif name in _NAMED and isinstance(value, dict):
            for key, each in value.items():
                if name == "patternProperties" and (problem := expression_problem(key)):
                    yield Problem(f"{where}.{key[:80]}", problem)
                yield from _unchecked(each, f"{where}.{key}")
        elif name not in _LITERAL:
            yield from _unchecked(value, where)


# Keywords of ours in place of jsonschema's, which match by `re` and compare every item of a list with every other.


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and _found(pattern, instance) is False:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, schema in patterns.items():
            for name, value in instance.items():
                if _found(pattern, name):
                    yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for name in instance:
        # An expression that is not checked here may match: the name is not known to be extra.
        if name in known or any(_found(pattern, name) is not False for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError("is not a field that the handler takes", path=[name])
        else:
            yield from validator.descend(instance[name], wanted, path=name)


def _unique_items(validator: Any, wanted: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if wanted and validator.is_type(instance, "array") and len({_key(item) for item in instance}) < len(instance):
        yield ValidationError("has non-unique elements")


def _key(value: Any) -> Any:
    """Equal for values that JSON Schema calls equal: 1 is 1.0 and not true."""
    if isinstance(value, dict):
        return ("object", frozenset((name, _key(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(map(_key, value)))
    return (isinstance(value, bool), value)


def _in_time(check: Keyword) -> Keyword:
    """The check, ended once the processor time of this thread is used up."""

    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if time.thread_time() > _deadline.get():
            raise Uncheckable(f"the check took longer than {MAX_SECONDS:g} s")
        yield from check(validator, value, instance, schema) or ()

    return checked


def _passes(*_: Any) -> Iterator[ValidationError]:
    yield from ()


_KEYWORDS: dict[str, Keyword] = {
    **cast("dict[str, Keyword]", Draft202012Validator.VALIDATORS),
    "additionalProperties": _additional_properties,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
    **dict.fromkeys(_UNBOUNDED, _passes),
}
_extend: Callable[..., Any] = extend
_Validator = _extend(Draft202012Validator, {name: _in_time(check) for name, check in _KEYWORDS.items()})
_METASCHEMA = _Validator(Draft202012Validator.META_SCHEMA, registry=SPECIFICATIONS)
