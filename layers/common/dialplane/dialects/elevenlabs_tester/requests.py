"""The tester's requests: a context that is kept for the client, and a call that may rely on it.

The caller's first message and its prompt are templates of ours; what the client writes is put into them as values, so
that nothing in it is read as a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dialplane.dialects.bodies import Body, is_blank, require, validated
from dialplane.dialects.contract import Arrival
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import FieldMissing, PhoneNumberInvalid
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.sessions import Session
from dialplane.domain.templates import check_text

DESCRIPTION_LENGTH_MAX = 8_192
SCENARIO_LENGTH_MAX = 1_024
DEFAULT_SCENARIO = "check availability, complete a typical customer task, and avoid speaking to a human if possible"
FIRST_MESSAGE = "Hi, I'm calling because I'd like to {{spoken_scenario}}."
PROMPT = (
    "You are simulating a real customer contacting the business below. "
    "The other side is the company, an operator, or an IVR. "
    "Stay in character as the caller/customer, try to complete the task, "
    "and avoid escalating to a human unless the flow requires it.\n\n"
    "Business description:\n{{business_description}}\n\n"
    "Caller goal:\n{{scenario}}\n\n"
    "Speak naturally, ask one thing at a time, and keep each response concise."
)
_TO_NUMBER = re.compile(r"\+[1-9][0-9]{7,14}")


class ContextRequest(Body):
    """What the following calls of this client are about."""

    description: str
    scenario: str | None = None


class InitiateCallRequest(Body):
    """What is absent is taken from the client's context."""

    to_number: str
    business_description: str | None = None
    scenario: str | None = None


def parse_context(body: Mapping[str, Any]) -> Session:
    """Read a context. Raises FieldMissing without a description, FieldsInvalid, and ValueInvalid for long texts."""
    require(body, "description")
    request = validated(ContextRequest, body)
    description = _description(request.description, field="description")
    return Session(description, _scenario(request.scenario))


def parse(arrival: Arrival) -> InitiateCall:
    """Read a body and the client's context into a command.

    Raises FieldMissing for the description before anything else, as the seed does; then FieldMissing and
    PhoneNumberInvalid for the number, FieldsInvalid, and ValueInvalid for texts that are too long.
    """
    body, session = arrival.body, arrival.session
    if is_blank(body.get("business_description")) and session is None:
        raise FieldMissing("business_description")
    require(body, "to_number")
    request = validated(InitiateCallRequest, body)
    if session is not None and is_blank(request.business_description):
        description = session.description
    else:
        description = _description(request.business_description or "", field="business_description")
    scenario = _scenario(request.scenario, session.scenario if session is not None else None)
    return InitiateCall(
        dialect="elevenlabs_tester",
        request_id=arrival.request_id,
        presented_key=arrival.presented_key,
        destination=_destination(request.to_number.strip()),
        caller_number=None,
        assistant_id=None,
        welcome_message=FIRST_MESSAGE,
        agenda=None,
        variables={
            "business_description": description,
            "scenario": scenario,
            "spoken_scenario": _without_full_stops(scenario),
        },
        idempotency_key=arrival.idempotency_key,
        override={"prompt": PROMPT},
        uses_default_assistant=True,
    )


def _destination(text: str) -> PhoneNumber:
    if _TO_NUMBER.fullmatch(text) is None:
        raise PhoneNumberInvalid("to_number")
    return PhoneNumber.parse(text, field="to_number")


def _description(text: str, *, field: str) -> str:
    check_text(text, field=field, length_max=DESCRIPTION_LENGTH_MAX)
    return text.strip()


def _scenario(*choices: str | None) -> str:
    """The first that says something; full stops alone do not."""
    for choice in choices:
        if choice is not None and _without_full_stops(choice.strip()):
            check_text(choice, field="scenario", length_max=SCENARIO_LENGTH_MAX)
            return choice.strip()
    return DEFAULT_SCENARIO


def _without_full_stops(text: str) -> str:
    return text.rstrip(".").rstrip()
