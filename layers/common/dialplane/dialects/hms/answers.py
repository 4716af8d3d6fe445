"""The HMS Sovereign dialect's answers. Errors are ``{"error": "<in short>", "message", "code", "param"}``.

The seed's page shows the first two members, flat; ``code`` and ``param`` are those that other pages of its vendor
promise. ``param`` is there when one field is at fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialplane.dialects.contract import Reply
from dialplane.dialects.words import message_of, path_of
from dialplane.domain.errors import DialplaneError, FieldsInvalid, InsufficientBalance

if TYPE_CHECKING:
    from dialplane.domain.admission import InitiateCall
    from dialplane.domain.calls import Call

NEEDS_CARRIER_CALL_ID = False
_DEPRECATION = "@1795132800"
"""RFC 9745: when the old names became deprecated here, 2026-11-20 in seconds since 1970."""

# Where the seed's status is not the canonical one.
_STATUSES = {
    "invalid_json": 400,
    "missing_field": 422,
    "invalid_phone_number": 422,
    "invalid_configuration": 422,
    "engine_unsupported": 422,
    "invalid_template": 422,
    "missing_variables": 422,
    "assistant_foreign": 404,
    "caller_number_foreign": 404,
    "caller_number_missing": 404,
}
_IN_SHORT = {
    "invalid_key": "Invalid API key",
    "authentication_required": "API key required",
    "insufficient_balance": "Insufficient credits",
    "assistant_foreign": "Assistant not found",
    "caller_number_foreign": "Phone number not found",
    "caller_number_missing": "No phone number available",
    "do_not_call": "Do not call",
}
_FIELD_NAMES = {"welcome_message": "first_message", "prompt": "llm_config.messages"}
"""Ours to this dialect's, for errors about texts that came under another name."""
_PARAMS = {"assistant_foreign": "assistant_id", "caller_number_foreign": "number_id"}
_MESSAGES = {
    "caller_number_missing": (
        "No number that can call with this assistant is free to choose from. Send number_id, or have a number added."
    ),
    "assistant_foreign": "No assistant of your organization has this id. Check assistant_id.",
    "caller_number_foreign": "No number of your organization has this id. Check number_id.",
}


def placed(command: InitiateCall, call: Call) -> Reply:
    """The answer to an accepted call, exactly as the seed has it, and a header when it was asked for in old words."""
    headers = {"deprecation": _DEPRECATION} if command.deprecated_fields else {}
    return Reply(200, {"success": True, "call_id": call.id, "status": "dialing"}, headers)


def refused(error: DialplaneError, *, status: int, request_id: str) -> Reply:
    """Any error."""
    document: dict[str, Any] = {
        "error": _IN_SHORT.get(error.code) or error.code.replace("_", " ").capitalize(),
        "message": _MESSAGES.get(error.code) or _message(error),
        "code": error.code,
    }
    if (param := _param(error)) is not None:
        document["param"] = _FIELD_NAMES.get(param, param)
    if isinstance(error, InsufficientBalance):
        document["balance"] = error.available.amount
        document["required"] = error.required.amount
        document["currency"] = error.required.currency
    return Reply(_STATUSES.get(error.code, status), document)


def _param(error: DialplaneError) -> str | None:
    if isinstance(error, FieldsInvalid):
        return path_of(error.errors[0]["loc"])
    return error.details.get("param") or error.details.get("field") or _PARAMS.get(error.code)


def _message(error: DialplaneError) -> str:
    field = error.details.get("field", "")
    return error.message.replace(field, _FIELD_NAMES[field], 1) if field in _FIELD_NAMES else message_of(error)
