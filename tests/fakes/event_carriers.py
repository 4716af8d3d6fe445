"""What carriers send about the calls of `event_world`: bodies in their words, signatures, and the messages they become.

Twilio signs for ever; the signatures of the others carry their time and are made for the time of the invocation. They
are made here by other means than those that check them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twilio.request_validator import RequestValidator

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.registry import webhooks_of
from dialplane.domain.times import to_text
from dialplane.runtime.carrier_events import CarrierMessage
from sandbox.carriers.telnyx.keys import SigningKeys
from tests.fakes import event_world as world
from tests.fakes.event_builders import http

AtTime = Callable[[datetime], dict[str, Any]]
"""An event by the time at which it is signed."""
Sign = Callable[[bytes, datetime], Mapping[str, str]]
"""The headers that prove a body to be the carrier's, sent at a time."""

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_AT = world.CREATED_AT
_ANSWERED_AT, _ENDED_AT = _AT + timedelta(seconds=65), _AT + timedelta(seconds=126)


def request(
    kind: str, carrier: str, body: bytes, headers: Mapping[str, str], *, call_id: str | None = None
) -> dict[str, Any]:
    """A carrier's request to the address of a call; without one, to that of its account."""
    ids = {
        "carrier": carrier,
        "organization_id": world.ORGANIZATION_ID,
        "carrier_account_id": world.CARRIER_ACCOUNT_IDS[carrier],
        **({"call_id": call_id} if call_id is not None else {}),
    }
    route = "/".join((f"POST /{kind}", *(f"{{{name}}}" for name in ids)))
    return http(route, headers=headers, body=base64.b64encode(body).decode(), is_base64=True, parameters=ids)


def signed(
    kind: str, carrier: str, body: bytes, sign: Sign, *, call_id: str | None, content_type: str = _JSON
) -> AtTime:
    """The request with the signature of the time at which it is sent."""

    def at(now: datetime) -> dict[str, Any]:
        return request(kind, carrier, body, {"content-type": content_type, **sign(body, now)}, call_id=call_id)

    return at


def queued(carrier: str, call_id: str | None, body: bytes, *, received_at: datetime = _ENDED_AT) -> str:
    """The message that an authentic report becomes."""
    report = webhooks_of(carrier).parse_report(CarrierCredentials(world.SECRETS[carrier]), body)
    message = CarrierMessage(
        carrier=carrier,
        organization_id=world.ORGANIZATION_ID,
        carrier_account_id=world.CARRIER_ACCOUNT_IDS[carrier],
        call_id=call_id or report.call_id,
        source="callback",
        received_at=to_text(received_at),
        fields=report.fields,
    )
    return json.dumps(asdict(message), separators=(",", ":"))


# ---- Twilio, also over a SIP host of the customer's -----------------------------------------------------------------


