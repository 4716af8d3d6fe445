"""A clock that only tests move."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass
class FakeClock:
    """Starts at a fixed moment; sleeping moves it and takes no time."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 20, 15, 0, tzinfo=UTC))

    def now(self) -> datetime:
        """The moment it shows."""
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.moment += timedelta(seconds=seconds)
