"""Every fact that an admission is decided by, in one round trip where this process has seen the like before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dialplane.aws.client import AwsClient
from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.admission import Facts, InitiateCall, number_choice_of, resolution_of
from dialplane.domain.idempotency import IdempotencyRecord
from dialplane.domain.wallets import Wallet
from dialplane.dynamodb.accounts import AccountStore
from dialplane.dynamodb.codec import Item, decode, encode, plain
from dialplane.dynamodb.tables import (
    ASSISTANT_PREFIX,
    ASSISTANT_PUBLIC_ID_PREFIX,
    CARRIER_ACCOUNT_PREFIX,
    FLOW_PREFIX,
    KEY_PREFIX,
    NUMBER_PREFIX,
    ORGANIZATION,
    Key,
    Tables,
    account_key,
    caller_numbers_usage_key,
    destination_key,
    idempotency_key,
    platform_destination_key,
    wallet_key,
)

_TableKey = tuple[str, Key]
_Request = tuple[str, object, object, bool]
T = TypeVar("T")
_HINTS_MAX = 10_000


@dataclass(slots=True)
class EntityHints:
    """Which entities a request of the same kind turned out to be about, the last time this process looked.

    Only ever used to read more in the first round trip; the decision uses what the entities say now.
    """

    names: dict[_Request, frozenset[str]] = field(default_factory=dict)

    def remember(self, request: _Request, names: frozenset[str]) -> None:
        """Keep the names, within bounds."""
        if len(self.names) >= _HINTS_MAX:
            self.names.clear()
        self.names[request] = names


@dataclass(frozen=True, slots=True)
class FactStore:
    """Reads facts. ``engines`` says with which engines each carrier's numbers can speak."""

    client: AwsClient
    tables: Tables
    engines: Mapping[str, Collection[str]]
    hints: EntityHints = field(default_factory=EntityHints)

    def load_identity(self, presented: PresentedKey) -> tuple[ApiKey | None, Organization | None]:
        """The key on record and its organization."""
        return AccountStore(self.client, self.tables).load_identity(presented)

    def load(self, command: InitiateCall) -> Facts:
        """Everything the decision needs.

        One round trip; a further one for each step in which an entity names another one that this process did not
        expect, and two for a request that leaves the number to the pool.
        """
        request = _request(command)
        names = _asked_names(command)
        items = self._read([*self._fixed_keys(command), *self._account_keys(command, names | self._hinted(request))])
        pool = self._read_pool(command) if command.uses_pool and command.caller_number is None else {}
        while True:
            facts = self._facts(command, items, pool)
            names = _asked_names(command) | _named(command, facts)
            missing = [key for key in self._account_keys(command, names) if key not in items]
            if not missing:
                break
            items |= self._read(missing)
        self.hints.remember(request, names)
        return facts

    def _hinted(self, request: _Request) -> frozenset[str]:
        return self.hints.names.get(request, frozenset())

    def _fixed_keys(self, command: InitiateCall) -> list[_TableKey]:
        organization_id, destination = command.presented_key.organization_id, command.destination.e164
        keys = [
            (self.tables.wallets, wallet_key(organization_id)),
            (self.tables.destinations, destination_key(organization_id, destination)),
            (self.tables.destinations, platform_destination_key(destination)),
        ]
        if command.idempotency_key is not None:
            scope = command.idempotency_key.scope_sha256
            keys.append((self.tables.idempotency, idempotency_key(organization_id, scope)))
        return keys

    def _account_keys(self, command: InitiateCall, names: Iterable[str]) -> list[_TableKey]:
        organization_id = command.presented_key.organization_id
        return [(self.tables.accounts, account_key(organization_id, name)) for name in sorted(names)]

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

    def _read_pool(self, command: InitiateCall) -> dict[str, Any]:
        organization_id = command.presented_key.organization_id
        numbers = self._query(self.tables.accounts, account_key(organization_id, NUMBER_PREFIX))
        used = self._query(self.tables.usage, caller_numbers_usage_key(organization_id, "+"))
        return {
            "pool": tuple(decode(CallerNumber, item) for item in numbers),
            "calls_made": {plain(item["sk"]): plain(item["calls"]) for item in used},
        }

    def _query(self, table: str, prefix: Key) -> list[Item]:
        query: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {":pk": encode(prefix.pk), ":prefix": encode(prefix.sk)},
            "ConsistentRead": True,
        }
        items: list[Item] = []
        while True:
            reply = self.client.call("dynamodb", "Query", query)
            items += reply["Items"]
            if (last_key := reply.get("LastEvaluatedKey")) is None:
                return items
            query["ExclusiveStartKey"] = last_key

    def _facts(self, command: InitiateCall, items: dict[_TableKey, Item | None], pool: dict[str, Any]) -> Facts:
        entities = {str(key.sk): item for (table, key), item in items.items() if table == self.tables.accounts and item}
        others = {table: [item for (name, _), item in items.items() if name == table and item] for table, _ in items}
        destinations = others.get(self.tables.destinations, [])
        numbers = _entities(CallerNumber, NUMBER_PREFIX, entities)
        return Facts(
            key=_first(ApiKey, [entities.get(f"{KEY_PREFIX}{command.presented_key.id}")]),
            organization=_first(Organization, [entities.get(ORGANIZATION)]),
            numbers={number.number: number for number in (*numbers, *pool.get("pool", ()))},
            assistants={each.id: each for each in _entities(Assistant, ASSISTANT_PREFIX, entities)},
            assistant_ids={
                name.removeprefix(ASSISTANT_PUBLIC_ID_PREFIX): plain(item["assistant_id"])
                for name, item in entities.items()
                if name.startswith(ASSISTANT_PUBLIC_ID_PREFIX)
            },
            flows={flow.id: flow for flow in _entities(ConversationFlow, FLOW_PREFIX, entities)},
            carrier_accounts={each.id: each for each in _entities(CarrierAccount, CARRIER_ACCOUNT_PREFIX, entities)},
            engines=self.engines,
            last_caller_number=next(
                (plain(item["last_caller"]) for item in destinations if "last_caller" in item), None
            ),
            wallet=_first(Wallet, others.get(self.tables.wallets, [])),
            is_destination_on_dnc=any("dnc" in item for item in destinations),
            idempotency_record=_first(IdempotencyRecord, others.get(self.tables.idempotency, [])),
            **pool,
        )


