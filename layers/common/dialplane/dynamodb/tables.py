"""The tables, by name, and the shape of every key in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BY_ORGANIZATION_INDEX = "by_organization"
BY_CARRIER_CALL_ID_INDEX = "by_carrier_call_id"
DUE_CHECKS_INDEX = "due_checks"
CHECK_KEY = "OPEN"


@dataclass(frozen=True, slots=True)
class Tables:
    """Names of the tables that a function may touch; empty where it may not."""

    accounts: str = ""
    destinations: str = ""
    wallets: str = ""
    calls: str = ""
    idempotency: str = ""
    usage: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key; the idempotency table has no sort key."""

    pk: str
    sk: str | None = None

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        """The key as DynamoDB attribute values."""
        return {"pk": {"S": self.pk}} | ({"sk": {"S": self.sk}} if self.sk is not None else {})

    @classmethod
    def of(cls, item: Mapping[str, dict[str, Any]]) -> Key:
        """The key of an item that was read."""
        return cls(item["pk"]["S"], item["sk"]["S"] if "sk" in item else None)


def account_key(organization_id: str, entity: str) -> Key:
    """An item of an organization's account: itself, a key, an assistant, a flow, a number or a carrier account."""
    return Key(f"ORG#{organization_id}", entity)


ORGANIZATION = "ORGANIZATION"
KEY_PREFIX = "KEY#"
ASSISTANT_PREFIX = "ASSISTANT#"
ASSISTANT_PUBLIC_ID_PREFIX = "ASSISTANT_PUBLIC_ID#"
FLOW_PREFIX = "FLOW#"
NUMBER_PREFIX = "NUMBER#"
CARRIER_ACCOUNT_PREFIX = "CARRIER_ACCOUNT#"


def destination_key(organization_id: str, number: str) -> Key:
    """The record of a number that an organization calls."""
    return Key(f"ORG#{organization_id}#DEST#{number}", "DESTINATION")


def platform_destination_key(number: str) -> Key:
    """The record of a number that nobody on the platform may call."""
    return Key(f"PLATFORM#DEST#{number}", "DESTINATION")


def wallet_key(organization_id: str, entity: str = "BALANCE") -> Key:
    """The balance, a hold or a ledger entry of an organization's wallet."""
    return Key(f"ORG#{organization_id}#WALLET", entity)


HOLD_PREFIX = "HOLD#"
LEDGER_PREFIX = "LEDGER#"


def call_key(organization_id: str, call_id: str, entity: str = "CALL") -> Key:
    """A call, or something recorded about it."""
    return Key(f"ORG#{organization_id}#CALL#{call_id}", entity)


EVENT_PREFIX = "EVENT#"
COMMAND_PREFIX = "COMMAND#"
CONVERSATION = "CONVERSATION"


def idempotency_key(organization_id: str, scope_sha256: str) -> Key:
    """The record of a request that came with an idempotency key."""
    return Key(f"ORG#{organization_id}#IDEMPOTENCY#{scope_sha256}")


def session_key(organization_id: str, session_id: str) -> Key:
    """What a client's earlier request has said; kept beside the idempotency records, for as short a time."""
    return Key(f"ORG#{organization_id}#SESSION#{session_id}")


def caller_numbers_usage_key(organization_id: str, number: str = "") -> Key:
    """How often a number was called from."""
    return Key(f"ORG#{organization_id}#CALLER_NUMBERS", number)


def carrier_account_usage_key(organization_id: str, carrier_account_id: str) -> Key:
    """When a carrier account may be asked for its next call."""
    return Key(f"ORG#{organization_id}#CARRIER_ACCOUNT#{carrier_account_id}", "PACE")


def key_usage_key(organization_id: str, key_id: str, period: str) -> Key:
    """How many calls an API key has made in a period, such as ``2026-11-20T10:29``."""
    return Key(f"ORG#{organization_id}#KEY#{key_id}", period)


def call_usage_key(organization_id: str, call_id: str, period: str) -> Key:
    """How many commands a call was given in a period, such as ``2026-11-20T10:29``."""
    return Key(f"ORG#{organization_id}#CALL#{call_id}", period)
