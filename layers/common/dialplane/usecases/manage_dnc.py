"""Keep the do-not-call lists, so that after an addition is acknowledged no dial to the number is sent.

Each organization has its own list, and the platform one that holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.calls import DIAL_WINDOW, Call
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import DncEntryNotFound
from dialplane.domain.statuses import CallStatus

_POLL_SECONDS = 0.1
# How far the clock of the function that dials may be behind the clock of the function that waits for it.
_CLOCK_TOLERANCE = timedelta(seconds=2)


class DestinationStore(Protocol):
    """Where destination records are kept. An ``organization_id`` of None means the platform's list."""

    def add_dnc_entry(
        self, organization_id: str | None, entry: DncEntry
    ) -> tuple[DncEntry, frozenset[str], datetime | None]:
        """Put the number on the list. Returns the entry (the earlier one, if there was one), the open calls' ids, and
        until when a transfer to it may still be dialled.

        From here on every commit for this number fails.
        """

    def find_dnc_entry(self, organization_id: str | None, number: str) -> DncEntry | None:
        """The entry, strongly consistent."""

    def remove_dnc_entry(self, organization_id: str | None, number: str) -> bool:
        """Take the number off the list; False when it was not there."""


class CallReader(Protocol):
    """Where calls are read."""

    def get_many(self, organization_id: str, call_ids: Sequence[str]) -> Sequence[Call]:
        """Calls by id, strongly consistent."""


@dataclass(frozen=True, slots=True)
class ManageDncUseCase:
    """Reads and changes the lists."""

    destinations: DestinationStore
    calls: CallReader
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def add(self, organization_id: str, number: str, *, reason: str | None, source: str) -> DncEntry:
        """Put a number on the list and wait until every dial committed before is over, twelve seconds at most."""
        entry, open_calls, transfer_until = self.destinations.add_dnc_entry(
            organization_id, DncEntry(number=number, reason=reason, source=source, added_at=self.now())
        )
        while open_calls:
            open_calls = frozenset(
                call.id
                for call in self.calls.get_many(organization_id, sorted(open_calls))
                if _may_be_dialled(call) and self.now() <= call.dial_deadline + _CLOCK_TOLERANCE
            )
            if open_calls:
                self.sleep(_POLL_SECONDS)
        while transfer_until is not None and self.now() <= transfer_until + _CLOCK_TOLERANCE:
            self.sleep(_POLL_SECONDS)
        return entry

    def add_for_platform(self, number: str, *, reason: str | None, source: str) -> DncEntry:
        """Put a number on the platform's list and wait until no dial that was committed before can still be sent.

        Which calls are open to a number is recorded per organization, so here the wait is the whole dial window.
        """
        entry, _, _ = self.destinations.add_dnc_entry(
            None, DncEntry(number=number, reason=reason, source=source, added_at=self.now())
        )
        self.sleep((DIAL_WINDOW + _CLOCK_TOLERANCE).total_seconds())
        return entry

    def get(self, organization_id: str | None, number: str) -> DncEntry:
        """The entry. Raises DncEntryNotFound."""
        entry = self.destinations.find_dnc_entry(organization_id, number)
        if entry is None:
            raise DncEntryNotFound
        return entry

    def remove(self, organization_id: str | None, number: str) -> None:
        """Take a number off the list. Raises DncEntryNotFound."""
        if not self.destinations.remove_dnc_entry(organization_id, number):
            raise DncEntryNotFound


def _may_be_dialled(call: Call) -> bool:
    """True while a dial may be under way; one that nobody has claimed finds the new entry when it is claimed."""
    return call.status is CallStatus.DIALING and (not call.is_dial_queued or call.dial_claim is not None)
