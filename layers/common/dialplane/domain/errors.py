"""Every error that a client can meet, as facts without HTTP.

    DialplaneError
    ├── InvalidRequest            the request is at fault; sending it again unchanged cannot help
    │   ├── JsonInvalid · BodyTooLarge · FieldsInvalid · FieldMissing · ValueInvalid
    │   ├── PhoneNumberInvalid · TemplateInvalid · VariablesMissing · CursorInvalid
    │   ├── ConfigurationInvalid · EngineUnsupported · CallNotInProgress
    │   └── IdempotencyKeyReused
    ├── Unauthenticated           AuthenticationRequired · KeyInvalid
    ├── Forbidden                 PermissionDenied · OrganizationSuspended · CallerNumberForeign ·
    │                             AssistantForeign · NumberCannotDialOut · DestinationOnDnc · DestinationNotAllowed
    ├── NotFound                  AssistantNotFound · CallerNumberMissing · CallNotFound · TranscriptNotFound ·
    │                             DncEntryNotFound · RouteNotFound · EntityNotFound
    ├── InsufficientBalance
    ├── Conflict                  ControlUnsupported · CommandNotAvailable · CallNotSettled; the call is not such that
    │                             this can be done
    ├── SetupMissing              the organization lacks what this kind of call needs
    ├── Busy                      IdempotencyInProgress · ActiveCallsLimitReached · RateLimitExceeded ·
    │                             CommandsLimitReached · CarrierRateReached · ServiceBusy; try again later
    └── CarrierFailure            DestinationRefused · CarrierRejected · CarrierUnavailable ·
                                  CallNotPlaced

``code`` is stable and part of the API; the message says what, which value and what to do next. Which HTTP status a code
gets is decided in ``runtime.problems`` alone, and a dialect may word it in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dialplane.domain.money import Money


class DialplaneError(Exception):
    """Root of every error that is part of the API.

    ``is_replay`` marks the answer to a repeated request whose first one was refused in the same way.
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, Any] = details
        self.is_replay = False


class InvalidRequest(DialplaneError):
    """The request is at fault."""


class JsonInvalid(InvalidRequest):
    """The body is not one JSON object."""

    code = "invalid_json"


class BodyTooLarge(InvalidRequest):
    """The body is longer than any request needs."""

    code = "body_too_large"


class FieldsInvalid(InvalidRequest):
    """Fields have wrong types or are unknown; ``errors`` lists each as ``{type, loc, msg, input}``."""

    code = "invalid_fields"

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        named = ", ".join(".".join(str(part) for part in error["loc"]) for error in errors)
        super().__init__(f"Invalid fields: {named}.")
        self.errors = errors


class FieldMissing(InvalidRequest):
    """A required field is absent, null or empty."""

    code = "missing_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} is required", field=field)
        self.field = field


class ValueInvalid(InvalidRequest):
    """A field has the right type and an unusable value."""

    code = "invalid_value"


class PhoneNumberInvalid(InvalidRequest):
    """A phone number is not E.164, or not possible in its country."""

    code = "invalid_phone_number"

    def __init__(self, field: str, reason: str = "is not a possible phone number.") -> None:
        # The refused text is not repeated: it may be a person's number mistyped.
        super().__init__(f"{field} {reason} Use E.164 format (e.g., +1234567890).", field=field)
        self.field = field


class TemplateInvalid(InvalidRequest):
    """A text has placeholders that cannot be understood, or grows beyond its limit."""

    code = "invalid_template"


class VariablesMissing(InvalidRequest):
    """A text names variables that the request does not carry and that have no default."""

    code = "missing_variables"

    def __init__(self, names: Sequence[str]) -> None:
        listed = ", ".join(names)
        super().__init__(
            f'Missing variables: {listed}. Send them in "variables" or give the placeholder a default.',
            variables=list(names),
        )
        self.names = tuple(names)


class CursorInvalid(InvalidRequest):
    """A page cursor was not made by this API for these filters."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__("The cursor is not one of this list with these filters. Start again without a cursor.")


class ConfigurationInvalid(InvalidRequest):
    """An assistant's configuration contradicts itself; ``param`` is the field to change."""

    code = "invalid_configuration"

    def __init__(self, message: str, *, param: str) -> None:
        super().__init__(message, param=param)
        self.param = param


