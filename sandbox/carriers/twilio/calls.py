"""A simulated call as Twilio keeps and shows it: the Call resource, its events and notifications, and their store.

State only; nothing here waits or sends.
"""

import hashlib
import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import phonenumbers

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.recordings import Recording
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.twilio.errors import WARNINGS, more_info
from sandbox.carriers.twilio.parameters import CallParameters

API_VERSION = "2010-04-01"
CALL_STATUSES = ("queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled")
ENDED_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
# Micro-dollars per started minute: 0.014 USD, Twilio's price for a call to the United States when this was written.
PRICE_PER_MINUTE_MICROS = 14_000

_SUBRESOURCES = (
    "events",
    "notifications",
    "payments",
    "recordings",
    "siprec",
    "streams",
    "transcriptions",
    "user_defined_message_subscriptions",
    "user_defined_messages",
)


def rfc2822(moment: datetime) -> str:
    """A date as Twilio writes it: `Tue, 01 Nov 2022 01:59:13 +0000`."""
    return format_datetime(moment.astimezone(UTC))


def new_sid(prefix: str) -> str:
    """A random Twilio SID: two letters and 32 hexadecimal digits."""
    return prefix + uuid.uuid4().hex


@dataclass(frozen=True)
class WebhookEvent:
    """A request that Twilio made for a call, and what came back (`response_code` None: no reply)."""

    url: str
    method: str
    form: tuple[tuple[str, str], ...]
    created_at: datetime
    duration_ms: int
    response_code: int | None
    content_type: str | None
    response_body: str | None


@dataclass(frozen=True)
class Notification:
    """An error or warning that Twilio logged for a call."""

    sid: str
    code: int
    text: str
    created_at: datetime
    url: str
    method: str
    response_body: str


@dataclass
class Call:
    """One outbound call. `elapsed` figures are seconds on the call's own time line.

    `on_status` is told of every change of status, before what comes with it is filled in.
    """

    account_sid: str
    parameters: CallParameters
    scenario: Scenario
    timeline: CallTimeline
    queue_time_ms: int
    sid: str = field(default_factory=lambda: new_sid("CA"))
    status: str = "queued"
    created_at: datetime = field(init=False)
    updated_at: datetime = field(init=False)
    start_time: datetime | None = None
    end_time: datetime | None = None
    answered_at_elapsed: float | None = None
    duration: int | None = None
    price_micros: int | None = None
    answered_by: str | None = None
    sip_response_code: int | None = None
    events: list[WebhookEvent] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    on_status: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.created_at = self.updated_at = self.timeline.now()

    @property
    def ended(self) -> bool:
        """Whether the call reached a final status."""
        return self.status in ENDED_STATUSES

    @property
    def path(self) -> str:
        """The resource's path without `.json`."""
        return f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}"

    def amend(self, **changes: Any) -> None:
        """Replace parameters of the call (an update may)."""
        self.parameters = replace(self.parameters, **changes)

    def enter(self, status: str) -> None:
        """Change the status now."""
        self.status = status
        self.updated_at = self.timeline.now()
        self.on_status()

    def dialed(self) -> None:
        """The call left the queue."""
        self.start_time = self.updated_at = self.timeline.now()

    def answered(self) -> None:
        """The callee answered: Twilio counts the call from here."""
        self.enter("in-progress")
        self.start_time = self.timeline.now()
        self.answered_at_elapsed = self.timeline.elapsed_seconds

    def end(self, status: str, sip_response_code: int | None) -> None:
        """Close the call; end_time − start_time is the duration, 0 for a call that nobody answered."""
        self.enter(status)
        self.sip_response_code = sip_response_code
        self.end_time = self.timeline.now()
        self.duration = 0
        if self.answered_at_elapsed is not None:
            talked = round(self.timeline.elapsed_seconds - self.answered_at_elapsed)
            self.duration = min(max(talked, 1), self.parameters.time_limit)
            assert self.start_time is not None
            self.end_time = datetime.fromtimestamp(int(self.start_time.timestamp()) + self.duration, UTC)
        elif self.start_time is not None:
            self.start_time = self.end_time

    @property
    def billed_minutes(self) -> int:
        """Started minutes."""
        return math.ceil((self.duration or 0) / 60)

    def notify(self, code: int, text: str, *, url: str = "", method: str = "POST", body: str = "") -> None:
        """Log an error or warning."""
        self.notifications.append(
            Notification(new_sid("NO"), code, text, self.timeline.now(), url=url, method=method, response_body=body)
        )

    def to_json(self) -> dict[str, Any]:
        """The Call resource."""
        return {
            "sid": self.sid,
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.updated_at),
            "parent_call_sid": None,
            "account_sid": self.account_sid,
            "to": self.parameters.to,
            "to_formatted": format_number(self.parameters.to),
            "from": self.parameters.from_,
            "from_formatted": format_number(self.parameters.from_),
            "phone_number_sid": "PN" + hashlib.sha256(self.parameters.from_.encode()).hexdigest()[:32],
            "status": self.status,
            "start_time": rfc2822(self.start_time) if self.start_time else None,
            "end_time": rfc2822(self.end_time) if self.end_time else None,
            "duration": None if self.duration is None else str(self.duration),
            "price": None if self.price_micros is None else format_price(self.price_micros),
            "price_unit": "USD",
            "direction": "outbound-api",
            "answered_by": self.answered_by,
            "api_version": API_VERSION,
            "annotation": None,
            "forwarded_from": None,
            "group_sid": None,
            "caller_name": None,
            "queue_time": str(self.queue_time_ms),
            "trunk_sid": None,
            "uri": f"{self.path}.json",
            "subresource_uris": {name: f"{self.path}/{_camel(name)}.json" for name in _SUBRESOURCES},
        }

    def recording_path(self, recording: Recording) -> str:
        """The resource's path; its audio is there without `.json`."""
        return f"/{API_VERSION}/Accounts/{self.account_sid}/Recordings/{recording.id}"

    def recording_to_json(self, recording: Recording) -> dict[str, Any]:
        """One of the call's recordings as a Recording resource."""
        created = rfc2822(recording.begun_at)
        return {
            "sid": recording.id,
            "account_sid": self.account_sid,
            "call_sid": self.sid,
            "conference_sid": None,
            "api_version": API_VERSION,
            "status": recording.status,
            "source": "StartCallRecordingAPI",
            "channels": recording.channels,
            "start_time": created,
            "date_created": created,
            "date_updated": rfc2822(recording.ended_at or recording.begun_at),
            "duration": str(recording.seconds) if recording.ended_at else None,
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "encryption_details": None,
            "trim": "do-not-trim",
            "uri": f"{self.recording_path(recording)}.json",
        }

    def notification_to_json(self, notification: Notification) -> dict[str, Any]:
        """One of the call's notifications as a Notification resource."""
        created = rfc2822(notification.created_at)
        return {
            "sid": notification.sid,
            "account_sid": self.account_sid,
            "call_sid": self.sid,
            "api_version": API_VERSION,
            "date_created": created,
            "date_updated": created,
            "message_date": created,
            "message_text": notification.text,
            "error_code": str(notification.code),
            "log": "1" if notification.code in WARNINGS else "0",
            "more_info": more_info(notification.code),
            "request_method": notification.method,
            "request_url": notification.url,
            "request_variables": "",
            "response_body": notification.response_body,
            "response_headers": "",
            "uri": f"{self.path}/Notifications/{notification.sid}.json",
        }


