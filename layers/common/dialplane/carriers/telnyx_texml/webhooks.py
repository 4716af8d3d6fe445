"""TeXML's requests to us: forms in Twilio's words under Telnyx's signatures, and which of their fields may travel on.

No phone numbers, no names. Loaded while a callee says hello, so next to nothing is imported. What the fields mean
belongs to ``events``.
https://developers.telnyx.com/api-reference/callbacks/texml-call-completed
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dialplane.carriers.contract import Answer, CarrierCredentials, ForeignAccount, InvalidCallback, Report
from dialplane.carriers.telnyx.signature import (
    SIGNATURE_HEADER,
    SOCKET_SIGNATURE_HEADER,
    api_url,
    is_authentic,
    is_authentic_socket,
)
from dialplane.carriers.twilio import fields as twilio

if TYPE_CHECKING:
    from dialplane.domain.statuses import AnsweredBy

__all__ = [
    "SIGNATURE_HEADER",
    "SOCKET_SIGNATURE_HEADER",
    "UNSIGNED_STATUS",
    "is_authentic",
    "is_authentic_socket",
    "parse_answer",
    "parse_report",
]

UNSIGNED_STATUS = 403

# Telnyx documents the first three; the others are Twilio's, whose words TeXML has.
ANSWERED_BY: Mapping[str, AnsweredBy] = {
    "human": "human",
    "machine": "machine",
    "not_sure": "unknown",
    "machine_start": "machine",
    "machine_end_beep": "machine_beep",
    "machine_end_silence": "machine_silence",
    "machine_end_other": "machine",
    "fax": "fax",
}
_WORD = r"[A-Za-z][A-Za-z_-]{0,39}"
_NUMBER = r"[0-9]{1,9}"
# ISO 8601, with a space before the time of day now and then; the books have times in RFC 2822 as well.
_TIME = r"[A-Za-z0-9,:. +-]{10,40}"
# The allow-list. A value that does not match its pattern is not from Telnyx, whatever the signature says.
_FIELDS = {
    "CallSid": re.compile(r"[A-Za-z0-9_:.=-]{1,200}"),
    "AccountSid": re.compile(r"[A-Za-z0-9-]{1,64}"),
    "CallStatus": re.compile(_WORD),
    "SequenceNumber": re.compile(_NUMBER),
    "Timestamp": re.compile(_TIME),
    "AnsweredTime": re.compile(_TIME),
    "CallbackSource": re.compile(_WORD),
    "CallDuration": re.compile(_NUMBER),
    "HangupCause": re.compile(_WORD),
    "HangupSource": re.compile(_WORD),
    "AnsweredBy": re.compile(_WORD),
    "RecordingSid": re.compile(r"[A-Za-z0-9-]{1,64}"),
    "RecordingStatus": re.compile(_WORD),
    "SessionStatus": re.compile(_WORD),
    "ErrorCode": re.compile(_NUMBER),
    "Price": re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?"),
    "PriceUnit": re.compile(r"[A-Z]{3}"),
}


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic status callback. Raises InvalidCallback, and ForeignAccount for another AccountSid.

    The address that it states of a recording opens it to anybody for ten minutes: it is replaced by that of the books.
    """
    fields = _read(body)
    _check_account(credentials, fields)
    check_fields(fields)
    if "RecordingSid" in fields:
        recording = f"Accounts/{fields['AccountSid']}/Recordings/{fields['RecordingSid']}.json"
        fields["RecordingUrl"] = f"{api_url(credentials)}/v2/texml/{recording}"
    return Report(fields)


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """Read an authentic request for instructions. Raises InvalidCallback and ForeignAccount."""
    fields = _read(body)
    _check_account(credentials, fields)
    if "CallSid" not in fields:
        raise InvalidCallback("CallSid missing")
    raw = fields.get("AnsweredBy")
    status = twilio.to_session_status(fields.get("SessionStatus"))
    return Answer(fields["CallSid"], to_answered_by(raw), raw, status)


def to_answered_by(raw: str | None) -> AnsweredBy | None:
    """Translate AnsweredBy; a word of the future is ``unknown``, absence is None."""
    return ANSWERED_BY.get(raw, "unknown") if raw else None


def check_fields(fields: Mapping[str, str]) -> None:
    """Hold fields to the allow-list, wherever they come from. Raises InvalidCallback."""
    twilio.check_fields(fields, _FIELDS)


def _check_account(credentials: CarrierCredentials, fields: Mapping[str, str]) -> None:
    if "AccountSid" not in fields:
        raise InvalidCallback("AccountSid missing")
    if fields["AccountSid"] != credentials.get("account_sid"):  # None where the same key is Call Control's
        raise ForeignAccount


def _read(body: bytes) -> dict[str, str]:
    """The listed fields of a form; empty values count as absent. Raises InvalidCallback."""
    fields: dict[str, str] = {}
    for name, value in twilio.parse_form(body):
        if name not in _FIELDS or not value:
            continue
        if name in fields:
            raise InvalidCallback(f"{name} is there twice; Telnyx sends it once")
        if not _FIELDS[name].fullmatch(value):
            raise InvalidCallback(f"{name} has a value of an unknown form")
        fields[name] = value
    return fields
