"""One specimen of every error, and how each dialect words it: the descriptions' errors are real answers.

Which errors an operation can give is in `operations`; which status they have is decided where it always is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dialplane.dialects.registry import answers_of
from dialplane.domain import errors
from dialplane.domain.errors import DialplaneError
from dialplane.domain.money import Money
from dialplane.runtime.http import HttpRequest
from dialplane.runtime.problems import FAULT, worded

_CALL_ID = "call_01JD0000000000000000SET001"
_ASSISTANT_ID = 456


def _of_wrong_type(field: str, kind: str = "string", sent: Any = 17) -> errors.FieldsInvalid:
    entry = {"loc": ["body", field], "msg": f"Input should be a valid {kind}", "input": sent}
    return errors.FieldsInvalid([{"type": "int_type" if kind == "integer" else "string_type", **entry}])


SPECIMENS: dict[str, DialplaneError] = {
    error.code: error
    for error in (
        errors.JsonInvalid("The body is not valid JSON: Expecting value: line 1 column 25 (char 24)."),
        errors.BodyTooLarge("The body has 70000 bytes; at most 65536 are accepted."),
        _of_wrong_type("note"),
        errors.FieldMissing("to_phone_number"),
        errors.ValueInvalid("limit must be a whole number from 1 to 100.", field="limit"),
        errors.PhoneNumberInvalid("to_phone_number"),
        errors.TemplateInvalid(
            "welcome_message has a placeholder at character 7 that is not {{ name }}.", field="welcome_message"
        ),
        errors.VariablesMissing(["name"]),
        errors.CursorInvalid(),
        errors.ConfigurationInvalid('tts_config is required with the provider "openai".', param="tts_config"),
        errors.EngineUnsupported("relay", "vonage", ["say", "stream"]),
        errors.CallNotInProgress("completed"),
        errors.IdempotencyKeyReused(),
        errors.AuthenticationRequired(),
        errors.KeyInvalid(),
        errors.PermissionDenied("can_initiate_calls"),
        errors.OrganizationSuspended(),
        errors.CallerNumberForeign("+15557654321"),
        errors.AssistantForeign(_ASSISTANT_ID),
        errors.NumberCannotDialOut("+15551234567"),
        errors.DestinationOnDnc(),
        errors.DestinationNotAllowed(
            "The destination belongs to GB; your organization may call: US. Ask the operator to allow the country.",
            country="GB",
        ),
        errors.AssistantNotFound("No assistant found for phone number +15551234567"),
        errors.CallerNumberMissing(),
        errors.CallNotFound(),
        errors.TranscriptNotFound("no conversation was held on it, or it is kept no longer"),
        errors.DncEntryNotFound(),
        errors.RouteNotFound("There is no GET /docs/other.js. GET /docs is the page."),
        errors.InsufficientBalance(available=Money(40_000, "USD"), required=Money(150_000, "USD")),
        errors.ControlUnsupported("ElevenLabs has no request that transfers a call."),
        errors.CommandNotAvailable("say"),
        errors.CallNotSettled("in_progress"),
        errors.SetupMissing(["agent"]),
        errors.IdempotencyInProgress(2),
        errors.ActiveCallsLimitReached(100),
        errors.RateLimitExceeded(60, "minute", retry_after_seconds=12),
        errors.CommandsLimitReached(10, retry_after_seconds=12),
        errors.CarrierRateReached(1),
        errors.ServiceBusy(),
        errors.CarrierRejected(
            "The carrier refused the call.", carrier="twilio", carrier_code="20003", call_id=_CALL_ID
        ),
        errors.DestinationRefused(
            "The carrier does not call this number.", carrier="twilio", carrier_code="21211", call_id=_CALL_ID
        ),
        errors.CarrierUnavailable("The carrier could not be reached.", carrier="twilio"),
        errors.CallNotPlaced("The carrier has no such call.", call_id=_CALL_ID),
    )
}
"""By code. What only the command line meets is not among them."""

# About fields that a dialect has, where the specimen is about one of another's.
_OF_DIALECTS: dict[str, tuple[DialplaneError, ...]] = {
    "burki": (_of_wrong_type("agenda"),),
    "klen": (
        errors.FieldMissing("agent_id"),
        errors.PhoneNumberInvalid("phone_number"),
        _of_wrong_type("contact_id", "integer", "17"),
    ),
    "hms": (
        errors.FieldMissing("destination"),
        errors.PhoneNumberInvalid("destination"),
        _of_wrong_type("first_message"),
    ),
    "elevenlabs_tester": (
        errors.FieldMissing("business_description"),
        errors.PhoneNumberInvalid("to_number"),
        _of_wrong_type("scenario"),
    ),
}
_OF_PATHS: dict[str, tuple[DialplaneError, ...]] = {"/api/context": (errors.FieldMissing("description"),)}

_SCHEMAS = {
    None: "Problem",
    "burki": "Problem",
    "klen": "KlenError",
    "hms": "HmsError",
    "elevenlabs_tester": "TesterError",
}


_HEADERS = {
    "Retry-After": "Seconds after which the request can be repeated",
    "X-RateLimit-Limit": "How many there may be in the period",
    "X-RateLimit-Remaining": "How many more there may be in this one",
    "X-RateLimit-Reset": "In how many seconds the next one begins",
}


def responses(codes: Iterable[str], dialects: Iterable[str | None], path: str) -> dict[str, Any]:
    """The answers with these errors, and with a fault of ours, in the words of each dialect."""
    found: dict[str, Any] = {}
    wanted = list(codes)
    for dialect in dialects:
        own = (*_OF_DIALECTS.get(dialect or "", ()), *_OF_PATHS.get(path, ()))
        specimens = SPECIMENS | {error.code: error for error in own}
        for error in (*(specimens[code] for code in wanted), FAULT):
            _add(found, error, dialect, path)
    return {status: found[status] for status in sorted(found)}


def _add(found: dict[str, Any], error: DialplaneError, dialect: str | None, path: str) -> None:
    request = HttpRequest("GET", path, {}, {}, {}, b"", "JKJaXmPLvHcESHA=")
    answer = worded(error, request, answers_of(dialect) if dialect is not None else None)
    code = error.code
    response = found.setdefault(str(answer.status), {"description": "", "headers": {}, "content": {}})
    named = f"`{code}`"
    if named not in response["description"]:
        response["description"] = ", ".join(filter(None, (response["description"], named)))
    for header, description in _HEADERS.items():
        if header.lower() in answer.headers:
            response["headers"][header] = {"description": description, "schema": {"type": "integer"}}
    content = response["content"].setdefault(answer.content_type, {"schema": {"anyOf": []}, "examples": {}})
    schema = {"$ref": f"#/components/schemas/{_SCHEMAS[dialect]}"}
    if schema not in content["schema"]["anyOf"]:
        content["schema"]["anyOf"].append(schema)
    name = code if dialect is None else f"{dialect}_{code}"
    content["examples"][name] = {"value": json.loads(answer.body)}
