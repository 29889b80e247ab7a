"""Other payloads for what runs again: another one in its place, or a JSON merge patch (RFC 7396) of the old one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from leveret_core.errors import InvalidInput
from leveret_core.payload import encode_payload


def payload_editor(
    payload: Mapping[str, Any] | None, patch: Mapping[str, Any] | None, *, limit: int
) -> Callable[[bytes], bytes]:
    """What makes the payload of a requeue from the one before.

    Args:
        payload: in place of the old one.
        patch: a JSON merge patch of the old one.
        limit: bytes of JSON, at most.

    Raises:
        InvalidInput: both are given, or `payload` cannot be stored. The editor raises it for what the patch makes.
    """
    if payload is not None and patch is not None:
        raise InvalidInput.at("payload_patch", "goes without payload: one replaces the old payload, the other changes it")
    if patch is not None:
        encode_payload(dict(patch), limit=limit, field="payload_patch")
        return lambda old: encode_payload(merge_patch(json.loads(old), patch), limit=limit).encode()
    if payload is not None:
        replacement = encode_payload(dict(payload), limit=limit).encode()
        return lambda _: replacement
    return lambda old: old


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
