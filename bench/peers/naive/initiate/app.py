"""POST /calls/initiate of the naive peer: one DynamoDB call per check, then Twilio, then the call's id."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.exceptions import ServiceError, UnauthorizedError
from aws_lambda_powertools.event_handler.openapi.params import Header
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from boto3.dynamodb.conditions import Attr
from common import (
    PUBLIC_BASE_URL,
    InitiateCallRequest,
    InitiateCallResponse,
    LambdaContext,
    api_keys_table,
    assistants_table,
    calls_table,
    do_not_call_table,
    dynamodb,
    logger,
    metrics,
    phone_numbers_table,
    tracer,
    twilio_client,
    wallets_table,
)

app = APIGatewayHttpResolver(enable_validation=True)


def fill(text: str | None, variables: dict[str, str] | None) -> str | None:
    """Replace {{name}} with its value."""
    for name, value in (variables or {}).items():
        text = text.replace("{{" + name + "}}", value) if text else text
    return text


@app.post("/calls/initiate")
@tracer.capture_method
def initiate_call(request: InitiateCallRequest, authorization: Annotated[str, Header()]) -> InitiateCallResponse:
    """Check, hold, dial, remember."""
    key_hash = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
    api_key = api_keys_table.get_item(Key={"key_hash": key_hash}).get("Item")
    if not api_key or api_key["status"] != "active":
        raise UnauthorizedError("Invalid API key")
    organization_id = api_key["organization_id"]

    number = phone_numbers_table.get_item(Key={"phone_number": request.from_phone_number}).get("Item")
    if not number or number["organization_id"] != organization_id:
        raise ServiceError(403, f"Unauthorized: phone number {request.from_phone_number} does not belong to you")
    assistant_id = request.assistant_id or int(number["assistant_id"])
    assistant = assistants_table.get_item(Key={"assistant_id": assistant_id}).get("Item")
    if not assistant or assistant["organization_id"] != organization_id:
        raise ServiceError(404, f"No assistant found for phone number {request.from_phone_number}")
    if do_not_call_table.get_item(Key={"phone_number": request.to_phone_number}).get("Item"):
        raise ServiceError(403, "Number is on the do-not-call list")
    hold = int(assistant["rate_per_minute"]) * int(assistant["max_minutes"])
    wallet = wallets_table.get_item(Key={"organization_id": organization_id}).get("Item")
    if not wallet or wallet["balance"] < hold:
        raise ServiceError(402, "Insufficient balance. Please add funds to continue making calls.")
    try:
        wallets_table.update_item(
            Key={"organization_id": organization_id},
            UpdateExpression="SET balance = balance - :hold, held = held + :hold",
            ConditionExpression=Attr("balance").gte(hold),
            ExpressionAttributeValues={":hold": hold},
        )
    except dynamodb.meta.client.exceptions.ConditionalCheckFailedException as error:
        raise ServiceError(402, "Insufficient balance. Please add funds to continue making calls.") from error

    call_id = str(uuid.uuid4())
    item: dict[str, Any] = {
        "call_id": call_id,
        "organization_id": organization_id,
        "assistant_id": assistant_id,
        "from_phone_number": request.from_phone_number,
        "to_phone_number": request.to_phone_number,
        "welcome_message": fill(request.welcome_message, request.variables) or assistant["welcome_message"],
        "agenda": fill(request.agenda, request.variables) or "",
        "status": "queued",
        "hold": hold,
        "created_at": datetime.now(UTC).isoformat(),
    }
    calls_table.put_item(Item=item)
    call = twilio_client.calls.create(
        to=request.to_phone_number,
        from_=request.from_phone_number,
        url=f"{PUBLIC_BASE_URL}/twiml/{call_id}",
        status_callback=f"{PUBLIC_BASE_URL}/status/{call_id}",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        time_limit=int(assistant["max_minutes"]) * 60,
    )
    calls_table.update_item(
        Key={"call_id": call_id},
        UpdateExpression="SET call_sid = :sid, #s = :status",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":sid": call.sid, ":status": call.status},
    )
    logger.info("call_initiated", call_id=call_id, call_sid=call.sid)
    metrics.add_metric(name="CallsInitiated", unit=MetricUnit.Count, value=1)
    return InitiateCallResponse(message="Call initiated successfully", call_sid=str(call.sid))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point."""
    return app.resolve(event, context)
