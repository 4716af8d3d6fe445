"""What Dialplane asks of any carrier, and the only answers it knows.

Three outcomes of a dial, no more: placed, rejected, unknown. How a carrier words them belongs to ``carriers``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One outbound call as the carrier is asked to place it. Numbers are E.164, times whole seconds."""

    destination: str
    caller_number: str
    instructions_url: str
    status_url: str
    ring_timeout_seconds: int
    time_limit_seconds: int
    machine_detection: bool = False


RejectionCause = Literal[
    "invalid_destination",
    "destination_not_permitted",
    "caller_number_not_owned",
    "credentials",
    "rate_limited",
    "unreachable",
    "other",
]


@dataclass(frozen=True, slots=True)
class Placed:
    """The carrier accepted the call and named it."""

    carrier_call_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The carrier certainly did not place the call. ``message`` is the carrier's own text, for operators."""

    cause: RejectionCause
    code: str
    message: str
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have arrived and its answer was lost: nothing may be concluded and nothing repeated."""

    reason: str


CreateOutcome = Placed | Rejected | Unknown
