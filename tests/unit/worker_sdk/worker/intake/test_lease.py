"""How long the worker trusts its lease."""

from __future__ import annotations

import pytest

from leveret.worker.intake.lease import Lease, boot_time


def test_a_lease_that_was_never_granted_is_over() -> None:
    assert Lease(3).over


def test_it_is_counted_from_when_the_request_was_sent_and_ends_before_the_servers_end_it() -> None:
    lease = Lease(3)
    lease.renew(boot_time() - 10, 30)
    assert lease.remaining == pytest.approx(30 - 10 - 3, abs=0.1)
    assert not lease.over


def test_a_slow_answer_renews_nothing() -> None:
    lease = Lease(3)
    lease.renew(boot_time() - 28, 30)
    assert lease.over


def test_an_answer_that_comes_late_does_not_shorten_it() -> None:
    lease, now = Lease(3), boot_time()
    lease.renew(now, 30)
    lease.renew(now - 20, 30)
    assert lease.remaining == pytest.approx(27, abs=0.1)


def test_the_margin_of_a_short_lease_is_a_tenth_of_it() -> None:
    lease = Lease(3)
    lease.renew(boot_time(), 1)
    assert lease.remaining == pytest.approx(0.9, abs=0.05)
