"""How an attempt is named everywhere in a worker."""

from __future__ import annotations

AttemptKey = tuple[int, int]
"""The ids of an occurrence and the number of its attempt."""
