"""Jobs declared beside their handlers: what `@job(..., cron=...)` says, as the definition that workers send to the servers."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, TypedDict, cast

import msgspec

from leveret.errors import InvalidInput, WrongPayload
from leveret.handlers.parameters import Parameters
from leveret_core.errors import Problem
from leveret_core.messages import encode
from leveret_core.patterns import check_type

Overlap = Literal["skip", "queue", "replace", "allow"]
"""What an occurrence does that is due while others of its job are live."""


class Schedule(TypedDict, total=False):
    """What `@job` takes for a job of the handler's type; the fields mean what they mean in `POST /api/v1/jobs`.

    Args:
        cron: cron expression, such as `0 6 * * *`; a zone may stand in front, and `@every 5m` is an interval. Either this or
            `every`.
        every: seconds (or a timedelta) between two runs, counted from when the job was declared first.
        tz: IANA time zone of `cron`. Default UTC.
        jitter: seconds over which starts are spread.
        name: of the job. Default: its type.
        payload: the JSON object that the handler gets. Default: empty.
        description: Default: the first paragraph of the handler's docstring.
        tags: for filters.
        concurrency_key, max_concurrent, max_waiting: of the concurrency policy.
        catch_up: which ticks run that were missed while no dispatcher worked: `latest` (default), `all` or `none`.
        catch_up_window: seconds back that it looks.
        retry: fields of the retry policy, such as `{"max_attempts": 5}`.
        max_runs: how many times the schedule fires in all.
        priority: 0 to 9.
        disable_after: occurrences that fail for good in a row until the job is paused.
    """

    cron: str
    every: float | timedelta
    tz: str
    jitter: float
    name: str
    payload: Mapping[str, Any]
    description: str
    tags: Sequence[str]
    concurrency_key: str
    max_concurrent: int
    max_waiting: int
    catch_up: Literal["latest", "all", "none"]
    catch_up_window: float
    retry: Mapping[str, float]
    max_runs: int
    priority: int
    disable_after: int


_ARGUMENTS = {"trigger.expression": "cron", "trigger.timezone": "tz", "trigger.every": "every", "trigger.jitter": "jitter"}
# As in leveret_core.triggers, which a worker's machine may do without.
_ZONE_IN_FRONT = re.compile(r"\s*(CRON_TZ|TZ)\s*=")
_OF_THE_TRIGGER = ("cron", "every", "tz", "jitter")


def definition_of(
    schedule: Schedule,
    *,
    type: str,
    where: str,
    overlap: Overlap | None,
    timeout: float | None,
    doc: str,
    parameters: Parameters,
) -> dict[str, Any] | None:
    """The job that `schedule` declares, as `POST /api/v1/jobs` takes it; None when it declares none.

    Args:
        schedule: what the user gave.
        type: the handler's pattern.
        where: how errors name the handler.
        overlap: the concurrency policy.
        timeout: the handler's; the job gets the same.
        doc: describes the job unless the schedule does.
        parameters: the handler's; the payload has to fit.

    Raises:
        InvalidInput: there is no such argument, the pattern has wildcards, the payload does not fit, or (where the server
            parts are installed) the servers would refuse the job.
    """
    _check_names(schedule, where)
    if "cron" not in schedule and "every" not in schedule:
        given = [*schedule, *(["concurrency"] if overlap is not None else [])]
        if given:
            raise InvalidInput.at(where, f"{given[0]}= is for a scheduled job: give cron= or every= as well")
        return None
    if "cron" in schedule and "every" in schedule:
        raise InvalidInput.at(where, "has both cron= and every=; give one of them")
    if "tz" in schedule and "every" in schedule:
        raise InvalidInput.at(where, "tz= is for cron=; an interval is real time and has no time zone")
    try:
        check_type(type)
    except InvalidInput as error:
        raise InvalidInput.at(where, f"a schedule makes a job of one type, and {error.problems[0].message}") from error
    try:
        # As the servers will see it.
        values: dict[str, Any] = msgspec.json.decode(encode(_values(schedule, type, overlap, timeout, doc)))
        parameters.check(encode(values.get("payload", {})))
    except WrongPayload as error:
        raise InvalidInput.at(where, f"does not take the payload of its own schedule: {error}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput.at(where, f"what it declares cannot be written as JSON: {error}") from error
    _check_as_servers_do(values, where)
    return values


def _values(schedule: Schedule, type: str, overlap: Overlap | None, timeout: float | None, doc: str) -> dict[str, Any]:
    trigger: dict[str, Any]
    if "cron" in schedule:
        trigger = {"kind": "cron", "expression": schedule["cron"]}
        if "tz" in schedule or not _ZONE_IN_FRONT.match(str(schedule["cron"])):
            trigger["timezone"] = schedule.get("tz", "UTC")
    else:
        every = schedule.get("every", 0.0)
        trigger = {"kind": "interval", "every": every.total_seconds() if isinstance(every, timedelta) else every}
    if "jitter" in schedule:
        trigger["jitter"] = schedule["jitter"]
    given = {name: value for name, value in schedule.items() if name not in _OF_THE_TRIGGER}
    values: dict[str, Any] = {"name": type, "type": type, "trigger": trigger}
    values |= {"description": doc} if doc else {}
    values |= {"timeout": timeout} if timeout is not None else {}
    values |= {"concurrency": overlap} if overlap is not None else {}
    return values | given


def _check_names(schedule: Mapping[str, object], where: str) -> None:
    for name in schedule:
        if name not in Schedule.__annotations__:
            close = difflib.get_close_matches(name, (*Schedule.__annotations__, "concurrency", "timeout", "process"), n=1)
            raise InvalidInput.at(where, f"has no argument {name}=" + (f"; did you mean {close[0]}=?" if close else ""))


def _check_as_servers_do(values: dict[str, Any], where: str) -> None:
    # The rules need cronsim and the zone rules, which a worker's machine may do without: then the servers say it at the start.
    try:
        rules = importlib.import_module("leveret_core.job_definition")
    except ModuleNotFoundError:
        return
    check = cast("Callable[..., object]", rules.check)
    try:
        check(values, required=("name", "type", "trigger"))
    except InvalidInput as error:
        problems = [Problem(where, f"{_ARGUMENTS.get(p.field, p.field)}: {p.message}") for p in error.problems]
        raise InvalidInput(problems) from error
