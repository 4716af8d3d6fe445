"""One TLS context for everything that calls out: reading the store of trusted roots takes longer than a handshake."""

from __future__ import annotations

import ssl
from functools import cache


@cache
def default_context(cafile: str | None = None) -> ssl.SSLContext:
    """The system's trust store (or ``cafile``), certificates and host names verified."""
    return ssl.create_default_context(cafile=cafile)