def twilio(
    kind: str,
    status: str,
    *,
    carrier: str = "twilio",
    call_id: str | None = None,
    token: str = world.AUTH_TOKEN,
    facts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A request of Twilio's about one of the world's calls, signed with ``token``."""
    call_id = call_id or world.RINGING_CALL_IDS[carrier]
    form = _twilio_form(status, call_id) | dict(facts or {})
    url = f"{world.PUBLIC_BASE_URL}/{kind}/{carrier}/{world.ORGANIZATION_ID}"
    url = f"{url}/{world.CARRIER_ACCOUNT_IDS[carrier]}/{call_id}"
    # The token of one delivery is the same in its repetitions, and so are the event and the signature.
    delivery = hashlib.sha256(json.dumps(form).encode()).hexdigest()
    headers = {
        "content-type": f"{_FORM}; charset=UTF-8",
        "user-agent": "TwilioProxy/1.1",
        "x-twilio-signature": RequestValidator(token).compute_signature(url, form),
        "i-twilio-idempotency-token": f"{delivery[:8]}-{delivery[8:12]}-4{delivery[13:16]}-8{delivery[17:20]}-"
        f"{delivery[20:32]}",
    }
    return request(kind, carrier, urlencode(form).encode(), headers, call_id=call_id)


def twilio_report(status: str, sequence: int, *, carrier: str = "twilio", **facts: str) -> str:
    """The message that a status callback about the ringing call becomes."""
    call_id = world.RINGING_CALL_IDS[carrier]
    form = _twilio_form(status, call_id) | progress(sequence, **facts)
    received_at = _AT.replace(minute=1, second=sequence)
    return queued(carrier, call_id, urlencode(form).encode(), received_at=received_at)


def _twilio_form(status: str, call_id: str) -> dict[str, str]:
    """The parameters that every request of Twilio's about a call carries."""
    return {
        "AccountSid": world.ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "CallSid": world.CARRIER_CALL_IDS.get(call_id, f"CA{9:032x}"),
        "CallStatus": status,
        "Called": world.DESTINATION,
        "Caller": world.CALLER_NUMBER,
        "Direction": "outbound-api",
        "From": world.CALLER_NUMBER,
        "To": world.DESTINATION,
    }


def progress(sequence: int, **facts: str) -> dict[str, str]:
    """What a status callback adds to them."""
    return {
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(sequence),
        "Timestamp": f"Wed, 20 Nov 2024 09:01:{sequence:02d} +0000",
        **facts,
    }


ENDED = {"CallDuration": "61", "Duration": "2", "SipResponseCode": "200"}
"""What the last status callback of an answered call says."""


# ---- Telnyx: Call Control, also over a SIP host of the customer's, and TeXML ----------------------------------------


def telnyx_signature(keys: SigningKeys = world.TELNYX_KEYS) -> Sign:
    """https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks#webhook-signing"""
    key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(keys.signing_key))

    def sign(body: bytes, now: datetime) -> Mapping[str, str]:
        timestamp = str(int(now.timestamp()))
        signature = base64.b64encode(key.sign(timestamp.encode() + b"|" + body)).decode()
        return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": timestamp, "user-agent": "telnyx-webhooks"}

    return sign


def telnyx_body(event_type: str, *, carrier: str = "telnyx", connection_id: str = "", **payload: Any) -> bytes:
    """A webhook of Call Control's about the ringing call."""
    call_id = world.RINGING_CALL_IDS[carrier]
    times = {"call.initiated": _AT, "call.answered": _ANSWERED_AT}
    data = {
        "record_type": "event",
        "event_type": event_type,
        "id": str(uuid5(NAMESPACE_URL, f"{carrier}:{event_type}")),
        "occurred_at": to_text(times.get(event_type, _ENDED_AT)),
        "payload": {
            "call_control_id": world.CARRIER_CALL_IDS[call_id],
            "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
            "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
            "client_state": base64.b64encode(call_id.encode()).decode(),
            "connection_id": connection_id or world.SECRETS["telnyx"]["connection_id"],
            "from": world.CARRIER_NUMBERS[carrier],
            "to": world.DESTINATION if carrier == "telnyx" else f"sip:{world.DESTINATION}@pbx.example.test",
            **payload,
        },
    }
    url = f"{world.PUBLIC_BASE_URL}/status/{carrier}/{world.ORGANIZATION_ID}/{world.CARRIER_ACCOUNT_IDS[carrier]}"
    return json.dumps({"data": data, "meta": {"attempt": 1, "delivered_to": f"{url}/{call_id}"}}).encode()


TELNYX_HANGUP: Mapping[str, Any] = {
    "hangup_cause": "normal_clearing",
    "hangup_source": "callee",
    "sip_hangup_cause": "200",
}
TELNYX_COST: Mapping[str, Any] = {
    "status": "success",
    "billed_duration_secs": 61,
    "total_cost": "0.014000",
    "cost_parts": [
        {"call_part": "call-control", "cost": "0.004000", "currency": "USD", "rate": "0.002000"},
        {"call_part": "sip-trunking", "cost": "0.010000", "currency": "USD", "rate": "0.005000"},
    ],
}


