"""The one transaction that makes an admission true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.accounts import ApiKey, Organization
from dialplane.domain.admission import Facts, check_balance
from dialplane.domain.calls import Call
from dialplane.domain.errors import ActiveCallsLimitReached, DestinationOnDnc, RateLimitExceeded, ServiceBusy
from dialplane.domain.idempotency import RETENTION, IdempotencyKey, IdempotencyRecord
from dialplane.domain.money import Money
from dialplane.domain.wallets import Hold, Wallet
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.codec import Item, decode, encode, encode_fields
from dialplane.dynamodb.tables import (
    HOLD_PREFIX,
    Tables,
    caller_numbers_usage_key,
    destination_key,
    idempotency_key,
    key_usage_key,
    platform_destination_key,
    wallet_key,
)


@dataclass(frozen=True, slots=True)
class AdmissionStore:
    """Commits admissions."""

    client: AwsClient
    tables: Tables

    def commit(self, call: Call, facts: Facts, key: IdempotencyKey | None) -> IdempotencyRecord | None:
        """Hold the money and write the call in one transaction, or change nothing.

        Returns the earlier request's record when the key is bound to one. Raises DestinationOnDnc, InsufficientBalance,
        RateLimitExceeded or ActiveCallsLimitReached when a fact has changed since it was read, and ServiceBusy when
        other transactions were in the way to the last. AwsError means that nothing is known to have been written;
        nobody has been called.
        """
        organization, api_key = facts.organization, facts.key
        assert organization is not None
        assert api_key is not None
        limits = _call_limits(api_key, call.created_at)
        steps = {
            "idempotency": self._bind_idempotency_key(call, key) if key is not None else None,
            "destination": self._open_call_to_destination(call),
            "platform": self._check_platform(call),
            "wallet": self._hold_money(call, organization),
            **{limit.period: self._count_call(call, limit) for limit in limits},
            "pool": self._count_use(call) if facts.pool is not None else None,
            "hold": self._put_hold(call),
            "call": {"Put": {**self._new(self.tables.calls), "Item": call_item(call)}},
        }
        names = [name for name, step in steps.items() if step is not None]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": [steps[name] for name in names]})
        except AwsError as error:
            refused = _refused_steps(error, names)
            answerable = {"idempotency", "destination", "platform", "wallet", *(limit.period for limit in limits)}
            if refused.keys().isdisjoint(answerable):
                if error.is_unprocessed and not error.repeated:
                    raise ServiceBusy from error
                raise
            return self._refuse(call, organization, limits, refused)
        return None

    def _new(self, table: str) -> dict[str, Any]:
        return {
            "TableName": table,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _bind_idempotency_key(self, call: Call, key: IdempotencyKey) -> dict[str, Any]:
        record = IdempotencyRecord(
            scope_sha256=key.scope_sha256,
            fingerprint=key.fingerprint,
            result_id=call.id,
            expires_at=int((call.created_at + RETENTION).timestamp()),
        )
        item = {**encode_fields(record), **idempotency_key(call.organization_id, key.scope_sha256).attributes}
        return {
            "Put": {
                **self._new(self.tables.idempotency),
                "Item": item,
                "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
                "ExpressionAttributeValues": {":now": encode(int(call.created_at.timestamp()))},
            }
        }

    def _open_call_to_destination(self, call: Call) -> dict[str, Any]:
        # The open calls tell whoever adds a DNC entry which dials may still be under way.
        return {
            "Update": {
                "TableName": self.tables.destinations,
                "Key": destination_key(call.organization_id, call.destination).attributes,
                "UpdateExpression": "ADD open_calls :call SET last_caller = :caller_number",
                "ConditionExpression": "attribute_not_exists(dnc)",
                "ExpressionAttributeValues": {
                    ":call": encode(frozenset({call.id})),
                    ":caller_number": encode(call.caller_number),
                },
            }
        }

    def _check_platform(self, call: Call) -> dict[str, Any]:
        return {
            "ConditionCheck": {
                "TableName": self.tables.destinations,
                "Key": platform_destination_key(call.destination).attributes,
                "ConditionExpression": "attribute_not_exists(dnc)",
            }
        }

    def _hold_money(self, call: Call, organization: Organization) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.tables.wallets,
                "Key": wallet_key(call.organization_id).attributes,
                "UpdateExpression": (
                    "SET available_micros = available_micros - :hold, held_micros = held_micros + :hold, "
                    "active_calls = active_calls + :one"
                ),
                "ConditionExpression": (
                    "available_micros >= :hold AND currency = :currency AND active_calls < :active_calls_max"
                ),
                "ExpressionAttributeValues": {
                    ":hold": encode(call.hold_micros),
                    ":one": encode(1),
                    ":currency": encode(call.currency),
                    ":active_calls_max": encode(organization.active_calls_max),
                },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _put_hold(self, call: Call) -> dict[str, Any]:
        hold = Hold(call_id=call.id, amount_micros=call.hold_micros, created_at=call.created_at)
        item = {**encode_fields(hold), **wallet_key(call.organization_id, f"{HOLD_PREFIX}{call.id}").attributes}
        return {"Put": {**self._new(self.tables.wallets), "Item": item}}

    def _count_call(self, call: Call, limit: _CallLimit) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.tables.usage,
                "Key": key_usage_key(call.organization_id, call.api_key_id, limit.start).attributes,
                "UpdateExpression": "ADD calls :one SET expires_at = :expires_at",
                "ConditionExpression": "attribute_not_exists(calls) OR calls < :calls_max",
                "ExpressionAttributeValues": {
                    ":one": encode(1),
                    ":calls_max": encode(limit.calls_max),
                    ":expires_at": encode(int(limit.ends_at.timestamp())),
                },
            }
        }

    def _count_use(self, call: Call) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.tables.usage,
                "Key": caller_numbers_usage_key(call.organization_id, call.caller_number).attributes,
                "UpdateExpression": "ADD calls :one",
                "ExpressionAttributeValues": {":one": encode(1)},
            }
        }

    def _refuse(
        self, call: Call, organization: Organization, limits: list[_CallLimit], refused: dict[str, Item | None]
    ) -> IdempotencyRecord:
        """Turn the conditions that failed into the refusal that the gates would have given, in the gates' order."""
        if (record := refused.get("idempotency")) is not None:
            return decode(IdempotencyRecord, record)
        if "destination" in refused or "platform" in refused:
            raise DestinationOnDnc
        for limit in limits:
            if limit.period in refused:
                wait = (limit.ends_at - call.created_at).total_seconds()
                raise RateLimitExceeded(limit.calls_max, limit.period, retry_after_seconds=int(wait) + 1)
        wallet = refused["wallet"]
        check_balance(decode(Wallet, wallet) if wallet else None, Money(call.hold_micros, call.currency))
        raise ActiveCallsLimitReached(organization.active_calls_max)


def _refused_steps(error: AwsError, names: list[str]) -> dict[str, Item | None]:
    """The steps whose condition failed, each with the item as it was."""
    return {
        name: reason.get("Item")
        for name, reason in zip(names, error.cancellation_reasons, strict=False)
        if reason.get("Code") == "ConditionalCheckFailed"
    }


@dataclass(frozen=True, slots=True)
class _CallLimit:
    """How many calls a key may make in the period that began at ``start``."""

    period: str
    calls_max: int
    start: str
    ends_at: datetime


def _call_limits(key: ApiKey, now: datetime) -> list[_CallLimit]:
    limits = []
    if key.calls_per_minute_max is not None:
        minute = now.replace(second=0, microsecond=0)
        start = minute.strftime("%Y-%m-%dT%H:%M")
        limits.append(_CallLimit("minute", key.calls_per_minute_max, start, minute + timedelta(minutes=1)))
    if key.calls_per_day_max is not None:
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        limits.append(_CallLimit("day", key.calls_per_day_max, day.strftime("%Y-%m-%d"), day + timedelta(days=1)))
    return limits