def event_to_json(event: WebhookEvent) -> dict[str, Any]:
    """A webhook as an item of the Events subresource; parameter names in snake case, as Twilio gives them."""
    return {
        "request": {
            "method": event.method,
            "url": event.url,
            "parameters": {_snake(name): value for name, value in event.form},
        },
        "response": {
            "date_created": rfc2822(event.created_at),
            "request_duration": event.duration_ms,
            "response_code": event.response_code,
            "content_type": event.content_type,
            "response_body": event.response_body,
        },
    }


def format_price(micros: int) -> str:
    """A price as Twilio writes it: negative, five decimals."""
    return f"-{micros // 1_000_000}.{micros % 1_000_000 // 10:05d}"


def format_number(number: str) -> str:
    """A number for display: national form for North America, unchanged otherwise."""
    if number.startswith("+1") and len(number) == 12:
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number


def country_of(number: str) -> str:
    """ISO code of a number's country, empty when it has none (SIP, client)."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ""
    exact = phonenumbers.region_code_for_number(parsed)
    return exact or phonenumbers.region_code_for_country_code(parsed.country_code or 0)


class CallStore:
    """Every call of the simulated Twilio, in the order of creation."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def add(self, call: Call) -> None:
        """Keep a call."""
        self._calls[call.sid] = call

    def find(self, account_sid: str, sid: str) -> Call | None:
        """A call of an account."""
        call = self._calls.get(sid)
        return call if call is not None and call.account_sid == account_sid else None

    def newest_first(self, account_sid: str) -> Iterator[Call]:
        """An account's calls, the newest first."""
        return (call for call in reversed(self._calls.values()) if call.account_sid == account_sid)

    def clear(self) -> None:
        """Forget every call."""
        self._calls.clear()


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name).lstrip("_")


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
