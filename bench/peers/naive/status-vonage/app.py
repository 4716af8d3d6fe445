"""POST /status/{call_id} for Vonage: check the signed token with PyJWT, put the event on the queue, answer."""

import base64
import hashlib
import hmac
import json
import os
from typing import Any

import jwt
from common import (
    STATUS_QUEUE_URL,
    CallStatusMessage,
    LambdaContext,
    logger,
    metrics,
    secrets,
    sqs,
    tracer,
)

vonage_credentials: dict[str, str] = json.loads(
    secrets.get_secret_value(SecretId=os.environ["VONAGE_SECRET_ID"])["SecretString"]
)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    token = event["headers"].get("authorization", "").removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, vonage_credentials["signature_secret"], algorithms=["HS256"])
    except jwt.InvalidTokenError:
        return {"statusCode": 403, "body": "Invalid webhook signature"}
    if not hmac.compare_digest(claims["payload_hash"], hashlib.sha256(body.encode()).hexdigest()):
        return {"statusCode": 403, "body": "Invalid webhook signature"}

    fields = json.loads(body)
    message = CallStatusMessage(
        call_id=event["pathParameters"]["call_id"],
        call_sid=fields["uuid"],
        status=fields["status"],
        duration=int(fields["duration"]) if "duration" in fields else None,
        fields=fields,
    )
    sqs.send_message(QueueUrl=STATUS_QUEUE_URL, MessageBody=message.model_dump_json())
    logger.info("status_received", call_sid=message.call_sid, status=message.status)
    return {"statusCode": 204}
