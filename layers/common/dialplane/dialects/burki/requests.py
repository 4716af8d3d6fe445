"""The Burki dialect's request: either of its two bodies to a command.

The current body names ``from_phone_number`` (seed 2); the older one ``assistant_id`` alone (seed 0). Which of them a
request speaks is told by ``from_phone_number``, and a body with neither is answered as seed 2 answers.
"""

from __future__ import annotations

from typing import Any

from dialplane.dialects.bodies import Body, IntegerId, validated
from dialplane.dialects.contract import Arrival
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import FieldMissing
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_text, check_variables


class InitiateCallRequest(Body):
    """Both bodies of the route."""

    from_phone_number: str | None = None
    to_phone_number: str | None = None
    assistant_id: IntegerId | None = None
    welcome_message: str | None = None
    agenda: str | None = None
    variables: dict[str, Any] | None = None


def parse(arrival: Arrival) -> InitiateCall:
    """Read a body into a command.

    Raises FieldsInvalid for types and unknown fields, FieldMissing and PhoneNumberInvalid in the seed's order, and
    ValueInvalid for texts and variables that cannot be spoken.
    """
    request = validated(InitiateCallRequest, arrival.body)
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
        dialect="burki",
        request_id=arrival.request_id,
        presented_key=arrival.presented_key,
        destination=destination,
        caller_number=caller_number,
        assistant_id=request.assistant_id,
        # Nothing to say is the same as nothing sent: the assistant's own greeting is spoken.
        welcome_message=_unless_blank(request.welcome_message),
        agenda=_unless_blank(request.agenda),
        variables=variables,
        idempotency_key=arrival.idempotency_key,
    )


def _unless_blank(text: str | None) -> str | None:
    return text if text and text.strip() else None
