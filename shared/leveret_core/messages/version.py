"""The version of the wire protocol."""

from __future__ import annotations

PROTOCOL_VERSION = 1
