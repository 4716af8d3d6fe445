"""API Gateway WebSocket events of one call: the handshake as Twilio signs it, and the frames that follow.

Nothing here knows what the functions make of them.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from twilio.request_validator import RequestValidator

from bench import events
from bench.events import Event

SOCKET_BASE_URL = "wss://sockets.example.com/live"
_HOST = "sockets.example.com"
_METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live/$connect"
_AGENT = "TwilioMediaGateway/1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """The WebSocket of one call. ``connection_id`` is API Gateway's name for it; ``token`` opens it."""

    organization_id: str
    carrier_account_id: str
    call_id: str
    token: str
    connection_id: str

    def handshake(self) -> Event:
        """What a REQUEST authorizer of ``$connect`` is asked."""
        ids = (self.organization_id, "twilio", self.carrier_account_id, self.call_id, self.token)
        address = ".".join(ids)
        signature = RequestValidator(events.AUTH_TOKEN).compute_signature(f"{SOCKET_BASE_URL}?call={address}", {})
        headers = {
            "Host": _HOST,
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            "User-Agent": _AGENT,
            "X-Amzn-Trace-Id": "Root=1-67a1b2c3-0123456789abcdef01234567",
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": "https",
            "X-Twilio-Signature": signature,
        }
        return {
            "type": "REQUEST",
            "methodArn": _METHOD_ARN,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {"call": address},
            "multiValueQueryStringParameters": {"call": [address]},
            "stageVariables": {},
            "requestContext": self._context("CONNECT", "$connect"),
        }

    def connected(self) -> Event:
        """What the route ``$connect`` is told once the authorizer has let the carrier in."""
        return {"requestContext": self._proved("CONNECT", "$connect"), "isBase64Encoded": False}

    def setup(self) -> Event:
        """The carrier's first frame."""
        return self._frame(
            "setup",
            {
                "type": "setup",
                "sessionId": "VX" + "0123456789abcdef" * 2,
                "accountSid": events.ACCOUNT_SID,
                "parentCallSid": "",
                "callSid": events.CARRIER_CALL_ID,
                "from": events.CALLER_NUMBER,
                "to": events.DESTINATION,
                "forwardedFrom": "",
                "callType": "PSTN",
                "callerName": "",
                "direction": "outbound-api",
                "callStatus": "IN-PROGRESS",
                "customParameters": {},
            },
        )

    def prompt(self, words: str) -> Event:
        """The callee has said something."""
        return self._frame("prompt", {"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": True})

    def _frame(self, name: str, frame: dict[str, Any]) -> Event:
        context = self._proved("MESSAGE", "$default") | {"messageId": f"{name}{self.connection_id}"[:16]}
        return {"requestContext": context, "body": json.dumps(frame), "isBase64Encoded": False}

    def _proved(self, kind: str, route: str) -> dict[str, Any]:
        authorizer = {"organization_id": self.organization_id, "call_id": self.call_id, "principalId": self.call_id}
        return self._context(kind, route) | {"authorizer": authorizer | {"integrationLatency": 12}}

    def _context(self, kind: str, route: str) -> dict[str, Any]:
        now = int(time.time() * 1000)
        return {
            "routeKey": route,
            "eventType": kind,
            "extendedRequestId": "L0SM9EpaPHcFdaQ=",
            "requestTime": "02/Jan/2026:10:00:00 +0000",
            "messageDirection": "IN",
            "stage": "live",
            "connectedAt": now,
            "requestTimeEpoch": now,
            "identity": {"sourceIp": "192.0.2.1", "userAgent": _AGENT},
            "requestId": "L0SM9EpaPHcFdaQ=",
            "domainName": _HOST,
            "connectionId": self.connection_id,
            "apiId": "a1b2c3d4e5",
        }
