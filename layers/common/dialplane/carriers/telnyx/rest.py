"""What Telnyx's APIs have in common: one bearer key and one form of error. What is asked is not known here.

Call Control and TeXML share it.
https://developers.telnyx.com/development/api-fundamentals/api-errors
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.http import CarrierHttp, Reply, unavailable
from dialplane.carriers.telnyx.signature import api_url
from dialplane.domain.carrier import Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CarrierUnavailable

telnyx_unavailable = partial(unavailable, "telnyx")

# A refusal for reasons of telephony has the general code 10010; which reason it is stands in its text.
# https://developers.telnyx.com/docs/voice/sip-trunking/troubleshooting/response-codes
REASON_CAUSES: Mapping[str, RejectionCause] = {
    "D1": "rate_limited",  # too many calls at once: of the account, the profile, the connection, their channels
    "D2": "rate_limited",
    "D3": "rate_limited",
    "D22": "rate_limited",
    "D11": "invalid_destination",
    "D50": "invalid_destination",
    "D12": "destination_not_permitted",
    "D13": "destination_not_permitted",  # a country that the outbound voice profile has not been opened to
    "D24": "destination_not_permitted",  # dearer than the profile allows
    "D35": "caller_number_not_owned",
    "D36": "caller_number_not_owned",
    "D51": "caller_number_not_owned",
}
CODE_CAUSES: Mapping[str, RejectionCause] = {
    "10009": "credentials",
    "10010": "credentials",
    "10011": "rate_limited",
}
# Something is wrong with a number; which of the two stands in the error's source.
_NUMBER_CODES = frozenset({"10001", "10002", "10015", "10016"})
_NUMBER_CAUSES: Mapping[str, RejectionCause] = {"to": "invalid_destination", "from": "caller_number_not_owned"}
_STATUS_CAUSES: Mapping[int, RejectionCause] = {401: "credentials", 403: "credentials", 429: "rate_limited"}
_REASON = re.compile(r"\b(D[0-9]{1,2})\b")


def open_http(credentials: CarrierCredentials, timeout_seconds: float) -> CarrierHttp:
    """Telnyx's REST API with an account's key."""
    key = {"Authorization": f"Bearer {credentials['api_key']}"}
    return CarrierHttp("telnyx", api_url(credentials), timeout_seconds, key)


def error_code(reply: Reply) -> str | None:
    """The code of the first error that an answer states."""
    return _text(_first_error(reply).get("code"))


def refusal(reply: Reply) -> Rejected | Unknown:
    """What an answer that is no success says about a dial: certainly refused, or nothing."""
    code = error_code(reply)
    if not reply.proves_rejection:
        return Unknown(reason=f"HTTP {reply.status}, error {code}")
    error = _first_error(reply)
    words = ": ".join(text for text in (_text(error.get("title")), _text(error.get("detail"))) if text)
    return Rejected(
        cause=_cause(reply.status, code or "", error, words),
        code=code or f"HTTP{reply.status}",
        message=words,
        retry_after_seconds=reply.retry_after_seconds,
    )


def failed(reply: Reply) -> CarrierUnavailable:
    """The error for an answer that is none to what was asked."""
    return telnyx_unavailable(f"HTTP {reply.status}, error {error_code(reply)}")


def _cause(status: int, code: str, error: Mapping[str, Any], words: str) -> RejectionCause:
    reasons = (REASON_CAUSES[reason] for reason in _REASON.findall(words) if reason in REASON_CAUSES)
    if cause := next(reasons, None):
        return cause
    if status == 429:
        return "rate_limited"  # refused before it was looked at
    if code in _NUMBER_CODES and (cause := _NUMBER_CAUSES.get(_parameter(error))):
        return cause
    return CODE_CAUSES.get(code) or _STATUS_CAUSES.get(status, "other")


def _parameter(error: Mapping[str, Any]) -> str:
    """Which parameter of the request an error is about."""
    source = error.get("source")
    pointer = _text(source.get("pointer")) if isinstance(source, Mapping) else None
    return (pointer or "").rsplit("/", 1)[-1].lower()


def _first_error(reply: Reply) -> Mapping[str, Any]:
    errors = (reply.json_object() or {}).get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
