"""Set up a customer: organization, keys, assistants, flows, carrier accounts, caller numbers.

What ``dialplane admin`` does, and what the sandbox makes its demo data with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
    Scope,
)
from dialplane.domain.assistants import check_assistant, check_name, check_within
from dialplane.domain.errors import EntityNotFound, ValueInvalid, VariablesMissing
from dialplane.domain.ids import new_id
from dialplane.domain.language_model import PROVIDERS_WITH_KEY
from dialplane.domain.phone_numbers import REFUSED_NUMBER_TYPES, REGIONS, PhoneNumber
from dialplane.domain.templates import check_text, render

ALL_SCOPES = frozenset(scope.value for scope in Scope)
CUSTOMER_SCOPES = ALL_SCOPES - {Scope.DEPOSIT.value}
"""What a customer's own software needs. Paying money in belongs to whoever has received it."""
# Digits alone are an assistant's number.
_PUBLIC_ID = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]{1,64}")
_CALLS_PER_SECOND_MAX = 1_000
_CURRENCY = re.compile(r"[A-Z]{3}")
_KEY_OF_A_TELEPHONE = re.compile(r"[0-9*#]")
_RETENTION_DAYS_MAX = 3_650
# It goes into a header as it is.
_SECRET_KEY = re.compile(r"[\x21-\x7e]{16,512}")
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?")
# The currency is that of the wallet and of every hold in it: it stays.
_UPDATABLE = frozenset(
    {
        "name",
        "rate_micros_per_minute",
        "billing_increment_seconds",
        "active_calls_max",
        "allowed_countries",
        "allowed_number_types",
        "allows_key_in_query",
        "default_assistant_id",
        "discloses",
        "disclosure_message",
        "opt_out_digit",
        "retention_days",
        "model_providers",
    }
)

Entity = Organization | ApiKey | Assistant | ConversationFlow | CallerNumber | CarrierAccount
E = TypeVar("E", Organization, ApiKey, Assistant, ConversationFlow, CallerNumber, CarrierAccount)


class AccountStore(Protocol):
    """Where account entities are kept."""

    def put(self, entity: Entity) -> None:
        """Create or replace an entity."""

    def find(self, entity_type: type[E], organization_id: str, entity_id: str | int = "") -> E | None:
        """One entity by its own id; an organization needs none."""

    def entities(self, organization_id: str) -> Sequence[Entity]:
        """Everything an organization has, itself included."""


class SecretStore(Protocol):
    """Where carrier credentials are kept."""

    def put(self, organization_id: str, carrier_account_id: str, secret: Mapping[str, str]) -> None:
        """Create or replace the secret of a carrier account."""


class OrganizationSecretStore(Protocol):
    """Where an organization's other secrets are kept."""

    def put(self, organization_id: str, name: str, secret: Mapping[str, str]) -> None:
        """Create or replace a secret."""


CheckCredentials = Callable[[str, Mapping[str, str]], None]
"""carrier, secret -> nothing. Raises ValueInvalid for an unknown carrier and for a secret that it could not use."""


