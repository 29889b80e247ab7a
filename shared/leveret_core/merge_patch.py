"""JSON merge patches (RFC 7396): an object that says what is different in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return `target` changed as `patch` says; neither is altered.

    Args:
        target: a JSON value; what is no object is replaced by one.
        patch: for each name its new value, or None to leave it out. Objects are merged in the same way, anything else,
            lists too, is replaced whole.
    """
    merged: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged
