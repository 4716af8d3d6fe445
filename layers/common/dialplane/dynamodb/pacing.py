"""When a carrier account may be asked for its next call: one moment for each dial, handed out in order.

A generic cell rate algorithm on one number, the time of the next free moment: two dials of an account are never given
moments closer than its rate allows, however many processes ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dialplane.aws.client import AwsClient, AwsError
from dialplane.dynamodb.codec import AttributeValue, encode, plain
from dialplane.dynamodb.tables import Key, Tables, carrier_account_usage_key

_KEPT_SECONDS = 3600
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PaceStore:
    """Hands out the moments of carrier accounts."""

    client: AwsClient
    tables: Tables

    def next_moment(self, organization_id: str, carrier_account_id: str) -> datetime | None:
        """The account's next free moment, not taken; None when it has never had to wait, or not for long."""
        key = carrier_account_usage_key(organization_id, carrier_account_id)
        request = {"TableName": self.tables.usage, "Key": key.attributes, "ConsistentRead": True}
        item = self.client.call("dynamodb", "GetItem", request).get("Item")
        return _EPOCH + plain(item["next_at"]) * _MICROSECOND if item else None

    def reserve(
        self, organization_id: str, carrier_account_id: str, *, calls_per_second: int, now: datetime, until: datetime
    ) -> datetime | None:
        """The account's next free moment, taken, or None when it is later than ``until``; then nothing is taken.

        Two requests at most, however many ask at once. One whose reply is lost is repeated, and its moment left unused.
        """
        key = carrier_account_usage_key(organization_id, carrier_account_id)
        interval = -(-1_000_000 // calls_per_second)  # rounded up: never faster than the rate
        kept = {":expires_at": encode(int(now.timestamp()) + _KEPT_SECONDS)}
        this_moment = {":now": encode(_micros(now)), ":next_at": encode(_micros(now) + interval), **kept}
        if self._take(key, ":next_at", "attribute_not_exists(pk) OR next_at <= :now", this_moment) is not None:
            return now
        # Somebody is before us, and the next free moment only ever moves on: join the line where it ends by then.
        in_line = {":until": encode(_micros(until)), ":interval": encode(interval), **kept}
        moment = self._take(key, "next_at + :interval", "next_at <= :until", in_line)
        return _EPOCH + moment * _MICROSECOND if moment is not None else None

    def _take(self, key: Key, next_at: str, condition: str, values: dict[str, AttributeValue]) -> int | None:
        """Move the next free moment on; what it was in microseconds, 0 for none, or None under another condition."""
        request = {
            "TableName": self.tables.usage,
            "Key": key.attributes,
            "UpdateExpression": f"SET next_at = {next_at}, expires_at = :expires_at",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_OLD",
        }
        try:
            before = self.client.call("dynamodb", "UpdateItem", request).get("Attributes")
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return None
        return int(plain(before["next_at"])) if before else 0


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
