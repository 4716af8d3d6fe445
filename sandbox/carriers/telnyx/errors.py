"""Telnyx's error envelope and the errors that the simulated Telnyx gives.

Codes, titles and details: https://developers.telnyx.com/development/api-fundamentals/api-errors. Those of 403 and of an
unknown connection are what integrations report, not documented ones.
"""

from typing import Any


class TelnyxError(Exception):
    """A request that Telnyx refuses; `pointer` names the field, as a JSON pointer."""

    def __init__(self, http_status: int, code: str, title: str, detail: str, pointer: str | None = None) -> None:
        super().__init__(detail)
        self.http_status = http_status
        self.code = code
        self.title = title
        self.detail = detail
        self.pointer = pointer

    def to_json(self) -> dict[str, Any]:
        """The envelope."""
        error: dict[str, Any] = {"code": self.code, "title": self.title, "detail": self.detail}
        error["meta"] = {"url": f"https://developers.telnyx.com/docs/overview/errors/{self.code}"}
        if self.pointer is not None:
            error["source"] = {"pointer": self.pointer}
        return {"errors": [error]}


class TelnyxRefusals:
    """How Telnyx refuses a call."""

    def __init__(self, pointer: str = "/to") -> None:
        self._pointer = pointer

    def invalid_number(self, number: str) -> Exception:
        """The called number is none."""
        return TelnyxError(
            422, "10002", "Invalid phone number", f"The phone number {number} is invalid.", self._pointer
        )

    def rate_limited(self) -> Exception:
        """Too many requests."""
        return rate_limited()

    def server_error(self) -> Exception:
        """Telnyx's own fault."""
        return TelnyxError(500, "10007", "Unexpected error", "An unexpected error occured.")


def authentication_failed() -> TelnyxError:
    return TelnyxError(
        401,
        "10009",
        "Authentication failed",
        "The required authentication headers were either invalid or not included in the request.",
    )


def not_found() -> TelnyxError:
    return TelnyxError(404, "10005", "Resource not found", "The requested resource or URL could not be found.")


def rate_limited() -> TelnyxError:
    return TelnyxError(429, "10011", "Too many requests", "You have exceeded the maximum number of allowed requests.")


def bad_json() -> TelnyxError:
    return TelnyxError(400, "10015", "Bad Request", "The request failed because it was not well-formed.")


def missing(name: str) -> TelnyxError:
    return TelnyxError(
        422, "10004", "Missing required parameter", f"The required parameter {name} was missing.", f"/{name}"
    )


def invalid(name: str, detail: str) -> TelnyxError:
    return TelnyxError(422, "10015", f"Invalid value for {name}", detail, f"/{name}")


def not_e164(name: str) -> TelnyxError:
    return TelnyxError(
        422,
        "10016",
        "Phone number must be in +E.164 format",
        "The specified phone number parameter must be in +E.164 format.",
        f"/{name}",
    )


def unknown_application(name: str) -> TelnyxError:
    return invalid(name, f"The requested {name} is either invalid or does not exist.")


def unverified_origination_number(name: str) -> TelnyxError:
    return TelnyxError(
        403, "10010", "Unverified origination number D51", "The origination number is not yours.", f"/{name}"
    )


def call_ended() -> TelnyxError:
    return TelnyxError(
        422, "90018", "Call has already ended", "This call is no longer active and can't receive commands."
    )


def call_not_answered() -> TelnyxError:
    return TelnyxError(
        422,
        "90034",
        "Call not answered yet",
        "This call can't receive this command because it has not been answered yet.",
    )
