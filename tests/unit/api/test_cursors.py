"""Cursors of pages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret_api.cursors import decode_cursor, decode_log_cursor, decode_time_cursor, encode_cursor, encode_log_cursor
from leveret_core.errors import InvalidInput


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_leads_back_to_its_id(last_id: int) -> None:
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_cursor_leads_back_to_its_time(last: datetime) -> None:
    assert decode_time_cursor(encode_cursor(last)) == last


def test_a_cursor_of_another_listing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="of this listing"):
        decode_time_cursor(encode_cursor(5))
    with pytest.raises(InvalidInput, match="of this listing"):
        decode_cursor(encode_cursor(datetime(2026, 1, 1, tzinfo=UTC)))


def test_no_cursor_is_the_first_page_and_the_last_page_has_none() -> None:
    assert decode_cursor(None) is None
    assert decode_time_cursor(None) is None
    assert encode_cursor(None) is None
    assert decode_log_cursor(None) == (-1, 0)


@pytest.mark.parametrize("cursor", ["", "x", "!!!", "MTo", "é", "\x00", base64.urlsafe_b64encode(b"1:-5").decode(), "Mjo1"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput, match="is not a cursor"):
        decode_cursor(cursor)


def test_an_id_beyond_those_of_postgres_is_refused() -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(base64.urlsafe_b64encode(b"1:9999999999999999999").decode())
    with pytest.raises(InvalidInput):
        decode_time_cursor(base64.urlsafe_b64encode(b"2:999999999999999999").decode())


@given(st.text())
def test_no_text_breaks_the_reading_of_cursors(text: str) -> None:
    for decode in (decode_cursor, decode_time_cursor, decode_log_cursor):
        try:
            decode(text)
        except InvalidInput:
            continue


def test_a_log_cursor_is_attempt_and_seq() -> None:
    assert encode_log_cursor(2, 17) == "2:17"
    assert decode_log_cursor("2:17") == (2, 17)
    with pytest.raises(InvalidInput, match="like 1:42"):
        decode_log_cursor("2")
