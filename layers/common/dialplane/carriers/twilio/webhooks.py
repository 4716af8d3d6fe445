"""Twilio's requests to us: are they Twilio's, and which of their fields may travel on (no phone numbers, no names).

Loaded while a callee says hello, so nothing else is here. What the fields mean belongs to ``events``.
https://www.twilio.com/docs/usage/webhooks/webhooks-security
https://www.twilio.com/docs/voice/api/call-resource#statuscallbackevent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, parse_qsl, urlsplit

from dialplane.carriers.contract import (
    Answer,
    CarrierCredentials,
    ForeignAccount,
    InvalidCallback,
    Report,
    SignedRequest,
)

if TYPE_CHECKING:
    from dialplane.domain.statuses import AnsweredBy

SIGNATURE_HEADER = "x-twilio-signature"
UNSIGNED_STATUS = 403
BODY_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 200
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

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
    "ErrorCode": re.compile(_NUMBER),
    "Price": re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?"),
    "PriceUnit": re.compile(r"[A-Z]{3}"),
}
_REQUIRED = ("CallSid", "AccountSid", "CallStatus")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")


class _MultiValues(dict[str, list[str]]):
    """Form values by name in the interface that the validator looks for; a plain dict would lose repeated names."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def is_authentic(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether Twilio signed this request with the account's auth token.

    The answer is that of Twilio's own validator, with its pitfalls closed: bodies over 64 kB, other content types than
    a form or JSON, and JSON without ``bodySHA256`` in the URL are not authentic.
    """
    from twilio.request_validator import RequestValidator  # noqa: PLC0415 - only who verifies needs it

    signature = request.headers.get(SIGNATURE_HEADER)
    if not signature or len(request.body) > BODY_BYTES_MAX:
        return False
    validator = RequestValidator(credentials["auth_token"])
    # Connection overrides (#rc=2) are for Twilio's client and are not part of what it signs.
    url = request.url.partition("#")[0]
    try:
        parameters = _signed_parameters(url, request.body, request.headers.get("content-type"))
        return bool(validator.validate(url, parameters, signature))
    except ValueError:  # not UTF-8, too many fields, an impossible port: nothing that Twilio sends
        return False


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic status callback. Raises InvalidCallback and ForeignAccount."""
    return Report(_fields_of(credentials, body))


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """Read an authentic request for TwiML. Raises InvalidCallback and ForeignAccount."""
    fields = _fields_of(credentials, body)
    raw = fields.get("AnsweredBy")
    return Answer(fields["CallSid"], to_answered_by(raw), raw)


def parse_fields(raw_body: bytes) -> dict[str, str]:
    """Read an authentic form into the fields that may travel on; empty values count as absent.

    Twilio signs names and values run together, so ``A=BC`` and ``AB=C`` have the same signature: names that are a
    known name cut short or grown longer are refused. Raises InvalidCallback.
    """
    try:
        pairs = parse_qsl(
            raw_body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
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


def check_fields(fields: Mapping[str, str]) -> None:
    """Hold fields that were not parsed from a form to the same allow-list. Raises InvalidCallback."""
    for name in (*_REQUIRED, *fields):
        if not _FIELDS[name].fullmatch(fields.get(name, "")):
            raise InvalidCallback(f"no usable value for {name}")


def to_answered_by(raw: str | None) -> AnsweredBy | None:
    """Translate Twilio's AnsweredBy; a word of the future is ``unknown``, absence is None."""
    return ANSWERED_BY.get(raw, "unknown") if raw else None


def _signed_parameters(url: str, raw_body: bytes, content_type: str | None) -> _MultiValues | str:
    """What the validator is to check beside the URL. Raises ValueError for a body that Twilio would not send."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    body = raw_body.decode("utf-8")
    if media_type == _JSON:
        # Without the hash in the URL the signature would not cover the body at all.
        if "bodySHA256" not in parse_qs(urlsplit(url).query):
            raise ValueError("a JSON body whose hash is not in the URL")
        return body
    if media_type != _FORM:
        raise ValueError("neither a form nor JSON")
    # Strict, because the lenient defaults read different bodies as one: invalid bytes as U+FFFD, "B&x" as "B=x" signed.
    fields = parse_qs(
        body, keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=_FIELDS_MAX
    )
    return _MultiValues(fields)


def _fields_of(credentials: CarrierCredentials, body: bytes) -> dict[str, str]:
    fields = parse_fields(body)
    if fields["AccountSid"] != credentials["account_sid"]:
        raise ForeignAccount
    return fields


def _check_unknown_name(name: str) -> None:
    """Let fields pass that Twilio may add some day, but none that a shifted border between name and value makes."""
    if not _NAME.fullmatch(name):
        raise InvalidCallback("a field name has characters that Twilio does not use")
    if any(name.startswith(known) or known.startswith(name) for known in _FIELDS):
        raise InvalidCallback(f"field {name[:40]!r} is a known name with its border moved")
