"""What Twilio reports about a call, from its form or its Call resource to a ``CallEvent``.

Authenticity is checked before, by ``webhooks``; which fields come this far is listed in ``fields``; what an event does
to a call is decided after, by ``domain.calls``.
https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from dialplane.carriers.contract import InvalidCallback
from dialplane.carriers.twilio.fields import check_fields, to_answered_by
from dialplane.domain.calls import CallEvent
from dialplane.domain.statuses import AnsweredBy, CallStatus


class UnknownCallStatus(ValueError):
    """Twilio reports a status that this version does not know; ``status`` is its word."""

    def __init__(self, status: str) -> None:
        super().__init__(f"unknown Twilio CallStatus {status!r}; known are {', '.join(CALL_STATUSES)}")
        self.status = status


CALL_STATUSES = {
    "queued": CallStatus.QUEUED,
    "initiated": CallStatus.INITIATED,
    "ringing": CallStatus.RINGING,
    "in-progress": CallStatus.IN_PROGRESS,
    "completed": CallStatus.COMPLETED,
    "busy": CallStatus.BUSY,
    "failed": CallStatus.FAILED,
    "no-answer": CallStatus.NO_ANSWER,
    "canceled": CallStatus.CANCELED,
}
# Twilio has no word for a callee who declined: it is one of these, with 603 Decline (RFC 3261) in the SIP code.
_SIP_DECLINE = 603
_DECLINED_AS = (CallStatus.BUSY, CallStatus.NO_ANSWER, CallStatus.FAILED)
RESOURCE_SOURCE = "call-resource"
"""The CallbackSource of fields that we read from the Call resource instead of receiving them."""


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate fields (of ``parse_fields`` or ``call_resource_to_fields``) into a CallEvent.

    ``received_at`` (UTC) bounds the time Twilio states: a report cannot be about the future. Raises UnknownCallStatus.
    """
    if "CallStatus" not in fields:
        return beside_the_call(fields, to_answered_by(fields.get("AnsweredBy")))
    carrier_status = fields["CallStatus"]
    status = CALL_STATUSES.get(carrier_status)
    if status is None:
        raise UnknownCallStatus(carrier_status)
    sip_response_code = _integer(fields.get("SipResponseCode"))
    if status in _DECLINED_AS and sip_response_code == _SIP_DECLINE:
        status = CallStatus.REJECTED
    raw_answered_by = fields.get("AnsweredBy")
    cost = fields.get("Price")
    return CallEvent(
        key=event_key(fields),
        source="reconciler" if fields.get("CallbackSource") == RESOURCE_SOURCE else "callback",
        carrier_call_id=fields["CallSid"],
        carrier_status=carrier_status,
        status=status,
        occurred_at=_occurred_at(fields.get("Timestamp"), received_at),
        sequence=_integer(fields.get("SequenceNumber")),
        # The minutes Twilio bills (Duration) are its business; ours is the connected time.
        duration_seconds=_integer(fields.get("CallDuration")) if status.is_terminal else None,
        sip_response_code=sip_response_code,
        answered_by=to_answered_by(raw_answered_by),
        answered_by_raw=raw_answered_by,
        # Twilio states what it takes from its customer as a negative number.
        carrier_cost=cost.removeprefix("-") if cost else None,
        carrier_cost_currency=fields.get("PriceUnit") if cost else None,
    )


def beside_the_call(fields: Mapping[str, str], answered_by: AnsweredBy | None) -> CallEvent:
    """A report that is not about the call's progress: who answered, or what became of a recording; TeXML's as well."""
    if (recording_status := fields.get("RecordingStatus")) is not None:
        recording_id = fields.get("RecordingSid") if recording_status == "completed" else None
        return CallEvent(
            key=f"{fields['CallSid']}:recording:{fields.get('RecordingSid', '')}:{recording_status}",
            source="callback",
            carrier_call_id=fields["CallSid"],
            carrier_status=f"recording:{recording_status}",
            recording_id=recording_id,
            recording_url=fields.get("RecordingUrl") if recording_id is not None else None,
        )
    raw = fields.get("AnsweredBy")
    return CallEvent(
        key=f"{fields['CallSid']}:answered-by:{raw}",
        source="callback",
        carrier_call_id=fields["CallSid"],
        carrier_status=f"answered-by:{raw}",
        answered_by=answered_by,
        answered_by_raw=raw,
    )


def call_resource_to_fields(resource: Mapping[str, Any]) -> dict[str, str]:
    """Turn a fetched Call resource (JSON) into the fields a callback would have brought, plus its price.

    Raises InvalidCallback when the resource is not one.
    """
    status = str(resource.get("status") or "")
    fields = resource_fields(resource, has_ended=status not in ("queued", "ringing", "in-progress"))
    check_fields(fields)
    return fields


def resource_fields(resource: Mapping[str, Any], *, has_ended: bool) -> dict[str, str]:
    """The same before it is held to an allow-list; TeXML's resources have the same names. Raises InvalidCallback."""
    if not resource.get("status"):
        raise InvalidCallback("a call resource without a status")
    candidates = {
        "CallSid": resource.get("sid"),
        "AccountSid": resource.get("account_sid"),
        "CallStatus": resource.get("status") or None,
        "CallDuration": resource.get("duration"),
        # start_time is when it was dialled, not when the callee answered: no time is better than a wrong one.
        "Timestamp": resource.get("end_time") if has_ended else None,
        "AnsweredBy": resource.get("answered_by"),
        "Price": resource.get("price"),
        "PriceUnit": resource.get("price_unit"),
        "CallbackSource": RESOURCE_SOURCE,
    }
    return {name: str(value) for name, value in candidates.items() if value not in (None, "")}


def parse_time(text: object) -> datetime | None:
    """Read one of Twilio's times (RFC 2822) as UTC; None when it is absent or unreadable."""
    if not isinstance(text, str):
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def event_key(fields: Mapping[str, str]) -> str:
    """What makes a report the same as another one; TeXML's have the same fields."""
    key = f"{fields['CallSid']}:{fields['CallStatus']}"
    source = fields.get("CallbackSource", "")
    if source == RESOURCE_SOURCE:
        # Two readings differ when their facts do: the price comes minutes after the end and is no repeat.
        facts = "/".join(fields.get(name, "") for name in ("CallDuration", "AnsweredBy", "Price"))
        return f"{key}:{facts}:{source}"
    return f"{key}:{fields.get('SequenceNumber', '')}:{source}"


def _occurred_at(timestamp: str | None, received_at: datetime) -> datetime | None:
    stated = parse_time(timestamp)
    return min(stated, received_at) if stated else None


def _integer(text: str | None) -> int | None:
    return int(text) if text else None
