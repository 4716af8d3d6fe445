"""Twilio carries these calls, so its requests are Twilio's own."""

from dialplane.carriers.twilio.webhooks import (
    SIGNATURE_HEADER,
    UNSIGNED_STATUS,
    is_authentic,
    parse_answer,
    parse_report,
)

__all__ = ["SIGNATURE_HEADER", "UNSIGNED_STATUS", "is_authentic", "parse_answer", "parse_report"]