class EngineUnsupported(InvalidRequest):
    """The caller number's carrier cannot speak in the way this assistant does."""

    code = "engine_unsupported"

    def __init__(self, engine: str, carrier: str, supported: Sequence[str]) -> None:
        super().__init__(
            f'The carrier "{carrier}" has no words for the engine "{engine}"; it has for: {", ".join(supported)}. '
            "Call from a number of another carrier, or with another assistant.",
            engine=engine,
            carrier=carrier,
        )


class CallNotInProgress(InvalidRequest):
    """The call is not in the state that the request is made for."""

    code = "call_not_in_progress"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"The call is {status}; only a call that is in progress can be controlled.",
            call_status=status,
        )
        self.status = status


class IdempotencyKeyReused(InvalidRequest):
    """The key belongs to an earlier request with another body."""

    code = "idempotency_key_reused"

    def __init__(self, name: str = "Idempotency-Key") -> None:
        super().__init__(f"This {name} was used with a different request body. Use a new {name} for a new request.")


class Unauthenticated(DialplaneError):
    """Nobody we know."""


class AuthenticationRequired(Unauthenticated):
    """No API key was sent."""

    code = "authentication_required"

    def __init__(self) -> None:
        super().__init__('No API key was sent. Send "Authorization: Bearer <key>" or "X-API-Key: <key>".')


class KeyInvalid(Unauthenticated):
    """The key is unknown, revoked or expired; which of them is not told."""

    code = "invalid_key"

    def __init__(self) -> None:
        super().__init__("The API key is invalid or inactive.")


class Forbidden(DialplaneError):
    """Known, and not allowed."""


class PermissionDenied(Forbidden):
    """The key lacks the scope."""

    code = "permission_denied"

    def __init__(self, scope: str) -> None:
        super().__init__(f"The API key doesn't have the required permission: {scope}.", scope=scope)


class OrganizationSuspended(Forbidden):
    """The organization may not place calls at present."""

    code = "organization_suspended"

    def __init__(self) -> None:
        super().__init__("This organization is suspended. Contact the operator of this platform.")


class CallerNumberForeign(Forbidden):
    """The caller number is not one of the organization's."""

    code = "caller_number_foreign"

    def __init__(self, number: str) -> None:
        super().__init__(f"Unauthorized: phone number {number} does not belong to your organization")


class AssistantForeign(Forbidden):
    """The assistant is not one of the organization's."""

    code = "assistant_foreign"

    def __init__(self, assistant_id: int | str | None) -> None:
        super().__init__(f"Unauthorized: assistant {assistant_id} does not belong to your organization")


class NumberCannotDialOut(Forbidden):
    """The caller number takes calls only."""

    code = "number_cannot_dial_out"

    def __init__(self, number: str) -> None:
        super().__init__(f"Phone number {number} cannot be called from. Choose a number that can dial out.")


class DestinationOnDnc(Forbidden):
    """The callee asked not to be called."""

    code = "do_not_call"

    def __init__(self) -> None:
        super().__init__("The destination is on the do-not-call list. No call was placed.")


class DestinationNotAllowed(Forbidden):
    """The organization does not call this country or this kind of number."""

    code = "destination_not_allowed"


class NotFound(DialplaneError):
    """There is no such thing in this organization."""


class AssistantNotFound(NotFound):
    """Nothing says which assistant should speak."""

    code = "assistant_not_found"


class CallerNumberMissing(NotFound):
    """The assistant has no number to call from."""

    code = "caller_number_missing"

    def __init__(self) -> None:
        super().__init__("No phone number assigned to this assistant")


class CallNotFound(NotFound):
    """No call of this organization has that id."""

    code = "call_not_found"

    def __init__(self) -> None:
        super().__init__("No call with this id. Use a call_id or the carrier's call id of your own organization.")


class TranscriptNotFound(NotFound):
    """The call has no conversation whose words are kept: none was held, or its time is over, or it was erased."""

    code = "transcript_not_found"

    def __init__(self, reason: str) -> None:
        super().__init__(f"There is no transcript of this call: {reason}.")


class DncEntryNotFound(NotFound):
    """The number is not on the organization's do-not-call list."""

    code = "dnc_entry_not_found"

    def __init__(self) -> None:
        super().__init__("This number is not on the do-not-call list.")


class RouteNotFound(NotFound):
    """No such path and method."""

    code = "route_not_found"


class EntityNotFound(NotFound):
    """What an operator names does not exist: an organization, a key, a carrier account."""

    code = "entity_not_found"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"There is no {kind} {name}. Check the id and the stack.")


