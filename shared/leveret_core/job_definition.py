"""What a job is defined by, checked: the same rules for REST, the command line and imports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from leveret_core import triggers
from leveret_core.errors import InvalidInput, Problem
from leveret_core.job_rules import RULES, printable, suggestion
from leveret_core.payload import DEFAULT_LIMIT, encode_payload
from leveret_core.retry import RetryPolicy
from leveret_core.triggers import Trigger, TriggerError


class JobDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a user says about a job.

    Args:
        name: unique among the jobs that exist; begins with a letter, then letters, digits, `.`, `_` and `-`; at most 200.
        type: the routing key, such as `sendemail.welcome`; see `patterns.check_type`.
        trigger: when it is due.
        description: for people. Default empty.
        tags: for filters; at most 20 of at most 64 characters, each once. Default none.
        payload: the JSON object that the handler gets. Default `{}`.
        concurrency: what happens to an occurrence that is due while `max_concurrent` others are live: `skip` (default)
            records it as skipped, `queue` lets it wait, `replace` ends an older one for it, `allow` runs it all the same.
        concurrency_key: dotted path into the payload, such as `customer.id`: the policy holds for each value apart. None
            (default) means that it holds for the whole job.
        max_concurrent: live occurrences at once for `skip`, `queue` and `replace`; 1 to 10,000. Default 1.
        max_waiting: length of the concurrency queue under `queue`; what comes later is skipped; 1 to 100,000. Default 1,000.
        catch_up: after a time without a dispatcher, run the `latest` missed tick (default), `all`, or `none`.
        catch_up_window: seconds back that `latest` and `all` look. Default 3,600.
        timeout: seconds an attempt may take; None (default) means no limit.
        retry: what follows a failed attempt.
        max_runs: how many times the schedule fires in all; None (default) means no limit.
        priority: 0 to 9; of what waits to be published of a type, the highest goes first. Default 5.
        disable_after: occurrences that fail for good in a row until the job is paused; None (default) means never.
    """

    name: str
    type: str
    trigger: Trigger
    description: str = ""
    tags: tuple[str, ...] = ()
    payload: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    concurrency: str = "skip"
    concurrency_key: str | None = None
    max_concurrent: int = 1
    max_waiting: int = 1000
    catch_up: str = "latest"
    catch_up_window: float = 3600.0
    timeout: float | None = None
    retry: RetryPolicy = RetryPolicy()
    max_runs: int | None = None
    priority: int = 5
    disable_after: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The definition as `POST /jobs` takes it."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return fields | {
            "tags": list(self.tags),
            "trigger": triggers.encode(self.trigger),
            "retry": msgspec.structs.asdict(self.retry),
        }


def define(values: Mapping[str, object], *, payload_limit: int | None = DEFAULT_LIMIT) -> JobDefinition:
    """Return the definition that a JSON object gives.

    Args:
        values: fields of `JobDefinition` as JSON values; `name`, `type` and `trigger` are needed.
        payload_limit: bytes of JSON the payload may have; None for no limit.

    Raises:
        InvalidInput: with every wrong, missing and unknown field.
    """
    return JobDefinition(**check(values, required=("name", "type", "trigger"), payload_limit=payload_limit))


def check(
    values: Mapping[str, object], *, required: Collection[str] = (), payload_limit: int | None = DEFAULT_LIMIT
) -> dict[str, Any]:
    """Return the given fields as values of `JobDefinition`; fields that are not given stay out.

    Args:
        values: fields as JSON values.
        required: fields that may not be missing.
        payload_limit: bytes of JSON the payload may have; None for no limit.

    Raises:
        InvalidInput: with every wrong, missing and unknown field.
    """
    checked: dict[str, Any] = {}
    problems = [Problem(name, "is required") for name in required if name not in values]
    for name, value in values.items():
        rule = RULES.get(name)
        if rule is None:
            problems.append(Problem(printable(name), "is not a field of a job" + suggestion(name, RULES)))
            continue
        try:
            checked[name] = rule(value)
        except InvalidInput as error:
            problems += [Problem(f"{name}.{p.field}" if p.field else name, p.message) for p in error.problems]
        except TriggerError as error:
            problems.append(Problem(name if error.field == "trigger" else f"{name}.{printable(error.field)}", error.message))
    if "payload" in checked:
        try:
            encode_payload(checked["payload"], limit=payload_limit)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return checked


def default_of(field: str) -> Any:
    """The JSON value that a field has when it is left out.

    Raises:
        InvalidInput: the field has no default, or there is no such field.
    """
    defaults = _NO_DEFINITION.to_json()
    if field not in defaults or field in ("name", "type", "trigger"):
        raise InvalidInput.at(field, "may not be null")
    return defaults[field]


_NO_DEFINITION = JobDefinition(name="", type="", trigger=triggers.Manual())
