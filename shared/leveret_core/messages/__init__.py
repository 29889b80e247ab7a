"""What servers and workers say to each other over RabbitMQ. docs/protocol.md tells it without Python.

Every body is a JSON object with a protocol version `v`. Unknown fields are ignored, so that a newer side can add some.
Times of day are never compared across machines: durations come from the worker, instants from Postgres.
"""

from __future__ import annotations

from leveret_core.messages.codec import (
    MAX_MESSAGE_BYTES,
    BadMessage,
    decode_control,
    decode_dispatch,
    decode_events,
    decode_reply,
    decode_request,
    encode,
)
from leveret_core.messages.events import MAX_CHECKPOINT, Checkpoint, Event, Events, Finished, JobError, Log, Progress
from leveret_core.messages.replies import Alive, Answer, Bye, Claimed, Declared, DeclaredJob, Refused, Reply, Unknown, Welcome
from leveret_core.messages.requests import (
    Ask,
    BadAsk,
    Claim,
    Declare,
    Goodbye,
    HandlerInfo,
    Heartbeat,
    Hello,
    MarredClaim,
    Request,
)
from leveret_core.messages.taking import Unreadable, take_request
from leveret_core.messages.version import PROTOCOL_VERSION
from leveret_core.messages.words import Cancel, Control, DispatchMessage, Drain

__all__ = [
    "MAX_CHECKPOINT",
    "MAX_MESSAGE_BYTES",
    "PROTOCOL_VERSION",
    "Alive",
    "Answer",
    "Ask",
    "BadAsk",
    "BadMessage",
    "Bye",
    "Cancel",
    "Checkpoint",
    "Claim",
    "Claimed",
    "Control",
    "Declare",
    "Declared",
    "DeclaredJob",
    "DispatchMessage",
    "Drain",
    "Event",
    "Events",
    "Finished",
    "Goodbye",
    "HandlerInfo",
    "Heartbeat",
    "Hello",
    "JobError",
    "Log",
    "MarredClaim",
    "Progress",
    "Refused",
    "Reply",
    "Request",
    "Unknown",
    "Unreadable",
    "Welcome",
    "decode_control",
    "decode_dispatch",
    "decode_events",
    "decode_reply",
    "decode_request",
    "encode",
    "take_request",
]
