"""What servers make of requests from outside: ranges and texts are checked, and what is wrong costs only itself."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from leveret_core.messages import Ask, BadMessage, Claim, Hello, MarredClaim, Unreadable, decode_dispatch, take_request
from leveret_core.messages.taking import MAX_REQUEST_BYTES, MAX_SMALL_BYTES

WORKER = str(uuid.uuid4())


def take(**fields: Any) -> Any:
    return take_request(json.dumps({"worker": WORKER, "v": 1, **fields}).encode())


def hello(**fields: Any) -> Any:
    facts = {
        "name": "w",
        "host": "h",
        "pid": 1,
        "sdk": "s",
        "secret": "s" * 16,
        "concurrency": 1,
        "handlers": [{"pattern": "a.*", "concurrency": 1}],
    }
    return take(kind="hello", **{**facts, **fields})


@pytest.mark.parametrize(
    "dispatch",
    [
        '{"occurrence":1,"attempt":2147483648,"type":"a","v":1}',
        '{"occurrence":1,"attempt":0,"type":"a","v":1}',
        '{"occurrence":9223372036854775808,"attempt":1,"type":"a","v":1}',
        '{"occurrence":-1,"attempt":1,"type":"a","v":1}',
        '{"occurrence":1,"attempt":1,"type":"a\\u0000","v":1}',
        '{"occurrence":1.5,"attempt":1,"type":"a","v":1}',
    ],
)
def test_a_dispatch_message_out_of_range_is_none(dispatch: str) -> None:
    with pytest.raises(BadMessage, match="Expected"):
        decode_dispatch(dispatch.encode())


def test_the_largest_numbers_are_read() -> None:
    assert take(kind="claim", asks=[[2**63 - 1, 2**31 - 1]]) == Claim(worker=WORKER, asks=[Ask(2**63 - 1, 2**31 - 1)])


def test_of_a_claim_with_bad_asks_the_good_ones_are_taken_and_the_others_named_by_position() -> None:
    bad: list[Any] = [[1, 2**31], [2**63, 1], [0, 1], [1], ["x", 1], {}, [2**70, 1]]
    claim = take(kind="claim", asks=[[1, 1], *bad, [2, 3]], last_success=[2, 7, "x", 2**63])
    assert isinstance(claim, MarredClaim)
    assert claim.asks == [Ask(1, 1), Ask(2, 3)]
    assert claim.last_success == [2]
    assert [each.position for each in claim.bad] == list(range(1, 8))
    assert [each.numbers for each in claim.bad] == [(1, 2**31), (2**63, 1), (0, 1), None, None, None, None]
    assert claim.bad[0].reason == "Expected `int` <= 2147483647 - at `$.asks[1][1]`"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "a\x00b"}, "control characters and line breaks - at `$.name`"),
        ({"name": "a\nlevel=ERROR forged"}, "control characters and line breaks - at `$.name`"),
        ({"host": "a\u2028b"}, "control characters and line breaks - at `$.host`"),
        ({"sdk": "a\n"}, "control characters and line breaks - at `$.sdk`"),
        ({"name": ""}, "length >= 1 - at `$.name`"),
        ({"name": "n" * 201}, "length <= 200 - at `$.name`"),
        ({"concurrency": 0}, ">= 1 - at `$.concurrency`"),
        ({"pid": 2**31}, "<= 2147483647 - at `$.pid`"),
        ({"handlers": []}, "length >= 1 - at `$.handlers`"),
        ({"handlers": [{"pattern": "a", "concurrency": 1}] * 1001}, "length <= 1000 - at `$.handlers`"),
        ({"handlers": [{"pattern": "(", "concurrency": 1}]}, "may only hold letters"),
        ({"handlers": [{"pattern": "a", "concurrency": 1}, {"pattern": "a..b", "concurrency": 1}]}, "`$.handlers[1]`"),
        ({"handlers": [{"pattern": "a", "concurrency": 0}]}, "`$.handlers[0].concurrency`"),
        ({"handlers": [{"pattern": "a", "concurrency": 1, "timeout": -1}]}, "`$.handlers[0].timeout`"),
        ({"handlers": [{"pattern": "a", "concurrency": 1, "doc": "d" * 10_001}]}, "`$.handlers[0].doc`"),
        ({"handlers": [{"pattern": "a", "concurrency": 1, "schema": {"x": "y" * 300_000}}]}, "a hello has at most 262144"),
        ({"secret": "short"}, "length >= 16 - at `$.secret`"),
        ({"v": 2}, "protocol version 2"),
    ],
)
def test_a_hello_that_cannot_be_kept_is_refused_with_the_field_at_fault(fields: dict[str, Any], complaint: str) -> None:
    refused = hello(**fields)
    assert isinstance(refused, Unreadable), refused
    assert complaint in refused.reason
    assert (refused.kind, refused.worker) == ("hello", WORKER)
    assert "\n" not in refused.reason + refused.name
    assert isinstance(hello(), Hello)


def test_a_hello_needs_a_secret() -> None:
    facts = {"name": "w", "host": "h", "pid": 1, "sdk": "s", "concurrency": 1, "handlers": [{"pattern": "a", "concurrency": 1}]}
    assert take(kind="hello", **facts).reason == "Object missing required field `secret`"


def test_a_request_has_the_size_that_its_kind_needs() -> None:
    asks = [[2**63 - 1, 2**31 - 1]] * 1000
    assert len(take(kind="claim", asks=asks).asks) == 1000
    assert "at most 262144" in take(kind="claim", asks=asks * 400).reason
    assert "at most 524288" in take(kind="heartbeat", running=1, more="x" * 600_000).reason
    assert "at most 65536" in take(kind="goodbye", more="x" * 70_000).reason
    for many in ([[1, 1]] * 1001, [[0, 1]] * 1001):
        assert take(kind="claim", asks=many).reason == "1001 asks; a claim has at most 1000 - at `$.asks`"
    assert take(kind="declare", jobs=[{"x": "y" * MAX_SMALL_BYTES}]).jobs
    assert "at most" in take(kind="declare", jobs=[{"x": "y" * MAX_REQUEST_BYTES["declare"]}]).reason


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000, b'{"kind":"nonsense"}', b'{"kind":["claim"]}']
)
def test_what_is_no_request_at_all_is_told_and_raises_nothing(body: bytes) -> None:
    assert isinstance(take_request(body), Unreadable)
