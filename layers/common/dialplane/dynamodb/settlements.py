"""The one transaction in which an ended call gives back its hold: call, wallet, hold, ledger, destination."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.calls import Call
from dialplane.domain.ids import new_id
from dialplane.domain.wallets import LedgerEntry, LedgerEntryKind
from dialplane.dynamodb.calls import call_update
from dialplane.dynamodb.codec import encode, encode_fields
from dialplane.dynamodb.tables import HOLD_PREFIX, LEDGER_PREFIX, Tables, destination_key, wallet_key


@dataclass(frozen=True, slots=True)
class SettlementStore:
    """Settles calls."""

    client: AwsClient
    tables: Tables

    def settle(self, before: Call, ended: Call, *, charge_micros: int, at: datetime) -> bool:
        """End the call, move the money and write the ledger, all or nothing.

        ``before`` is the call as it was read, ``ended`` as it is to be. False when it was settled before or has
        changed since it was read. Raises ValueError unless ``0 <= charge_micros <= hold``.
        """
        if not 0 <= charge_micros <= before.hold_micros:
            raise ValueError(f"charge {charge_micros} is outside the hold {before.hold_micros} of {before.id}")
        settled = replace(ended, charge_micros=charge_micros, settled_at=at, next_check_at=None)
        steps = [
            {"Update": self._end(before, settled)},
            {"Delete": self._hold(before)},
            {"Update": self._move_money(before, charge_micros)},
            {"Put": self._ledger_entry(settled, charge_micros, at)},
            {"Update": self._close_to_destination(before)},
        ]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": steps})
        except AwsError as error:
            codes = [reason.get("Code") for reason in error.cancellation_reasons]
            if codes[:1] == ["ConditionalCheckFailed"]:
                return False
            # The call is as it was read and its hold or its wallet is not: books that disagree are not mended here.
            raise
        return True

    def _end(self, before: Call, settled: Call) -> dict[str, Any]:
        update = call_update(self.tables.calls, before, settled)
        return {
            **update,
            "ConditionExpression": f"{update['ConditionExpression']} AND attribute_not_exists(settled_at)",
        }

    def _hold(self, call: Call) -> dict[str, Any]:
        return {
            "TableName": self.tables.wallets,
            "Key": wallet_key(call.organization_id, f"{HOLD_PREFIX}{call.id}").attributes,
            "ConditionExpression": "amount_micros = :hold",
            "ExpressionAttributeValues": {":hold": encode(call.hold_micros)},
        }

    def _move_money(self, call: Call, charge_micros: int) -> dict[str, Any]:
        return {
            "TableName": self.tables.wallets,
            "Key": wallet_key(call.organization_id).attributes,
            "UpdateExpression": (
                "SET held_micros = held_micros - :hold, spent_micros = spent_micros + :charge, "
                "available_micros = available_micros + :release, active_calls = active_calls - :one"
            ),
            "ConditionExpression": "held_micros >= :hold AND active_calls >= :one",
            "ExpressionAttributeValues": {
                ":hold": encode(call.hold_micros),
                ":charge": encode(charge_micros),
                ":release": encode(call.hold_micros - charge_micros),
                ":one": encode(1),
            },
        }

    def _ledger_entry(self, call: Call, charge_micros: int, at: datetime) -> dict[str, Any]:
        entry = LedgerEntry(
            id=new_id("led"),
            kind=LedgerEntryKind.SETTLEMENT,
            at=at,
            currency=call.currency,
            hold_micros=call.hold_micros,
            charge_micros=charge_micros,
            release_micros=call.hold_micros - charge_micros,
            call_id=call.id,
        )
        key = wallet_key(call.organization_id, f"{LEDGER_PREFIX}{entry.id}")
        return {
            "TableName": self.tables.wallets,
            "Item": {**encode_fields(entry), **key.attributes},
            "ConditionExpression": "attribute_not_exists(pk)",
        }

    def _close_to_destination(self, call: Call) -> dict[str, Any]:
        return {
            "TableName": self.tables.destinations,
            "Key": destination_key(call.organization_id, call.destination).attributes,
            "UpdateExpression": "DELETE open_calls :call",
            "ExpressionAttributeValues": {":call": encode(frozenset({call.id}))},
        }
