"""Events as AWS sends them: HTTP API (payload format 2.0), SQS, the call-completion task, the scheduler.

The ids, keys and tokens are those of `event_world`; Twilio's signatures hold for its PUBLIC_BASE_URL.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from twilio.request_validator import RequestValidator

from dialplane.domain.accounts import PresentedKey
from dialplane.domain.times import to_text
from tests.fakes import event_world as world

_HOST = world.PUBLIC_BASE_URL.removeprefix("https://")
_AT = world.CREATED_AT
_FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def _http(
    route: str,
    *,
    headers: Mapping[str, str],
    body: str | None = None,
    is_base64: bool = False,
    parameters: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    method, pattern = route.split(" ")
    path = pattern.format(**{name: quote(value, safe="+") for name, value in (parameters or {}).items()})
    agent = headers.get("user-agent", "curl/8.7.1")
    length = {"content-length": str(len(base64.b64decode(body) if is_base64 else body.encode()))} if body else {}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        "headers": {
            "accept": "*/*",
            **length,
            "host": _HOST,
            "user-agent": agent,
            "x-amzn-trace-id": "Root=1-673da5d0-0123456789abcdef01234567",
            "x-forwarded-for": "192.0.2.10",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **headers,
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "example123",
            "domainName": _HOST,
            "domainPrefix": "calls",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.10",
                "userAgent": agent,
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "$default",
            "time": _AT.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(_AT.timestamp() * 1000),
        },
        "isBase64Encoded": is_base64,
    }
    # API Gateway leaves out what is not there.
    optional = {"queryStringParameters": query, "pathParameters": parameters, "body": body}
    return event | {name: value for name, value in optional.items() if value is not None}


def api(
    route: str,
    *,
    body: Any = None,
    key: PresentedKey | None = world.API_KEY,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A customer's request."""
    text = body if body is None or isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    own = {"authorization": f"Bearer {key.text}"} if key is not None else {}
    content = {"content-type": "application/json"} if text is not None else {}
    return _http(route, headers={**content, **own, **(headers or {})}, body=text, parameters=parameters, query=query)


def initiate(body: Any, **how: Any) -> dict[str, Any]:
    """A request for a call; ``body`` may be a text that is no JSON."""
    return api("POST /calls/initiate", body=body, **how)


def twilio(
    kind: str,
    status: str,
    *,
    call_id: str = world.RINGING_CALL_ID,
    token: str = world.AUTH_TOKEN,
    facts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A request of Twilio's about one of the world's calls, signed with ``token``."""
    form = _form(status, call_id) | dict(facts or {})
    ids = {
        "carrier": "twilio",
        "organization_id": world.ORGANIZATION_ID,
        "carrier_account_id": world.CARRIER_ACCOUNT_ID,
        "call_id": call_id,
    }
    url = f"{world.PUBLIC_BASE_URL}/{kind}/{'/'.join(ids.values())}"
    # The token of one delivery is the same in its repetitions, and so are the event and the signature.
    delivery = hashlib.sha256(json.dumps(form).encode()).hexdigest()
    headers = {
        "content-type": _FORM,
        "user-agent": "TwilioProxy/1.1",
        "x-twilio-signature": RequestValidator(token).compute_signature(url, form),
        "i-twilio-idempotency-token": f"{delivery[:8]}-{delivery[8:12]}-4{delivery[13:16]}-8{delivery[17:20]}-"
        f"{delivery[20:32]}",
    }
    route = f"POST /{kind}/{{carrier}}/{{organization_id}}/{{carrier_account_id}}/{{call_id}}"
    body = base64.b64encode(urlencode(form).encode()).decode()
    return _http(route, headers=headers, body=body, is_base64=True, parameters=ids)


def _form(status: str, call_id: str) -> dict[str, str]:
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


def records(*bodies: str) -> dict[str, Any]:
    """A batch of these message bodies: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    sent = str(int(_AT.timestamp() * 1000))
    return {
        "Records": [
            {
                "messageId": f"0000000{number}-1111-4222-8333-444444444444",
                "receiptHandle": f"example-receipt-handle-{number}",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": sent,
                    "SenderId": "AROAEXAMPLEEXAMPLE:dialplane-StatusWebhookFunction",
                    "ApproximateFirstReceiveTimestamp": sent,
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:dialplane-CarrierEventsQueue",
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies, 1)
        ]
    }


def message(status: str, sequence: int, **facts: str) -> str:
    """A report about the ringing call as the webhook queues it."""
    ids = _form(status, world.RINGING_CALL_ID)
    fields = {name: ids[name] for name in ("CallSid", "AccountSid", "CallStatus")}
    return json.dumps(
        {
            "carrier": "twilio",
            "organization_id": world.ORGANIZATION_ID,
            "carrier_account_id": world.CARRIER_ACCOUNT_ID,
            "call_id": world.RINGING_CALL_ID,
            "source": "callback",
            "received_at": to_text(_AT.replace(minute=1, second=sequence)),
            "fields": fields | progress(sequence, **facts),
        },
        separators=(",", ":"),
    )


def completion(call_id: str) -> dict[str, Any]:
    """The input of the task of the call-completion workflow."""
    return {"organization_id": world.ORGANIZATION_ID, "call_id": call_id}


def tick() -> dict[str, Any]:
    """What the scheduler sends for a schedule without an input of its own.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
    """
    return {
        "version": "0",
        "id": "0d079340-135a-c8c6-95c2-41fb8f496c53",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": "2024-11-20T09:02:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/dialplane-ReconcilerEveryMinute"],
        "detail": "{}",
    }
