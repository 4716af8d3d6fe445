"""What Dialplane asks of any carrier, and the only answers it knows.

Three outcomes of a dial, no more: placed, rejected, unknown. How a carrier words them belongs to ``carriers``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from dialplane.domain.conversation_settings import OnMachine
from dialplane.domain.instructions import Instructions


@dataclass(frozen=True, slots=True)
class DialRequest:
    """One outbound call as the carrier is asked to place it. Numbers are E.164, times whole seconds."""

    call_id: str
    destination: str
    caller_number: str
    instructions_url: str
    status_url: str
    ring_timeout_seconds: int
    time_limit_seconds: int
    instructions: Instructions
    """For carriers that take the words with the dial; the others fetch them from ``instructions_url``."""
    machine_detection: bool = False
    on_machine: OnMachine = "continue"
    """What a conversation of ours is to do about a machine: who leaves a message needs the end of its greeting."""
    carrier_number_id: str | None = None
    """The caller number's own id with the carrier, where the carrier wants one."""


RejectionCause = Literal[
    "invalid_destination",
    "destination_not_permitted",
    "caller_number_not_owned",
    "credentials",
    "rate_limited",
    "unreachable",
    "other",
]


_REPLY_LENGTH_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Placed:
    """The carrier accepted the call and named it. ``reply`` is its whole answer where a dialect passes that on."""

    carrier_call_id: str
    reply: Mapping[str, Any] | None = None

    @property
    def reply_json(self) -> str | None:
        """The answer as text; None when there is none or when it is too long to be kept with a call."""
        if self.reply is None:
            return None
        text = json.dumps(self.reply, ensure_ascii=False, separators=(",", ":"))
        return text if len(text) <= _REPLY_LENGTH_MAX else None


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


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """A call as the carrier's own records have it; ``fields`` are its words about it, as a callback has them.

    ``ended_at`` is None while the call lasts.
    """

    carrier_call_id: str
    created_at: datetime | None
    fields: Mapping[str, str]
    ended_at: datetime | None = None
