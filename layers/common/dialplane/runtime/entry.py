"""Around every HTTP entry point: event to request, errors to problems, ids into the log. No routes here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dialplane.domain.errors import DialplaneError
from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import begin, logger
from dialplane.runtime.problems import internal_problem, problem, status_of

Respond = Callable[[HttpRequest], HttpResponse]
DetailOf = Callable[[DialplaneError], Any]


def serve(event: Mapping[str, Any], respond: Respond, *, detail_of: DetailOf = lambda error: None) -> dict[str, Any]:
    """Answer an event. What a client did wrong becomes its problem document; only our own faults become a 500."""
    request = HttpRequest.from_event(event)
    begin(request_id=request.request_id)
    try:
        response = respond(request)
    except DialplaneError as error:
        logger.info("request_refused", extra={"code": error.code, "status": status_of(error)})
        response = problem(error, request, detail=detail_of(error))
    except Exception:
        logger.exception("request_failed")
        response = internal_problem(request)
    return response.to_event(request)
