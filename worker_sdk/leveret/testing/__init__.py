"""Runs handlers without any server, for tests.

from leveret.testing import run_job

async def test_a_mail_needs_an_address():
    done = await run_job(send_email, {"subject": "Hi"})
    assert done.outcome == "failed" and "`to`" in done.error.message
"""

from __future__ import annotations

from leveret.testing._run_job import JobDone, run_job

__all__ = ["JobDone", "run_job"]
