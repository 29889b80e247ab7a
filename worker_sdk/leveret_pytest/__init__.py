"""A plugin of pytest: the fixture `leveret_env`, wherever leveret is installed.

A package of its own, as pytest imports it at every start: it imports nothing of leveret before a test asks for the fixture.

@pytest.mark.leveret("app.jobs", now="2026-03-28T00:00:00Z")
def test_the_report_is_made_each_night(leveret_env):
    leveret_env.define("report", type="report.daily", cron="30 2 * * *", tz="Europe/Berlin")
    leveret_env.advance(days=2)
    leveret_env.assert_occurred("report", times=2, state="succeeded")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from leveret.testing import Environment


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known to `--strict-markers`."""
    config.addinivalue_line("markers", "leveret(handlers, **options): arguments of the Environment behind `leveret_env`.")


@pytest.fixture
def leveret_options() -> dict[str, Any]:
    """Arguments of the `Environment` behind `leveret_env`, for all tests that see it; override it in a conftest.py."""
    return {}


@pytest.fixture
def leveret_env(request: pytest.FixtureRequest, leveret_options: dict[str, Any]) -> Iterator[Environment]:
    """An open `leveret.testing.Environment` of the test's own, in plain tests and in coroutines alike.

    Its arguments come from `leveret_options`, and before these from the marker `@pytest.mark.leveret(...)`.
    """
    from leveret.testing import Environment  # only for tests that use it

    options = dict(leveret_options)
    marker = request.node.get_closest_marker("leveret")
    if marker is not None:
        if marker.args:
            options.pop("handlers", None)
        options |= marker.kwargs
    with Environment(*(marker.args if marker is not None else ()), **options) as env:
        yield env
