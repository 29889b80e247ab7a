"""The worker takes dispatch messages and claims them (`intake`), runs handlers (`run`), and tells how they ended (`report`)."""

from __future__ import annotations

from leveret.worker.worker import Worker

__all__ = ["Worker"]
