"""Telnyx carries these calls, so its requests are Telnyx's own."""

from dialplane.carriers.telnyx.webhooks import (
    SIGNATURE_HEADER,
    SOCKET_SIGNATURE_HEADER,
    UNSIGNED_STATUS,
    is_authentic,
    is_authentic_socket,
    parse_answer,
    parse_report,
)

__all__ = [
    "SIGNATURE_HEADER",
    "SOCKET_SIGNATURE_HEADER",
    "UNSIGNED_STATUS",
    "is_authentic",
    "is_authentic_socket",
    "parse_answer",
    "parse_report",
]
