"""Around every HTTP entry point: event to request, errors to answers, ids into the log. No routes here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dialplane.runtime.http import HttpRequest, HttpResponse
from dialplane.runtime.observability import begin
from dialplane.runtime.problems import refusal

Respond = Callable[[HttpRequest], HttpResponse]


def serve(event: Mapping[str, Any], respond: Respond) -> dict[str, Any]:
    """Answer an event. What a client did wrong becomes its problem document; only our own faults become a 500."""
    request = HttpRequest.from_event(event)
    begin(request_id=request.request_id)
    try:
        response = respond(request)
    except Exception as error:
        response = refusal(error, request)
    return response.to_event(request)