@dataclass(frozen=True, slots=True)
class ProvisionUseCase:
    """Creates and replaces what an organization has.

    Raises ValueInvalid for values that calls could not use, and EntityNotFound for an organization, an assistant, a
    key or a carrier account that is named and does not exist.
    """

    accounts: AccountStore
    secrets: SecretStore
    check_credentials: CheckCredentials
    dialects: frozenset[str]
    """The request formats that a key may have lists in."""
    now: Callable[[], datetime]

    def create_organization(self, organization: Organization) -> Organization:
        """A customer with its rate, limits and countries."""
        _check_organization(organization)
        self.accounts.put(organization)
        return organization

    def update_organization(self, organization_id: str, **changes: Any) -> Organization:
        """Change its name, rate, limits, permissions or default assistant, from the next call on."""
        if fixed := set(changes) - _UPDATABLE:
            raise ValueInvalid(f"An organization's {', '.join(sorted(fixed))} cannot be updated.", field=min(fixed))
        organization = replace(self.organization(organization_id), **changes)
        _check_organization(organization)
        if organization.default_assistant_id is not None:
            self._assistant(organization_id, organization.default_assistant_id)
        self.accounts.put(organization)
        return organization

    def organization(self, organization_id: str) -> Organization:
        """The organization."""
        organization = self.accounts.find(Organization, organization_id)
        if organization is None:
            raise EntityNotFound("organization", organization_id)
        return organization

    def entities(self, organization_id: str) -> Sequence[Entity]:
        """Everything the organization has, itself included."""
        self.organization(organization_id)
        return self.accounts.entities(organization_id)

    def suspend_organization(self, organization_id: str) -> Organization:
        """Let it place no calls from now on; calls that are under way are not touched."""
        return self._set_active(organization_id, is_active=False)

    def activate_organization(self, organization_id: str) -> Organization:
        """Let it place calls again."""
        return self._set_active(organization_id, is_active=True)

    def _set_active(self, organization_id: str, *, is_active: bool) -> Organization:
        organization = replace(self.organization(organization_id), is_active=is_active)
        self.accounts.put(organization)
        return organization

    def create_key(
        self,
        organization_id: str,
        *,
        name: str,
        scopes: frozenset[str] = ALL_SCOPES,
        expires_at: datetime | None = None,
        dialect: str | None = None,
        calls_per_minute_max: int | None = None,
        calls_per_day_max: int | None = None,
    ) -> PresentedKey:
        """A new API key. The whole key is in the answer and nowhere else."""
        if dialect is not None and dialect not in self.dialects:
            raise ValueInvalid(
                f"The dialect {dialect!r} has no lists of its own; these have: {', '.join(sorted(self.dialects))}.",
                field="dialect",
            )
        limits = {"calls_per_minute_max": calls_per_minute_max, "calls_per_day_max": calls_per_day_max}
        _check_at_least(1, **{limit: value for limit, value in limits.items() if value is not None})
        if unknown := scopes - ALL_SCOPES:
            raise ValueInvalid(f"Unknown scopes: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(ALL_SCOPES))}.")
        if not scopes:
            raise ValueInvalid("A key without scopes can do nothing. Name at least one scope.", field="scopes")
        if expires_at is not None and expires_at <= self.now():
            raise ValueInvalid("expires_at is in the past.", field="expires_at")
        check_name(name)
        self.organization(organization_id)
        presented = PresentedKey.generate(organization_id)
        self.accounts.put(
            ApiKey(
                id=presented.id,
                organization_id=organization_id,
                name=name,
                secret_sha256=presented.secret_sha256,
                scopes=scopes,
                expires_at=expires_at,
                dialect=dialect,
                calls_per_minute_max=calls_per_minute_max,
                calls_per_day_max=calls_per_day_max,
            )
        )
        return presented

    def revoke_key(self, organization_id: str, key_id: str) -> ApiKey:
        """Make a key useless, for good. Revoking it again changes nothing."""
        key = self.accounts.find(ApiKey, organization_id, key_id)
        if key is None:
            raise EntityNotFound("key", f"{key_id} in organization {organization_id}")
        revoked = replace(key, is_active=False)
        self.accounts.put(revoked)
        return revoked

    def put_assistant(self, assistant: Assistant) -> Assistant:
        """Who speaks, with which words and for how long."""
        check_within(1, 2**63 - 1, assistant_id=assistant.id)
        if assistant.public_id is not None and _PUBLIC_ID.fullmatch(assistant.public_id) is None:
            raise ValueInvalid(
                "public_id must be 1 to 64 letters, digits, hyphens and underscores, and not only digits.",
                field="public_id",
            )
        check_assistant(assistant)
        self.organization(assistant.organization_id)
        self.accounts.put(assistant)
        return assistant

    def create_carrier_account(
        self,
        organization_id: str,
        *,
        carrier: str,
        name: str,
        secret: Mapping[str, str],
        calls_per_second: int | None = None,
    ) -> CarrierAccount:
        """An account with a carrier. Its credentials go to the secret store and nowhere else."""
        self.check_credentials(carrier, secret)
        _check_carrier_account(name, calls_per_second)
        self.organization(organization_id)
        account = CarrierAccount(
            id=new_id("acct"),
            organization_id=organization_id,
            carrier=carrier,
            name=name,
            created_at=self.now(),
            calls_per_second=calls_per_second,
        )
        # The secret first: an account without one would refuse calls, a secret without an account is never read.
        self.secrets.put(organization_id, account.id, secret)
        self.accounts.put(account)
        return account

    def update_carrier_account(
        self, organization_id: str, account_id: str, *, secret: Mapping[str, str] | None = None, **changes: Any
    ) -> CarrierAccount:
        """Change its ``name`` or ``calls_per_second`` from the next call on, or replace all its credentials."""
        account = replace(self.carrier_account(organization_id, account_id), **changes)
        _check_carrier_account(account.name, account.calls_per_second)
        if secret is not None:
            self.check_credentials(account.carrier, secret)
            self.secrets.put(organization_id, account.id, secret)
        self.accounts.put(account)
        return account

    def carrier_account(self, organization_id: str, account_id: str) -> CarrierAccount:
        """The organization's account with a carrier."""
        account = self.accounts.find(CarrierAccount, organization_id, account_id)
        if account is None:
            raise EntityNotFound("carrier account", f"{account_id} in organization {organization_id}")
        return account

    def put_flow(self, flow: ConversationFlow) -> ConversationFlow:
        """A conversation with a runtime of its own, on the voice and limits of one of the assistants."""
        check_name(flow.name)
        check_within(1, 2**63 - 1, flow_id=flow.id)
        if not flow.engine_url.startswith("wss://"):
            raise ValueInvalid("engine_url must begin with wss://.", field="engine_url")
        self._assistant(flow.organization_id, flow.base_assistant_id)
        self.accounts.put(flow)
        return flow

    def put_number(
        self,
        organization_id: str,
        number: str,
        account: CarrierAccount,
        *,
        assistant_id: int | None = None,
        flow_id: int | None = None,
        can_dial_out: bool = True,
        in_pool: bool = True,
        carrier_number_id: str | None = None,
    ) -> CallerNumber:
        """A number to call from. The assistant's own caller number becomes this one if it has none yet."""
        parsed = PhoneNumber.parse(number, field="number")
        assistant = self._assistant(organization_id, assistant_id) if assistant_id is not None else None
        if flow_id is not None and self.accounts.find(ConversationFlow, organization_id, flow_id) is None:
            raise EntityNotFound("flow", f"{flow_id} in organization {organization_id}")
        caller_number = CallerNumber(
            number=parsed.e164,
            organization_id=organization_id,
            carrier=account.carrier,
            carrier_account_id=account.id,
            assistant_id=assistant_id,
            flow_id=flow_id,
            can_dial_out=can_dial_out,
            in_pool=in_pool,
            carrier_number_id=carrier_number_id,
        )
        self.accounts.put(caller_number)
        if assistant is not None and assistant.caller_number is None:
            self.accounts.put(replace(assistant, caller_number=caller_number.number))
        return caller_number

    def _assistant(self, organization_id: str, assistant_id: int) -> Assistant:
        assistant = self.accounts.find(Assistant, organization_id, assistant_id)
        if assistant is None:
            raise EntityNotFound("assistant", f"{assistant_id} in organization {organization_id}")
        return assistant


