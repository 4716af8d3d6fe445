"""When a carrier account may be asked for its next call: one moment for each dial, handed out in order.

A generic cell rate algorithm on one number, the time of the next free moment: two dials of an account are never given
moments closer than its rate allows, however many processes ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dialplane.aws.client import AwsClient, AwsError
from dialplane.dynamodb.codec import Item, encode, plain
from dialplane.dynamodb.tables import Tables, carrier_account_usage_key

_ATTEMPTS_MAX = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PaceStore:
    """Hands out the moments of carrier accounts."""

    client: AwsClient
    tables: Tables

    def reserve(
        self, organization_id: str, carrier_account_id: str, *, calls_per_second: int, now: datetime, until: datetime
    ) -> datetime | None:
        """The account's next free moment, taken, or None when it is later than ``until``; then nothing is taken."""
        key = carrier_account_usage_key(organization_id, carrier_account_id)
        interval = timedelta(seconds=1) / calls_per_second
        for _ in range(_ATTEMPTS_MAX):
            booked = self._take(key.attributes, now, interval, "attribute_not_exists(pk) OR next_at <= :moment", now)
            if booked is None:
                return now
            moment: datetime = _EPOCH + plain(booked["next_at"]) * _MICROSECOND
            if moment > until:
                return None
            if self._take(key.attributes, moment, interval, "next_at = :moment", now) is None:
                return moment
        return None

    def _take(
        self, key: dict[str, dict[str, str]], moment: datetime, interval: timedelta, condition: str, now: datetime
    ) -> Item | None:
        """Take the moment; None when that succeeded, else the item that was in the way."""
        request = {
            "TableName": self.tables.usage,
            "Key": key,
            "UpdateExpression": "SET next_at = :next_at, expires_at = :expires_at",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {
                ":moment": encode(_micros(moment)),
                ":next_at": encode(_micros(moment + interval)),
                ":expires_at": encode(int(now.timestamp()) + 3600),
            },
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self.client.call("dynamodb", "UpdateItem", request)
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException" or error.item is None:
                raise
            return error.item
        return None


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
