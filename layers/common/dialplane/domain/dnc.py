"""Entries of the do-not-call lists. Keeping the lists belongs to ``usecases.manage_dnc``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DncEntry:
    """A number that must not be called, who said so and when."""

    number: str
    source: str
    added_at: datetime
    reason: str | None = None
