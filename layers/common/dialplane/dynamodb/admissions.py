"""One read of every fact, and the one transaction that makes an admission true."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.accounts import ApiKey, Assistant, CallerNumber, Organization, PresentedKey
from dialplane.domain.admission import (
    Facts,
    InitiateCall,
    check_balance,
    chosen_assistant_id,
    chosen_caller_number,
)
from dialplane.domain.calls import Call
from dialplane.domain.errors import ActiveCallsLimitReached, DestinationOnDnc, ServiceBusy
from dialplane.domain.idempotency import RETENTION, IdempotencyKey, IdempotencyRecord
from dialplane.domain.money import Money
from dialplane.domain.wallets import Hold, Wallet
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.codec import Item, decode, encode, encode_fields
from dialplane.dynamodb.tables import (
    ASSISTANT_PREFIX,
    HOLD_PREFIX,
    KEY_PREFIX,
    NUMBER_PREFIX,
    ORGANIZATION,
    Key,
    Tables,
    account_key,
    destination_key,
    idempotency_key,
    platform_destination_key,
    wallet_key,
)

_TableKey = tuple[str, Key]
_HINTS_MAX = 10_000


@dataclass(slots=True)
class ResolutionHints:
    """Which assistant a number named, and which number an assistant, the last time this process looked.

    Only ever used to read more in the first round trip; the decision uses what the number and the assistant say now.
    """

    assistant_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    caller_numbers: dict[tuple[str, int], str] = field(default_factory=dict)

    def remember(self, organization_id: str, facts: Facts) -> None:
        """Keep what the facts say, within bounds."""
        if len(self.assistant_ids) + len(self.caller_numbers) > _HINTS_MAX:
            self.assistant_ids.clear()
            self.caller_numbers.clear()
        if facts.caller_number is not None and facts.caller_number.assistant_id is not None:
            self.assistant_ids[organization_id, facts.caller_number.number] = facts.caller_number.assistant_id
        if facts.assistant is not None and facts.assistant.caller_number is not None:
            self.caller_numbers[organization_id, facts.assistant.id] = facts.assistant.caller_number


@dataclass(frozen=True, slots=True)
class AdmissionStore:
    """Reads facts and commits admissions."""

    client: AwsClient
    tables: Tables
    hints: ResolutionHints = field(default_factory=ResolutionHints)

    def load_identity(self, presented: PresentedKey) -> tuple[ApiKey | None, Organization | None]:
        """The key on record and its organization."""
        return AccountStore(self.client, self.tables).load_identity(presented)

    def load_facts(self, command: InitiateCall) -> Facts:
        """Everything the decision needs: one round trip, a second one where a number or an assistant names more."""
        organization_id = command.presented_key.organization_id
        number = command.caller_number.e164 if command.caller_number is not None else None
        assistant_id = command.assistant_id
        if number is None and assistant_id is not None:
            number = self.hints.caller_numbers.get((organization_id, assistant_id))
        elif number is not None and assistant_id is None:
            assistant_id = self.hints.assistant_ids.get((organization_id, number))
        items = self._read(self._first_keys(command, number, assistant_id))
        facts = self._facts(command, items)
        missing = [key for key in self._named_keys(command, facts) if key not in items]
        if missing:
            items |= self._read(missing)
            facts = self._facts(command, items)
        self.hints.remember(organization_id, facts)
        return facts

    def _first_keys(self, command: InitiateCall, number: str | None, assistant_id: int | None) -> list[_TableKey]:
        organization_id = command.presented_key.organization_id
        entities = [ORGANIZATION, f"{KEY_PREFIX}{command.presented_key.id}"]
        entities += [f"{NUMBER_PREFIX}{number}"] if number is not None else []
        entities += [f"{ASSISTANT_PREFIX}{assistant_id}"] if assistant_id is not None else []
        keys = [(self.tables.accounts, account_key(organization_id, entity)) for entity in entities]
        destination = command.destination.e164
        keys.append((self.tables.wallets, wallet_key(organization_id)))
        keys.append((self.tables.destinations, destination_key(organization_id, destination)))
        keys.append((self.tables.destinations, platform_destination_key(destination)))
        if command.idempotency_key is not None:
            scope = command.idempotency_key.scope_sha256
            keys.append((self.tables.idempotency, idempotency_key(organization_id, scope)))
        return keys

    def _named_keys(self, command: InitiateCall, facts: Facts) -> list[_TableKey]:
        """The number and the assistant that the facts so far name."""
        organization_id = command.presented_key.organization_id
        number = chosen_caller_number(command, facts.assistant)
        assistant_id = chosen_assistant_id(command, facts.caller_number)
        entities = [f"{NUMBER_PREFIX}{number}"] if number is not None else []
        entities += [f"{ASSISTANT_PREFIX}{assistant_id}"] if assistant_id is not None else []
        return [(self.tables.accounts, account_key(organization_id, entity)) for entity in entities]

    def _read(self, keys: Iterable[_TableKey]) -> dict[_TableKey, Item | None]:
        wanted = list(keys)
        request: dict[str, dict[str, Any]] = {}
        for table, key in wanted:
            entry = request.setdefault(table, {"Keys": [], "ConsistentRead": True})
            entry["Keys"].append(key.attributes)
        reply = self.client.call("dynamodb", "BatchGetItem", {"RequestItems": request})
        found: dict[_TableKey, Item | None] = dict.fromkeys(wanted)
        for table, items in reply["Responses"].items():
            for item in items:
                found[table, Key.of(item)] = item
        return found

    def _facts(self, command: InitiateCall, items: dict[_TableKey, Item | None]) -> Facts:
        by_entity = {key.sk: item for (table, key), item in items.items() if table == self.tables.accounts and item}
        facts = Facts(
            key=_maybe(ApiKey, by_entity.get(f"{KEY_PREFIX}{command.presented_key.id}")),
            organization=_maybe(Organization, by_entity.get(ORGANIZATION)),
            assistant=_maybe(Assistant, by_entity.get(f"{ASSISTANT_PREFIX}{command.assistant_id}")),
        )
        number = chosen_caller_number(command, facts.assistant)
        facts = replace(facts, caller_number=_maybe(CallerNumber, by_entity.get(f"{NUMBER_PREFIX}{number}")))
        if command.assistant_id is None:
            assistant_id = chosen_assistant_id(command, facts.caller_number)
            facts = replace(facts, assistant=_maybe(Assistant, by_entity.get(f"{ASSISTANT_PREFIX}{assistant_id}")))
        others = {table: [item for (name, _), item in items.items() if name == table and item] for table, _ in items}
        return replace(
            facts,
            wallet=next((decode(Wallet, item) for item in others.get(self.tables.wallets, [])), None),
            is_destination_on_dnc=any("dnc" in item for item in others.get(self.tables.destinations, [])),
            idempotency_record=next(
                (decode(IdempotencyRecord, item) for item in others.get(self.tables.idempotency, [])), None
            ),
        )

    def commit(self, call: Call, organization: Organization, key: IdempotencyKey | None) -> IdempotencyRecord | None:
        """Hold the money and write the call in one transaction, or change nothing.

        Returns the earlier request's record when the key is bound to one. Raises DestinationOnDnc, InsufficientBalance
        or ActiveCallsLimitReached when a fact has changed since it was read, and ServiceBusy when other transactions
        were in the way to the last. AwsError means that nothing is known to
        have been written; nobody has been called.
        """
        steps = {
            "idempotency": self._bind_idempotency_key(call, key) if key is not None else None,
            "destination": self._open_call_to_destination(call),
            "platform": self._check_platform(call),
            "wallet": self._hold_money(call, organization),
            "hold": self._put_hold(call),
            "call": {"Put": {**self._new(self.tables.calls), "Item": call_item(call)}},
        }
        names = [name for name, step in steps.items() if step is not None]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": [steps[name] for name in names]})
        except AwsError as error:
            refused = _refused_steps(error, names)
            if refused.keys().isdisjoint({"idempotency", "destination", "platform", "wallet"}):
                if error.is_unprocessed and not error.repeated:
                    raise ServiceBusy from error
                raise
            return self._refuse(call, organization, refused)
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
                "UpdateExpression": "ADD open_calls :call",
                "ConditionExpression": "attribute_not_exists(dnc)",
                "ExpressionAttributeValues": {":call": encode(frozenset({call.id}))},
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

    def _refuse(self, call: Call, organization: Organization, refused: dict[str, Item | None]) -> IdempotencyRecord:
        """Turn the conditions that failed into the refusal that the gates would have given, in the gates' order."""
        if (record := refused.get("idempotency")) is not None:
            return decode(IdempotencyRecord, record)
        if "destination" in refused or "platform" in refused:
            raise DestinationOnDnc
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


def _maybe(entity_type: Any, item: Item | None) -> Any:
    return decode(entity_type, item) if item else None
