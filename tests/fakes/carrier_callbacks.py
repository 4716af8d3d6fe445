"""Every carrier's side of a call: what it reports of each life a call can have, in its words, signed as it signs.

Made by other means than those that check them. What becomes of a report is for tests to say.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twilio.request_validator import RequestValidator

from sandbox.carriers.accounts import make_accounts
from sandbox.carriers.telnyx.keys import SigningKeys, fixed_signing_keys
from tests.fakes import elevenlabs as elevenlabs_words
from tests.fakes.telnyx import event as telnyx_event

CARRIERS = ("twilio", "telnyx", "telnyx-texml", "vonage", "elevenlabs", "sip-twilio", "sip-telnyx")
FETCHING = ("twilio", "telnyx-texml", "vonage", "sip-twilio")
ANSWERED, BUSY, NO_ANSWER, DECLINED, FAILED, CANCELED = LIVES = (
    "answered",
    "busy",
    "no answer",
    "declined",
    "failed",
    "canceled",
)
TALKED_SECONDS = 61
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
_KEYS, _FOREIGN_KEYS = fixed_signing_keys(), fixed_signing_keys(7)

Secret = Mapping[str, str]


@functools.cache
def own_secrets() -> Mapping[str, Secret]:
    """An account's secret with each carrier; the same every time."""
    return _secrets(_KEYS, "a")


@functools.cache
def foreign_secrets() -> Mapping[str, Secret]:
    """Those of somebody else."""
    other = dict(_secrets(_FOREIGN_KEYS, "b"))
    vonage = {"application_id": str(uuid.UUID(int=7)), "api_key": "b" * 8, "signature_secret": "b" * 32}
    return {
        **other,
        "vonage": {**other["vonage"], **vonage},
        "elevenlabs": {**other["elevenlabs"], "api_key": "sk_b", "webhook_secret": "wsec_b"},
    }


def _secrets(keys: SigningKeys, digit: str) -> Mapping[str, Secret]:
    secrets = make_accounts(random_hex=lambda length: digit * 2 * length, keys=lambda: keys).secrets
    return {carrier: dict(secret) for carrier, secret in secrets.items()}


@dataclass(frozen=True)
class Leg:
    """A call as its carrier has it."""

    carrier: str
    secret: Secret
    call_id: str
    carrier_call_id: str
    caller_number: str
    destination: str
    began_at: datetime

    @property
    def number(self) -> int:
        """What tells this leg's ids from others'."""
        return int(hashlib.sha256(self.carrier_call_id.encode()).hexdigest()[:8], 16)

    @property
    def call_sid(self) -> str:
        """The call at Twilio beneath a conversation of ElevenLabs'."""
        return f"CA{self.number:032x}"

    def at(self, seconds: float) -> datetime:
        """A moment of the call."""
        return self.began_at + timedelta(seconds=seconds)


def new_carrier_call_id(carrier: str, number: int) -> str:
    """An id as this carrier gives them."""
    return {
        "telnyx": f"v3:{number:040x}",
        "sip-telnyx": f"v3:{number:040x}",
        "telnyx-texml": f"v3:texml-{number:034x}",
        "vonage": str(uuid.UUID(int=number)),
        "elevenlabs": f"conv_{number:028x}",
    }.get(carrier, f"CA{number:032x}")


def reports(leg: Leg, life: str) -> list[bytes]:
    """The bodies of everything that the carrier reports of a call with this life, in the order in which it happens."""
    return list(_WORDS[leg.carrier](leg, life))


def question(leg: Leg) -> bytes:
    """The body in which a carrier asks what to say."""
    if leg.carrier == "vonage":
        return _json(uuid=leg.carrier_call_id, conversation_uuid=f"CON-{leg.carrier_call_id}", **_digits(leg))
    sid = {"CallSid": leg.carrier_call_id, "AccountSid": leg.secret["account_sid"], "CallStatus": "in-progress"}
    return _form(leg, sid)


def content_type_of(carrier: str) -> str:
    """How this carrier's requests say what they are."""
    return FORM if carrier in ("twilio", "sip-twilio", "telnyx-texml") else JSON


