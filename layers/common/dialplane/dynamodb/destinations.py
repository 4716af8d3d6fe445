"""Destination records: which numbers must not be called, and which calls to a number are open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.dnc import DncEntry
from dialplane.domain.times import from_text
from dialplane.dynamodb.codec import decode, encode, encode_fields, plain
from dialplane.dynamodb.tables import Tables, destination_key, platform_destination_key


@dataclass(frozen=True, slots=True)
class DestinationStore:
    """Reads and changes destination records. An ``organization_id`` of None means the platform's list."""

    client: AwsClient
    tables: Tables

    def add_dnc_entry(
        self, organization_id: str | None, entry: DncEntry
    ) -> tuple[DncEntry, frozenset[str], datetime | None]:
        """Put the number on the list. Returns the entry (the earlier one, if there was one), the open calls' ids, and
        until when a transfer to it may still be dialled.
        """
        reply = self._call(
            "UpdateItem",
            {
                "Key": _key(organization_id, entry.number),
                "UpdateExpression": "SET dnc = if_not_exists(dnc, :entry)",
                "ExpressionAttributeValues": {":entry": {"M": encode_fields(entry)}},
                "ReturnValues": "ALL_NEW",
            },
        )
        record = reply["Attributes"]
        open_calls = plain(record["open_calls"]) if "open_calls" in record else frozenset()
        transfer_until = from_text(plain(record["transfer_until"])) if "transfer_until" in record else None
        return decode(DncEntry, record["dnc"]["M"]), open_calls, transfer_until

    def open_transfer(self, organization_id: str, number: str, *, until: datetime) -> bool:
        """Let whoever adds the number to the organization's list wait until then; False when it is on the list."""
        try:
            self._call(
                "UpdateItem",
                {
                    "Key": _key(organization_id, number),
                    "UpdateExpression": "SET transfer_until = :until",
                    "ConditionExpression": "attribute_not_exists(dnc)",
                    "ExpressionAttributeValues": {":until": encode(until)},
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def find_dnc_entry(self, organization_id: str | None, number: str) -> DncEntry | None:
        """The entry, strongly consistent."""
        key = _key(organization_id, number)
        item = self._call("GetItem", {"Key": key, "ConsistentRead": True}).get("Item", {})
        return decode(DncEntry, item["dnc"]["M"]) if "dnc" in item else None

    def remove_dnc_entry(self, organization_id: str | None, number: str) -> bool:
        """Take the number off the list; False when it was not there."""
        try:
            self._call(
                "UpdateItem",
                {
                    "Key": _key(organization_id, number),
                    "UpdateExpression": "REMOVE dnc",
                    "ConditionExpression": "attribute_exists(dnc)",
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            # When an earlier try's reply was lost, it is that try which has removed the entry.
            return error.repeated
        return True

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return self.client.call("dynamodb", operation, {"TableName": self.tables.destinations, **params})


def _key(organization_id: str | None, number: str) -> dict[str, dict[str, str]]:
    key = platform_destination_key(number) if organization_id is None else destination_key(organization_id, number)
    return key.attributes
