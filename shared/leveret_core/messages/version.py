"""The version of the wire protocol."""

from __future__ import annotations

PROTOCOL_VERSION = 1
"""What this side says."""
ACCEPTED_VERSIONS = frozenset({1})
"""Of events, what servers read: after the version is raised, also the one before, for workers that drain still send it."""