class InsufficientBalance(DialplaneError):
    """The wallet does not cover the hold."""

    code = "insufficient_balance"

    def __init__(self, *, available: Money, required: Money) -> None:
        super().__init__("Insufficient balance. Please add funds to continue making calls.")
        self.available = available
        self.required = required


class Conflict(DialplaneError):
    """The request is fine, and what it is about is not such that this can be done with it."""


class ControlUnsupported(Conflict):
    """The call's carrier has no request for this."""

    code = "control_unsupported"


class CommandNotAvailable(Conflict):
    """Nobody holds this call's conversation who could take the command."""

    code = "command_not_available"

    def __init__(self, command: str) -> None:
        super().__init__(
            f'The command "{command}" needs a conversation that can take it in, and this call has none. '
            "Commands that every call takes: end-call, transfer.",
            command=command,
        )


class CallNotSettled(Conflict):
    """The call is not over, or its books are not closed yet."""

    code = "call_not_settled"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"The call is {status} and not settled. Its transcript can be erased when it has ended and is settled, "
            "seconds later.",
            call_status=status,
        )


class SetupMissing(DialplaneError):
    """The organization was not set up for this kind of call; ``names`` says what is missing, for its operator."""

    code = "setup_missing"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"This organization has no {', no '.join(names)} for calls of its default assistant. "
            "Ask the operator to complete the set-up.",
            missing=list(names),
        )
        self.names = tuple(names)


class Busy(DialplaneError):
    """Not now; the same request may succeed later."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class IdempotencyInProgress(Busy):
    """The first request with this key is still being worked on."""

    code = "idempotency_in_progress"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "A request with this Idempotency-Key is still in progress. Repeat it after the time in Retry-After.",
            retry_after_seconds=retry_after_seconds,
        )


class ActiveCallsLimitReached(Busy):
    """The organization has as many open calls as it may have."""

    code = "active_calls_limit_reached"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"All {limit} simultaneous calls of your organization are in use. Repeat the request when one has ended.",
            retry_after_seconds=5,
        )


class RateLimitExceeded(Busy):
    """The API key has made as many calls as it may in this minute or on this day."""

    code = "rate_limit_exceeded"

    def __init__(self, limit: int, period: str, *, retry_after_seconds: int) -> None:
        super().__init__(
            f"This API key may make {limit} calls per {period}. Repeat the request after the time in Retry-After.",
            retry_after_seconds=retry_after_seconds,
        )
        self.limit = limit


class CommandsLimitReached(Busy):
    """The call has been given as many commands in this minute as it may be."""

    code = "commands_limit_reached"

    def __init__(self, limit: int, *, retry_after_seconds: int) -> None:
        super().__init__(
            f"A call takes {limit} commands per minute. Nothing was done: repeat the command after the time in "
            "Retry-After.",
            retry_after_seconds=retry_after_seconds,
        )
        self.limit = limit


class CarrierRateReached(Busy):
    """The carrier account takes no more dials at this moment."""

    code = "carrier_rate_reached"

    def __init__(self, calls_per_second: int) -> None:
        super().__init__(
            f"The carrier account takes {calls_per_second} calls per second and is booked for the next moments. "
            "Nothing was held and nobody was called: repeat the request.",
            retry_after_seconds=2,
        )


class ServiceBusy(Busy):
    """Too many requests want the same items at once; nothing was written."""

    code = "service_busy"

    def __init__(self) -> None:
        super().__init__(
            "Too many requests are changing this wallet at the same moment. Nothing was written and nobody was called: "
            "repeat the request.",
            retry_after_seconds=1,
        )


class CarrierFailure(DialplaneError):
    """The call was admitted, and the carrier certainly did not place it; the hold was released.

    ``carrier_message`` is the carrier's own text, which only some formats pass on.
    """

    def __init__(self, message: str, *, carrier_message: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.carrier_message = carrier_message


class CarrierRejected(CarrierFailure):
    """The carrier refused the call."""

    code = "carrier_rejected"


class DestinationRefused(CarrierFailure):
    """The carrier does not call this number: the request is at fault, not the carrier."""

    code = "destination_refused"


class CarrierUnavailable(CarrierFailure):
    """The carrier could not take the call now."""

    code = "carrier_unavailable"


class CallNotPlaced(CarrierFailure):
    """The carrier's answer was lost, and it was found out later that it never placed the call."""

    code = "call_not_placed"
