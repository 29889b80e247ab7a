"""JSON objects as options of the command line."""

from __future__ import annotations

import json
from typing import Any, cast

from leveret_core.errors import InvalidInput


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """The object that the user wrote after `option`; None when the option was left out.

    Raises:
        InvalidInput: it is not a JSON object.
    """
    if text is None:
        return None
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise InvalidInput.at(option, f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise InvalidInput.at(option, 'must be a JSON object such as {"to": "ann@example.com"}')
    return cast("dict[str, Any]", value)
