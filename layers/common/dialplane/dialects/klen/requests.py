"""The Klen dialect's request: one body, on its own route and on the one it shares.

Numbers may be written for people. Everything else about a number is as for any dialect.
"""

from __future__ import annotations

import re
from typing import Any

from dialplane.dialects.bodies import AssistantId, Body, IntegerId, require, validated
from dialplane.dialects.contract import Arrival
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import PhoneNumberInvalid
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_variables

_SEPARATORS = re.compile(r"[ ().-]+")
_INTERNATIONAL = re.compile(r"(?:\+|00)(?=[0-9])")


class InitiateCallRequest(Body):
    """``agent_id`` is an assistant's integer id or its public id; ``contact_id`` is kept with the call."""

    phone_number: str
    agent_id: AssistantId
    contact_id: IntegerId | None = None
    variables: dict[str, Any] | None = None


def parse(arrival: Arrival) -> InitiateCall:
    """Read a body into a command.

    Raises, in the seed's order, FieldMissing, FieldsInvalid and PhoneNumberInvalid, and ValueInvalid for variables
    that no text could use.
    """
    require(arrival.body, "phone_number", "agent_id")
    request = validated(InitiateCallRequest, arrival.body)
    destination = PhoneNumber.parse(_e164(request.phone_number), field="phone_number")
    variables = request.variables or {}
    check_variables(variables)
    return InitiateCall(
        dialect="klen",
        request_id=arrival.request_id,
        presented_key=arrival.presented_key,
        destination=destination,
        caller_number=None,
        assistant_id=request.agent_id,
        welcome_message=None,
        agenda=None,
        variables=variables,
        idempotency_key=arrival.idempotency_key,
        contact_id=request.contact_id,
    )


def _e164(text: str) -> str:
    """The number without what people put between digits. Raises PhoneNumberInvalid without a country."""
    digits = _SEPARATORS.sub("", text)
    if _INTERNATIONAL.match(digits) is None:
        raise PhoneNumberInvalid("phone_number", "does not say its country: it begins with neither + nor 00.")
    return _INTERNATIONAL.sub("+", digits, count=1)
