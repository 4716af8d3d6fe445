"""A TeXML call as Telnyx keeps and shows it, and their store. State only."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sandbox.carriers.line import Ending
from sandbox.carriers.recordings import Recording
from sandbox.carriers.telnyx.events import COST_PARTS_MICROS
from sandbox.carriers.telnyx.leg import Leg, iso8601
from sandbox.carriers.telnyx_texml.parameters import TexmlParameters

# TeXML has no word for a declined call either; its HangupCause tells it.
STATUSES = {
    Ending.CALLEE_HUNG_UP: "completed",
    Ending.APPLICATION_HUNG_UP: "completed",
    Ending.TIME_LIMIT: "completed",
    Ending.CANCELED: "canceled",
    Ending.BUSY: "busy",
    Ending.NO_ANSWER: "no-answer",
    Ending.DECLINED: "busy",
    Ending.UNREACHABLE: "failed",
}
# What a resource's status may be; a call that is not yet ringing is shown as if it were.
_SHOWN = {"queued": "ringing", "initiated": "ringing"}


@dataclass(kw_only=True)
class TexmlCall(Leg):
    """One call; `answered_by` is what machine detection found."""

    account_sid: str
    parameters: TexmlParameters
    status: str = "queued"
    answered_by: str | None = None
    price_micros: int | None = None
    updated_at: datetime | None = None
    recordings: list[Recording] = field(default_factory=list)

    def enter(self, status: str) -> None:
        """Change the status now."""
        self.status = status
        self.updated_at = self.timeline.now()

    def report_to(self, url: str) -> None:
        """Send the status callbacks elsewhere from now on."""
        self.parameters = replace(self.parameters, status_callback=url)

    def add_price(self) -> None:
        """Work out what the call cost."""
        self.price_micros = self.billed_minutes * sum(COST_PARTS_MICROS.values())
        self.updated_at = self.timeline.now()

    @property
    def path(self) -> str:
        """The resource's path."""
        return f"/v2/texml/Accounts/{self.account_sid}/Calls/{self.call_control_id}"

    def to_json(self) -> dict[str, Any]:
        """The call resource."""
        price = self.price_micros
        return {
            "sid": self.call_control_id,
            "account_sid": self.account_sid,
            "status": _SHOWN.get(self.status, self.status),
            "direction": "outbound",
            "from": self.from_,
            "from_formatted": self.from_,
            "to": self.to,
            "to_formatted": self.to,
            "caller_name": self.parameters.caller_id,
            "answered_by": self.answered_by,
            "date_created": iso8601(self.created_at),
            "date_updated": iso8601(self.updated_at or self.created_at),
            "start_time": iso8601(self.start_time) if self.start_time else None,
            "end_time": iso8601(self.end_time) if self.end_time else None,
            "duration": str(self.talked_seconds),
            "price": None if price is None else f"-{price // 1_000_000}.{price % 1_000_000:06d}",
            "price_unit": "USD",
            "uri": self.path,
        }

    def recording_to_json(self, recording: Recording) -> dict[str, Any]:
        """One of the call's recordings, as the request for it is answered."""
        begun_at = iso8601(recording.begun_at)
        return {
            "sid": recording.id,
            "account_sid": self.account_sid,
            "call_sid": self.call_control_id,
            "conference_sid": None,
            "channels": recording.channels,
            "date_created": begun_at,
            "date_updated": begun_at,
            "start_time": begun_at,
            "duration": None,
            "price": None,
            "price_unit": "USD",
            "source": "StartCallRecordingAPI",
            "error_code": None,
            "track": "both",
            "uri": f"{self.path}/Recordings/{recording.id}.json",
        }


class TexmlCallStore:
    """Every call, in the order of creation."""

    def __init__(self) -> None:
        self._calls: dict[str, TexmlCall] = {}

    def add(self, call: TexmlCall) -> None:
        """Keep a call."""
        self._calls[call.call_control_id] = call

    def find(self, account_sid: str, sid: str) -> TexmlCall | None:
        """A call of an account."""
        call = self._calls.get(sid)
        return call if call is not None and call.account_sid == account_sid else None

    def newest_first(self, account_sid: str) -> Iterator[TexmlCall]:
        """An account's calls, the newest first."""
        return (call for call in reversed(self._calls.values()) if call.account_sid == account_sid)

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()
