"""The Klen dialect's answers: ``{"error": "<code>", "message": "…"}`` with the codes of its own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialplane.dialects.contract import Reply
from dialplane.dialects.words import message_of
from dialplane.domain.errors import Busy, DialplaneError, FieldMissing, FieldsInvalid, InsufficientBalance
from dialplane.domain.times import to_text

if TYPE_CHECKING:
    from dialplane.domain.admission import InitiateCall
    from dialplane.domain.calls import Call

NEEDS_CARRIER_CALL_ID = False

# Our code to the seed's status and code; what is not here keeps its own.
_CODES: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "invalid_json"),
    "invalid_fields": (400, "validation_error"),
    "invalid_template": (422, "invalid_template"),
    "missing_variables": (422, "missing_variables"),
    "insufficient_balance": (402, "insufficient_funds"),
    "assistant_foreign": (404, "agent_not_found"),
    "assistant_not_found": (404, "agent_not_found"),
    "caller_number_missing": (404, "no_phone_number"),
    "number_cannot_dial_out": (404, "no_phone_number"),
    "call_not_found": (404, "not_found"),
}
# The seed's own words, for codes whose message in our words would name what a client of this dialect cannot know.
_WORDS = {
    "missing_phone_number": "Phone number is required. Send phone_number in E.164 format (e.g., +15551234567).",
    "missing_agent_id": "Agent ID is required. Send agent_id: the agent's database id or its assistant_id.",
    "agent_not_found": "AI agent not found or you do not have access. Check agent_id.",
    "no_phone_number": "The agent does not have an assigned phone number that can be called from. Assign one to it.",
}


def placed(command: InitiateCall, call: Call) -> Reply:
    """The answer to an accepted call; it is dialled at once, so it is estimated to start when it was created."""
    return Reply(
        200,
        {
            "id": call.id,
            "call_id": call.id,
            "status": "queued",
            "type": "outbound",
            "phone_number": call.destination,
            "agent": agent_document(call),
            "created_at": to_text(call.created_at),
            "estimated_start": to_text(call.created_at),
        },
    )


def agent_document(call: Call) -> dict[str, Any]:
    """The assistant of a call; ``assistant_id`` is its public id, null when it has none."""
    return {"id": call.assistant_id, "name": call.assistant_name, "assistant_id": call.assistant_public_id}


def refused(error: DialplaneError, *, status: int, request_id: str) -> Reply:
    """Any error. 402 also says the ``balance`` and the ``required_rate``: what has to be available for this call."""
    status, code = _status_and_code(error, status)
    document: dict[str, Any] = {"error": code, "message": _WORDS.get(code) or message_of(error)}
    if isinstance(error, InsufficientBalance):
        document["balance"] = error.available.amount
        document["required_rate"] = error.required.amount
        document["currency"] = error.required.currency
    return Reply(status, document)


def _status_and_code(error: DialplaneError, status: int) -> tuple[int, str]:
    if isinstance(error, FieldsInvalid) and error.errors[0]["loc"][-1] == "phone_number":
        return 400, "invalid_phone_number"
    if error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, FieldMissing):
        return status, f"missing_{error.field}"
    # Whatever else is the server's: this dialect has one word for it. "Busy" is no fault, and worth telling apart.
    if status >= 500 and not isinstance(error, Busy):
        return 500, "server_error"
    return status, error.code
