"""ElevenLabs' requests to us: are they ElevenLabs', and which of their fields may travel on.

Its transcripts, summaries and phone numbers never do. Loaded by every webhook, so nothing else is here; what the
fields mean belongs to ``events``.
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any

from dialplane.carriers.contract import Answer, CarrierCredentials, InvalidCallback, Report, SignedRequest
from dialplane.domain.ids import is_id

SIGNATURE_HEADER = "elevenlabs-signature"
SOCKET_SIGNATURE_HEADER: str | None = None
UNSIGNED_STATUS = 403
BODY_BYTES_MAX = 6 * 1024 * 1024
"""As much as a function can be given: a transcript of a long conversation is hundreds of kilobytes."""

TRANSCRIPTION = "post_call_transcription"
FAILURE = "call_initiation_failure"
RESOURCE = "conversation"
"""The ``type`` of fields that we read from a conversation instead of receiving them."""

_TOLERANCE_SECONDS = 30 * 60
_TIMESTAMP = re.compile(r"[0-9]{1,10}")
_ID = r"[A-Za-z0-9_-]{1,128}"
_WORD = r"[A-Za-z][A-Za-z_-]{0,39}"
_DECIMAL = r"[0-9]{1,7}(\.[0-9]{1,18})?"
# The allow-list. What does not match its pattern stays behind, and the rest of the report still counts.
_FIELDS = {
    "type": re.compile(_WORD),
    "event_timestamp": _TIMESTAMP,
    "conversation_id": re.compile(_ID),
    "call_sid": re.compile(_ID),
    "status": re.compile(_WORD),
    "call_result": re.compile(_WORD),
    "call_successful": re.compile(_WORD),
    "failure_reason": re.compile(_WORD),
    "carrier_status": re.compile(_WORD),
    "sip_response_code": re.compile(r"[1-6][0-9]{2}"),
    "start_time_unix_secs": _TIMESTAMP,
    "call_duration_secs": re.compile(_DECIMAL),
    "cost": re.compile(_DECIMAL),
    "cost_fiat": re.compile(_DECIMAL),
}


def is_authentic(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Say whether ElevenLabs signed this request with the webhook's secret, at most half an hour ago.

    ``t=<unix seconds>,v0=<hex>``: an HMAC-SHA256 over the time, a full stop and the body. While a secret is being
    replaced there may be several signatures. ElevenLabs' own check lets times in the future pass; this one does not.
    """
    secret = credentials.get("webhook_secret")
    parts = [part.strip().partition("=") for part in request.headers.get(SIGNATURE_HEADER, "").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if not secret or len(request.body) > BODY_BYTES_MAX or len(times) != 1 or not _TIMESTAMP.fullmatch(times[0]):
        return False
    if abs(request.now.timestamp() - int(times[0])) > _TOLERANCE_SECONDS:
        return False
    expected = hmac.new(secret.encode(), f"{times[0]}.".encode() + request.body, hashlib.sha256).hexdigest().encode()
    # As bytes: compare_digest refuses texts that are not ASCII, and this one is whatever somebody sent.
    signatures = [value.encode("utf-8", "replace") for name, _, value in parts if name == "v0"]
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


def is_authentic_socket(credentials: CarrierCredentials, request: SignedRequest) -> bool:
    """Never: no conversation of ours goes over this carrier."""
    return False


def parse_report(credentials: CarrierCredentials, body: bytes) -> Report:
    """Read an authentic webhook; one that is about no end of a call (its audio, kinds to come) has no fields.

    A failure to initiate names only the conversation and the call at Twilio, never our call id. Raises InvalidCallback.
    """
    del credentials  # nothing in the request names an account
    try:
        # Decimals stay the texts they are.
        envelope = _object(json.loads(body, parse_float=str))
    except (ValueError, RecursionError) as error:
        raise InvalidCallback("the body is not JSON") from error
    data, kind, sent_at = _object(envelope.get("data")), envelope.get("type"), envelope.get("event_timestamp")
    if kind == TRANSCRIPTION:
        return Report(conversation_fields(data, kind=kind, event_timestamp=sent_at), call_id_of(data))
    if kind == FAILURE:
        return Report(_failure_fields(data, event_timestamp=sent_at), call_id_of(data))
    if not isinstance(kind, str):
        raise InvalidCallback("no type")
    return Report({})


def parse_answer(credentials: CarrierCredentials, body: bytes) -> Answer:
    """ElevenLabs never asks what to say. Raises InvalidCallback."""
    del credentials, body
    raise InvalidCallback("ElevenLabs fetches no instructions: they ride in the dial")


def conversation_fields(
    conversation: Mapping[str, Any], *, kind: str = RESOURCE, event_timestamp: object = None
) -> dict[str, str]:
    """What may travel on of a conversation: of a webhook's, or of one that was fetched or listed.

    Raises InvalidCallback when it has no id.
    """
    metadata = _object(conversation.get("metadata"))
    analysis = _object(conversation.get("analysis"))
    phone_call = _object(metadata.get("phone_call"))
    # A list has the figures beside the id, a whole conversation has them among its metadata.
    figures = metadata or conversation
    return _allowed(
        {
            "type": kind,
            "event_timestamp": event_timestamp,
            "conversation_id": conversation.get("conversation_id"),
            "call_sid": phone_call.get("call_sid"),
            "status": conversation.get("status"),
            "call_result": phone_call.get("call_result"),
            "call_successful": analysis.get("call_successful") or conversation.get("call_successful"),
            "start_time_unix_secs": figures.get("start_time_unix_secs"),
            "call_duration_secs": figures.get("call_duration_secs"),
            "cost": figures.get("cost"),
            "cost_fiat": figures.get("cost_fiat"),
        }
    )


def call_id_of(conversation: Mapping[str, Any]) -> str | None:
    """Our call id, as the dial gave it along; None for conversations that are not ours."""
    client_data = _object(conversation.get("conversation_initiation_client_data"))
    variables = _object(client_data.get("dynamic_variables"))
    candidates = (conversation.get("user_id"), client_data.get("user_id"), variables.get("call_id"))
    return next((text for text in candidates if isinstance(text, str) and is_id("call", text)), None)


def has_variables(conversation: Mapping[str, Any]) -> bool:
    """Whether the conversation still shows the dynamic variables that it began with; ElevenLabs adds some to each."""
    return bool(_object(_object(conversation.get("conversation_initiation_client_data")).get("dynamic_variables")))


def _failure_fields(data: Mapping[str, Any], *, event_timestamp: object) -> dict[str, str]:
    """A call that became no conversation. ``metadata.body`` is what Twilio, or the SIP trunk, said about it."""
    metadata = _object(data.get("metadata"))
    said = _object(metadata.get("body"))
    return _allowed(
        {
            "type": FAILURE,
            "event_timestamp": event_timestamp,
            "conversation_id": data.get("conversation_id"),
            "call_sid": said.get("CallSid") or said.get("call_sid"),
            "failure_reason": data.get("failure_reason"),
            "carrier_status": said.get("CallStatus"),
            "sip_response_code": said.get("SipResponseCode") or said.get("sip_status_code"),
        }
    )


def _allowed(candidates: Mapping[str, object]) -> dict[str, str]:
    texts = {name: str(value) for name, value in candidates.items() if isinstance(value, (str, int, float))}
    fields = {name: text for name, text in texts.items() if _FIELDS[name].fullmatch(text)}
    if not fields.keys() & {"conversation_id", "call_sid"}:
        raise InvalidCallback("neither a conversation_id nor a call_sid")
    return fields


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
