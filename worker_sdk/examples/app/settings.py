"""What the example handlers are told by the environment."""

from __future__ import annotations

import os
from pathlib import Path

SMTP = (os.environ.get("EXAMPLE_SMTP_HOST", "127.0.0.1"), int(os.environ.get("EXAMPLE_SMTP_PORT", "1025")))
"""Host and port of the server that takes the mails; `leveret dev` starts one unless the environment names one."""

SENDER = os.environ.get("EXAMPLE_SENDER", "Leveret <leveret@example.com>")

OUTPUT = Path(os.environ.get("EXAMPLE_OUTPUT", ".leveret/reports"))
"""Where reports and the migrated database go."""

SHELL = os.environ.get("LEVERET_EXAMPLE_SHELL") == "1"
"""Whether `shell.*` jobs may run commands: a user who may create jobs may then run anything on the workers' machines."""


def smtp_is_given() -> bool:
    """Whether the environment names an SMTP server."""
    return "EXAMPLE_SMTP_HOST" in os.environ or "EXAMPLE_SMTP_PORT" in os.environ


def server_url() -> str:
    """Where the Leveret server answers; `leveret dev` sets the variable."""
    return os.environ.get("LEVERET_URL", "http://127.0.0.1:8080").rstrip("/")
