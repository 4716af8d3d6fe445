"""Vonage's requests to us: are they Vonage's, and which of their fields may travel on (no phone numbers, no names).

Loaded while a callee says hello, so nothing else is here: the signature is checked with the standard library, because
importing a JWT package takes longer than everything else together. What the fields mean belongs to ``events``.
https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
https://developer.vonage.com/en/voice/voice-api/webhook-reference
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from dialplane.carriers.contract import Answer, CarrierCredentials, InvalidCallback, Report, SignedRequest

SIGNATURE_HEADER = "authorization"
SOCKET_SIGNATURE_HEADER: str | None = None
# When its signing fails Vonage sends unsigned, and it sends again after a 429, 503 or 504. Not a 5xx: whoever sends us
# rubbish must not be able to raise the alarm about errors of our own.
UNSIGNED_STATUS = 429
TOLERANCE_SECONDS = 300
BODY_BYTES_MAX = 64 * 1024
# Exactly one token, and one of the only length that HS256 has.
_BEARER = re.compile(r"(?i:bearer) ([A-Za-z0-9_-]{1,1000}\.[A-Za-z0-9_-]{1,4000})\.([A-Za-z0-9_-]{43})")

_WORD = r"[A-Za-z][A-Za-z0-9_-]{0,39}"
_NUMBER = r"[0-9]{1,9}"
_AMOUNT = r"[0-9]{1,9}(\.[0-9]{1,12})?"
_UUID = r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,18}(Z|[+-][0-9]{2}:?[0-9]{2})?"
# The allow-list. A value that does not match its pattern is not from Vonage, whatever the signature says.
FIELDS = {
    "uuid": re.compile(_UUID),
    "call_uuid": re.compile(_UUID),
    "conversation_uuid": re.compile(r"(CON-)?" + _UUID),
    "status": re.compile(_WORD),
    "sub_state": re.compile(_WORD),
    "detail": re.compile(_WORD),
    "direction": re.compile(r"inbound|outbound"),
    "timestamp": re.compile(_TIME),
    "start_time": re.compile(_TIME),
    "end_time": re.compile(_TIME),
    "duration": re.compile(_NUMBER),
    "rate": re.compile(_AMOUNT),
    "price": re.compile(_AMOUNT),
    "network": re.compile(r"[A-Za-z0-9_-]{1,40}"),
}
# Reports about a websocket, a recording or a conversation beside the call; most have no status at all.
_NOT_OF_THE_CALL = frozenset({"disconnected", "error", "input", "record", "transfer"})
_PHONE_NUMBER = re.compile(r"\+?[0-9]{1,20}")


def is_authentic(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether Vonage signed this request for the account's application: a JWT (HS256) over the body's hash.

    The token is no older and no newer than five minutes. A token without ``payload_hash`` would sign no body at all.
    Bodies over 64 kB are not authentic.
    """
    presented = _BEARER.fullmatch(request.headers.get(SIGNATURE_HEADER, ""))
    secret = credentials.get("signature_secret")
    # Without a secret the account is another carrier's: an address can name any carrier beside any account.
    if presented is None or secret is None or len(request.body) > BODY_BYTES_MAX:
        return False
    signed, signature = presented.groups()
    digest = hmac.digest(secret.encode(), signed.encode(), "sha256")
    # Compared as text: base64url has several spellings of the same bytes, and only one is Vonage's.
    if not hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), signature.encode()):
        return False
    header, _, payload = signed.partition(".")
    try:
        return (
            _is_hs256(_decode(header))
            and _is_for_account(claims := _decode(payload), credentials)
            and _is_current(claims, request.now.timestamp())
            and _is_of_body(claims, request.body)
        )
    except (ValueError, OverflowError, RecursionError):  # signed with our secret, and nothing that Vonage sends
        return False


def is_authentic_socket(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Never: no conversation of ours goes over this carrier."""
    return False


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic event webhook. Raises InvalidCallback.

    Nothing to apply is in reports about calls to us, about recordings, inputs and transfers, and about the legs that
    instructions open to a websocket.
    """
    content = _json_object(body)
    status, to = content.get("status"), content.get("to")
    if (
        not status
        or (isinstance(status, str) and status in _NOT_OF_THE_CALL)
        or content.get("direction") == "inbound"
        or (isinstance(to, str) and to and not _PHONE_NUMBER.fullmatch(to))
    ):
        return Report({})
    return Report(to_fields(content))


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """Read an authentic answer webhook. Raises InvalidCallback."""
    content = _json_object(body)
    return Answer(to_fields({"uuid": content.get("uuid"), "status": "answered"})["uuid"])


def to_fields(content: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a report or of a call's record that may travel on; empty values count as absent.

    Raises InvalidCallback.
    """
    fields: dict[str, str] = {}
    for name, pattern in FIELDS.items():
        value = content.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidCallback(f"{name} has a value of an unknown form")  # the value may hold anything: not repeated
        fields[name] = value
    if "status" not in fields or not ("uuid" in fields or "call_uuid" in fields):
        raise InvalidCallback("the status or the id of the call is missing")
    return fields


def to_json(text: str | bytes) -> Any:
    """Read JSON whose numbers stay the texts that Vonage wrote: it sends durations and prices as either.

    Raises ValueError.
    """
    return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = to_json(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise InvalidCallback("the body is not JSON") from None
    if not isinstance(content, dict):
        raise InvalidCallback("the body is not a JSON object")
    return content


def _decode(part: str) -> dict[str, Any]:
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    content = json.loads(raw.decode("utf-8"))
    if not isinstance(content, dict):
        raise ValueError("a part of the token is no JSON object")
    return content


def _is_hs256(header: Mapping[str, Any]) -> bool:
    # "crit" names extensions that a verifier must understand, and we understand none (RFC 7515, 4.1.11).
    return header.get("alg") == "HS256" and header.get("typ") == "JWT" and "crit" not in header


def _is_for_account(claims: Mapping[str, Any], credentials: CarrierCredentials) -> bool:
    return all(claims.get(name) == credentials[name] for name in ("api_key", "application_id"))


def _is_current(claims: Mapping[str, Any], now: float) -> bool:
    times = {name: claims[name] for name in ("iat", "exp", "nbf") if name in claims}
    return (
        "iat" in times
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in times.values())
        and abs(now - times["iat"]) <= TOLERANCE_SECONDS
        and times.get("nbf", now) <= now + TOLERANCE_SECONDS
        and ("exp" not in times or now < times["exp"])
    )


def _is_of_body(claims: Mapping[str, Any], body: bytes) -> bool:
    stated = claims.get("payload_hash")
    return isinstance(stated, str) and hmac.compare_digest(
        hashlib.sha256(body).hexdigest().encode(), stated.encode("utf-8", "replace")
    )
