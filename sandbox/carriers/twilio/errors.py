"""Twilio's error envelope and the error codes that the simulated Twilio gives.

Codes are Twilio's (https://www.twilio.com/docs/api/errors); messages are worded like Twilio's, not copied.
"""

from typing import Any


class TwilioError(Exception):
    """A request that Twilio refuses: HTTP status, error code and message."""

    def __init__(self, http_status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message

    def to_json(self) -> dict[str, Any]:
        """The envelope."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": more_info(self.code),
            "status": self.http_status,
        }


def more_info(code: int) -> str:
    """The page that explains an error code."""
    return f"https://www.twilio.com/docs/errors/{code}"


def authentication_failed() -> TwilioError:
    return TwilioError(401, 20003, "Authenticate")


def not_found(path: str) -> TwilioError:
    return TwilioError(404, 20404, f"The requested resource {path} was not found")


def method_not_allowed() -> TwilioError:
    return TwilioError(405, 20004, "Method not allowed")


def rate_limited() -> TwilioError:
    return TwilioError(429, 20429, "Too Many Requests")


def server_error() -> TwilioError:
    return TwilioError(500, 20500, "An internal server error has occurred")


def invalid_parameter(name: str, value: str, allowed: str) -> TwilioError:
    """A value out of range for which Twilio has no code of its own."""
    return TwilioError(400, 20001, f"Invalid parameter {name}: '{value}' is not {allowed}")


def invalid_to(number: str) -> TwilioError:
    return TwilioError(400, 21211, f"The phone number you are attempting to call, {number}, is not valid.")


def call_not_in_progress() -> TwilioError:
    return TwilioError(400, 21220, "Call is not in-progress. Cannot redirect.")


def not_recordable() -> TwilioError:
    return TwilioError(400, 21220, "Requested resource is not eligible for recording")


# Errors and warnings of a running call: they appear in the call's Notifications, not in a reply.
# Those that any document may cause are in `sandbox.carriers.faults`.
STATUS_CALLBACK_REFUSED = 15003
ASYNC_AMD_WITHOUT_CALLBACK = 21262
STATUS_CALLBACK_EVENTS_INVALID = 21626

WARNINGS = frozenset({STATUS_CALLBACK_REFUSED, ASYNC_AMD_WITHOUT_CALLBACK, STATUS_CALLBACK_EVENTS_INVALID})