def telnyx(body: bytes, *, carrier: str = "telnyx", keys: SigningKeys = world.TELNYX_KEYS) -> AtTime:
    """A webhook of Call Control's."""
    return signed("status", carrier, body, telnyx_signature(keys), call_id=world.RINGING_CALL_IDS[carrier])


def texml_body(status: str, sequence: int, **facts: str) -> bytes:
    """A request of TeXML's about the ringing call; for instructions it has no ``sequence`` and no time."""
    secret, call_id = world.SECRETS["telnyx-texml"], world.RINGING_CALL_IDS["telnyx-texml"]
    form = {
        "AccountSid": secret["account_sid"],
        "CallSid": world.CARRIER_CALL_IDS[call_id],
        "CallSidLegacy": world.CARRIER_CALL_IDS[call_id],
        "ConnectionId": secret["application_sid"],
        "CallStatus": status,
        "From": world.CARRIER_NUMBERS["telnyx-texml"],
        "To": world.DESTINATION,
        "Direction": "outbound",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(sequence),
        "Timestamp": f"2024-11-20T09:01:{sequence:02d}.000Z",
        **facts,
    }
    return urlencode(form).encode()


TEXML_ENDED = {
    "CallDuration": "61",
    "AnsweredTime": "2024-11-20T09:01:05.000Z",
    "HangupCause": "normal_clearing",
    "HangupSource": "callee",
}


def texml(kind: str, body: bytes, *, keys: SigningKeys = world.TELNYX_KEYS) -> AtTime:
    """A request of TeXML's."""
    call_id = world.RINGING_CALL_IDS["telnyx-texml"]
    return signed(kind, "telnyx-texml", body, telnyx_signature(keys), call_id=call_id, content_type=_FORM)


# ---- Vonage ---------------------------------------------------------------------------------------------------------


def vonage_signature(secret: Mapping[str, str] = world.SECRETS["vonage"], *, algorithm: str = "HS256") -> Sign:
    """https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks"""

    def sign(body: bytes, now: datetime) -> Mapping[str, str]:
        claims = {
            "iat": int(now.timestamp()),
            "jti": str(uuid5(NAMESPACE_URL, body.decode())),
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(body).hexdigest(),
            "api_key": secret["api_key"],
            "application_id": secret["application_id"],
        }
        key = secret["signature_secret"] if algorithm != "none" else ""
        return {"authorization": f"Bearer {jwt.encode(claims, key, algorithm=algorithm)}"}

    return sign


def unsigned(body: bytes, now: datetime) -> Mapping[str, str]:
    """What Vonage sends when its signing fails."""
    return {}


def vonage_body(status: str, **facts: Any) -> bytes:
    """An event webhook of Vonage's about the ringing call; the answer webhook has no ``status``."""
    uuid = world.CARRIER_CALL_IDS[world.RINGING_CALL_IDS["vonage"]]
    times = {"ringing": _AT, "answered": _ANSWERED_AT}
    body = {
        "from": world.CARRIER_NUMBERS["vonage"].removeprefix("+"),
        "to": world.DESTINATION.removeprefix("+"),
        "uuid": uuid,
        "conversation_uuid": f"CON-{uuid}",
        "status": status,
        "direction": "outbound",
        "timestamp": to_text(times.get(status, _ENDED_AT)),
        **facts,
    }
    return json.dumps(body, separators=(",", ":")).encode()


VONAGE_ENDED = {
    "start_time": to_text(_ANSWERED_AT),
    "end_time": to_text(_ENDED_AT),
    "duration": "61",
    "rate": "0.00720000",
    "price": "0.00732000",
    "network": "US-FIXED",
}


def vonage_answer_body() -> bytes:
    """The answer webhook: whom the callee speaks with, and which call it is."""
    asked = json.loads(vonage_body("answered"))
    return json.dumps({name: asked[name] for name in ("from", "to", "conversation_uuid", "uuid")}).encode()


