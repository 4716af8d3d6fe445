"""Set up a customer: organization, keys, assistants, carrier accounts, caller numbers.

What ``dialplane admin`` does, and what the sandbox makes its demo data with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    Organization,
    PresentedKey,
    Scope,
)
from dialplane.domain.errors import ValueInvalid
from dialplane.domain.ids import new_id
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import check_text

ALL_SCOPES = frozenset(scope.value for scope in Scope)
_MAX_DURATION_SECONDS = 14_400
_RING_TIMEOUT_SECONDS_MAX = 600

Entity = Organization | ApiKey | Assistant | CallerNumber | CarrierAccount
E = TypeVar("E", Organization, ApiKey, Assistant, CallerNumber, CarrierAccount)


class AccountStore(Protocol):
    """Where account entities are kept."""

    def put(self, entity: Entity) -> None:
        """Create or replace an entity."""

    def find(self, entity_type: type[E], organization_id: str, name: str) -> E | None:
        """One entity by its sort key."""


class SecretStore(Protocol):
    """Where carrier credentials are kept."""

    def put(self, organization_id: str, carrier_account_id: str, secret: Mapping[str, str]) -> None:
        """Create or replace the secret of a carrier account."""


@dataclass(frozen=True, slots=True)
class ProvisionUseCase:
    """Creates and replaces what an organization has. Raises ValueInvalid for values that calls could not use."""

    accounts: AccountStore
    secrets: SecretStore
    now: Callable[[], datetime]

    def create_organization(self, organization: Organization) -> Organization:
        """A customer with its rate, limits and countries."""
        _check_at_least(1, rate=organization.rate_micros_per_minute, increment=organization.billing_increment_seconds)
        _check_at_least(1, active_calls_max=organization.active_calls_max)
        self.accounts.put(organization)
        return organization

    def create_key(
        self,
        organization_id: str,
        *,
        name: str,
        scopes: frozenset[str] = ALL_SCOPES,
        expires_at: datetime | None = None,
    ) -> PresentedKey:
        """A new API key. The whole key is in the answer and nowhere else."""
        if unknown := scopes - ALL_SCOPES:
            raise ValueInvalid(f"Unknown scopes: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(ALL_SCOPES))}.")
        presented = PresentedKey.generate(organization_id)
        self.accounts.put(
            ApiKey(
                id=presented.id,
                organization_id=organization_id,
                name=name,
                secret_sha256=presented.secret_sha256,
                scopes=scopes,
                expires_at=expires_at,
            )
        )
        return presented

    def put_assistant(self, assistant: Assistant) -> Assistant:
        """Who speaks, with which words and for how long."""
        for field in ("welcome_message", "goodbye_message", "agenda"):
            check_text(getattr(assistant, field) or "", field=field)
        if assistant.engine == "say":
            if assistant.engine_url is not None:
                raise ValueInvalid('engine_url has no meaning for the engine "say". Leave it out.', field="engine_url")
        elif not (assistant.engine_url or "").startswith("wss://"):
            raise ValueInvalid(
                f'The engine "{assistant.engine}" needs an engine_url that begins with wss://.', field="engine_url"
            )
        _check_at_least(1, assistant_id=assistant.id)
        _check_within(1, _MAX_DURATION_SECONDS, max_duration_seconds=assistant.max_duration_seconds)
        _check_within(1, _RING_TIMEOUT_SECONDS_MAX, ring_timeout_seconds=assistant.ring_timeout_seconds)
        self.accounts.put(assistant)
        return assistant

    def create_carrier_account(
        self, organization_id: str, *, carrier: str, name: str, secret: Mapping[str, str]
    ) -> CarrierAccount:
        """An account with a carrier. Its credentials go to the secret store and nowhere else."""
        account = CarrierAccount(
            id=new_id("acct"), organization_id=organization_id, carrier=carrier, name=name, created_at=self.now()
        )
        self.secrets.put(organization_id, account.id, secret)
        self.accounts.put(account)
        return account

    def put_number(
        self, organization_id: str, number: str, account: CarrierAccount, *, assistant_id: int | None = None
    ) -> CallerNumber:
        """A number to call from. The assistant's own caller number becomes this one if it has none yet."""
        parsed = PhoneNumber.parse(number, field="number")
        caller_number = CallerNumber(
            number=parsed.e164,
            organization_id=organization_id,
            carrier=account.carrier,
            carrier_account_id=account.id,
            assistant_id=assistant_id,
        )
        self.accounts.put(caller_number)
        return caller_number


def _check_at_least(lowest: int, **values: int) -> None:
    for name, value in values.items():
        if value < lowest:
            raise ValueInvalid(f"{name} is {value}; it must be at least {lowest}.", field=name)


def _check_within(lowest: int, highest: int, **values: int) -> None:
    for name, value in values.items():
        if not lowest <= value <= highest:
            raise ValueInvalid(f"{name} is {value}; it must be from {lowest} to {highest}.", field=name)
