"""What Twilio reports about a call, from its form or its Call resource to a ``CallEvent``.

The fields that may travel on (queues, timelines, logs) are listed here: no phone numbers, no names. Authenticity is
checked before, by ``signature``; what an event does to a call is decided after, by ``domain.calls``.
https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

from dialplane.domain.calls import AnsweredBy, CallEvent, CallStatus


class InvalidCallback(ValueError):
    """The form is not a call report: a field is missing, repeated, or not what Twilio documents."""


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
ANSWERED_BY: dict[str, AnsweredBy] = {
    "human": "human",
    "machine_start": "machine",
    "machine_end_beep": "machine_beep",
    "machine_end_silence": "machine_silence",
    "machine_end_other": "machine",
    "fax": "fax",
    "unknown": "unknown",
}
RESOURCE_SOURCE = "call-resource"
"""The CallbackSource of fields that we read from the Call resource instead of receiving them."""

_WORD = r"[A-Za-z][A-Za-z_-]{0,39}"
_NUMBER = r"[0-9]{1,9}"
# The allow-list. A value that does not match its pattern is not from Twilio, whatever the signature says.
_FIELDS = {
    "CallSid": re.compile(r"CA[0-9a-fA-F]{32}"),
    "AccountSid": re.compile(r"AC[0-9a-fA-F]{32}"),
    "CallStatus": re.compile(_WORD),
    "SequenceNumber": re.compile(_NUMBER),
    "Timestamp": re.compile(r"[A-Za-z0-9,:+ -]{1,40}"),
    "CallbackSource": re.compile(_WORD),
    "CallDuration": re.compile(_NUMBER),
    "Duration": re.compile(_NUMBER),
    "SipResponseCode": re.compile(r"[1-6][0-9]{2}"),
    "AnsweredBy": re.compile(_WORD),
    "MachineDetectionDuration": re.compile(_NUMBER),
    "RecordingSid": re.compile(r"RE[0-9a-fA-F]{32}"),
    "RecordingDuration": re.compile(r"-1|" + _NUMBER),
    "ErrorCode": re.compile(_NUMBER),
    "Price": re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?"),
    "PriceUnit": re.compile(r"[A-Z]{3}"),
}
_REQUIRED = ("CallSid", "AccountSid", "CallStatus")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")


def parse_fields(raw_body: bytes) -> dict[str, str]:
    """Read an authentic form into the fields that may travel on; empty values count as absent.

    Twilio signs names and values run together, so ``A=BC`` and ``AB=C`` have the same signature: names that are a
    known name cut short or grown longer are refused. Raises InvalidCallback.
    """
    try:
        pairs = parse_qsl(
            raw_body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=200
        )
    except ValueError as error:
        raise InvalidCallback(f"the body is not a form: {error}") from error
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in pairs:
        pattern = _FIELDS.get(name)
        if pattern is None:
            _check_unknown_name(name)
            continue
        if name in seen:
            raise InvalidCallback(f"{name} is there twice; Twilio sends it once")
        seen.add(name)
        if not value:
            continue
        if not pattern.fullmatch(value):
            raise InvalidCallback(f"{name} has a value of an unknown form")  # the value may hold anything: not repeated
        fields[name] = value
    if missing := [name for name in _REQUIRED if name not in fields]:
        raise InvalidCallback(f"{', '.join(missing)} missing")
    return fields


def _check_unknown_name(name: str) -> None:
    """Let fields pass that Twilio may add some day, but none that a shifted border between name and value makes."""
    if not _NAME.fullmatch(name):
        raise InvalidCallback("a field name has characters that Twilio does not use")
    if any(name.startswith(known) or known.startswith(name) for known in _FIELDS):
        raise InvalidCallback(f"field {name[:40]!r} is a known name with its border moved")


def to_call_event(fields: Mapping[str, str], received_at: datetime) -> CallEvent:
    """Translate fields (of ``parse_fields`` or ``call_resource_to_fields``) into a CallEvent.

    ``received_at`` (UTC) bounds the time Twilio states: a report cannot be about the future. Raises UnknownCallStatus.
    """
    carrier_status = fields["CallStatus"]
    status = CALL_STATUSES.get(carrier_status)
    if status is None:
        raise UnknownCallStatus(carrier_status)
    raw_answered_by = fields.get("AnsweredBy")
    cost = fields.get("Price")
    return CallEvent(
        key=_event_key(fields),
        source="reconciler" if fields.get("CallbackSource") == RESOURCE_SOURCE else "callback",
        carrier_call_id=fields["CallSid"],
        carrier_status=carrier_status,
        status=status,
        occurred_at=_occurred_at(fields.get("Timestamp"), received_at),
        sequence=_integer(fields.get("SequenceNumber")),
        # The minutes Twilio bills (Duration) are its business; ours is the connected time.
        duration_seconds=_integer(fields.get("CallDuration")) if status.is_terminal else None,
        sip_response_code=_integer(fields.get("SipResponseCode")),
        answered_by=to_answered_by(raw_answered_by),
        answered_by_raw=raw_answered_by,
        # Twilio states what it takes from its customer as a negative number.
        carrier_cost=cost.removeprefix("-") if cost else None,
        carrier_cost_currency=fields.get("PriceUnit") if cost else None,
    )


def to_answered_by(raw: str | None) -> AnsweredBy | None:
    """Translate Twilio's AnsweredBy; a word of the future is ``unknown``, absence is None."""
    return ANSWERED_BY.get(raw, "unknown") if raw else None


def call_resource_to_fields(resource: Mapping[str, Any]) -> dict[str, str]:
    """Turn a fetched Call resource (JSON) into the fields a callback would have brought, plus its price.

    Raises InvalidCallback when the resource is not one.
    """
    status = str(resource.get("status") or "")
    # start_time is when Twilio began to dial, not when the callee answered: no time is better than a wrong one.
    ended_at = resource.get("end_time") if status not in ("queued", "ringing", "in-progress") else None
    candidates = {
        "CallSid": resource.get("sid"),
        "AccountSid": resource.get("account_sid"),
        "CallStatus": status,
        "CallDuration": resource.get("duration"),
        "Timestamp": ended_at,
        "AnsweredBy": resource.get("answered_by"),
        "Price": resource.get("price"),
        "PriceUnit": resource.get("price_unit"),
        "CallbackSource": RESOURCE_SOURCE,
    }
    fields = {name: str(value) for name, value in candidates.items() if value not in (None, "")}
    for name in (*_REQUIRED, *fields):
        if not _FIELDS[name].fullmatch(fields.get(name, "")):
            raise InvalidCallback(f"the Call resource has no usable value for {name}")
    return fields


def parse_time(text: object) -> datetime | None:
    """Read one of Twilio's times (RFC 2822) as UTC; None when it is absent or unreadable."""
    if not isinstance(text, str):
        return None
    try:
        parsed = parsedate_to_datetime(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _event_key(fields: Mapping[str, str]) -> str:
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
