"""Organizations and what belongs to them: keys, assistants, flows, caller numbers, carrier accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.accounts import (
    ApiKey,
    Assistant,
    CallerNumber,
    CarrierAccount,
    ConversationFlow,
    Organization,
    PresentedKey,
)
from dialplane.domain.errors import ValueInvalid
from dialplane.dynamodb.codec import decode, encode, encode_fields
from dialplane.dynamodb.tables import (
    ASSISTANT_PREFIX,
    ASSISTANT_PUBLIC_ID_PREFIX,
    CARRIER_ACCOUNT_PREFIX,
    FLOW_PREFIX,
    KEY_PREFIX,
    NUMBER_PREFIX,
    ORGANIZATION,
    Tables,
    account_key,
)

Entity = Organization | ApiKey | Assistant | ConversationFlow | CallerNumber | CarrierAccount
E = TypeVar("E", Organization, ApiKey, Assistant, ConversationFlow, CallerNumber, CarrierAccount)


_PREFIXES: dict[type[Entity], str] = {
    Organization: ORGANIZATION,
    ApiKey: KEY_PREFIX,
    Assistant: ASSISTANT_PREFIX,
    ConversationFlow: FLOW_PREFIX,
    CallerNumber: NUMBER_PREFIX,
    CarrierAccount: CARRIER_ACCOUNT_PREFIX,
}


def entity_name(entity: Entity) -> str:
    """The sort key of an entity."""
    match entity:
        case Organization():
            return ORGANIZATION
        case ApiKey():
            return f"{KEY_PREFIX}{entity.id}"
        case Assistant():
            return f"{ASSISTANT_PREFIX}{entity.id}"
        case ConversationFlow():
            return f"{FLOW_PREFIX}{entity.id}"
        case CallerNumber():
            return f"{NUMBER_PREFIX}{entity.number}"
        case CarrierAccount():
            return f"{CARRIER_ACCOUNT_PREFIX}{entity.id}"


@dataclass(frozen=True, slots=True)
class AccountStore:
    """Reads and writes account entities."""

    client: AwsClient
    tables: Tables

    def load_identity(self, presented: PresentedKey) -> tuple[ApiKey | None, Organization | None]:
        """The key on record and its organization, in one read."""
        organization_id = presented.organization_id
        names = (f"{KEY_PREFIX}{presented.id}", ORGANIZATION)
        reply = self.client.call(
            "dynamodb",
            "BatchGetItem",
            {
                "RequestItems": {
                    self.tables.accounts: {
                        "Keys": [account_key(organization_id, name).attributes for name in names],
                        "ConsistentRead": True,
                    }
                }
            },
        )
        items = {item["sk"]["S"]: item for item in reply["Responses"].get(self.tables.accounts, [])}
        key, organization = (items.get(name) for name in names)
        return (
            decode(ApiKey, key) if key is not None else None,
            decode(Organization, organization) if organization is not None else None,
        )

    def find(self, entity_type: type[E], organization_id: str, entity_id: str | int = "") -> E | None:
        """One entity by its own id; an organization needs none."""
        reply = self.client.call(
            "dynamodb",
            "GetItem",
            {
                "TableName": self.tables.accounts,
                "Key": account_key(organization_id, f"{_PREFIXES[entity_type]}{entity_id}").attributes,
                "ConsistentRead": True,
            },
        )
        return decode(entity_type, reply["Item"]) if "Item" in reply else None

    def entities(self, organization_id: str) -> Sequence[Entity]:
        """Everything an organization has, itself included, by sort key; strongly consistent."""
        query: dict[str, Any] = {
            "TableName": self.tables.accounts,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": account_key(organization_id, ORGANIZATION).pk}},
            "ConsistentRead": True,
        }
        found: list[Entity] = []
        while True:
            reply = self.client.call("dynamodb", "Query", query)
            for item in reply["Items"]:
                name = item["sk"]["S"]
                if not name.startswith(ASSISTANT_PUBLIC_ID_PREFIX):
                    entity_type = next(each for each, prefix in _PREFIXES.items() if name.startswith(prefix))
                    found.append(decode(entity_type, item))
            if (last_key := reply.get("LastEvaluatedKey")) is None:
                return found
            query["ExclusiveStartKey"] = last_key

    def put(self, entity: Entity) -> None:
        """Create or replace an entity. Raises ValueInvalid for a public id that another assistant has."""
        organization_id = entity.id if isinstance(entity, Organization) else entity.organization_id
        if isinstance(entity, Assistant) and entity.public_id is not None:
            self._put_public_id(organization_id, entity.public_id, entity.id)
        item = {**encode_fields(entity), **account_key(organization_id, entity_name(entity)).attributes}
        self.client.call("dynamodb", "PutItem", {"TableName": self.tables.accounts, "Item": item})

    def _put_public_id(self, organization_id: str, public_id: str, assistant_id: int) -> None:
        """Lead from a public id to its assistant. A given-up one stays taken: old requests must reach nobody else."""
        key = account_key(organization_id, f"{ASSISTANT_PUBLIC_ID_PREFIX}{public_id}")
        request = {
            "TableName": self.tables.accounts,
            "Item": {**key.attributes, "assistant_id": encode(assistant_id)},
            "ConditionExpression": "attribute_not_exists(pk) OR assistant_id = :assistant_id",
            "ExpressionAttributeValues": {":assistant_id": encode(assistant_id)},
        }
        try:
            self.client.call("dynamodb", "PutItem", request)
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            raise ValueInvalid(
                f"public_id {public_id!r} belongs to another assistant of this organization.", field="public_id"
            ) from error
