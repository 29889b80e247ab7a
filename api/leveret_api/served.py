"""What live workers serve: the types, and the payloads that their handlers take."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar, cast

from jsonschema.exceptions import ValidationError, best_match

from leveret_core.errors import InvalidInput, Problem
from leveret_core.patterns import check_pattern, expression_of, matches
from leveret_core.payload_schema import PayloadSchema, Uncheckable
from leveret_core.store.reads.workers import HandlersRow

log = logging.getLogger(__name__)

MAX_PROBLEMS = 10
"""Problems of a payload that are told at once."""
MAX_MESSAGE = 200
# Not on the event loop: a payload may be large, and a schema intricate. Nor among the threads that other things wait for.
_threads = ThreadPoolExecutor(2, thread_name_prefix="payload-checks")
T = TypeVar("T")
MAX_EXPRESSION = 64 * 1024
"""Characters of patterns that Postgres is asked to look for at once."""
_REMEMBERED = 10_000
"""Types whose answer is kept."""


@dataclass(frozen=True)
class ServedType:
    """A handler of live workers. `schema` is the JSON Schema of its payload, if it told one; `workers` counts who has it."""

    pattern: str
    name: str
    doc: str
    schema: Mapping[str, Any] | None
    workers: int


class Served:
    """What the live workers serve at a moment.

    Args:
        rows: what they announce.
    """

    def __init__(self, rows: Iterable[HandlersRow]) -> None:
        found: dict[str, ServedType] = {}
        for row in rows:
            for handler in json.loads(row.handlers):
                if not _is_pattern(handler["pattern"]):
                    continue
                one = ServedType(handler["pattern"], handler.get("name", ""), handler.get("doc", ""), handler.get("schema"), 0)
                key = json.dumps([one.pattern, one.name, one.schema], sort_keys=True)
                known = found.get(key, one)
                found[key] = ServedType(one.pattern, one.name, one.doc, one.schema, known.workers + row.workers)
        self.types: Sequence[ServedType] = [found[key] for key in sorted(found)]
        self._patterns = sorted({each.pattern for each in self.types})
        self._serves: dict[str, bool] = {}

    def serves(self, job_type: str) -> bool:
        """Whether the pattern of a live worker matches the type."""
        known = self._serves.get(job_type)
        if known is None:
            if len(self._serves) >= _REMEMBERED:
                self._serves.clear()
            known = self._serves[job_type] = any(matches(pattern, job_type) for pattern in self._patterns)
        return known

    @property
    def tells_schemas(self) -> bool:
        """Whether any handler tells what payloads it takes."""
        return any(each.schema is not None for each in self.types)

    @property
    def expression(self) -> str:
        """A regular expression for Postgres that finds, behind a dot, the types that are served.

        Of more patterns than Postgres takes, those that the most workers have.
        """
        workers: Counter[str] = Counter()
        for each in self.types:
            workers[each.pattern] += each.workers
        lengths = accumulate(len(pattern) for pattern, _ in workers.most_common())
        kept = sum(length <= MAX_EXPRESSION for length in lengths)
        return expression_of(pattern for pattern, _ in workers.most_common(kept))

    async def check(self, job_type: str, payload: Mapping[str, Any]) -> None:
        """Refuse a payload that no live handler of the type takes. Without one, and where one tells no schema, all pass.

        Raises:
            InvalidInput: names the fields at fault, as the handler sees it that takes the payload most nearly.
        """
        handlers = [each for each in self.types if matches(each.pattern, job_type)]
        if handlers and all(each.schema is not None for each in handlers):
            problems = await _in_thread(lambda: _misfits(handlers, payload))
            if problems:
                raise InvalidInput(problems)

    async def unchecked(self) -> list[Sequence[Problem]]:
        """For each of `types`, what of its schema is left to the handler, since it cannot be checked here."""
        return await _in_thread(lambda: [() if each.schema is None else _ready(each).unchecked for each in self.types])


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def _is_pattern(pattern: str) -> bool:
    try:
        return bool(check_pattern(pattern))
    except InvalidInput:
        return False  # of a worker whose hello an older release took


def _ready(handler: ServedType) -> PayloadSchema:
    return _schema(json.dumps(handler.schema))


@lru_cache(maxsize=200)
def _schema(text: str) -> PayloadSchema:
    return PayloadSchema(json.loads(text))


def _misfits(handlers: Sequence[ServedType], payload: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a payload by the handler that takes it most nearly; `[]` if one takes it, as far as can be told."""
    nearest: list[Problem] | None = None
    for handler in handlers:
        try:
            errors = _ready(handler).errors(payload, limit=MAX_PROBLEMS)
        except Uncheckable as error:
            log.warning("payloads for %s (%s) are left to the handler to check: %s", handler.pattern, handler.name, error)
            return []
        problems = [problem for error in errors for problem in _problems_of(error, handler.name)][:MAX_PROBLEMS]
        if not problems:
            return []
        if nearest is None or len(problems) < len(nearest):
            nearest = problems
    return nearest or []


def _problems_of(error: ValidationError, handler: str) -> list[Problem]:
    by = f" (the handler is {handler})" if handler else ""
    # Of several alternatives the one that fits best.
    error = best_match([error]) or error
    path = "payload" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    wanted = cast("Any", error.validator_value)
    if error.validator == "required" and isinstance(error.instance, dict):
        # jsonschema tells each missing field by an error of its own, whose text alone names it.
        return [Problem(f"{path}.{name}", f"is required{by}") for name in wanted if error.message.startswith(f"{name!r} ")]
    if error.validator == "type":
        kinds = wanted if isinstance(wanted, str) else " or ".join(cast("list[str]", wanted))
        return [Problem(path, f"must be of type {kinds}{by}")]
    message = error.message if len(error.message) <= MAX_MESSAGE else error.message[: MAX_MESSAGE - 1] + "…"
    return [Problem(path, message + by)]
