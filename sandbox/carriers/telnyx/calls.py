"""A Call Control call as Telnyx keeps and shows it, its recorded events, and their store. State only."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.carriers.recordings import Recording
from sandbox.carriers.telnyx.leg import Leg, iso8601
from sandbox.carriers.telnyx.parameters import DialParameters


@dataclass(kw_only=True)
class Call(Leg):
    """One call. `client_state` may be replaced by every command."""

    parameters: DialParameters
    client_state: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    recordings: list[tuple[Recording, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The call resource."""
        shown: dict[str, Any] = {
            "record_type": "call",
            "call_control_id": self.call_control_id,
            "call_leg_id": self.call_leg_id,
            "call_session_id": self.call_session_id,
            "is_alive": self.is_alive,
        }
        if self.client_state is not None:
            shown["client_state"] = self.client_state
        if self.start_time is not None:
            shown["start_time"] = iso8601(self.start_time)
            shown["call_duration"] = self.talked_seconds
        if self.end_time is not None:
            shown["end_time"] = iso8601(self.end_time)
        return shown

    def active_to_json(self) -> dict[str, Any]:
        """The call in the list of an application's active calls."""
        return {
            "record_type": "call",
            "call_control_id": self.call_control_id,
            "call_leg_id": self.call_leg_id,
            "call_session_id": self.call_session_id,
            "call_duration": self.talked_seconds,
            "client_state": self.client_state or "",
        }

    def event_to_json(self, event: dict[str, Any]) -> dict[str, Any]:
        """One of the call's webhooks as an item of the list of call events."""
        return {
            "record_type": "call_event",
            "type": "webhook",
            "name": event["event_type"],
            "call_leg_id": self.call_leg_id,
            "call_session_id": self.call_session_id,
            "event_timestamp": event["occurred_at"],
            "metadata": event,
        }


class CallStore:
    """Every call, in the order of creation."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def add(self, call: Call) -> None:
        """Keep a call."""
        self._calls[call.call_control_id] = call

    def find(self, api_key: str, call_control_id: str) -> Call | None:
        """A call of an account."""
        call = self._calls.get(call_control_id)
        return call if call is not None and call.account.api_key == api_key else None

    def of(self, api_key: str) -> Iterator[Call]:
        """An account's calls, the oldest first."""
        return (call for call in self._calls.values() if call.account.api_key == api_key)

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()
