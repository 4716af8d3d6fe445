"""The Burki dialect: ``POST /calls/initiate`` with either of its two bodies.

The current body names ``from_phone_number`` (seed 2); the older one ``assistant_id`` alone (seed 0). Which of them a
request speaks is told by ``from_phone_number``, and a body with neither is answered as seed 2 answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dialplane.domain.accounts import PresentedKey
from dialplane.domain.admission import InitiateCall
from dialplane.domain.calls import Call
from dialplane.domain.errors import DialplaneError, FieldMissing, FieldsInvalid, PhoneNumberInvalid
from dialplane.domain.idempotency import IdempotencyKey
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_text, check_variables

NAME = "burki"
_ERRORS_SHOWN_MAX = 20
_NUMBER_FORMAT = "Invalid phone number format. Use E.164 format (e.g., +1234567890)"


class InitiateCallRequest(BaseModel):
    """Both bodies of the route. Types are strict: ``"123"`` and ``true`` are no integers."""

    model_config = ConfigDict(strict=True, extra="forbid")

    from_phone_number: str | None = None
    to_phone_number: str | None = None
    assistant_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    welcome_message: str | None = None
    agenda: str | None = None
    variables: dict[str, Any] | None = None


def parse(
    body: Mapping[str, Any],
    *,
    presented_key: PresentedKey,
    request_id: str,
    idempotency_key: IdempotencyKey | None = None,
) -> InitiateCall:
    """Read a body into a command.

    Raises FieldsInvalid for types and unknown fields, FieldMissing and PhoneNumberInvalid in the seed's order, and
    ValueInvalid for texts and variables that cannot be spoken.
    """
    request = _validated(body)
    # An empty number is a mistake of the current body, not a body without one.
    if request.from_phone_number == "" or (request.from_phone_number is None and request.assistant_id is None):
        raise FieldMissing("from_phone_number")
    if not request.to_phone_number:
        raise FieldMissing("to_phone_number")
    caller_number = None
    if request.from_phone_number is not None:
        caller_number = PhoneNumber.parse(request.from_phone_number, field="from_phone_number")
    destination = PhoneNumber.parse(request.to_phone_number, field="to_phone_number")
    for field in ("welcome_message", "agenda"):
        check_text(getattr(request, field) or "", field=field)
    variables = request.variables or {}
    check_variables(variables)
    return InitiateCall(
        dialect=NAME,
        request_id=request_id,
        presented_key=presented_key,
        destination=destination,
        caller_number=caller_number,
        assistant_id=request.assistant_id,
        # Nothing to say is the same as nothing sent: the assistant's own greeting is spoken.
        welcome_message=_unless_blank(request.welcome_message),
        agenda=_unless_blank(request.agenda),
        variables=variables,
        idempotency_key=idempotency_key,
    )


def _unless_blank(text: str | None) -> str | None:
    return text if text and text.strip() else None


def success(call: Call) -> dict[str, Any]:
    """The answer to a placed call, exactly as both seeds have it."""
    return {"message": "Call initiated successfully", "call_sid": call.carrier_call_id}


def detail(error: DialplaneError) -> Any:
    """The seed's own words where it has some that differ from ours: FastAPI's list for wrong types, one for numbers."""
    match error:
        case FieldsInvalid():
            return list(error.errors)
        case PhoneNumberInvalid():
            return _NUMBER_FORMAT
        case _:
            return None


def _validated(body: Mapping[str, Any]) -> InitiateCallRequest:
    try:
        return InitiateCallRequest.model_validate(body)
    except ValidationError as invalid:
        raise FieldsInvalid([_fastapi_error(error) for error in invalid.errors()[:_ERRORS_SHOWN_MAX]]) from invalid


def _fastapi_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """One entry as FastAPI words it: ``{type, loc, msg, input}`` with ``loc`` beginning at the body."""
    entry = {"type": error["type"], "loc": ["body", *error["loc"]], "msg": error["msg"], "input": error["input"]}
    if error["type"] == "extra_forbidden":
        similar = get_close_matches(str(error["loc"][0]), InitiateCallRequest.model_fields, n=1)
        hint = f' Did you mean "{similar[0]}"?' if similar else ""
        known = ", ".join(InitiateCallRequest.model_fields)
        return entry | {"msg": f"Unknown field.{hint} Known fields: {known}."}
    return entry
