"""Which requests come from our own pages."""

from __future__ import annotations

import pytest

from leveret_api.origin import same_origin


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"host": "leveret.test"}, True),
        ({"host": "leveret.test", "origin": "https://leveret.test"}, True),
        ({"host": "leveret.test:8080", "origin": "http://leveret.test:8080"}, True),
        ({"host": "leveret.test:8080", "origin": "http://leveret.test"}, False),
        ({"host": "LEVERET.test", "origin": "http://leveret.TEST"}, True),
        ({"host": "inner:8080", "x-forwarded-host": "leveret.test, proxy", "origin": "https://leveret.test"}, True),
        ({"host": "leveret.test", "origin": "https://evil.test"}, False),
        ({"host": "leveret.test", "origin": "https://leveret.test.evil.test"}, False),
        ({"host": "leveret.test", "origin": "null"}, False),
        ({"host": "leveret.test", "origin": ""}, False),
        ({"host": "", "origin": "null"}, False),
        ({"host": "leveret.test", "origin": "http://[bad"}, False),
        ({"host": "leveret.test", "sec-fetch-site": "same-origin", "origin": "https://other.test"}, True),
        ({"host": "leveret.test", "sec-fetch-site": "none"}, True),
        ({"host": "leveret.test", "sec-fetch-site": "cross-site"}, False),
        ({"host": "leveret.test", "sec-fetch-site": "same-site", "origin": "https://leveret.test"}, False),
    ],
)
def test_same_origin(headers: dict[str, str], ours: bool) -> None:
    assert same_origin(headers) is ours
