"""The version of the wire protocol."""

from __future__ import annotations

PROTOCOL_VERSION = 1
"""What this side says."""
ACCEPTED_VERSIONS = frozenset({1})
"""What is read: after the version is raised, also the one before, which workers that drain still send."""
