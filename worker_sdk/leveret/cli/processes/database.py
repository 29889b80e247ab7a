"""Postgres before a server starts: there, and with the right tables."""

from __future__ import annotations

import asyncio
import logging
import time

from leveret.cli.errors import ServiceUnavailable
from leveret_core.errors import ConfigurationError
from leveret_core.store.errors import is_unavailable
from leveret_core.store.migrate import migrate, pending_migrations
from leveret_core.store.pooler import refuse_shared_sessions

log = logging.getLogger("leveret.process")

RETRY = 1.0
"""Seconds between tries; a line is logged for the first, and then every ten seconds."""
TELL = 10.0
_REFUSALS = ("28", "3D", "42")
"""SQLSTATE classes of a refused user, a missing database and missing rights: no administrator mends those within seconds."""


async def prepare(url: str, *, wait: float, apply: bool) -> list[str]:
    """Wait until Postgres answers, and bring its tables up to date.

    Args:
        url: of the database.
        wait: seconds to go on trying while it cannot be reached.
        apply: apply missing migrations; otherwise they are an error.

    Returns:
        Names of the migrations that were applied.

    Raises:
        ServiceUnavailable: it could not be reached in time.
        ConfigurationError: it refuses us, shares sessions between clients, lacks migrations, or is newer than this program.
    """
    began = time.monotonic()
    last_told = -TELL
    while True:
        try:
            await refuse_shared_sessions(url)
            if apply:
                return await migrate(url)
            if missing := await pending_migrations(url):
                raise ConfigurationError(f"the database lacks migrations ({', '.join(missing)}): run `leveret migrate`")
            return []
        except ConfigurationError as error:
            elapsed = time.monotonic() - began
            if not _passes(error.__cause__):
                raise
            if elapsed >= wait:
                raise ServiceUnavailable(f"{error} (tried for {elapsed:.0f} s)") from error
            if elapsed - last_told >= TELL:
                last_told = elapsed
                log.warning("waiting for Postgres, for %.0f s more: %s", wait - elapsed, error)
            await asyncio.sleep(min(RETRY, wait - elapsed))


def _passes(cause: BaseException | None) -> bool:
    """Whether it may be better in a moment: it does not listen yet, or it is starting up; a wrong password will not be."""
    if cause is None or isinstance(cause, ValueError) or not is_unavailable(cause):
        return False
    return not str(getattr(cause, "sqlstate", "")).startswith(_REFUSALS)
