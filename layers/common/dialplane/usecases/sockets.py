"""The WebSockets that carriers open for conversations, as far as a conversation needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class SocketFailed(Exception):
    """A frame was not taken, or nobody knows: whoever listens may not have heard it."""


class SocketGone(SocketFailed):
    """The WebSocket is closed: nobody hears what is sent to it."""


class Sockets(Protocol):
    """WebSockets by their connection ids."""

    def send(self, connection_id: str, frame: Mapping[str, Any]) -> None:
        """Send one frame. Raises SocketFailed."""

    def close(self, connection_id: str) -> None:
        """Close it; one that is gone is success."""
