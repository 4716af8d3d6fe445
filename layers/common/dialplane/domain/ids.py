"""Identifiers: prefixed ULIDs, which sort by the time they were made."""

from __future__ import annotations

import re

from ulid import ULID

_ULID = r"[0-9A-HJKMNP-TV-Z]{26}"
_CALL_ID = re.compile(rf"call_{_ULID}")


def new_id(prefix: str) -> str:
    """A fresh identifier such as ``call_01J9Z…``."""
    return f"{prefix}_{ULID()}"


def is_call_id(text: str) -> bool:
    """True when the text has the shape of a call id of ours."""
    return _CALL_ID.fullmatch(text) is not None
