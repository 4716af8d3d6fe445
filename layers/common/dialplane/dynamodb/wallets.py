"""Wallets: balance, open holds and the append-only ledger.

Holding money belongs to ``admissions``, moving it to ``settlements``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.errors import CursorInvalid, ValueInvalid
from dialplane.domain.idempotency import RETENTION, IdempotencyKey, IdempotencyRecord
from dialplane.domain.ids import is_id
from dialplane.domain.wallets import Hold, LedgerEntry, Wallet
from dialplane.dynamodb.codec import Item, decode, encode, encode_fields
from dialplane.dynamodb.tables import HOLD_PREFIX, LEDGER_PREFIX, Tables, idempotency_key, wallet_key


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Ledger entries, newest first, and the cursor of the next page if there is one."""

    entries: tuple[LedgerEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class WalletStore:
    """Reads wallets and pays money in."""

    client: AwsClient
    tables: Tables

    def get(self, organization_id: str) -> Wallet | None:
        """The wallet, strongly consistent."""
        key = wallet_key(organization_id).attributes
        reply = self._call("GetItem", {"Key": key, "ConsistentRead": True})
        return decode(Wallet, reply["Item"]) if "Item" in reply else None

    def open_holds(self, organization_id: str) -> Sequence[Hold]:
        """All holds that are open, strongly consistent."""
        return [decode(Hold, item) for item in self._all(organization_id, HOLD_PREFIX)]

    def ledger(self, organization_id: str) -> Sequence[LedgerEntry]:
        """The whole ledger, oldest first, strongly consistent."""
        return [decode(LedgerEntry, item) for item in self._all(organization_id, LEDGER_PREFIX)]

    def ledger_page(self, organization_id: str, *, limit: int, cursor: str | None) -> LedgerPage:
        """A page of the ledger, newest first. Raises CursorInvalid."""
        query: dict[str, Any] = {
            **_under(organization_id, LEDGER_PREFIX),
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": limit,
        }
        if cursor is not None:
            query["ExclusiveStartKey"] = wallet_key(organization_id, _entry_name(cursor)).attributes
        reply = self._call("Query", query)
        entries = tuple(decode(LedgerEntry, item) for item in reply["Items"])
        more = "LastEvaluatedKey" in reply and bool(entries)
        return LedgerPage(entries, base64.urlsafe_b64encode(entries[-1].id.encode()).decode() if more else None)

    def deposit(
        self, organization_id: str, entry: LedgerEntry, key: IdempotencyKey | None
    ) -> tuple[LedgerEntry, IdempotencyRecord | None]:
        """Add the money and its ledger entry in one transaction, once per idempotency key."""
        steps = [self._bind(organization_id, entry, key)] if key is not None else []
        steps += [self._add_money(organization_id, entry), self._put_entry(organization_id, entry)]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": steps})
        except AwsError as error:
            codes = [reason.get("Code") for reason in error.cancellation_reasons]
            if key is not None and codes[:1] == ["ConditionalCheckFailed"]:
                record = decode(IdempotencyRecord, error.cancellation_reasons[0]["Item"])
                return self._entry(organization_id, record.result_id), record
            if codes[-2:-1] == ["ConditionalCheckFailed"]:
                raise ValueInvalid("currency is not the currency of this wallet.", field="currency") from error
            raise
        return entry, None

    def _bind(self, organization_id: str, entry: LedgerEntry, key: IdempotencyKey) -> dict[str, Any]:
        record = IdempotencyRecord(
            scope_sha256=key.scope_sha256,
            fingerprint=key.fingerprint,
            result_id=entry.id,
            expires_at=int((entry.at + RETENTION).timestamp()),
        )
        return {
            "Put": {
                "TableName": self.tables.idempotency,
                "Item": {**encode_fields(record), **idempotency_key(organization_id, key.scope_sha256).attributes},
                "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
                "ExpressionAttributeValues": {":now": encode(int(entry.at.timestamp()))},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _add_money(self, organization_id: str, entry: LedgerEntry) -> dict[str, Any]:
        zeros = ", ".join(f"{name} = if_not_exists({name}, :zero)" for name in ("held_micros", "spent_micros"))
        return {
            "Update": {
                "TableName": self.tables.wallets,
                "Key": wallet_key(organization_id).attributes,
                "UpdateExpression": (
                    f"SET organization_id = :organization, currency = :currency, {zeros}, "
                    "active_calls = if_not_exists(active_calls, :zero) "
                    "ADD deposited_micros :amount, available_micros :amount"
                ),
                "ConditionExpression": "attribute_not_exists(pk) OR currency = :currency",
                "ExpressionAttributeValues": {
                    ":organization": encode(organization_id),
                    ":currency": encode(entry.currency),
                    ":amount": encode(entry.amount_micros),
                    ":zero": encode(0),
                },
            }
        }

    def _put_entry(self, organization_id: str, entry: LedgerEntry) -> dict[str, Any]:
        key = wallet_key(organization_id, f"{LEDGER_PREFIX}{entry.id}")
        return {
            "Put": {
                "TableName": self.tables.wallets,
                "Item": {**encode_fields(entry), **key.attributes},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        }

    def _entry(self, organization_id: str, entry_id: str) -> LedgerEntry:
        key = wallet_key(organization_id, f"{LEDGER_PREFIX}{entry_id}").attributes
        return decode(LedgerEntry, self._call("GetItem", {"Key": key, "ConsistentRead": True})["Item"])

    def _all(self, organization_id: str, prefix: str) -> list[Item]:
        items: list[Item] = []
        params: dict[str, Any] = {**_under(organization_id, prefix), "ConsistentRead": True}
        while True:
            reply = self._call("Query", params)
            items += reply["Items"]
            if (last_key := reply.get("LastEvaluatedKey")) is None:
                return items
            params["ExclusiveStartKey"] = last_key

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return self.client.call("dynamodb", operation, {"TableName": self.tables.wallets, **params})


def _under(organization_id: str, prefix: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
        "ExpressionAttributeValues": {":pk": encode(wallet_key(organization_id).pk), ":prefix": encode(prefix)},
    }


def _entry_name(cursor: str) -> str:
    try:
        entry_id = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise CursorInvalid from error
    if not is_id("led", entry_id):
        raise CursorInvalid
    return f"{LEDGER_PREFIX}{entry_id}"
