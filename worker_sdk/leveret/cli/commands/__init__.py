"""The sub-commands of `leveret`, one module each. Only typer is imported with them; what a command needs, it imports itself."""

from __future__ import annotations