@dataclass(frozen=True, slots=True)
class StoreKeysUseCase:
    """Stores the keys that an organization's conversations need. They go to the secret store and nowhere else.

    Raises ValueInvalid for keys that could not be used, and EntityNotFound for an organization that does not exist.
    """

    provision: ProvisionUseCase
    secrets: OrganizationSecretStore

    def put_model_key(
        self, organization_id: str, *, provider: str, api_key: str, base_url: str | None = None
    ) -> Organization:
        """The key for a provider of language models; with ``base_url`` one that only speaks as that provider does."""
        if provider not in PROVIDERS_WITH_KEY:
            raise ValueInvalid(
                f"The provider {provider!r} takes no key; these do: {', '.join(sorted(PROVIDERS_WITH_KEY))}.",
                field="provider",
            )
        if base_url is not None and _BASE_URL.fullmatch(base_url) is None:
            raise ValueInvalid(
                "base_url must be an address such as https://models.example.com/v1, without user and query.",
                field="base_url",
            )
        _check_secret_key(api_key)
        organization = self.provision.organization(organization_id)
        # The secret first: an organization with a provider and no key would have calls that nobody can hold.
        secret = {"api_key": api_key} | ({"base_url": base_url} if base_url is not None else {})
        self.secrets.put(organization_id, f"model-{provider}", secret)
        providers = organization.model_providers | {provider}
        return self.provision.update_organization(organization_id, model_providers=providers)

    def put_signing_key(self, organization_id: str, signing_key: str) -> None:
        """The key that requests to the organization's own tools are signed with."""
        _check_secret_key(signing_key)
        self.provision.organization(organization_id)
        self.secrets.put(organization_id, "tools", {"signing_key": signing_key})


