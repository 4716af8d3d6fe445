"""Errors to HTTP: the only place that knows which status an error has.

Bodies are problem documents (RFC 9457) with the members ``code`` and ``request_id``; a dialect may word ``detail``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialplane.domain import errors
from dialplane.domain.errors import Busy, DialplaneError, FieldsInvalid, InsufficientBalance
from dialplane.runtime.http import HttpRequest, HttpResponse, json_response

PROBLEM_JSON = "application/problem+json"

# From the special to the general; the first class that fits decides.
_STATUSES: tuple[tuple[type[DialplaneError], int], ...] = (
    (errors.BodyTooLarge, 413),
    (errors.JsonInvalid, 422),
    (errors.FieldsInvalid, 422),
    (errors.IdempotencyKeyReused, 422),
    (errors.InvalidRequest, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    # The seed's API answers 400 here: the assistant exists, the request cannot be made with it.
    (errors.CallerNumberMissing, 400),
    (errors.NotFound, 404),
    (errors.InsufficientBalance, 402),
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
    headers = _headers(error, status)
    return HttpResponse(status, json_response(status, document).body, PROBLEM_JSON, headers)


def internal_problem(request: HttpRequest) -> HttpResponse:
    """The answer when we are at fault; what went wrong is in the log under the request's id, not in the answer."""
    document = {
        "type": "urn:dialplane:error:internal_error",
        "title": "Internal error",
        "status": 500,
        "detail": "Something went wrong on our side. Give the request_id to the operator of this platform.",
        "instance": request.path,
        "code": "internal_error",
        "request_id": request.request_id,
    }
    return HttpResponse(500, json_response(500, document).body, PROBLEM_JSON)


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


def _headers(error: DialplaneError, status: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = error.retry_after_seconds if isinstance(error, Busy) else error.details.get("retry_after_seconds")
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="dialplane"'
    if error.is_replay:
        headers["idempotent-replayed"] = "true"
    if "call_id" in error.details:
        headers["location"] = f"/calls/{error.details['call_id']}"
    return headers
