"""Identifiers: prefixed ULIDs, which sort by the time they were made; and tokens, which nobody can guess."""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64encode

_ID = re.compile(r"(?P<prefix>[a-z]+)_[0-9A-HJKMNP-TV-Z]{26}")


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``call_01J9Z…``."""
    from ulid import ULID  # noqa: PLC0415 - most functions only read ids, and it loads packaging metadata

    return f"{prefix}_{ULID()}"


def is_id(prefix: str, text: str) -> bool:
    """True when the text has the shape of an identifier of ours with this prefix."""
    match = _ID.fullmatch(text)
    return match is not None and match["prefix"] == prefix


def new_socket_token() -> str:
    """A fresh token for a conversation's WebSocket: 24 random bytes, of ``A-Za-z0-9_-`` only.

    As ``secrets.token_urlsafe`` makes it, without its imports: a callee waits for the function that asks.
    """
    return urlsafe_b64encode(os.urandom(24)).decode("ascii")
