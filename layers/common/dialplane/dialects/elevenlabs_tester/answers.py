"""The tester's answers: ``{"ok": true, …}`` with the carrier's own reply in ``raw``, and ``{"error": "<text>"}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialplane.dialects.contract import Reply
from dialplane.dialects.words import message_of
from dialplane.domain.errors import (
    CarrierFailure,
    DialplaneError,
    FieldMissing,
    FieldsInvalid,
    JsonInvalid,
    PhoneNumberInvalid,
    SetupMissing,
)

if TYPE_CHECKING:
    from dialplane.domain.admission import InitiateCall
    from dialplane.domain.calls import Call

NEEDS_CARRIER_CALL_ID = True

_ELEVENLABS = "elevenlabs"
_NUMBER_FORMAT = "Phone number must be in E.164 format, for example +15551234567."
_MISSING = {
    "description": "No description provided",
    "business_description": "Provide a business description first.",
    "to_number": _NUMBER_FORMAT,
}
# The seed's variables hold what an organization's default assistant has here; their order is the seed's.
_VARIABLES = {
    "carrier account": "ELEVENLABS_API_KEY",
    "agent": "ELEVENLABS_AGENT_ID",
    "caller number": "ELEVENLABS_AGENT_PHONE_NUMBER_ID",
}

# Codes of ours, for a dial that ended without the carrier having answered.
_NOT_OF_THE_CARRIER = (None, "", "carrier_rate_reached", "dial_window_over", "not_sent")


def placed(command: InitiateCall, call: Call) -> Reply:
    """The answer to a placed call. While its placement is unknown it has our ``call_id``, to ask for it later."""
    raw = _raw(call)
    is_elevenlabs = call.carrier == _ELEVENLABS
    document = {
        "ok": True,
        "status": _text(raw, "status") or "initiated",
        "message": "Call initiated.",
        "to_number": call.destination,
        # From the call: the context may have changed since a request that is repeated.
        "scenario": json.loads(call.variables_json)["scenario"],
        "call_sid": _text(raw, "call_sid", "callSid") or (None if is_elevenlabs else call.carrier_call_id),
        "conversation_id": _text(raw, "conversation_id", "conversationId"),
        "raw": raw,
    }
    if call.carrier_call_id is not None:
        return Reply(200, document)
    unknown = {"status": "unknown", "message": "The carrier did not say whether it took the call.", "call_id": call.id}
    return Reply(202, document | unknown)


def refused(error: DialplaneError, *, status: int, request_id: str) -> Reply:
    """Any error, in the seed's own texts where it has some."""
    match error:
        case FieldMissing(field=field) if field in _MISSING:
            status, text = 400, _MISSING[field]
        case PhoneNumberInvalid():
            status, text = 400, _NUMBER_FORMAT
        case FieldsInvalid():
            status, text = 400, _NUMBER_FORMAT if error.errors[0]["loc"][-1] == "to_number" else message_of(error)
        case JsonInvalid():
            status, text = 400, message_of(error)
        case SetupMissing():
            names = [variable for name, variable in _VARIABLES.items() if name in error.names]
            status, text = 500, f"Missing required environment variables: {', '.join(names)}"
        case CarrierFailure():
            status, text = 502, _carrier_failure(error)
        case _:
            text = message_of(error)
    return Reply(status, {"error": text})


def _carrier_failure(error: CarrierFailure) -> str:
    carrier, code = error.details.get("carrier"), error.details.get("carrier_code")
    if carrier is None or error.details.get("cause") is None:  # no answer of a carrier is told here
        return error.message
    name = "ElevenLabs" if carrier == _ELEVENLABS else carrier.replace("-", " ").title()
    reason = error.carrier_message or error.message
    if error.details["cause"] == "unreachable" or code in _NOT_OF_THE_CARRIER:
        return f"Could not reach {name}: {reason}"
    return f"{name} API error ({code}): {reason}"


def _raw(call: Call) -> dict[str, Any]:
    reply = json.loads(call.carrier_reply_json) if call.carrier_reply_json is not None else None
    return reply if isinstance(reply, dict) else {}


def _text(raw: Mapping[str, Any], *names: str) -> str | None:
    return next((raw[name] for name in names if isinstance(raw.get(name), str) and raw[name]), None)
