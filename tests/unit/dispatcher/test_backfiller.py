from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from leveret_dispatcher.schedule.backfiller import next_stretch

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(*minutes: int) -> list[datetime]:
    return [NOON + timedelta(minutes=minute) for minute in minutes]


BEFORE = at(-1)[0]


def test_as_many_are_created_as_there_is_room_for() -> None:
    stretch = next_stretch(at(0, 1, 2), set(), 2, reached=BEFORE, last=True)
    assert (stretch.create, stretch.existing, stretch.reached, stretch.ended) == (at(0, 1), 0, at(1)[0], False)


def test_what_ran_is_passed_over_and_takes_no_room() -> None:
    stretch = next_stretch(at(0, 1, 2, 3), set(at(0, 2, 3)), 1, reached=BEFORE, last=True)
    assert (stretch.create, stretch.existing, stretch.reached, stretch.ended) == (at(1), 3, at(3)[0], True)


def test_it_has_not_ended_while_fire_times_may_follow() -> None:
    assert not next_stretch(at(0), set(), 5, reached=BEFORE, last=False).ended
    assert next_stretch([], set(), 5, reached=BEFORE, last=True).ended
    assert next_stretch([], set(), 5, reached=BEFORE, last=True).reached == BEFORE


@given(
    count=st.integers(0, 30),
    taken=st.sets(st.integers(0, 29)),
    rooms=st.lists(st.integers(0, 7), max_size=60),
)
def test_each_fire_time_is_dealt_with_once_and_in_order(count: int, taken: set[int], rooms: list[int]) -> None:
    times, existing_ones = at(*range(count)), set(at(*taken))
    reached, created, existing = BEFORE, list[datetime](), 0
    for room in rooms:
        left = [time for time in times if time > reached][:9]
        stretch = next_stretch(left, existing_ones, room, reached=reached, last=len(left) < 9)
        assert len(stretch.create) <= room
        created += stretch.create
        existing += stretch.existing
        reached = stretch.reached
        if stretch.ended:
            assert created == [time for time in times if time not in existing_ones]
            assert len(created) + existing == count
    assert created == [time for time in times if time not in existing_ones and time <= reached]
