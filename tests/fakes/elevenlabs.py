"""ElevenLabs' webhooks as its documentation shows them, about one call of ours, and the signature they come with."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from dialplane.carriers.contract import CarrierCredentials, SignedRequest
from dialplane.domain.calls import Call
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus

CALL_ID = "call_01JZ0000000000000000000000"
CONVERSATION_ID = "conv_8701kb8xfaaney589jkc6pjesxrc"
CALL_SID = "CA" + "8" * 32
SECRET = "wsec_test"
CREDENTIALS = CarrierCredentials({"api_key": "xi_test", "webhook_secret": SECRET})
STARTED = datetime(2026, 11, 20, 15, 0, 10, tzinfo=UTC)
SECONDS = 22
ENDED = STARTED + timedelta(seconds=SECONDS)
RECEIVED = ENDED + timedelta(seconds=30)


def a_conversation(status: str = "done", **metadata: Any) -> dict[str, Any]:
    """The ``data`` of a transcription, which is what GET conversation answers too."""
    return {
        "agent_id": "agent_1",
        "agent_name": "Reminder",
        "conversation_id": CONVERSATION_ID,
        "status": status,
        "user_id": CALL_ID,
        "transcript": [{"role": "user", "message": "This is John Doe.", "time_in_call_secs": 2}],
        "metadata": {
            "start_time_unix_secs": int(STARTED.timestamp()),
            "call_duration_secs": SECONDS,
            "cost": 296,
            "cost_fiat": None,
            "termination_reason": "Call ended by remote party",
            "phone_call": {
                "type": "twilio",
                "direction": "outbound",
                "phone_number_id": "phnum_1",
                "agent_number": "+15551234567",
                "external_number": "+15559876543",
                "stream_sid": "MZ1",
                "call_sid": CALL_SID,
            },
            **metadata,
        },
        "analysis": {"call_successful": "success", "transcript_summary": "John was told."},
        "conversation_initiation_client_data": {
            "user_id": CALL_ID,
            "dynamic_variables": {"call_id": CALL_ID, "system__called_number": "+15559876543"},
        },
    }


def a_failure(reason: str | None = "busy", **said: Any) -> dict[str, Any]:
    """The ``data`` of a call_initiation_failure: it names neither our call id nor anything that we gave along."""
    body = {
        "To": "+15559876543",
        "From": "+15551234567",
        "CallSid": CALL_SID,
        "CallStatus": reason,
        "SipResponseCode": "486",
        "CallDuration": "0",
    }
    return {
        "agent_id": "agent_1",
        "conversation_id": CONVERSATION_ID,
        "failure_reason": reason,
        "metadata": {"type": "twilio", "body": {**body, **said}},
    }


def a_webhook(kind: str, data: dict[str, Any], sent_at: datetime = RECEIVED) -> bytes:
    """The body of a webhook."""
    return json.dumps({"type": kind, "event_timestamp": int(sent_at.timestamp()), "data": data}).encode()


def signed(body: bytes, *, secret: str = SECRET, now: datetime = RECEIVED, at: datetime | None = None) -> SignedRequest:
    """A webhook with its signature, arriving ``now`` and signed ``at``."""
    timestamp = int((at or now).timestamp())
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return SignedRequest(
        url="https://dialplane.test/status/elevenlabs/org_1/acct_1",
        body=body,
        headers={"elevenlabs-signature": f"t={timestamp},v0={digest}"},
        now=now,
    )


def a_call(**facts: Any) -> Call:
    """A call of ours that ElevenLabs has placed."""
    defaults: dict[str, Any] = {
        "id": CALL_ID,
        "organization_id": "org_1",
        "dialect": "elevenlabs_tester",
        "request_id": "request",
        "api_key_id": "key",
        "assistant_id": 1,
        "assistant_name": "Tester",
        "caller_number": "+15551234567",
        "destination": "+15559876543",
        "carrier": "elevenlabs",
        "carrier_account_id": "acct_1",
        "status": CallStatus.INITIATED,
        "created_at": STARTED - timedelta(seconds=10),
        "dial_deadline": STARTED,
        "ring_timeout_seconds": 30,
        "time_limit_seconds": 600,
        "machine_detection": False,
        "instructions": Instructions(engine="agent", welcome_message="Hi.", agent_id="agent_1"),
        "variables_json": "{}",
        "currency": "USD",
        "rate_micros_per_minute": 30_000,
        "billing_increment_seconds": 60,
        "hold_micros": 300_000,
        "carrier_call_id": CONVERSATION_ID,
    }
    return Call(**{**defaults, **facts})
