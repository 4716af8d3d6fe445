"""A carrier that lives its calls out on a moving clock and tells the truth about them, as Twilio would.

What it accepted is the outside witness of the simulation: it knows nothing of our tables. No callbacks are posted from
here; ``Leg.reports`` says what would be posted and when, and the simulation decides what arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from dialplane.carriers.twilio.events import call_resource_to_fields
from dialplane.domain.carrier import CarrierCall, CreateOutcome, DialRequest, Placed, Rejected, Unknown
from tests.fakes.carrier import FakeCarrier
from tests.fakes.clock import FakeClock
from tests.fakes.world import ACCOUNT_SID

PLACED, REJECTED, LOST_PLACED, LOST_NOT_PLACED, RATE_LIMITED = (
    "placed",
    "rejected",
    "unknown but placed",
    "unknown, not placed",
    "rate limited",
)
"""What becomes of one request: the script of a carrier is a list of these; after its end every call is placed."""

ANSWERED, BUSY, NO_ANSWER = "answered", "busy", "no answer"
_LIVES: dict[str, tuple[tuple[str, int], ...]] = {
    ANSWERED: (("initiated", 1), ("ringing", 2), ("in-progress", 6), ("completed", 67)),
    BUSY: (("initiated", 1), ("ringing", 2), ("busy", 4)),
    NO_ANSWER: (("initiated", 1), ("ringing", 2), ("no-answer", 32)),
}
_TERMINAL = ("completed", "busy", "no-answer", "failed", "canceled")
# Twilio promises its record of a call's events 15 minutes after the call's end; here it is nearly as late as that.
_EVENTS_DELAY = timedelta(minutes=14)
# Lists lag behind; our grace is longer than that.
_LIST_DELAY = timedelta(seconds=30)


@dataclass
class Leg:
    """One call that the carrier accepted."""

    carrier_call_id: str
    request: DialRequest
    created_at: datetime
    life: str
    hung_up_at: datetime | None = None

    @property
    def call_id(self) -> str:
        """Our id, as the callback address has it."""
        return self.request.status_url.rsplit("/", 1)[1]

    @property
    def moments(self) -> list[tuple[str, datetime]]:
        """Every status with its time."""
        planned = [(status, self.created_at + timedelta(seconds=after)) for status, after in _LIVES[self.life]]
        if self.hung_up_at is None:
            return planned
        return [(status, at) for status, at in planned if at < self.hung_up_at] + [("completed", self.hung_up_at)]

    @property
    def ended_at(self) -> datetime:
        """When it is over."""
        return self.moments[-1][1]

    @property
    def final_status(self) -> str:
        """How it ends, in Twilio's word."""
        return self.moments[-1][0]

    @property
    def duration_seconds(self) -> int:
        """Connected time once it is over."""
        moments = dict(self.moments)
        answered_at = moments.get("in-progress")
        return int((self.ended_at - answered_at).total_seconds()) if answered_at is not None else 0

    def reports(self) -> list[tuple[datetime, dict[str, str]]]:
        """Every status callback: when it is posted, and its form without the ids."""
        return [(at, self._form(status, at, sequence)) for sequence, (status, at) in enumerate(self.moments)]

    def _form(self, status: str, at: datetime, sequence: int) -> dict[str, str]:
        form = {
            "CallStatus": status,
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
            "Timestamp": format_datetime(at),
        }
        if status in _TERMINAL:
            form |= {"CallDuration": str(self.duration_seconds), "SipResponseCode": "200"}
        return form

    def record(self, now: datetime) -> CarrierCall:
        """The Call resource as it is at this moment."""
        so_far = [status for status, at in self.moments if at <= now]
        # The resource has no "initiated": until it rings a call is queued.
        status = "queued" if not so_far or so_far[-1] == "initiated" else so_far[-1]
        resource: dict[str, Any] = {"sid": self.carrier_call_id, "account_sid": ACCOUNT_SID, "status": status}
        if status in _TERMINAL:
            resource |= {"duration": str(self.duration_seconds), "end_time": format_datetime(self.ended_at)}
        ended_at = self.ended_at if self.ended_at <= now else None
        return CarrierCall(self.carrier_call_id, self.created_at, call_resource_to_fields(resource), ended_at)


@dataclass
class TruthfulCarrier(FakeCarrier):
    """Follows ``script`` request by request; remembers what it accepted; shows it late, as carriers do.

    ``io`` is told before a request is received and after it was processed: where a caller can die.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    script: list[str] = field(default_factory=list)
    life: str = ANSWERED
    legs: list[Leg] = field(default_factory=list)
    io: Callable[[str], None] = lambda name: None
    receives: Callable[[DialRequest], None] = lambda request: None

    def reset(self, script: Sequence[str], life: str) -> None:
        """Forget everything and follow another script."""
        self.script, self.life = list(script), life
        self.requests.clear()
        self.legs.clear()

    def create_call(self, request: DialRequest) -> CreateOutcome:
        """Receive one request and do what the script says."""
        self.io("before create_call")
        with self._lock:
            self.requests.append(request)
            self.receives(request)
            outcome = self._process(request)
        self.on_create(request, f"CA{len(self.legs):032x}")
        self.io("after create_call")
        return outcome

    def _process(self, request: DialRequest) -> CreateOutcome:
        step = self.script.pop(0) if self.script else PLACED
        if step == REJECTED:
            return Rejected(cause="other", code="21220", message="not today")
        if step == RATE_LIMITED:
            return Rejected(cause="rate_limited", code="20429", message="too many requests")
        if step == LOST_NOT_PLACED:
            return Unknown(reason="ReadTimeoutError")
        leg = Leg(f"CA{len(self.legs) + 1:032x}", request, self.clock.now(), self.life)
        self.legs.append(leg)
        return Placed(leg.carrier_call_id) if step == PLACED else Unknown(reason="ReadTimeoutError")

    def fetch_call(self, carrier_call_id: str) -> CarrierCall | None:
        """The call as it is now."""
        self.io("before fetch_call")
        return next((leg.record(self.clock.now()) for leg in self.legs if leg.carrier_call_id == carrier_call_id), None)

    def list_calls(self, *, destination: str, caller_number: str, created_after: datetime) -> Sequence[CarrierCall]:
        """The calls between two numbers, but for the youngest."""
        self.io("before list_calls")
        now = self.clock.now()
        return [
            leg.record(now)
            for leg in self.legs
            if leg.request.destination == destination
            and leg.request.caller_number == caller_number
            and leg.created_at >= created_after
            and now >= leg.created_at + _LIST_DELAY
        ]

    def requested_urls(self, carrier_call_id: str) -> Sequence[str]:
        """The addresses of a call that ended long enough ago."""
        self.io("before requested_urls")
        return [
            url
            for leg in self.legs
            if leg.carrier_call_id == carrier_call_id and self.clock.now() >= leg.ended_at + _EVENTS_DELAY
            for url in (leg.request.instructions_url, leg.request.status_url)
        ]
