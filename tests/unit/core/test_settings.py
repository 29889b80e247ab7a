"""Ranges of settings: what Postgres cannot add to a time is refused at the start, by name."""

from __future__ import annotations

import pytest

from leveret_core.errors import ConfigurationError
from leveret_core.settings import Settings, load_settings

TIMES = [name for name, field in Settings.model_fields.items() if field.annotation is float]


@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "-1"])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LEVERET_{name.upper()}", value)
    with pytest.raises(ConfigurationError, match=f"LEVERET_{name.upper()}"):
        load_settings()
