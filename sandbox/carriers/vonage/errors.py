"""Vonage's errors: problem documents after RFC 7807. Titles are worded like Vonage's, not copied."""

import uuid
from collections.abc import Sequence
from typing import Any


class VonageError(Exception):
    """A request that Vonage refuses; `invalid` are names of parameters with what is wrong with each."""

    def __init__(self, http_status: int, kind: str, title: str, detail: str, invalid: Sequence[tuple[str, str]] = ()):
        super().__init__(detail)
        self.http_status = http_status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.invalid = tuple(invalid)

    def to_json(self) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"https://developer.vonage.com/api-errors#{self.kind}",
            "title": self.title,
            "detail": self.detail,
            "instance": str(uuid.uuid4()),
        }
        if self.invalid:
            document["invalid_parameters"] = [{"name": name, "reason": reason} for name, reason in self.invalid]
        return document


def invalid_parameter(name: str, reason: str) -> VonageError:
    return VonageError(400, "invalid-params", "Bad Request", f"Invalid parameter {name}: {reason}", [(name, reason)])


def bad_request(detail: str) -> VonageError:
    return VonageError(400, "bad-request", "Bad Request", detail)


def unauthorized(detail: str) -> VonageError:
    return VonageError(401, "unauthorized", "Unauthorized", detail)


def not_found(detail: str = "No such call, or it has ended") -> VonageError:
    return VonageError(404, "not-found", "Not Found", detail)


def method_not_allowed() -> VonageError:
    return VonageError(405, "method-not-allowed", "Method Not Allowed", "The resource does not have this method")


def unsupported_media_type() -> VonageError:
    return VonageError(415, "unsupported-media-type", "Unsupported Media Type", "Send application/json")


def rate_limited() -> VonageError:
    return VonageError(429, "throttled", "Rate Limit Hit", "Please wait, then retry your request")


def server_error() -> VonageError:
    return VonageError(500, "internal-error", "Internal Server Error", "Something went wrong")
