"""Telnyx's side of its signatures, and the words of its events."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dialplane.carriers.contract import SignedRequest

PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()
CONNECTION_ID = "1494404757140276705"
CALL_CONTROL_ID = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
CALL_ID = "call_01KABCDEFGHJKMNPQRSTVWXYZ0"
CLIENT_STATE = base64.b64encode(CALL_ID.encode()).decode()
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def sign(body: bytes, timestamp: str) -> str:
    """The signature that Telnyx would give this body at this time."""
    return base64.b64encode(PRIVATE_KEY.sign(timestamp.encode() + b"|" + body)).decode()


def signed(body: bytes, timestamp: str | None = None, signature: str | None = None) -> SignedRequest:
    """A webhook as it arrives, genuine where nothing else is said."""
    timestamp = str(int(NOW.timestamp())) if timestamp is None else timestamp
    headers = {
        "telnyx-timestamp": timestamp,
        "telnyx-signature-ed25519": sign(body, timestamp) if signature is None else signature,
    }
    return SignedRequest("https://dialplane.test/status/telnyx/org_1/acc_1/call_1", body, headers, NOW)


def event(event_type: str, *, event_id: str = "", at: str = "2026-11-20T14:59:00.127783Z", **payload: Any) -> bytes:
    """A Call Control webhook with what all of them have."""
    common = {
        "call_control_id": CALL_CONTROL_ID,
        "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
        "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
        "client_state": CLIENT_STATE,
        "connection_id": CONNECTION_ID,
        "from": "+15551234567",
        "to": "+15559876543",
    }
    data = {
        "record_type": "event",
        "event_type": event_type,
        "id": event_id or f"0ccc7b54-4df3-4bca-a65a-{event_type.replace('.', '-').replace('_', '-')}",
        "occurred_at": at,
        "payload": {**common, **payload},
    }
    return json.dumps({"data": data, "meta": {"attempt": 1, "delivered_to": "https://dialplane.test"}}).encode()
