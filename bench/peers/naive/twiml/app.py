"""POST /twiml/{call_id} of the naive peer: check the signature, load the call, connect it to the assistant."""

import base64
from typing import Any
from urllib.parse import parse_qsl

from common import (
    PUBLIC_BASE_URL,
    Connect,
    LambdaContext,
    VoiceResponse,
    calls_table,
    logger,
    metrics,
    request_validator,
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

    response = VoiceResponse()
    call = calls_table.get_item(Key={"call_id": event["pathParameters"]["call_id"]}).get("Item")
    if call:
        connect = Connect()
        relay = connect.conversation_relay(url=call["relay_url"], welcome_greeting=call["welcome_message"])
        relay.parameter(name="call_id", value=call["call_id"])
        relay.parameter(name="assistant_id", value=str(call["assistant_id"]))
        response.append(connect)
    else:
        response.hangup()
    logger.info("twiml_served", call_sid=form.get("CallSid"))
    return {"statusCode": 200, "headers": {"content-type": "text/xml"}, "body": str(response)}
