"""API Gateway HTTP API events (payload format 2.0) for the jobs, signed as each carrier signs.

The same requests go to every subject; only path and headers differ where a subject's interface does.
"""

import base64
import hashlib
import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twilio.request_validator import RequestValidator

Event = dict[str, Any]

PUBLIC_BASE_URL = "https://calls.example.com"
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "fedcba9876543210" * 2
CARRIER_CALL_ID = "CA" + "0123456789abcdef" * 2
CALLER_NUMBER = "+15551234567"
DESTINATION = "+15559876543"

# seed2's example "Call with Custom Message and Variables", plus the assistant that seed0 names.
WELCOME_MESSAGE = "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}."
AGENDA = "Remind {{name}} about their upcoming {{appointment_type}} appointment."
VARIABLES = {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"}
INITIATE_BODY = {
    "from_phone_number": CALLER_NUMBER,
    "to_phone_number": DESTINATION,
    "assistant_id": 123,
    "welcome_message": WELCOME_MESSAGE,
    "agenda": AGENDA,
    "variables": VARIABLES,
}
_VOICE_FIELDS = {
    "AccountSid": ACCOUNT_SID,
    "ApiVersion": "2010-04-01",
    "CallSid": CARRIER_CALL_ID,
    "Called": DESTINATION,
    "CalledCountry": "US",
    "CalledState": "CA",
    "CalledZip": "94105",
    "Caller": CALLER_NUMBER,
    "CallerCountry": "US",
    "Direction": "outbound-api",
    "From": CALLER_NUMBER,
    "FromCountry": "US",
    "To": DESTINATION,
    "ToCountry": "US",
}
TWIML_FORM = _VOICE_FIELDS | {"CallStatus": "in-progress"}
STATUS_FORM = _VOICE_FIELDS | {
    "CallStatus": "completed",
    "CallDuration": "42",
    "Duration": "1",
    "CallbackSource": "call-progress-events",
    "SequenceNumber": "3",
    "SipResponseCode": "200",
    "Timestamp": "Fri, 02 Jan 2026 10:00:42 +0000",
}
TELNYX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TELNYX_PUBLIC_KEY = base64.b64encode(TELNYX_KEY.public_key().public_bytes_raw()).decode()
TELNYX_CONNECTION_ID = "1494404757140276705"
TELNYX_EVENT = {
    "data": {
        "record_type": "event",
        "event_type": "call.hangup",
        "id": "0ccc7b54-4df3-4bca-a65a-3da1ecc777f0",
        "occurred_at": "2026-01-02T10:00:42.127783Z",
        "payload": {
            "call_control_id": "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg",
            "call_leg_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1",
            "call_session_id": "428c31b6-abf3-3bc1-b7f4-5013ef9657c1",
            "client_state": None,
            "connection_id": TELNYX_CONNECTION_ID,
            "from": CALLER_NUMBER,
            "to": DESTINATION,
            "start_time": "2026-01-02T10:00:00.127783Z",
            "state": "hangup",
            "hangup_cause": "normal_clearing",
            "hangup_source": "callee",
            "sip_hangup_cause": "200",
        },
    },
    "meta": {"attempt": 1, "delivered_to": PUBLIC_BASE_URL},
}
VONAGE_API_KEY = "abcd1234"
VONAGE_APPLICATION_ID = "78d335fa-323d-0114-9c3d-d6f0d48968cf"
VONAGE_SIGNATURE_SECRET = "0123456789abcdef" * 2
VONAGE_EVENT = {
    "from": CALLER_NUMBER.removeprefix("+"),
    "to": DESTINATION.removeprefix("+"),
    "uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    "status": "completed",
    "direction": "outbound",
    "timestamp": "2026-01-02T10:00:42.000Z",
    "start_time": "2026-01-02T10:00:00.000Z",
    "end_time": "2026-01-02T10:00:42.000Z",
    "duration": "42",
    "rate": "0.00450000",
    "price": "0.00315000",
    "network": "US-FIXED",
}


def _http_event(
    route: str, path: str, headers: dict[str, str], body: str, *, base64_encoded: bool, parameters: dict[str, str]
) -> Event:
    host = PUBLIC_BASE_URL.removeprefix("https://")
    return {
        "version": "2.0",
        "routeKey": f"POST {route}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": host, "user-agent": "bench", "x-forwarded-proto": "https"} | headers,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "bench",
            "domainName": host,
            "domainPrefix": "calls",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "bench",
            },
            "requestId": str(uuid.UUID(int=1)),
            "routeKey": f"POST {route}",
            "stage": "$default",
            "time": "02/Jan/2026:10:00:00 +0000",
            "timeEpoch": 1767348000000,
        },
        "pathParameters": parameters,
        "body": body,
        "isBase64Encoded": base64_encoded,
    }


def initiate_event(authorization: str) -> Event:
    """Return the event of POST /calls/initiate with this Authorization header."""
    headers = {"authorization": authorization, "content-type": "application/json"}
    path = "/calls/initiate"
    return _http_event(path, path, headers, json.dumps(INITIATE_BODY), base64_encoded=False, parameters={})


def twilio_event(route: str, parameters: dict[str, str], form: dict[str, str]) -> Event:
    """Return the event of a signed Twilio request; API Gateway hands form bodies over in base64."""
    path = route.format(**parameters)
    signature = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_BASE_URL + path, form)
    headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
    body = base64.b64encode(urlencode(form).encode()).decode()
    return _http_event(route, path, headers, body, base64_encoded=True, parameters=parameters)


def telnyx_event(route: str, parameters: dict[str, str]) -> Event:
    """Return the event of a Telnyx webhook that is signed now; the time is part of what is signed."""
    body, timestamp = json.dumps(TELNYX_EVENT), str(int(time.time()))
    signature = base64.b64encode(TELNYX_KEY.sign(f"{timestamp}|{body}".encode())).decode()
    headers = {
        "content-type": "application/json",
        "telnyx-timestamp": timestamp,
        "telnyx-signature-ed25519": signature,
    }
    return _http_event(route, route.format(**parameters), headers, body, base64_encoded=False, parameters=parameters)


def vonage_event(route: str, parameters: dict[str, str]) -> Event:
    """Return the event of a Vonage webhook with a token (JWT, HS256) that is issued now for this body."""
    body = json.dumps(VONAGE_EVENT)
    claims = {
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body.encode()).hexdigest(),
        "api_key": VONAGE_API_KEY,
        "application_id": VONAGE_APPLICATION_ID,
    }
    token = jwt.encode(claims, VONAGE_SIGNATURE_SECRET, algorithm="HS256")
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    return _http_event(route, route.format(**parameters), headers, body, base64_encoded=False, parameters=parameters)
