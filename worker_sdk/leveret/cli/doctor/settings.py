"""Settings that are valid, and still worth a word."""

from __future__ import annotations

import os

from leveret.cli.doctor.checks import Checks
from leveret.cli.variables import unknown_variables
from leveret_api.hosts import is_loopback
from leveret_core.settings import Settings


async def examine(settings: Settings, checks: Checks) -> None:
    """Look at the settings."""
    unknown = list(unknown_variables(os.environ, Settings.model_fields))
    for name, hint in unknown:
        checks.warn("environment", f"nothing reads {name}{hint}", "correct its name, or take it out")
    if not unknown:
        checks.ok("environment", "every LEVERET_* variable is known and valid")
    if not is_loopback(settings.host):
        checks.warn(
            "host",
            f"the API listens on {settings.host}, and has no login",
            "put a proxy with a login in front, or set LEVERET_HOST=127.0.0.1",
        )
        if not settings.allowed_hosts:
            checks.warn("names", "requests to any name are answered", "list the API's names in LEVERET_ALLOWED_HOSTS")
    takeover = settings.lock_ttl + settings.lock_retry
    if takeover > 60:
        checks.warn(
            "lock", f"after a crash no dispatcher works for up to {takeover:.0f} s", "lower LEVERET_LOCK_TTL (default 15)"
        )
