"""An SMTP server that keeps every mail as a file, and a page that lists them.

`leveret dev examples.app` runs one by itself; `python -m examples.app.mail_sink --help` runs one alone.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

log = logging.getLogger("examples.mail")

MAX_LISTED = 200
"""Mails on the page, the newest."""


class Sink:
    """Writes mails to `folder` as `.eml` files, and `index.html` with them; what aiosmtpd calls a handler."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._write_index()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep one mail."""
        mail = _parsed(envelope.content)
        path = self._folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.eml"
        path.write_bytes(envelope.content)
        self._write_index()
        log.info("a mail for %s: %s (%s)", ", ".join(envelope.rcpt_tos), mail["Subject"], path)
        return "250 kept"

    def _write_index(self) -> None:
        entries: list[str] = []
        for path in sorted(self._folder.glob("*.eml"), reverse=True)[:MAX_LISTED]:
            mail = _parsed(path.read_bytes())
            body = mail.get_body(("plain",))
            title = html.escape(f"{mail['Subject']} → {mail['To']}")
            text = html.escape(body.get_content() if body else "")
            link = f'<a href="{path.name}">{path.stem}</a>'
            entries.append(f"<details><summary>{title} · {link}</summary><pre>{text}</pre></details>")
        page = "<!doctype html><meta charset=utf-8><meta http-equiv=refresh content=5><title>Mail</title><h1>Mail</h1>"
        (self._folder / "index.html").write_text(page + "\n".join(entries or ["<p>None yet."]), encoding="utf-8")


@asynccontextmanager
async def running(folder: Path, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[int]:
    """A server on `host` and `port` (0 takes a free one) while the block runs; gives the port."""
    from aiosmtpd.smtp import SMTP

    # Every word of every session.
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    sink = Sink(folder)

    def protocol() -> asyncio.Protocol:
        return cast("asyncio.Protocol", SMTP(sink, hostname="localhost", ident="mail sink", enable_SMTPUTF8=True))

    server = await asyncio.get_running_loop().create_server(protocol, host, port)
    log.info("mails are kept in %s", folder / "index.html")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


async def _serve(folder: Path, host: str, port: int) -> None:
    async with running(folder, host, port) as bound:
        log.info("SMTP on %s:%d", host, bound)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="An SMTP server that keeps every mail as a file.")
    parser.add_argument("--folder", type=Path, default=Path("mail"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1025)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.folder, arguments.host, arguments.port))


if __name__ == "__main__":
    main()
