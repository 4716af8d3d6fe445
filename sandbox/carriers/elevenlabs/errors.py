"""ElevenLabs' errors: `{"detail": …}`, an object of status and message, or FastAPI's list of what is wrong where."""

from collections.abc import Sequence
from typing import Any


class ElevenLabsError(Exception):
    """A request that ElevenLabs refuses; `document` is the reply, which need not be an error by its HTTP status."""

    def __init__(self, http_status: int, document: dict[str, Any]) -> None:
        super().__init__(str(document))
        self.http_status = http_status
        self.document = document


def refused(http_status: int, status: str, message: str) -> ElevenLabsError:
    return ElevenLabsError(http_status, {"detail": {"status": status, "message": message}})


def invalid(place: Sequence[str | int], message: str, kind: str = "value_error") -> ElevenLabsError:
    """What FastAPI answers to a field that is missing or wrong; `place` begins with body or query."""
    return ElevenLabsError(422, {"detail": [{"type": kind, "loc": list(place), "msg": message}]})


def invalid_api_key() -> ElevenLabsError:
    return refused(401, "invalid_api_key", "Invalid API key")


def not_found(what: str, name: str) -> ElevenLabsError:
    return refused(404, f"{what}_not_found", f"No {what.replace('_', ' ')} with the id {name}")


def no_such_path() -> ElevenLabsError:
    return ElevenLabsError(404, {"detail": "Not Found"})


def method_not_allowed() -> ElevenLabsError:
    return ElevenLabsError(405, {"detail": "Method Not Allowed"})


def rate_limited() -> ElevenLabsError:
    return refused(429, "too_many_concurrent_requests", "Too many requests at the same time, try again later")


def server_error() -> ElevenLabsError:
    return refused(500, "internal_server_error", "Something went wrong")


def call_refused(message: str) -> ElevenLabsError:
    """Twilio refused the leg: HTTP says 200, and only the body that nothing was placed."""
    return ElevenLabsError(200, {"success": False, "message": message, "conversation_id": None, "callSid": None})
