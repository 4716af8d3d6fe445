"""Requests as dialects meet them, any JSON body there can be, and the errors that a dialect has to word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hypothesis import strategies as st

from dialplane.dialects.contract import Arrival
from dialplane.domain import errors
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.errors import DialplaneError
from dialplane.domain.money import Money
from dialplane.domain.sessions import Session

T = TypeVar("T")
KEY = PresentedKey("org_1", "key", "secret")


def an_arrival(body: Mapping[str, Any], session: Session | None = None) -> Arrival:
    return Arrival(body, presented_key=KEY, request_id="request", session=session)


def outcome(attempt: Callable[[], T]) -> T | DialplaneError:
    """What comes of it, or the error that a client would meet. Any other exception is a fault of ours."""
    try:
        return attempt()
    except DialplaneError as error:
        return error


# Half characters are left in: JSON can write them.
_TEXTS = st.text(max_size=20) | st.sampled_from(["+15559876543", "sip:a@b", "{{name}}", "\ud800", "\x00", "1", " "])
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def bodies(*fields: str, **likely: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies with any JSON in any of the fields, mostly with the likely values, and sometimes with a field too many."""
    required = {name: st.one_of(value, value, value, JSON) for name, value in likely.items()}
    named = st.fixed_dictionaries(required, optional={name: JSON for name in fields if name not in likely})
    unknown = st.just({}) | st.dictionaries(st.text(max_size=5), JSON, max_size=1)
    return st.tuples(unknown, named).map(lambda parts: parts[0] | parts[1])


_CARRIER = {
    "call_id": "call_1",
    "carrier": "twilio",
    "carrier_code": "21215",
    "cause": "other",
    "carrier_message": "no",
}
ERRORS: list[DialplaneError] = [
    errors.JsonInvalid("The body is not valid JSON."),
    errors.BodyTooLarge("The body is too long."),
    errors.FieldsInvalid([{"type": "t", "loc": ["body", "x"], "msg": "wrong", "input": 1}]),
    errors.FieldMissing("x"),
    errors.ValueInvalid("x is wrong.", field="x"),
    errors.PhoneNumberInvalid("x"),
    errors.TemplateInvalid("prompt has 40000 characters when filled.", field="prompt"),
    errors.VariablesMissing(["name"]),
    errors.CursorInvalid(),
    errors.ConfigurationInvalid("stt_config is required.", param="stt_config"),
    errors.EngineUnsupported("agent", "twilio", ["say"]),
    errors.CallNotInProgress("ringing"),
    errors.IdempotencyKeyReused(),
    errors.AuthenticationRequired(),
    errors.KeyInvalid(),
    errors.PermissionDenied("can_initiate_calls"),
    errors.OrganizationSuspended(),
    errors.CallerNumberForeign("+15551234567"),
    errors.AssistantForeign(7),
    errors.NumberCannotDialOut("+15551234567"),
    errors.DestinationOnDnc(),
    errors.DestinationNotAllowed("Not this country.", country="KP"),
    errors.AssistantNotFound("No assistant found for phone number +15551234567"),
    errors.CallerNumberMissing(),
    errors.CallNotFound(),
    errors.RouteNotFound("There is no such route."),
    errors.InsufficientBalance(available=Money(90_000, "USD"), required=Money(300_000, "USD")),
    errors.ControlUnsupported("The carrier has no request for this."),
    errors.SetupMissing(["agent"]),
    errors.IdempotencyInProgress(1),
    errors.ActiveCallsLimitReached(10),
    errors.RateLimitExceeded(60, "minute", retry_after_seconds=7),
    errors.CarrierRateReached(1),
    errors.ServiceBusy(),
    errors.CarrierRejected("Failed to initiate outbound call", **_CARRIER),
    errors.DestinationRefused("The carrier does not call it.", **_CARRIER),
    errors.CarrierUnavailable("The carrier account has no credentials."),
    errors.CallNotPlaced("Never placed.", call_id="call_1"),
    DialplaneError("Something went wrong on our side."),
]
"""One of every kind that asking for a call, or reading one, can end in."""
