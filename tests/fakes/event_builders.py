"""Events as AWS sends them: HTTP API (payload format 2.0), WebSocket API, SQS, the workflow's tasks, the scheduler.

The ids and keys are those of `event_world`. What carriers send is in `event_carriers`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from dialplane.domain.accounts import PresentedKey
from tests.fakes import event_world as world

_HOST = world.PUBLIC_BASE_URL.removeprefix("https://")
_SOCKET_HOST = world.SOCKET_BASE_URL.removeprefix("wss://").partition("/")[0]
_AT = world.CREATED_AT


def http(
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
    return http(route, headers={**content, **own, **(headers or {})}, body=text, parameters=parameters, query=query)


def initiate(body: Any, **how: Any) -> dict[str, Any]:
    """A request for a call; ``body`` may be a text that is no JSON."""
    return api("POST /calls/initiate", body=body, **how)


def nowhere() -> dict[str, Any]:
    """A request for a path that no route has."""
    event = api("GET /nowhere")
    return event | {"routeKey": "$default", "requestContext": event["requestContext"] | {"routeKey": "$default"}}


def records(*bodies: str, queue: str = "CarrierEventsQueue") -> dict[str, Any]:
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
                    "SenderId": "AROAEXAMPLEEXAMPLE:dialplane",
                    "ApproximateFirstReceiveTimestamp": sent,
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:dialplane-{queue}",
                "awsRegion": "us-east-1",
            }
            for number, body in enumerate(bodies, 1)
        ]
    }


def dial(call_id: str) -> dict[str, Any]:
    """The one message that asks for the dial of a call."""
    body = json.dumps({"organization_id": world.ORGANIZATION_ID, "call_id": call_id})
    return records(body, queue="DialsQueue")


METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:example456/live/$connect"
SOCKET_API_ID = "example456"


def handshake(query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
    """What a REQUEST authorizer of a WebSocket API is asked. Names of headers are as they were sent.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
    """
    sent = {
        "Connection": "upgrade",
        "Host": _SOCKET_HOST,
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
        "Sec-WebSocket-Version": "13",
        "Upgrade": "websocket",
        "X-Amzn-Trace-Id": "Root=1-673da5d0-0123456789abcdef01234567",
        "X-Forwarded-For": "192.0.2.20",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        **headers,
    }
    return {
        "type": "REQUEST",
        "methodArn": METHOD_ARN,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": dict(query),
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "stageVariables": {},
        "requestContext": _socket_context("$connect", "CONNECT"),
    }


def connection(route: str, event_type: str, *, call_id: str = world.TALKING_CALL_ID) -> dict[str, Any]:
    """A WebSocket that was let in is open, or is closed."""
    return {"requestContext": _socket_context(route, event_type, call_id=call_id), "isBase64Encoded": False}


def frame(body: Any, *, message_id: str = "example-message=", call_id: str = world.TALKING_CALL_ID) -> dict[str, Any]:
    """One frame of the carrier's; ``body`` may be a text that is no JSON."""
    context = _socket_context("$default", "MESSAGE", call_id=call_id) | {"messageId": message_id}
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return {"requestContext": context, "body": text, "isBase64Encoded": False}


def _socket_context(route: str, event_type: str, *, call_id: str | None = None) -> dict[str, Any]:
    """Once the authorizer has let somebody in, what it proved comes with every event."""
    proved = {"organization_id": world.ORGANIZATION_ID, "call_id": call_id, "principalId": call_id}
    return {
        "routeKey": route,
        "eventType": event_type,
        "messageDirection": "IN",
        "extendedRequestId": "JKJaXmPLvHcFqBA=",
        "requestId": "JKJaXmPLvHcFqBA=",
        "requestTime": _AT.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(_AT.timestamp() * 1000),
        "connectedAt": int(_AT.timestamp() * 1000),
        "stage": "live",
        "domainName": _SOCKET_HOST,
        "apiId": SOCKET_API_ID,
        "connectionId": world.CONNECTION_ID,
        "identity": {"sourceIp": "192.0.2.20"},
        **({"authorizer": proved} if call_id is not None else {}),
    }


def completion(call_id: str) -> dict[str, Any]:
    """The input of each task of the call-completion workflow."""
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
