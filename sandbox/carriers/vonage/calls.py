"""A simulated leg as Vonage keeps and shows it, and the store of all legs. State only; nothing here waits or sends."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.vonage.parameters import Endpoint, ListQuery

FAILED_STATUSES = frozenset({"busy", "cancelled", "failed", "rejected", "timeout", "unanswered"})
ENDED_STATUSES = FAILED_STATUSES | {"completed"}
# Euros per minute, billed by the second: Vonage's price for a call to the United States when this was written.
RATE = Decimal("0.01270000")
NETWORK = "310260"


def iso(moment: datetime) -> str:
    """A date as Vonage writes it: `2022-11-01T01:59:13.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Leg:
    """One leg of a conversation. `elapsed` figures are seconds on the call's own time line."""

    application_id: str
    conversation_uuid: str
    to: Endpoint
    from_: Endpoint
    scenario: Scenario
    timeline: CallTimeline
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "started"
    created_at: datetime = field(init=False)
    start_time: datetime | None = None
    end_time: datetime | None = None
    answered_at_elapsed: float | None = None
    duration: int | None = None

    def __post_init__(self) -> None:
        self.created_at = self.timeline.now()

    @property
    def ended(self) -> bool:
        """Whether the leg reached a final status."""
        return self.status in ENDED_STATUSES

    def answered(self) -> None:
        """Somebody answered: Vonage counts the call from here."""
        self.status = "answered"
        self.start_time = self.timeline.now()
        self.answered_at_elapsed = self.timeline.elapsed_seconds

    def end(self, status: str) -> None:
        """Close the leg; a leg that nobody answered lasted 0 seconds and has no start."""
        self.status = status
        self.end_time = self.timeline.now()
        self.duration = 0
        if self.answered_at_elapsed is not None:
            self.duration = max(round(self.timeline.elapsed_seconds - self.answered_at_elapsed), 1)

    @property
    def price(self) -> str:
        """What the leg cost, in euros."""
        seconds = self.duration or 0
        return str((RATE * seconds / 60).quantize(Decimal("0.00000001"), ROUND_HALF_UP))

    def billing(self) -> dict[str, Any]:
        """What Vonage tells of an ended leg; nothing of a running one."""
        if self.duration is None or self.end_time is None:
            return {}
        was_answered = self.start_time is not None
        return {
            "start_time": iso(self.start_time) if self.start_time is not None else None,
            "end_time": iso(self.end_time),
            "duration": str(self.duration),
            "rate": str(RATE) if was_answered else "0.00",
            "price": self.price if was_answered else "0",
            "network": NETWORK if was_answered else None,
        }

    def to_json(self) -> dict[str, Any]:
        """The call resource."""
        return {
            "_links": {"self": {"href": f"/v1/calls/{self.uuid}"}},
            "uuid": self.uuid,
            "conversation_uuid": self.conversation_uuid,
            "to": dict(self.to),
            "from": dict(self.from_),
            "status": self.status,
            "direction": "outbound",
            "rate": None,
            "price": None,
            "duration": None,
            "start_time": iso(self.start_time) if self.start_time else None,
            "end_time": None,
            "network": None,
            **self.billing(),
        }


class LegStore:
    """Every leg of the simulated Vonage, in the order of creation."""

    def __init__(self) -> None:
        self._legs: dict[str, Leg] = {}

    def add(self, leg: Leg) -> None:
        """Keep a leg."""
        self._legs[leg.uuid] = leg

    def find(self, application_id: str, leg_uuid: str) -> Leg | None:
        """A leg of an application."""
        leg = self._legs.get(leg_uuid)
        return leg if leg is not None and leg.application_id == application_id else None

    def matching(self, application_id: str, query: ListQuery) -> Sequence[Leg]:
        """An application's legs that match, in the order asked for; a leg's date is that of its creation."""
        legs = [leg for leg in self._of(application_id) if _matches(leg, query)]
        return legs[::-1] if query.is_descending else legs

    def _of(self, application_id: str) -> Iterator[Leg]:
        return (leg for leg in self._legs.values() if leg.application_id == application_id)

    def clear(self) -> None:
        """Forget every leg."""
        self._legs.clear()


def _matches(leg: Leg, query: ListQuery) -> bool:
    return (
        query.status in (None, leg.status)
        and query.conversation_uuid in (None, leg.conversation_uuid)
        and (query.date_start is None or leg.created_at >= query.date_start)
        and (query.date_end is None or leg.created_at <= query.date_end)
    )
