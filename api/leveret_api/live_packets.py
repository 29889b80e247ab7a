"""What clients of the live updates may send: text frames with the events of `EVENTS`, and nothing that python-socketio would
take for a call of one of the server's own handlers (`connect`, `disconnect`).
"""

from __future__ import annotations

import re
from typing import Any, cast

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, DISCONNECT, EVENT, Packet
from starlette.types import Message

EVENTS: dict[str, tuple[int, int]] = {"watch": (1, 1), "unwatch": (0, 1)}
"""Events that a client may send → how many arguments, at least and at most."""
REFUSED = "refused"
"""The event that every other one becomes; its argument is why."""
_FRAME = re.compile("[012356]|4.", re.DOTALL)


class ClientPacket(Packet):  # type: ignore[misc]
    """A packet, where one from a client that the server does not take has become the event `REFUSED`."""

    def decode(self, encoded_packet: str | bytes) -> int:
        """Read a packet of a client; returns how many binary attachments follow, which is none. Raises nothing."""
        try:
            super().decode(encoded_packet)
        except (ValueError, TypeError, RecursionError):
            self._refuse("this is no packet of socket.io")
            return 0
        if self.packet_type in (BINARY_EVENT, ACK, BINARY_ACK):
            self._refuse("only events without binary data are taken")
        elif self.packet_type == EVENT:
            self._check_event(self.data)
        elif self.packet_type not in (CONNECT, DISCONNECT):
            self._refuse("a client does not send such packets")
        return 0

    def _check_event(self, data: object) -> None:
        name, *arguments = cast("list[object]", data) if isinstance(data, list) and data else [None]
        if not isinstance(name, str) or name not in EVENTS:
            self._refuse(f"events are {', '.join(EVENTS)}; {str(name)[:40]!r} is none")
            return
        least, most = EVENTS[name]
        if not least <= len(arguments) <= most:
            self._refuse(f"{name} takes {f'{least} to {most}' if least < most else most} argument, not {len(arguments)}")

    def _refuse(self, why: str) -> None:
        self.packet_type = EVENT
        self.data = [REFUSED, why]


def is_frame(message: Message) -> bool:
    """Whether a websocket message is one that engine.io reads: an unread one would end in a traceback.

    Args:
        message: from the ASGI server.
    """
    text = cast("dict[str, Any]", message).get("text")
    return message["type"] != "websocket.receive" or (isinstance(text, str) and _FRAME.match(text) is not None)
