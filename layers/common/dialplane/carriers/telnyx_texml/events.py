"""What a TeXML application reports about a call, from its form or its call resource to a ``CallEvent``.

Authenticity is checked before, by ``telnyx.signature``; which fields come this far is listed in ``webhooks``; what an
event does to a call is decided after, by ``domain.calls``.
https://developers.telnyx.com/api-reference/callbacks/texml-call-completed
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dialplane.carriers.telnyx import events as call_control
from dialplane.carriers.telnyx_texml.webhooks import check_fields, to_answered_by
from dialplane.carriers.twilio import events as twilio
from dialplane.domain.calls import CallEvent
from dialplane.domain.statuses import CallStatus

CALL_STATUSES: Mapping[str, CallStatus] = {
    "queued": CallStatus.QUEUED,
    "initiated": CallStatus.INITIATED,
    "ringing": CallStatus.RINGING,
    "in-progress": CallStatus.IN_PROGRESS,
    "answered": CallStatus.IN_PROGRESS,
    "completed": CallStatus.COMPLETED,
    "busy": CallStatus.BUSY,
    "failed": CallStatus.FAILED,
    "no-answer": CallStatus.NO_ANSWER,
    "canceled": CallStatus.CANCELED,
}


class UnknownCallStatus(ValueError):
    """TeXML reports a status that this version does not know; ``status`` is its word."""

    def __init__(self, status: str) -> None:
        super().__init__(f"unknown TeXML CallStatus {status!r}; known are {', '.join(CALL_STATUSES)}")
        self.status = status


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate fields (of ``parse_report`` or ``call_resource_to_fields``) into a CallEvent.

    ``received_at`` (UTC) bounds the time Telnyx states: a report cannot be about the future. Raises UnknownCallStatus.
    """
    if "CallStatus" not in fields:
        return twilio.beside_the_call(fields, to_answered_by(fields.get("AnsweredBy")))
    is_resource = fields.get("CallbackSource") == twilio.RESOURCE_SOURCE
    status = _status(fields)
    raw_answered_by = fields.get("AnsweredBy")
    cost = fields.get("Price") if "PriceUnit" in fields else None
    return CallEvent(
        key=twilio.event_key(fields),
        source="reconciler" if is_resource else "callback",
        carrier_call_id=fields["CallSid"],
        carrier_status=":".join(fields[name] for name in ("CallStatus", "HangupCause") if name in fields),
        status=status,
        occurred_at=_occurred_at(fields.get("Timestamp"), received_at),
        sequence=call_control.integer(fields.get("SequenceNumber")),
        duration_seconds=call_control.integer(fields.get("CallDuration")) if status.is_terminal else None,
        answered_by=to_answered_by(raw_answered_by),
        answered_by_raw=raw_answered_by,
        # Twilio's manner, which TeXML copies, is to state what it takes from its customer as a negative number.
        carrier_cost=cost.removeprefix("-") if cost else None,
        carrier_cost_currency=fields.get("PriceUnit") if cost else None,
        is_end_ambiguous=status is CallStatus.COMPLETED and not _is_certainly_answered(fields),
        is_final_record=is_resource and status.is_terminal,
    )


def call_resource_to_fields(resource: Mapping[str, Any]) -> dict[str, str]:
    """Turn a fetched call resource (JSON) into the fields a callback would have brought, plus its price.

    Raises InvalidCallback when the resource is not one.
    """
    status = str(resource.get("status") or "")
    has_ended = status in CALL_STATUSES and CALL_STATUSES[status].is_terminal
    fields = twilio.resource_fields(resource, has_ended=has_ended)
    check_fields(fields)
    return fields


def parse_time(text: object) -> datetime | None:
    """Read one of TeXML's times (ISO 8601, in the books RFC 2822 as well) as UTC; None when it is unreadable."""
    return call_control.parse_time(text) or twilio.parse_time(text)


def _status(fields: Mapping[str, str]) -> CallStatus:
    """The state that CallStatus and HangupCause tell together.

    ``completed`` is also the event of calls that nobody answered, and no CallStatus tells a callee who declined.
    """
    word = fields["CallStatus"]
    status = CALL_STATUSES.get(word)
    if status is None:
        raise UnknownCallStatus(word)
    told = call_control.HANGUP_CAUSES.get(fields.get("HangupCause", ""))
    if not status.is_terminal or told is None:
        return status
    if status is CallStatus.COMPLETED:
        return status if _is_certainly_answered(fields) else told
    return told if told is CallStatus.REJECTED else status


def _is_certainly_answered(fields: Mapping[str, str]) -> bool:
    has_connected_time = bool(call_control.integer(fields.get("CallDuration")))
    return has_connected_time or "AnsweredTime" in fields or fields.get("HangupCause") == "time_limit"


def _occurred_at(text: str | None, received_at: datetime) -> datetime | None:
    stated = parse_time(text)
    return min(stated, received_at) if stated else None
