"""POST /status/{call_id} for Telnyx: let Telnyx's SDK check the signature, put the event on the queue, answer."""

import base64
import json
import os
from typing import Any

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
from telnyx import Telnyx

telnyx_credentials: dict[str, str] = json.loads(
    secrets.get_secret_value(SecretId=os.environ["TELNYX_SECRET_ID"])["SecretString"]
)
telnyx_client = Telnyx(api_key=telnyx_credentials["api_key"], public_key=telnyx_credentials["public_key"])


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    try:
        webhook: Any = telnyx_client.webhooks.unwrap(body, headers=event["headers"])
    except ValueError:
        return {"statusCode": 403, "body": "Invalid webhook signature"}

    payload = webhook.data.payload.to_dict(mode="json")
    message = CallStatusMessage(
        call_id=event["pathParameters"]["call_id"],
        call_sid=payload["call_control_id"],
        status=webhook.data.event_type,
        fields={name: str(value) for name, value in payload.items() if value is not None},
    )
    sqs.send_message(QueueUrl=STATUS_QUEUE_URL, MessageBody=message.model_dump_json())
    logger.info("status_received", call_sid=message.call_sid, status=message.status)
    return {"statusCode": 204}
