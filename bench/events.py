"""API Gateway HTTP API events (payload format 2.0) for the three jobs, signed as Twilio signs.

The same requests go to every subject; only path and headers differ where a subject's interface does.
"""

import base64
import json
import uuid
from typing import Any
from urllib.parse import urlencode

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


def carrier_event(route: str, parameters: dict[str, str], form: dict[str, str]) -> Event:
    """Return the event of a signed Twilio request; API Gateway hands form bodies over in base64."""
    path = route.format(**parameters)
    signature = RequestValidator(AUTH_TOKEN).compute_signature(PUBLIC_BASE_URL + path, form)
    headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
    body = base64.b64encode(urlencode(form).encode()).decode()
    return _http_event(route, path, headers, body, base64_encoded=True, parameters=parameters)