def _entities(entity_type: type[T], prefix: str, items: Mapping[str, Item]) -> list[T]:
    return [decode(entity_type, item) for name, item in items.items() if name.startswith(prefix)]


def _first(entity_type: type[T], items: Iterable[Item | None]) -> T | None:
    return next((decode(entity_type, item) for item in items if item is not None), None)


def _request(command: InitiateCall) -> _Request:
    number = command.caller_number.e164 if command.caller_number is not None else None
    return command.presented_key.organization_id, number, command.assistant_id, command.uses_default_assistant


def _asked_names(command: InitiateCall) -> frozenset[str]:
    """The entities that the request itself names."""
    names = {ORGANIZATION, f"{KEY_PREFIX}{command.presented_key.id}"}
    if command.caller_number is not None:
        names.add(f"{NUMBER_PREFIX}{command.caller_number.e164}")
    if isinstance(command.assistant_id, int):
        names.add(f"{ASSISTANT_PREFIX}{command.assistant_id}")
    elif command.assistant_id is not None:
        names.add(f"{ASSISTANT_PUBLIC_ID_PREFIX}{command.assistant_id}")
    return frozenset(names)


def _named(command: InitiateCall, facts: Facts) -> frozenset[str]:
    """The entities that the facts so far name."""
    names: set[str] = set()
    chosen = number_choice_of(command, facts).number
    number = facts.numbers.get(chosen) if chosen is not None else None
    if chosen is not None:
        names.add(f"{NUMBER_PREFIX}{chosen}")
    if number is not None:
        names.add(f"{CARRIER_ACCOUNT_PREFIX}{number.carrier_account_id}")
        if number.flow_id is not None and command.assistant is None and command.assistant_id is None:
            names.add(f"{FLOW_PREFIX}{number.flow_id}")
    resolution = resolution_of(command, facts, number)
    if resolution.assistant_id is not None:
        names.add(f"{ASSISTANT_PREFIX}{resolution.assistant_id}")
    return frozenset(names)
