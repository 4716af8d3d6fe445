"""What every Telnyx call is, whoever controls it: its names, its times, how it ends. State only."""

import math
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.line import Ending
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.telnyx.accounts import TelnyxAccount

COST_DELAY_SECONDS = 5.0
CONNECTING_SECONDS = 1.0
TIME_LIMIT_SECONDS_MAX = 14_400
RING_TIMEOUT_SECONDS_DEFAULT = 30


@dataclass(frozen=True)
class Hangup:
    """Telnyx's words for an ending."""

    cause: str
    source: str
    sip_cause: str


HANGUPS = {
    Ending.CALLEE_HUNG_UP: Hangup("normal_clearing", "callee", "200"),
    Ending.APPLICATION_HUNG_UP: Hangup("normal_clearing", "caller", "200"),
    Ending.TIME_LIMIT: Hangup("time_limit", "unknown", "200"),
    Ending.CANCELED: Hangup("originator_cancel", "caller", "487"),
    Ending.BUSY: Hangup("user_busy", "callee", "486"),
    Ending.NO_ANSWER: Hangup("timeout", "caller", "487"),
    Ending.DECLINED: Hangup("call_rejected", "callee", "603"),
    Ending.UNREACHABLE: Hangup("not_found", "unknown", "404"),
}
# A call that is hung up before it rings has met nobody to cancel with: Telnyx calls that an ordinary end.
NEVER_RANG = Hangup("normal_clearing", "caller", "unspecified")


def iso8601(moment: datetime) -> str:
    """A time as Telnyx writes it: `2024-01-15T10:30:26.028000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_uuid() -> str:
    """A random id."""
    return str(uuid.uuid4())


def new_call_control_id() -> str:
    """A random Call Control id."""
    return f"v3:{secrets.token_urlsafe(40)}"


@dataclass(kw_only=True)
class Leg:
    """One outbound call. `elapsed` figures are seconds on the call's own time line; the duration is in seconds."""

    account: TelnyxAccount
    application_id: str
    to: str
    from_: str
    scenario: Scenario
    timeline: CallTimeline
    time_limit_seconds: int = TIME_LIMIT_SECONDS_MAX
    call_control_id: str = field(default_factory=new_call_control_id)
    call_leg_id: str = field(default_factory=new_uuid)
    call_session_id: str = field(default_factory=new_uuid)
    created_at: datetime = field(init=False)
    start_time: datetime | None = None
    answered_at: datetime | None = None
    answered_at_elapsed: float | None = None
    end_time: datetime | None = None
    duration: int = 0
    rang: bool = False
    hangup: Hangup | None = None
    faults: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.created_at = self.timeline.now()

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self.end_time is not None

    @property
    def is_alive(self) -> bool:
        """Whether the call is being dialled or talked on."""
        return self.start_time is not None and not self.ended

    def dialed(self) -> None:
        """The call left Telnyx."""
        self.start_time = self.timeline.now()

    def answered(self) -> None:
        """The callee answered; the call is counted from here."""
        self.answered_at = self.timeline.now()
        self.answered_at_elapsed = self.timeline.elapsed_seconds

    def end(self, ending: Ending) -> None:
        """Close the call."""
        self.hangup = NEVER_RANG if ending is Ending.CANCELED and not self.rang else HANGUPS[ending]
        self.end_time = self.timeline.now()
        if self.answered_at_elapsed is not None:
            talked = round(self.timeline.elapsed_seconds - self.answered_at_elapsed)
            self.duration = min(max(talked, 1), self.time_limit_seconds)

    @property
    def talked_seconds(self) -> int:
        """The duration so far."""
        if self.ended or self.answered_at_elapsed is None:
            return self.duration
        return int(self.timeline.elapsed_seconds - self.answered_at_elapsed)

    @property
    def billed_minutes(self) -> int:
        """Started minutes."""
        return math.ceil(self.duration / 60)
