"""Identifiers: prefixed ULIDs, which sort by the time they were made."""

from __future__ import annotations

import re

_ID = re.compile(r"(?P<prefix>[a-z]+)_[0-9A-HJKMNP-TV-Z]{26}")


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``call_01J9Z…``."""
    from ulid import ULID  # noqa: PLC0415 - most functions only read ids, and it loads packaging metadata

    return f"{prefix}_{ULID()}"


def is_id(prefix: str, text: str) -> bool:
    """True when the text has the shape of an identifier of ours with this prefix."""
    match = _ID.fullmatch(text)
    return match is not None and match["prefix"] == prefix
