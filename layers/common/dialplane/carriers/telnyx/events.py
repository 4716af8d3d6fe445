"""What Telnyx reports about a call, from the fields of ``webhooks`` or of its call resource to a ``CallEvent``.

Authenticity is checked before, by ``signature``; what an event does to a call is decided after, by ``domain.calls``.
There is no ringing event in Call Control.
https://developers.telnyx.com/api-reference/callbacks/call-hangup
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dialplane.carriers.telnyx.webhooks import INSTRUCTIONS_DONE, RECORDING_SAVED, TRANSFER_OVER
from dialplane.domain.calls import CallEvent
from dialplane.domain.statuses import AnsweredBy, CallStatus

RESOURCE = "call-resource"
"""The event_type of fields that we read from the call resource instead of receiving them."""
BOOKS_FIELDS = ("call_control_id", "is_alive", "call_duration", "end_time")

STATUSES: Mapping[str, CallStatus] = {
    "call.initiated": CallStatus.INITIATED,
    "call.answered": CallStatus.IN_PROGRESS,
}
HANGUP_CAUSES: Mapping[str, CallStatus] = {
    "normal_clearing": CallStatus.COMPLETED,
    "time_limit": CallStatus.COMPLETED,
    "user_busy": CallStatus.BUSY,
    "timeout": CallStatus.NO_ANSWER,
    "no_answer": CallStatus.NO_ANSWER,
    "originator_cancel": CallStatus.CANCELED,
    "call_rejected": CallStatus.REJECTED,
    "not_found": CallStatus.FAILED,
    "unspecified": CallStatus.FAILED,
}
# The cause that Telnyx also gives when a call that rings is hung up by us.
AMBIGUOUS_CAUSE = "normal_clearing"
# The cause that a call has which could not be made, and one that breaks off: what was answered is paid for.
_BROKEN_OFF = "unspecified"

ANSWERED_BY: Mapping[str, AnsweredBy] = {
    "human": "human",
    "human_residence": "human",
    "human_business": "human",
    "machine": "machine",
    "silence": "silence",
    "fax_detected": "fax",
    "not_sure": "unknown",
}
# What the end of a greeting says about who answered: only machines have one.
GREETING_ENDED: Mapping[str, AnsweredBy] = {
    "beep_detected": "machine_beep",
    "ended": "machine_silence",
    "no_beep_detected": "machine",
    "not_sure": "machine",
}


class UnknownHangupCause(ValueError):
    """Telnyx gives a cause that this version does not know; ``cause`` is its word."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"unknown Telnyx hangup_cause {cause!r}; known are {', '.join(HANGUP_CAUSES)}")
        self.cause = cause


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate fields (of ``parse_report`` or ``call_resource_to_fields``) into a CallEvent.

    ``received_at`` (UTC) bounds the time Telnyx states: a report cannot be about the future. Raises UnknownHangupCause.
    """
    if fields["event_type"] == RESOURCE:
        return _of_resource(fields, received_at)
    return _of_webhook(fields, received_at)


def _of_webhook(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    event_type = fields["event_type"]
    cause = fields.get("hangup_cause")
    result = fields.get("result")
    is_cost, is_recording = event_type == "call.cost", event_type == RECORDING_SAVED
    detail = cause or result or fields.get("reason")
    return CallEvent(
        key=fields["id"],
        source="callback",
        carrier_call_id=fields.get("call_control_id", ""),
        carrier_status=f"{event_type}:{detail}" if detail else event_type,
        status=hangup_status(cause) if cause is not None else STATUSES.get(event_type),
        status_if_answered=CallStatus.COMPLETED if cause == _BROKEN_OFF else None,
        occurred_at=occurred_at(fields.get("occurred_at"), received_at),
        duration_seconds=integer(fields.get("billed_duration_secs")) if is_cost else None,
        sip_response_code=integer(fields.get("sip_hangup_cause")),
        answered_by=_answered_by(event_type, result) if result else None,
        answered_by_raw=result,
        carrier_cost=fields.get("total_cost") if is_cost else None,
        carrier_cost_currency=fields.get("currency") if is_cost else None,
        # Where Telnyx gives the recording no name of its own, it is found by the call's leg.
        recording_id=fields.get("recording_id") or fields["call_leg_id"] if is_recording else None,
        recording_url=fields.get("recording_url") if is_recording else None,
        is_end_ambiguous=cause == AMBIGUOUS_CAUSE,
        is_final_record=is_cost,
        are_instructions_done=event_type in INSTRUCTIONS_DONE or event_type == TRANSFER_OVER,
    )


def _of_resource(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    # Not alive is also a call that Telnyx has taken on and not begun to dial; only one with an end has ended.
    has_ended = fields.get("is_alive") == "false" and "end_time" in fields
    facts = "/".join(fields.get(name, "") for name in BOOKS_FIELDS[1:])
    return CallEvent(
        key=f"{fields['call_control_id']}:{facts}:{RESOURCE}",
        source="reconciler",
        carrier_call_id=fields["call_control_id"],
        carrier_status="ended" if has_ended else "alive",
        # Alive says that it is dialled or answered, and not which of them.
        status=CallStatus.COMPLETED if has_ended else CallStatus.INITIATED,
        occurred_at=occurred_at(fields.get("end_time"), received_at) if has_ended else None,
        duration_seconds=integer(fields.get("call_duration")) if has_ended else None,
        is_end_ambiguous=has_ended,
        is_final_record=has_ended,
    )


def call_resource_to_fields(resource: Mapping[str, Any]) -> dict[str, str]:
    """Turn a fetched call resource (the ``data`` of its JSON) into the fields ``to_call_event`` reads."""
    candidates = {
        "event_type": RESOURCE,
        "call_control_id": resource.get("call_control_id"),
        "is_alive": "true" if resource.get("is_alive") is True else "false",
        "call_duration": resource.get("call_duration"),
        "end_time": resource.get("end_time"),
    }
    return {name: str(value) for name, value in candidates.items() if value not in (None, "")}


def hangup_status(cause: str) -> CallStatus:
    """The state that a hang-up cause stands for. Raises UnknownHangupCause."""
    status = HANGUP_CAUSES.get(cause)
    if status is None:
        raise UnknownHangupCause(cause)
    return status


def parse_time(text: object) -> datetime | None:
    """Read one of Telnyx's times (ISO 8601) as UTC; None when it is absent, unreadable or without a zone."""
    try:
        parsed = datetime.fromisoformat(text) if isinstance(text, str) else None
        return parsed.astimezone(UTC) if parsed is not None and parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def occurred_at(text: str | None, received_at: datetime) -> datetime | None:
    """The time that a report states, never later than its receipt."""
    stated = parse_time(text)
    return min(stated, received_at) if stated else None


def integer(text: str | None) -> int | None:
    """The number in a text of digits."""
    return int(text) if text and text.isascii() and text.isdigit() else None


def _answered_by(event_type: str, result: str) -> AnsweredBy:
    table = GREETING_ENDED if event_type.endswith("greeting.ended") else ANSWERED_BY
    return table.get(result, "unknown")