def sign(carrier: str, secret: Secret, url: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers by which the owner of a secret proves a request."""
    unix = int(at.timestamp())
    match carrier:
        case "twilio" | "sip-twilio":
            return {"x-twilio-signature": sign_twilio(secret, url, body)}
        case "telnyx" | "telnyx-texml" | "sip-telnyx":
            pair = next(keys for keys in (_KEYS, _FOREIGN_KEYS) if keys.public_key == secret["public_key"])
            key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(pair.signing_key))
            signature = base64.b64encode(key.sign(f"{unix}|".encode() + body)).decode()
            return {"telnyx-timestamp": str(unix), "telnyx-signature-ed25519": signature}
        case "vonage":
            return {
                "authorization": f"Bearer {jwt.encode(vonage_claims(secret, body, at), secret['signature_secret'])}"
            }
        case _:
            digest = hmac.new(secret["webhook_secret"].encode(), f"{unix}.".encode() + body, hashlib.sha256)
            return {"elevenlabs-signature": f"t={unix},v0={digest.hexdigest()}"}


def sign_twilio(secret: Secret, url: str, body: bytes) -> str:
    """Twilio's signature of a form; of a body that is none, of its text."""
    pairs = [pair.partition("=") for pair in body.decode("utf-8", "replace").split("&")]
    fields = {unquote_plus(name): unquote_plus(value) for name, _, value in pairs if name}
    return str(RequestValidator(secret["auth_token"]).compute_signature(url, fields))


def vonage_claims(secret: Secret, body: bytes, at: datetime, **changes: Any) -> dict[str, Any]:
    """What a token of Vonage's says; None among the changes leaves a claim out."""
    claims = {
        "iat": int(at.timestamp()),
        "jti": hashlib.sha256(body).hexdigest()[:32],
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": secret["api_key"],
        "application_id": secret["application_id"],
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


# ---- the words ------------------------------------------------------------------------------------------------------

_TWILIO_ENDS = {
    ANSWERED: ("completed", "200"),
    BUSY: ("busy", "486"),
    NO_ANSWER: ("no-answer", "487"),
    DECLINED: ("busy", "603"),
    FAILED: ("failed", "404"),
    CANCELED: ("canceled", "487"),
}


def _twilio(leg: Leg, life: str) -> Iterator[bytes]:
    end, code = _TWILIO_ENDS[life]
    statuses = ["initiated", *(["ringing"] if life != FAILED else []), *(["in-progress"] if life == ANSWERED else [])]
    for sequence, status in enumerate([*statuses, end]):
        is_end = status == end
        seconds = _seconds(life, is_end=is_end, step=sequence)
        progress = {
            "CallSid": leg.carrier_call_id,
            "AccountSid": leg.secret["account_sid"],
            "CallStatus": status,
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
            "Timestamp": format_datetime(leg.at(seconds)),
        }
        talked = str(TALKED_SECONDS if life == ANSWERED else 0)
        yield _form(leg, progress | ({"CallDuration": talked, "SipResponseCode": code} if is_end else {}))


_TEXML_ENDS = {
    ANSWERED: ("completed", "normal_clearing"),
    BUSY: ("completed", "user_busy"),
    NO_ANSWER: ("no-answer", "timeout"),
    DECLINED: ("busy", "call_rejected"),
    FAILED: ("failed", "not_found"),
    CANCELED: ("canceled", "originator_cancel"),
}


def _texml(leg: Leg, life: str) -> Iterator[bytes]:
    end, cause = _TEXML_ENDS[life]
    statuses = ["initiated", *(["ringing"] if life != FAILED else []), *(["in-progress"] if life == ANSWERED else [])]
    for sequence, status in enumerate([*statuses, end]):
        is_end = status == end
        progress = {
            "CallSid": leg.carrier_call_id,
            "AccountSid": leg.secret["account_sid"],
            "CallStatus": status,
            "SequenceNumber": str(sequence),
            "CallbackSource": "call-progress-events",
            "Timestamp": leg.at(_seconds(life, is_end=is_end, step=sequence)).isoformat(),
        }
        talked = {"CallDuration": str(TALKED_SECONDS)} if life == ANSWERED else {}
        yield _form(leg, progress | ({"HangupCause": cause, "HangupSource": "callee", **talked} if is_end else {}))


_TELNYX_CAUSES = {
    ANSWERED: ("normal_clearing", "callee", "200"),
    BUSY: ("user_busy", "callee", "486"),
    NO_ANSWER: ("timeout", "caller", "487"),
    DECLINED: ("call_rejected", "callee", "603"),
    FAILED: ("not_found", "callee", "404"),
    CANCELED: ("originator_cancel", "caller", "487"),
}


def _telnyx(leg: Leg, life: str) -> Iterator[bytes]:
    cause, source, sip = _TELNYX_CAUSES[life]
    hangup = {"hangup_cause": cause, "hangup_source": source, "sip_hangup_cause": sip}
    events: list[tuple[str, dict[str, Any]]] = [("call.initiated", {"direction": "outgoing"})]
    if life == ANSWERED:
        cost = {
            "status": "success",
            "billed_duration_secs": TALKED_SECONDS,
            "total_cost": "0.0140",
            "cost_parts": [{"call_part": "call-control", "cost": "0.0140", "currency": "USD"}],
        }
        events += [("call.answered", {}), ("call.hangup", hangup), ("call.cost", cost)]
    else:
        events.append(("call.hangup", hangup))
    for step, (event_type, facts) in enumerate(events):
        is_end = event_type in ("call.hangup", "call.cost")
        # No event tells of the ringing: the answer is the second report, and comes when it comes with the others.
        moment = _seconds(life, is_end=is_end, step=2 if event_type == "call.answered" else step)
        at = leg.at(moment + (5 if event_type == "call.cost" else 0))
        yield telnyx_event(
            event_type,
            event_id=f"{leg.number:08x}-{step}",
            at=at.isoformat().replace("+00:00", "Z"),
            call_control_id=leg.carrier_call_id,
            client_state=base64.b64encode(leg.call_id.encode()).decode(),
            connection_id=leg.secret["connection_id"],
            **{"from": leg.caller_number, "to": leg.destination},
            **facts,
        )


_VONAGE_ENDS: Mapping[str, Sequence[Mapping[str, str]]] = {
    ANSWERED: ({"status": "completed", "duration": str(TALKED_SECONDS), "price": "0.01450000", "rate": "0.01400000"},),
    # Most calls that nobody answered are reported once more, as completed.
    BUSY: ({"status": "busy"}, {"status": "completed", "duration": "0", "price": "0", "rate": "0"}),
    NO_ANSWER: ({"status": "unanswered", "detail": "timeout"}, {"status": "completed"}),
    DECLINED: ({"status": "rejected", "detail": "declined"},),
    FAILED: ({"status": "failed", "detail": "cannot_route"}, {"status": "completed"}),
    CANCELED: ({"status": "cancelled"}, {"status": "completed", "duration": "0"}),
}


def _vonage(leg: Leg, life: str) -> Iterator[bytes]:
    progress: list[Mapping[str, str]] = [{"status": "started"}]
    progress += [{"status": "ringing"}] if life != FAILED else []
    progress += [{"status": "answered"}] if life == ANSWERED else []
    for step, facts in enumerate([*progress, *_VONAGE_ENDS[life]]):
        is_end = step >= len(progress)
        at = leg.at(_seconds(life, is_end=is_end, step=step) + (step if is_end else 0))
        times = {"start_time": leg.at(5).isoformat(), "end_time": at.isoformat()} if "price" in facts else {}
        yield _json(
            uuid=leg.carrier_call_id,
            conversation_uuid=f"CON-{leg.carrier_call_id}",
            direction="outbound",
            timestamp=at.isoformat().replace("+00:00", "Z"),
            **_digits(leg),
            **facts,
            **times,
        )


_ELEVENLABS_FAILURES = {
    BUSY: ("busy", "busy", "486"),
    NO_ANSWER: ("no-answer", "no-answer", "487"),
    DECLINED: ("busy", "busy", "603"),
    FAILED: ("unknown", "failed", "404"),
    CANCELED: ("unknown", "canceled", "487"),
}


def _elevenlabs(leg: Leg, life: str) -> Iterator[bytes]:
    names = {"conversation_id": leg.carrier_call_id}
    if life != ANSWERED:
        reason, status, code = _ELEVENLABS_FAILURES[life]
        failure = elevenlabs_words.a_failure(reason, CallSid=leg.call_sid, CallStatus=status, SipResponseCode=code)
        yield elevenlabs_words.a_webhook("call_initiation_failure", failure | names, leg.at(30))
        return
    conversation = elevenlabs_words.a_conversation(
        start_time_unix_secs=int(leg.at(10).timestamp()), call_duration_secs=TALKED_SECONDS
    )
    conversation["metadata"]["phone_call"]["call_sid"] = leg.call_sid
    given = {"user_id": leg.call_id, "dynamic_variables": {"call_id": leg.call_id}}
    ours = {"user_id": leg.call_id, "conversation_initiation_client_data": given}
    yield elevenlabs_words.a_webhook("post_call_transcription", conversation | names | ours, leg.at(80))
    audio = {"agent_id": "agent_1", "full_audio": "SUQzBAAAAAA=", **names}
    yield elevenlabs_words.a_webhook("post_call_audio", audio, leg.at(85))


_WORDS: Mapping[str, Callable[[Leg, str], Iterator[bytes]]] = {
    "twilio": _twilio,
    "sip-twilio": _twilio,
    "telnyx": _telnyx,
    "sip-telnyx": _telnyx,
    "telnyx-texml": _texml,
    "vonage": _vonage,
    "elevenlabs": _elevenlabs,
}


def _seconds(life: str, *, is_end: bool, step: int) -> float:
    """When a report of a life is made: dialled, ringing and answered within ten seconds, then talked for a minute."""
    if not is_end:
        return float(5 * step)
    return 10.0 + TALKED_SECONDS if life == ANSWERED else 30.0


def _form(leg: Leg, fields: Mapping[str, str]) -> bytes:
    return urlencode({**fields, "From": leg.caller_number, "To": leg.destination}).encode()


def _digits(leg: Leg) -> dict[str, str]:
    return {"from": leg.caller_number.removeprefix("+"), "to": leg.destination.removeprefix("+")}


def _json(**content: Any) -> bytes:
    return json.dumps(content).encode()
