"""What ElevenLabs reports about a call, from the fields of a webhook or a conversation to a ``CallEvent``.

Authenticity and which fields come this far belong to ``webhooks``; what an event does to a call is decided after, by
``domain.calls``.
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dialplane.carriers.elevenlabs.webhooks import FAILURE, RESOURCE, TRANSCRIPTION
from dialplane.domain.calls import CallEvent
from dialplane.domain.statuses import CallStatus

CONVERSATION_STATUSES = {
    "initiated": CallStatus.INITIATED,
    "in-progress": CallStatus.IN_PROGRESS,
    "processing": CallStatus.IN_PROGRESS,  # the callee has gone, what was said is still being worked on
    "done": CallStatus.COMPLETED,
    "failed": CallStatus.FAILED,
}
# In the hyphens of a failure's reason and in the underscores of a conversation's call_result.
UNANSWERED = {
    "busy": CallStatus.BUSY,
    "no-answer": CallStatus.NO_ANSWER,
    "no_answer": CallStatus.NO_ANSWER,
    "canceled": CallStatus.CANCELED,  # Twilio's word, where ElevenLabs has only "unknown"
}
# ElevenLabs has no word for a callee who declined; what Twilio said has: 603 Decline (RFC 3261).
_SIP_DECLINE = 603
_VOICEMAIL = "voicemail"


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate the fields of a Report or of a CarrierCall into a CallEvent.

    ``received_at`` (UTC) bounds the time ElevenLabs states. Raises ValueError for a status that is not known.
    """
    kind = fields["type"]
    status = _status(fields)
    conversation_id, call_sid = fields.get("conversation_id"), fields.get("call_sid")
    is_voicemail = fields.get("call_result") == _VOICEMAIL
    cost, currency = _cost(fields)
    return CallEvent(
        key=_event_key(fields),
        source="reconciler" if kind == RESOURCE else "callback",
        carrier_call_id=conversation_id or fields["call_sid"],
        other_carrier_call_id=call_sid if conversation_id else None,
        carrier_status=fields.get("failure_reason" if kind == FAILURE else "status", kind),
        status=status,
        occurred_at=_occurred_at(fields, status, received_at),
        duration_seconds=duration_seconds(fields) if status.is_terminal else None,
        sip_response_code=_integer(fields.get("sip_response_code")),
        answered_by="machine" if is_voicemail else None,
        answered_by_raw=_VOICEMAIL if is_voicemail else None,
        carrier_cost=cost,
        carrier_cost_currency=currency,
        is_final_record=kind == RESOURCE and status.is_terminal,
    )


def duration_seconds(fields: Mapping[str, str]) -> int | None:
    """The whole seconds that the fields state."""
    return _integer(fields.get("call_duration_secs", "").partition(".")[0])


def parse_time(text: str | None) -> datetime | None:
    """Read one of ElevenLabs' times (unix seconds); None when it is absent or 0."""
    return datetime.fromtimestamp(int(text), UTC) if text and int(text) else None


def _status(fields: Mapping[str, str]) -> CallStatus:
    if fields["type"] == FAILURE:
        if _integer(fields.get("sip_response_code")) == _SIP_DECLINE:
            return CallStatus.REJECTED
        words = (fields.get("failure_reason", ""), fields.get("carrier_status", ""))
        return next((UNANSWERED[word] for word in words if word in UNANSWERED), CallStatus.FAILED)
    word = fields.get("status", "")
    status = CONVERSATION_STATUSES.get(word)
    if fields["type"] == TRANSCRIPTION and (status is None or not status.is_terminal):
        status = CallStatus.COMPLETED  # it is sent when the conversation is over, whatever it says of itself
    if status is None:
        raise ValueError(f"unknown ElevenLabs status {word!r}; known are {', '.join(CONVERSATION_STATUSES)}")
    if not status.is_terminal:
        return status
    # "failed" may be said of the agent or of its analysis: who was connected has had a call.
    if duration_seconds(fields):
        return CallStatus.COMPLETED
    return UNANSWERED.get(fields.get("call_result", ""), status)


def _occurred_at(fields: Mapping[str, str], status: CallStatus, received_at: datetime) -> datetime | None:
    """When the status began: the conversation's start or end, else the time of the webhook."""
    started_at, seconds = parse_time(fields.get("start_time_unix_secs")), duration_seconds(fields)
    stated = started_at if status is CallStatus.IN_PROGRESS else None
    if status.is_terminal and started_at is not None and seconds is not None:
        stated = started_at + timedelta(seconds=seconds)
    elif status.is_terminal:
        stated = parse_time(fields.get("event_timestamp"))
    return min(stated, received_at) if stated else None


def _event_key(fields: Mapping[str, str]) -> str:
    key = f"{fields.get('conversation_id') or fields['call_sid']}:{fields['type']}"
    if fields["type"] != RESOURCE:
        return key
    # Two readings differ when their facts do: the cost comes after the end and is no repeat.
    names = ("status", "call_duration_secs", "call_result", "cost", "cost_fiat")
    return f"{key}:{'/'.join(fields.get(name, '') for name in names)}"


def _cost(fields: Mapping[str, str]) -> tuple[str | None, str | None]:
    """What ElevenLabs takes: in dollars where it says so, in its own credits otherwise."""
    if fiat := fields.get("cost_fiat"):
        return fiat, "USD"
    credits_ = fields.get("cost")
    return credits_, "credits" if credits_ else None


def _integer(text: str | None) -> int | None:
    return int(text) if text else None
