"""The wallet: what is available, held and spent, the append-only ledger, and the proof that they agree.

The one law: ``deposited == available + held + spent``, all of them non-negative, at every instant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Wallet:
    """Micro-units of one currency, and the number of calls whose hold is open."""

    organization_id: str
    currency: str
    deposited_micros: int = 0
    available_micros: int = 0
    held_micros: int = 0
    spent_micros: int = 0
    active_calls: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one call until it is settled."""

    call_id: str
    amount_micros: int
    created_at: datetime


class LedgerEntryKind(StrEnum):
    """What a ledger entry records."""

    DEPOSIT = "deposit"
    SETTLEMENT = "settlement"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement, never changed. A deposit has an amount; a settlement splits a hold into charge and release."""

    id: str
    kind: LedgerEntryKind
    at: datetime
    currency: str
    amount_micros: int = 0
    hold_micros: int = 0
    charge_micros: int = 0
    release_micros: int = 0
    call_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of the wallet that its ledger and its open holds do not bear out."""

    figure: str
    recorded: int
    recomputed: int


def reconcile(wallet: Wallet, holds: Iterable[Hold], entries: Iterable[LedgerEntry]) -> list[Difference]:
    """Recompute every figure from the open holds and the ledger; the list is empty when all agree."""
    open_holds = list(holds)
    ledger = list(entries)
    held = sum(hold.amount_micros for hold in open_holds)
    deposited = sum(entry.amount_micros for entry in ledger if entry.kind is LedgerEntryKind.DEPOSIT)
    spent = sum(entry.charge_micros for entry in ledger if entry.kind is LedgerEntryKind.SETTLEMENT)
    figures = {
        "deposited": (wallet.deposited_micros, deposited),
        "held": (wallet.held_micros, held),
        "spent": (wallet.spent_micros, spent),
        "available": (wallet.available_micros, deposited - held - spent),
        "active_calls": (wallet.active_calls, len(open_holds)),
    }
    return [
        Difference(figure, recorded, recomputed)
        for figure, (recorded, recomputed) in figures.items()
        if recorded != recomputed
    ]
