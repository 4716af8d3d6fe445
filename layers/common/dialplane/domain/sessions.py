"""What a client has said before it asks for a call, for the request formats that ask in two steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """A business and what a caller wants of it."""

    description: str
    scenario: str
