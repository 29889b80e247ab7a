"""A campaign of faults against all of Leveret, a short one here; `make chaos MINUTES=30 SEED=7` runs a long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.campaign.course import chosen, course
from chaos.campaign.run import Campaign

FOUR = "freeze-leader+purge-queues terminate-backends read-only kill-worker+flush-redis"
"""Faults that once stopped dispatch for good or lost ends of runs."""
LONG = float(os.environ.get("LEVERET_CHAOS_MINUTES", "10"))


@pytest.mark.timeout(300)
async def test_four_faults_cost_nothing_but_time(tmp_path: Path) -> None:
    rounds = [next(faults) for faults in [chosen(FOUR)] for _ in FOUR.split()]
    verdict = await Campaign(7, tmp_path, print).run(iter(rounds), seconds=120, between=1)
    assert not verdict.faults, "\n".join(verdict.lines())


@pytest.mark.exhaustive
@pytest.mark.timeout(LONG * 60 + 600)
async def test_many_faults_cost_nothing_but_time(tmp_path: Path) -> None:
    seed = int(os.environ.get("LEVERET_SEED", "7"))
    verdict = await Campaign(seed, tmp_path, print).run(course(seed), seconds=LONG * 60)
    assert not verdict.faults, "\n".join([f"seed {seed}", *verdict.lines()])
