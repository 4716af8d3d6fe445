"""What Vonage reports about a call, from its webhook or its record to a ``CallEvent``.

Authenticity and which fields come this far belong to ``webhooks``; what an event does to a call is decided after, by
``domain.calls``.
https://developer.vonage.com/en/voice/voice-api/webhook-reference
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dialplane.carriers.vonage.webhooks import to_fields
from dialplane.domain.calls import CallEvent
from dialplane.domain.statuses import AnsweredBy, CallStatus


class UnknownCallStatus(ValueError):
    """Vonage reports a status that this version does not know; ``status`` is its word."""

    def __init__(self, status: str) -> None:
        known = ", ".join((*CALL_STATUSES, *VERDICTS))
        super().__init__(f"unknown Vonage status {status!r}; known are {known}")
        self.status = status


CALL_STATUSES = {
    "started": CallStatus.INITIATED,
    "ringing": CallStatus.RINGING,
    "answered": CallStatus.IN_PROGRESS,
    "completed": CallStatus.COMPLETED,
    "busy": CallStatus.BUSY,
    "timeout": CallStatus.NO_ANSWER,
    "unanswered": CallStatus.NO_ANSWER,
    "cancelled": CallStatus.CANCELED,
    "rejected": CallStatus.REJECTED,
    "failed": CallStatus.FAILED,
}
# Who answered, as far as machine detection knows: an attribute of the call and no state of it.
VERDICTS: dict[str, AnsweredBy] = {"human": "human", "machine": "machine"}
_BEEP = "beep_start"
# Vonage refused to dial such a number: nobody's phone rang, so nobody declined.
_INVALID_NUMBER = "invalid_number"
_CURRENCY = "EUR"
_SOURCE = "source"
_RECORD = "record"


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate fields (of a Report or of ``record_to_fields``) into a CallEvent.

    ``received_at`` (UTC) bounds the time Vonage states: a report cannot be about the future. Raises UnknownCallStatus.
    """
    word = fields["status"]
    if word not in CALL_STATUSES and word not in VERDICTS:
        raise UnknownCallStatus(word)
    status = to_call_status(fields)
    is_over = status is not None and status.is_terminal
    is_record = fields.get(_SOURCE) == _RECORD
    duration = int(fields["duration"]) if is_over and "duration" in fields else None
    answered_by, answered_by_raw = _answered_by(fields)
    cost = fields.get("price") if is_over else None
    return CallEvent(
        key=_event_key(fields),
        source="reconciler" if is_record else "callback",
        carrier_call_id=_call_uuid(fields),
        carrier_status=word,
        status=status,
        occurred_at=_occurred_at(fields, received_at, is_over=is_over),
        duration_seconds=duration,
        answered_by=answered_by,
        answered_by_raw=answered_by_raw,
        carrier_cost=cost,
        carrier_cost_currency=_CURRENCY if cost else None,
        # "completed" also follows busy, unanswered and most other failures.
        is_end_ambiguous=status is CallStatus.COMPLETED and not duration,
        is_final_record=is_record and is_over,
    )


def to_call_status(fields: Mapping[str, str]) -> CallStatus | None:
    """The state that Vonage's words stand for; None when they are not about a state, or not known."""
    status = CALL_STATUSES.get(fields.get("status", ""))
    if status is CallStatus.REJECTED and fields.get("detail", "").lower() == _INVALID_NUMBER:
        return CallStatus.FAILED
    return status


def record_to_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """Turn a fetched call record (JSON) into the fields a webhook would have brought.

    Raises InvalidCallback when the record is not one.
    """
    return {**to_fields(record), _SOURCE: _RECORD}


def parse_time(text: object) -> datetime | None:
    """Read one of Vonage's times (ISO 8601, UTC where no zone is stated); None when it is absent or unreadable."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _call_uuid(fields: Mapping[str, str]) -> str:
    # A verdict names its call in a field of its own; "uuid" may be there too, for another leg.
    return fields["call_uuid"] if fields["status"] in VERDICTS and "call_uuid" in fields else fields["uuid"]


def _event_key(fields: Mapping[str, str]) -> str:
    key = f"{_call_uuid(fields)}:{fields['status']}"
    if fields.get(_SOURCE) == _RECORD:
        # Two readings differ when their facts do: the price comes after the end and is no repeat.
        return f"{key}:{fields.get('duration', '')}/{fields.get('price', '')}:{_RECORD}"
    return f"{key}:{fields.get('timestamp', '')}"


def _occurred_at(fields: Mapping[str, str], received_at: datetime, *, is_over: bool) -> datetime | None:
    # A report's own time is when it was made. A record has none, and its start_time is not said to be the answer's.
    stated = (parse_time(fields.get("end_time")) if is_over else None) or parse_time(fields.get("timestamp"))
    return min(stated, received_at) if stated else None


def _answered_by(fields: Mapping[str, str]) -> tuple[AnsweredBy | None, str | None]:
    word, sub_state = fields["status"], fields.get("sub_state")
    verdict = VERDICTS.get(word)
    if verdict is None:
        return None, None
    return ("machine_beep" if sub_state == _BEEP else verdict), (f"{word}/{sub_state}" if sub_state else word)
