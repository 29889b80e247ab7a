"""Failpoints do nothing, unless a test says that it is one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from leveret_core import failpoints
from leveret_core.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_a_failpoint_acts_once_at_its_turn() -> None:
    failpoints.arm("renewing=raise@2")
    failpoints.reach("after_publish")
    failpoints.reach("renewing")
    with pytest.raises(failpoints.FailpointError, match="renewing"):
        failpoints.reach("renewing")
    failpoints.reach("renewing")


@pytest.mark.parametrize("wrong", ["nowhere=exit", "renewing", "renewing=dance", "renewing=exit@0", "renewing=sleep:soon"])
def test_an_unknown_step_or_action_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        failpoints.arm(wrong)


def test_a_server_outside_a_test_refuses_to_start_with_failpoints() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LEVERET_")} | {
        "LEVERET_FAILPOINTS": "renewing=exit"
    }
    command = [sys.executable, "-m", "leveret", "dispatcher"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "LEVERET_FAILPOINTS_ALLOWED" in ended.stderr
