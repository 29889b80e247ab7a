"""`python -m leveret`."""

from __future__ import annotations

from leveret.cli import main

main()
