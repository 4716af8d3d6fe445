"""The fields of Twilio's forms that may travel on into queues, timelines and logs: no phone numbers, no names.

For ``webhooks`` and ``events`` both, without what only one of them needs; TeXML, which has Twilio's words, reads its
forms by the same rules. What they mean belongs to ``events``.
https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from dialplane.carriers.contract import InvalidCallback

if TYPE_CHECKING:
    from dialplane.carriers.contract import SessionStatus
    from dialplane.domain.statuses import AnsweredBy

FIELDS_MAX = 200
ANSWERED_BY: dict[str, AnsweredBy] = {
    "human": "human",
    "machine_start": "machine",
    "machine_end_beep": "machine_beep",
    "machine_end_silence": "machine_silence",
    "machine_end_other": "machine",
    "fax": "fax",
    "unknown": "unknown",
}
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
    "RecordingStatus": re.compile(_WORD),
    "RecordingUrl": re.compile(r"https?://[A-Za-z0-9.:-]{1,200}/[A-Za-z0-9._~/-]{1,300}"),
    "SessionStatus": re.compile(_WORD),
    "ErrorCode": re.compile(_NUMBER),
    "Price": re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?"),
    "PriceUnit": re.compile(r"[A-Z]{3}"),
}
_REQUIRED = ("CallSid", "AccountSid")
_STATUS = "CallStatus"
# A report about something beside the call's progress has no status and one of these: a verdict on who has answered, or
# what became of a recording.
_INSTEAD_OF_STATUS = ("AnsweredBy", "RecordingStatus")
# Where a recording lies is good to know, and no reason to lose what else the report says.
_DISPENSABLE = frozenset({"RecordingUrl"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")


def parse_form(raw_body: bytes) -> list[tuple[str, str]]:
    """The names and values of a form, as they are. Raises InvalidCallback for a body that is none."""
    try:
        return parse_qsl(
            raw_body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise InvalidCallback("the body is not a form") from None  # the error may hold any of it: not repeated


def parse_fields(raw_body: bytes) -> dict[str, str]:
    """Read an authentic form into the fields that may travel on; empty values count as absent.

    Twilio signs names and values run together, so ``A=BC`` and ``AB=C`` have the same signature: names that are a
    known name cut short or grown longer are refused. Raises InvalidCallback.
    """
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in parse_form(raw_body):
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
            if name in _DISPENSABLE:
                continue
            raise InvalidCallback(f"{name} has a value of an unknown form")  # the value may hold anything: not repeated
        fields[name] = value
    if missing := [name for name in _required(fields) if name not in fields]:
        raise InvalidCallback(f"{', '.join(missing)} missing")
    return fields


def check_fields(fields: Mapping[str, str], allowed: Mapping[str, re.Pattern[str]] = _FIELDS) -> None:
    """Hold fields to an allow-list, wherever they come from. Raises InvalidCallback."""
    for name in (*_required(fields), *fields):
        if not allowed[name].fullmatch(fields.get(name, "")):
            raise InvalidCallback(f"no usable value for {name}")  # the value may hold anything: not repeated


def to_session_status(raw: str | None) -> SessionStatus | None:
    """Translate Twilio's SessionStatus. A word of the future says that the session is over, and no more."""
    if raw is None:
        return None
    return "failed" if raw == "failed" else "ended" if raw == "ended" else "completed"


def _required(fields: Mapping[str, str]) -> tuple[str, ...]:
    return _REQUIRED if any(name in fields for name in _INSTEAD_OF_STATUS) else (*_REQUIRED, _STATUS)


def to_answered_by(raw: str | None) -> AnsweredBy | None:
    """Translate Twilio's AnsweredBy; a word of the future is ``unknown``, absence is None."""
    return ANSWERED_BY.get(raw, "unknown") if raw else None


def _check_unknown_name(name: str) -> None:
    """Let fields pass that Twilio may add some day, but none that a shifted border between name and value makes."""
    if not _NAME.fullmatch(name):
        raise InvalidCallback("a field name has characters that Twilio does not use")
    if any(name.startswith(known) or known.startswith(name) for known in _FIELDS):
        raise InvalidCallback(f"field {name[:40]!r} is a known name with its border moved")
