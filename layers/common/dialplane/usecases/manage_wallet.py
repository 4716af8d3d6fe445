"""Look after an organization's money: balance, ledger, deposits, and the proof that they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dialplane.domain.accounts import Organization
from dialplane.domain.errors import EntityNotFound, ValueInvalid
from dialplane.domain.idempotency import IdempotencyKey, IdempotencyRecord
from dialplane.domain.ids import new_id
from dialplane.domain.wallets import Difference, Hold, LedgerEntry, LedgerEntryKind, Wallet, reconcile

DEPOSIT_MICROS_MAX = 1_000_000_000_000
_RECONCILE_TRIES = 5


class WalletStore(Protocol):
    """Where wallets are kept."""

    def get(self, organization_id: str) -> Wallet | None:
        """The wallet, strongly consistent."""

    def open_holds(self, organization_id: str) -> Sequence[Hold]:
        """All holds that are open, strongly consistent."""

    def ledger(self, organization_id: str) -> Sequence[LedgerEntry]:
        """The whole ledger, oldest first, strongly consistent."""

    def deposit(
        self, organization_id: str, entry: LedgerEntry, key: IdempotencyKey | None
    ) -> tuple[LedgerEntry, IdempotencyRecord | None]:
        """Add the money and its ledger entry in one transaction, once per idempotency key.

        Returns the entry, or the earlier entry and its record when the key was used before.
        """


class OrganizationReader(Protocol):
    """Where organizations are read."""

    def find(self, entity_type: type[Organization], organization_id: str) -> Organization | None:
        """The organization, strongly consistent."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The wallet, and every figure that its ledger and holds do not bear out."""

    wallet: Wallet
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class ManageWalletUseCase:
    """Reads and feeds wallets."""

    wallets: WalletStore
    organizations: OrganizationReader
    now: Callable[[], datetime]

    def wallet(self, organization_id: str) -> Wallet:
        """The organization's wallet; an empty one in its currency when nothing was ever paid in."""
        return self.wallets.get(organization_id) or Wallet(
            organization_id=organization_id, currency=self._currency(organization_id)
        )

    def deposit(
        self, organization_id: str, *, micros: int, currency: str, note: str | None, key: IdempotencyKey | None = None
    ) -> tuple[LedgerEntry, bool]:
        """Pay money in. Returns the ledger entry and whether it is an earlier one with the same key.

        Raises ValueInvalid for an amount out of bounds or another currency than the organization's, and
        IdempotencyKeyReused for a key that came with another body.
        """
        if not 0 < micros <= DEPOSIT_MICROS_MAX:
            raise ValueInvalid("amount must be more than 0 and at most 1000000.", field="amount")
        # The first deposit gives a wallet its currency for good, and calls are priced in the organization's.
        expected = self._currency(organization_id)
        if currency != expected:
            raise ValueInvalid(f"currency must be {expected}, the currency of your organization.", field="currency")
        entry = LedgerEntry(
            id=new_id("led"),
            kind=LedgerEntryKind.DEPOSIT,
            at=self.now(),
            currency=currency,
            amount_micros=micros,
            note=note,
        )
        written, record = self.wallets.deposit(organization_id, entry, key)
        if record is not None and key is not None:
            record.check_fingerprint(key)
        return written, record is not None

    def _currency(self, organization_id: str) -> str:
        organization = self.organizations.find(Organization, organization_id)
        if organization is None:
            raise EntityNotFound("organization", organization_id)
        return organization.currency

    def reconcile(self, organization_id: str) -> Reconciliation:
        """Recompute the wallet from its ledger and holds.

        The three are read one after the other. While calls run the figures can move in between, so the reading counts
        only when the wallet was the same before and after it; under steady traffic the last reading is returned.
        """
        for _ in range(_RECONCILE_TRIES):
            before = self.wallet(organization_id)
            differences = reconcile(
                before, self.wallets.open_holds(organization_id), self.wallets.ledger(organization_id)
            )
            if not differences or self.wallet(organization_id) == before:
                break
        return Reconciliation(before, tuple(differences))
