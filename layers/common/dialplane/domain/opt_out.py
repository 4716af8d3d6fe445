"""Whether somebody asks not to be called again, by their words alone. In doubt the wish counts."""

from __future__ import annotations

import re

_PHRASES = re.compile(
    r"\b(stop calling|do ?n[o']?t call (me|us|here)|never call|take (me|us|my number) off|remove (me|us|my number)|unsubscribe)\b"
)


def is_opt_out(text: str, language: str | None = None) -> bool:
    """True when the words ask for no more calls."""
    return _PHRASES.search(text.casefold().replace("’", "'")) is not None