def vonage(kind: str, body: bytes, sign: Sign | None = None) -> AtTime:
    """A request of Vonage's."""
    return signed(kind, "vonage", body, sign or vonage_signature(), call_id=world.RINGING_CALL_IDS["vonage"])


# ---- ElevenLabs -----------------------------------------------------------------------------------------------------


def elevenlabs_signature(secret: Mapping[str, str] = world.SECRETS["elevenlabs"]) -> Sign:
    """https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks"""

    def sign(body: bytes, now: datetime) -> Mapping[str, str]:
        timestamp = int(now.timestamp())
        text = f"{timestamp}.".encode() + body
        digest = hmac.new(secret["webhook_secret"].encode(), text, hashlib.sha256).hexdigest()
        return {"elevenlabs-signature": f"t={timestamp},v0={digest}", "user-agent": "ElevenLabs/1.0"}

    return sign


_CONVERSATION_ID = world.CARRIER_CALL_IDS[world.RINGING_CALL_IDS["elevenlabs"]]
_CALL_SID = f"CA{8:032x}"


def transcription_body(call_id: str = world.RINGING_CALL_IDS["elevenlabs"], **conversation: Any) -> bytes:
    """The webhook after a conversation, which names our call."""
    data = {
        "agent_id": world.AGENT_ID,
        "conversation_id": _CONVERSATION_ID,
        "status": "done",
        "user_id": call_id,
        "transcript": [{"role": "user", "message": "What would you like?", "time_in_call_secs": 2}],
        "metadata": {
            "start_time_unix_secs": int(_ANSWERED_AT.timestamp()),
            "call_duration_secs": 61,
            "cost": 678,
            "cost_fiat": 0.101667,
            "termination_reason": "Call ended by remote party",
            "phone_call": {
                "type": "twilio",
                "direction": "outbound",
                "phone_number_id": "phnum_demo",
                "agent_number": world.CARRIER_NUMBERS["elevenlabs"],
                "external_number": world.DESTINATION,
                "call_sid": _CALL_SID,
                "call_result": "answered",
            },
        },
        "analysis": {"call_successful": "success", "transcript_summary": "A pizza was ordered."},
        "conversation_initiation_client_data": {"user_id": call_id, "dynamic_variables": {"call_id": call_id}},
        **conversation,
    }
    return _elevenlabs_webhook("post_call_transcription", data)


def failure_body() -> bytes:
    """The webhook of a call that became no conversation: it names ElevenLabs' and Twilio's call, never ours."""
    said = {"CallSid": _CALL_SID, "CallStatus": "busy", "SipResponseCode": "486", "To": world.DESTINATION}
    metadata = {"type": "twilio", "body": {**said, "From": world.CARRIER_NUMBERS["elevenlabs"], "CallDuration": "0"}}
    data = {"agent_id": world.AGENT_ID, "conversation_id": _CONVERSATION_ID, "failure_reason": "busy"}
    return _elevenlabs_webhook("call_initiation_failure", {**data, "metadata": metadata})


def audio_body() -> bytes:
    """The webhook with a recording, which nobody here asked for."""
    data = {"agent_id": world.AGENT_ID, "conversation_id": _CONVERSATION_ID, "full_audio": "SUQzBAAAAAAA"}
    return _elevenlabs_webhook("post_call_audio", data)


def _elevenlabs_webhook(kind: str, data: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "event_timestamp": int(_ENDED_AT.timestamp()), "data": data}).encode()


def elevenlabs(body: bytes, sign: Sign | None = None, *, kind: str = "status", call_id: str | None = None) -> AtTime:
    """A webhook of ElevenLabs', to the one address of the account; or, as it never does, to one of a call."""
    return signed(kind, "elevenlabs", body, sign or elevenlabs_signature(), call_id=call_id)
