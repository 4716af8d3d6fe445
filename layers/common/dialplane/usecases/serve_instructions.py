"""Tell the carrier what to say: the callee has answered and the carrier asks.

The request also proves that the carrier placed the call, so it binds the call when the dial's own answer was lost.
Wording the instructions for a carrier belongs to ``carriers``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import AnsweredBy

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InstructionsRequest:
    """An authentic request for instructions, with the ids that its path and its body carried."""

    organization_id: str
    carrier_account_id: str
    call_id: str
    carrier_call_id: str
    answered_by: AnsweredBy | None = None
    answered_by_raw: str | None = None


class AnswerStore(Protocol):
    """Where an answered call is kept."""

    def answer(self, request: InstructionsRequest, *, at: datetime, next_check_at: datetime) -> Instructions | None:
        """Mark the call answered and bound, in one conditional write; returns what to say.

        None when the call is unknown, has ended, belongs to another carrier account, or is bound to another carrier
        call already.
        """


@dataclass(frozen=True, slots=True)
class ServeInstructionsUseCase:
    """Answers a carrier that asks what to say."""

    calls: AnswerStore
    now: Callable[[], datetime]
    check_interval: timedelta

    def serve(self, request: InstructionsRequest) -> Instructions | None:
        """The call's instructions, or None when the carrier must hang up."""
        at = self.now()
        instructions = self.calls.answer(request, at=at, next_check_at=at + self.check_interval)
        if instructions is None:
            logger.warning("instructions_refused", extra={"call_id": request.call_id})
        return instructions
