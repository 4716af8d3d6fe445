"""Close the books on a call that has ended: charge what it cost, release the rest of its hold, once.

The amount is a rule of ``domain.calls``; that it moves exactly once is a condition of ``dynamodb.settlements``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dialplane.domain.calls import Call, settlement_charge

logger = logging.getLogger(__name__)


class CompletionOutcome(StrEnum):
    """How a completion ended: values for the workflow to choose by, not exceptions."""

    SETTLED = "settled"
    ALREADY_SETTLED = "already_settled"
    NOT_ENDED = "not_ended"
    FACTS_MISSING = "facts_missing"
    """The call ended and its duration is not known yet; the carrier will be asked."""


class CallReader(Protocol):
    """Where calls are read."""

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""


class SettlementStore(Protocol):
    """Where an ended call gives back its hold, exactly once."""

    def settle(self, before: Call, ended: Call, *, charge_micros: int, at: datetime) -> bool:
        """End the call that was read as ``before``, move the money and write the ledger.

        False when that was done before, or the call has changed since it was read.
        """


@dataclass(frozen=True, slots=True)
class CompleteCallUseCase:
    """Settles calls."""

    calls: CallReader
    settlements: SettlementStore
    now: Callable[[], datetime]

    def complete(self, organization_id: str, call_id: str) -> CompletionOutcome:
        """Settle the call if it has ended and its cost is known."""
        while True:
            call = self.calls.get(organization_id, call_id)
            if call is None or not call.status.is_terminal:
                return CompletionOutcome.NOT_ENDED
            if not call.is_open:
                return CompletionOutcome.ALREADY_SETTLED
            charge = settlement_charge(call)
            if charge is None:
                return CompletionOutcome.FACTS_MISSING
            if self.settlements.settle(call, call, charge_micros=charge, at=self.now()):
                logger.info("call_settled", extra={"call_id": call.id, "charge_micros": charge})
                return CompletionOutcome.SETTLED
