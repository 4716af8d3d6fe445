"""POST /status/{call_id} of the naive peer: check the signature, put the event on the queue, answer."""

import base64
from typing import Any
from urllib.parse import parse_qsl

from common import (
    PUBLIC_BASE_URL,
    STATUS_QUEUE_URL,
    CallStatusMessage,
    LambdaContext,
    logger,
    metrics,
    request_validator,
    sqs,
    tracer,
)


def form_of(event: dict[str, Any]) -> dict[str, str]:
    """Decode the form Twilio posts."""
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    return dict(parse_qsl(body, keep_blank_values=True))


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point."""
    form = form_of(event)
    signature = event["headers"].get("x-twilio-signature", "")
    if not request_validator.validate(PUBLIC_BASE_URL + event["rawPath"], form, signature):
        return {"statusCode": 403, "body": "Invalid webhook signature"}

    message = CallStatusMessage(
        call_id=event["pathParameters"]["call_id"],
        call_sid=form["CallSid"],
        status=form["CallStatus"],
        duration=int(form["CallDuration"]) if "CallDuration" in form else None,
        fields=form,
    )
    sqs.send_message(QueueUrl=STATUS_QUEUE_URL, MessageBody=message.model_dump_json())
    logger.info("status_received", call_sid=message.call_sid, status=message.status)
    return {"statusCode": 204}
