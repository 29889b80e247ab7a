"""Calls a handler with its payload, and tells how that ended."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import msgspec

import leveret
from leveret import context
from leveret.context import JobContext
from leveret.errors import WrongPayload
from leveret.handlers.parameters import Parameters
from leveret.outcomes import Cancel, Fail, Outcome, Retry, Skip, Snooze
from leveret.registry import Handler
from leveret.worker.report.reporter import Ending
from leveret.worker.report.stored import stored
from leveret.worker.report.text import clean
from leveret.worker.run.generators import drive, drive_async
from leveret_core.messages import JobError

MESSAGE_LIMIT = 4_000
TRACEBACK_LIMIT = 16_000

_HERE = os.path.dirname(os.path.abspath(leveret.__file__)) + os.sep
_THREADS = os.path.join("concurrent", "futures", "thread.py")


async def invoke(
    handler: Handler, running: JobContext, payload: bytes | msgspec.Raw, executor: Executor | None, result_limit: int
) -> Ending:
    """Run `handler` in the present task (async) or in a thread of `executor`, and tell how it ended.

    Args:
        handler: of kind `async` or `thread`.
        running: what the handler gets as its context, and what `current()` returns in it.
        payload: a JSON object.
        executor: for threads; None for the event loop's own.
        result_limit: bytes of JSON in the result, at most.

    Raises:
        asyncio.CancelledError: the task was cancelled, and the handler let it through.
    """
    if handler.kind == "thread":
        arguments = (handler.function, handler.parameters, running, payload, result_limit)
        call = functools.partial(contextvars.copy_context().run, invoke_here, *arguments)
        return await asyncio.get_running_loop().run_in_executor(executor, call)
    context.running.set(running)
    try:
        call = handler.function(**handler.parameters.bind(payload, running))
        value = await (drive_async(call, running) if isinstance(call, AsyncGeneratorType) else call)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return ending_of_error(error)  # something the handler waited for was cancelled, not the handler
    except GeneratorExit:
        raise
    except BaseException as error:
        # SystemExit and KeyboardInterrupt too: a handler that calls sys.exit() must not take the worker with it.
        return ending_of_error(error)
    return ending_of_value(value, result_limit)


def invoke_here(
    function: Callable[..., Any],
    parameters: Parameters,
    running: JobContext,
    payload: bytes | msgspec.Raw,
    result_limit: int,
) -> Ending:
    """Run a plain function in this thread, in a context of its own, and tell how it ended."""
    context.running.set(running)
    try:
        value = function(**parameters.bind(payload, running))
        if isinstance(value, GeneratorType):
            value = drive(value, running)
    except BaseException as error:
        return ending_of_error(error)
    return ending_of_value(value, result_limit)


def ending_of_value(value: object, limit: int) -> Ending:
    """How the attempt ends whose handler returned `value`: failed for good when it cannot be stored as JSON."""
    if value is None:
        return Ending("succeeded")
    if isinstance(value, Outcome):
        return _ending_of_outcome(value)
    try:
        encoded = stored(value, "the result", limit)
    except (TypeError, ValueError) as error:
        return _failed_for_good("BadResult", str(error))
    return Ending("succeeded", result=msgspec.Raw(encoded))


def ending_of_error(error: BaseException) -> Ending:
    """How the attempt ends whose handler raised `error`. Its traceback is kept from where the user's code begins."""
    if isinstance(error, Outcome):
        return _ending_of_outcome(error)
    if isinstance(error, WrongPayload):
        return _failed_for_good("WrongPayload", str(error))
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:
        message = "(the error cannot be shown as text)"
    trace = "".join(traceback.TracebackException(kind, error, frames, compact=True).format())
    described = JobError(type=clean(name, 200), message=clean(message, MESSAGE_LIMIT), traceback=clean(trace, TRACEBACK_LIMIT))
    return Ending("failed", error=described)


def _ending_of_outcome(outcome: Outcome) -> Ending:
    reason = clean(outcome.reason, MESSAGE_LIMIT)
    error = JobError(type=type(outcome).__name__, message=reason)
    match outcome:
        case Retry(after=after):
            return Ending("failed", error=error, retry_after=after)
        case Snooze(after=after, limit=limit):
            return Ending("snoozed", error=error if reason else None, retry_after=after, max_snoozes=limit)
        case Skip():
            return Ending("skipped", error=error if reason else None)
        case Cancel():
            return Ending("cancelled", error=error if reason else None)
        case Fail(retry=retry):
            return Ending("failed", error=error, retry=retry)
        case _:
            return Ending("failed", error=error)


def _failed_for_good(kind: str, message: str) -> Ending:
    return Ending("failed", error=JobError(type=kind, message=clean(message, MESSAGE_LIMIT)), retry=False)


def _is_ours(filename: str) -> bool:
    return filename.startswith(_HERE) or filename.endswith(_THREADS)
