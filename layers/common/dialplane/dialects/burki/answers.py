"""The Burki dialect's answers. Its errors are the problem document, whose ``detail`` is where its clients look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialplane.dialects.contract import Reply
from dialplane.domain.errors import DialplaneError, FieldsInvalid, PhoneNumberInvalid

if TYPE_CHECKING:
    from dialplane.domain.admission import InitiateCall
    from dialplane.domain.calls import Call

NEEDS_CARRIER_CALL_ID = True
_NUMBER_FORMAT = "Invalid phone number format. Use E.164 format (e.g., +1234567890)"


def placed(command: InitiateCall, call: Call) -> Reply:
    """The answer to a placed call, exactly as both seeds have it; without its ``call_sid`` it is not that answer."""
    if call.carrier_call_id is None:
        return Reply(202, {"status": "unknown", "call_id": call.id})
    return Reply(200, {"message": "Call initiated successfully", "call_sid": call.carrier_call_id})


def refused(error: DialplaneError, *, status: int, request_id: str) -> Reply | None:
    """None: the problem document is this dialect's envelope already, with ``detail`` for the words."""
    return None


def detail(error: DialplaneError) -> Any:
    """The seed's own words where it has some that differ from ours: FastAPI's list for wrong types, one for numbers."""
    match error:
        case FieldsInvalid():
            return list(error.errors)
        case PhoneNumberInvalid():
            return _NUMBER_FORMAT
        case _:
            return None
