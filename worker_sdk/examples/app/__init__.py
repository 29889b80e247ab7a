"""A small application: mails, reports, a migration, and (when allowed) shell commands.

`leveret dev examples.app` runs it whole; `leveret worker examples.app` serves it on real services, and
`leveret jobs apply examples.app` makes its jobs there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from examples.app import migration, report, sendemail, settings, shell
from examples.app.jobs import JOBS

__all__ = ["JOBS", "dev_services", "migration", "report", "sendemail", "shell"]


@asynccontextmanager
async def dev_services(data: Path) -> AsyncGenerator[None]:
    """What the handlers need and production has elsewhere; `leveret dev` keeps it open while it runs.

    Args:
        data: the folder of `leveret dev`; mails and reports go below it.
    """
    from examples.app import mail_sink

    settings.OUTPUT = data / "reports"
    if settings.smtp_is_given():
        yield
        return
    async with mail_sink.running(data / "mail") as port:
        settings.SMTP = ("127.0.0.1", port)
        yield