def _check_secret_key(key: str) -> None:
    if _SECRET_KEY.fullmatch(key) is None:
        # It is not repeated.
        raise ValueInvalid("The key must have from 16 to 512 letters, digits and signs, and no spaces.", field="key")


def _check_organization(organization: Organization) -> None:
    check_name(organization.name)
    _check_at_least(1, rate=organization.rate_micros_per_minute, increment=organization.billing_increment_seconds)
    _check_at_least(1, active_calls_max=organization.active_calls_max)
    _check_conversations(organization)
    if _CURRENCY.fullmatch(organization.currency) is None:
        raise ValueInvalid(
            f'currency is {organization.currency!r}; it must be an ISO 4217 code such as "USD".', field="currency"
        )
    if unknown := organization.allowed_countries - REGIONS:
        raise ValueInvalid(
            f'Unknown countries: {", ".join(sorted(unknown))}. Use ISO 3166 codes such as "US", or "001" for '
            "satellite and other shared codes.",
            field="countries",
        )
    if unknown := organization.allowed_number_types - REFUSED_NUMBER_TYPES:
        raise ValueInvalid(
            f"Unknown number types: {', '.join(sorted(unknown))}. Refused by default, and so the ones to allow: "
            f"{', '.join(sorted(REFUSED_NUMBER_TYPES))}.",
            field="number_types",
        )


def _check_conversations(organization: Organization) -> None:
    """How all its conversations are held."""
    check_within(1, _RETENTION_DAYS_MAX, retention_days=organization.retention_days)
    digit = organization.opt_out_digit
    if digit is not None and _KEY_OF_A_TELEPHONE.fullmatch(digit) is None:
        raise ValueInvalid("opt_out_digit must be one key of a telephone: 0 to 9, * or #.", field="opt_out_digit")
    message = organization.disclosure_message
    if message is None:
        return
    check_text(message, field="disclosure_message")
    try:
        said = render(message, {"organization": "", "assistant": ""}, field="disclosure_message")
    except VariablesMissing as missing:
        raise ValueInvalid(
            f"disclosure_message names {', '.join(missing.names)}; it can name organization and assistant.",
            field="disclosure_message",
        ) from missing
    if not said.strip():
        raise ValueInvalid("disclosure_message says nothing.", field="disclosure_message")


def _check_carrier_account(name: str, calls_per_second: int | None) -> None:
    check_name(name)
    if calls_per_second is not None:
        check_within(1, _CALLS_PER_SECOND_MAX, calls_per_second=calls_per_second)


def _check_at_least(lowest: int, **values: int) -> None:
    for name, value in values.items():
        if value < lowest:
            raise ValueInvalid(f"{name} is {value}; it must be at least {lowest}.", field=name)
