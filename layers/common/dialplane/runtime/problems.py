"""Errors to HTTP: the only place that knows which status an error has.

Bodies are problem documents (RFC 9457) with the members ``code`` and ``request_id``, unless a dialect has words of its
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dialplane.domain import errors
from dialplane.domain.errors import Busy, DialplaneError, FieldsInvalid, InsufficientBalance
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response
from dialplane.runtime.observability import logger

if TYPE_CHECKING:  # webhooks load this module, and speak no dialect
    from dialplane.dialects.contract import AnswersModule

PROBLEM_JSON = "application/problem+json"

# From the special to the general; the first class that fits decides.
_STATUSES: tuple[tuple[type[DialplaneError], int], ...] = (
    (errors.BodyTooLarge, 413),
    (errors.JsonInvalid, 422),
    (errors.FieldsInvalid, 422),
    (errors.IdempotencyKeyReused, 422),
    (errors.ConfigurationInvalid, 422),
    (errors.EngineUnsupported, 422),
    (errors.InvalidRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    # The seed's API answers 400 here: the assistant exists, the request cannot be made with it.
    (errors.CallerNumberMissing, 400),
    (errors.NotFound, 404),
    (errors.InsufficientBalance, 402),
    (errors.Conflict, 409),
    (errors.IdempotencyInProgress, 409),
    (errors.ServiceBusy, 503),
    (errors.Busy, 429),
    (errors.DestinationRefused, 400),
    (errors.CarrierUnavailable, 503),
    (errors.CarrierFailure, 502),
)


def status_of(error: DialplaneError) -> int:
    """The HTTP status of an error."""
    return next((status for error_type, status in _STATUSES if isinstance(error, error_type)), 500)


FAULT = DialplaneError("Something went wrong on our side. Give the request_id to the operator of this platform.")


def problem(error: DialplaneError, request: HttpRequest, *, detail: Any = None) -> HttpResponse:
    """The problem document of an error; ``detail`` replaces its message where a dialect has words of its own."""
    status = status_of(error)
    document = {
        "type": f"urn:dialplane:error:{error.code}",
        "title": _title(error),
        "status": status,
        "detail": error.message if detail is None else detail,
        "instance": request.path,
        "code": error.code,
        "request_id": request.request_id,
        **_members(error),
    }
    return HttpResponse(status, json_response(status, document).body, PROBLEM_JSON, _headers(error, status))


def refusal(error: Exception, request: HttpRequest, answers: AnswersModule | None = None) -> HttpResponse:
    """The answer to a request that failed, in a dialect's words where it has some.

    What a client did wrong is told; what we did wrong is in the log under the request's id, and not in the answer.
    """
    if isinstance(error, DialplaneError):
        known = error
        logger.info("request_refused", extra={"code": error.code, "status": status_of(error)})
    else:
        known = FAULT
        logger.error("request_failed", exc_info=error)
    return worded(known, request, answers)


def worded(error: DialplaneError, request: HttpRequest, answers: AnswersModule | None = None) -> HttpResponse:
    """An error in a dialect's words where it has some, else as a problem document."""
    if answers is None:
        return problem(error, request)
    status = status_of(error)
    reply = answers.refused(error, status=status, request_id=request.request_id)
    if reply is None:
        return problem(error, request, detail=answers.detail(error))
    body = json_response(reply.status, reply.document).body
    return HttpResponse(reply.status, body, headers={**_headers(error, reply.status), **reply.headers})


def _title(error: DialplaneError) -> str:
    return error.code.replace("_", " ").capitalize()


def _members(error: DialplaneError) -> Mapping[str, Any]:
    match error:
        case InsufficientBalance():
            return {
                "balance": error.available.amount,
                "required": error.required.amount,
                "currency": error.required.currency,
            }
        case FieldsInvalid():
            return {"errors": list(error.errors)}
        case _:
            return {name: value for name, value in error.details.items() if name != "retry_after_seconds"}


def rate_limit_headers(limit: int, remaining: int, resets_in_seconds: int) -> dict[str, str]:
    """How often something may be asked in its period, how often still, and in how many seconds the next one begins."""
    figures = {"limit": limit, "remaining": remaining, "reset": resets_in_seconds}
    return {f"x-ratelimit-{name}": str(figure) for name, figure in figures.items()}


def _headers(error: DialplaneError, status: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = error.retry_after_seconds if isinstance(error, Busy) else error.details.get("retry_after_seconds")
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    if isinstance(error, errors.RateLimitExceeded | errors.CommandsLimitReached):
        headers |= rate_limit_headers(error.limit, 0, error.retry_after_seconds)
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="dialplane"'
    if error.is_replay:
        headers["idempotent-replayed"] = "true"
    if "call_id" in error.details:
        headers["location"] = f"/calls/{error.details['call_id']}"
    return headers
