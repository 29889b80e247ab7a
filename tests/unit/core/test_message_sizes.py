"""A message from outside is measured before it is read: no side takes the time to decode one that is too large."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from leveret_core.messages import (
    MAX_MESSAGE_BYTES,
    Alive,
    BadMessage,
    DispatchMessage,
    Drain,
    Events,
    Heartbeat,
    decode_control,
    decode_dispatch,
    decode_events,
    decode_reply,
    decode_request,
    encode,
)
from leveret_core.messages.event_batch import read_events

WORKER = str(uuid.uuid4())
CASES: dict[Callable[[bytes], object], object] = {
    decode_dispatch: DispatchMessage(occurrence=1, attempt=1, type="a"),
    decode_request: Heartbeat(worker=WORKER, running=0, holding=None),
    decode_reply: Alive(lease=1.0),
    decode_events: Events(worker=WORKER, events=[]),
    read_events: Events(worker=WORKER, events=[]),
    decode_control: Drain(worker=WORKER),
}


@pytest.mark.parametrize("decode", CASES, ids=lambda decode: decode.__name__)
def test_a_message_of_eight_mebibytes_is_read_and_a_larger_one_is_not(decode: Callable[[bytes], object]) -> None:
    body = encode(CASES[decode])
    # White space means nothing in JSON: only its length is wrong.
    decode(body.ljust(MAX_MESSAGE_BYTES))
    with pytest.raises(BadMessage, match=f"{MAX_MESSAGE_BYTES + 1} bytes"):
        decode(body.ljust(MAX_MESSAGE_BYTES + 1))
