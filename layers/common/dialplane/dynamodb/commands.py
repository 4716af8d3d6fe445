"""Commands that calls were given: how many in a minute, which, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.calls import Call
from dialplane.domain.errors import CommandsLimitReached
from dialplane.dynamodb.codec import decode, encode, encode_fields, plain
from dialplane.dynamodb.tables import COMMAND_PREFIX, Key, Tables, call_key, call_usage_key
from dialplane.usecases.browse_calls import ACCEPTED, RecordedCommand

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CommandStore:
    """Reads and writes commands. Each is an item by its own id, so that a call has one command of an id."""

    client: AwsClient
    tables: Tables

    def find(self, call: Call, command_id: str, *, at: datetime) -> tuple[RecordedCommand | None, int]:
        """The command with this id, if the call was given one, and how many it was given in this minute.

        Strongly consistent; one round trip.
        """
        key = _command_key(call.organization_id, call.id, command_id)
        tables = {self.tables.calls: key, self.tables.usage: _minute_key(call, at)}
        request = {table: {"Keys": [each.attributes], "ConsistentRead": True} for table, each in tables.items()}
        found = self.client.call("dynamodb", "BatchGetItem", {"RequestItems": request})["Responses"]
        commands, counts = found.get(self.tables.calls, []), found.get(self.tables.usage, [])
        return (
            decode(RecordedCommand, commands[0]) if commands else None,
            plain(counts[0]["commands"]) if counts else 0,
        )

    def begin(self, call: Call, command: RecordedCommand, *, per_minute_max: int) -> RecordedCommand | None:
        """Count the command and put it on record, or change nothing.

        Returns the command that the call was given by the same id already. Raises CommandsLimitReached.
        """
        ends_at = _minute(command.at) + _MINUTE
        count = {
            "TableName": self.tables.usage,
            "Key": _minute_key(call, command.at).attributes,
            "UpdateExpression": "ADD commands :one SET expires_at = :expires_at",
            "ConditionExpression": "attribute_not_exists(commands) OR commands < :per_minute_max",
            "ExpressionAttributeValues": {
                ":one": encode(1),
                ":per_minute_max": encode(per_minute_max),
                ":expires_at": encode(int(ends_at.timestamp())),
            },
        }
        key = _command_key(call.organization_id, call.id, command.id)
        put = {
            "TableName": self.tables.calls,
            "Item": {**encode_fields(command), **key.attributes},
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": [{"Put": put}, {"Update": count}]})
        except AwsError as error:
            given, counted = ([*error.cancellation_reasons, {}, {}])[:2]
            if given.get("Code") == "ConditionalCheckFailed":
                return decode(RecordedCommand, given["Item"])
            if counted.get("Code") != "ConditionalCheckFailed":
                raise
            wait = int((ends_at - command.at).total_seconds()) + 1
            raise CommandsLimitReached(per_minute_max, retry_after_seconds=wait) from error
        return None

    def finish(self, organization_id: str, call_id: str, command_id: str, *, result: str) -> bool:
        """Put the result of an accepted command on record; False when it has one already, or there is none."""
        try:
            self.client.call(
                "dynamodb",
                "UpdateItem",
                {
                    "TableName": self.tables.calls,
                    "Key": _command_key(organization_id, call_id, command_id).attributes,
                    "UpdateExpression": "SET #result = :result",
                    "ConditionExpression": "#result = :accepted",
                    "ExpressionAttributeNames": {"#result": "result"},
                    "ExpressionAttributeValues": {":result": encode(result), ":accepted": encode(ACCEPTED)},
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def result(self, organization_id: str, call_id: str, command_id: str) -> str | None:
        """The result of a command, strongly consistent; None when the call was given none by this id."""
        key = _command_key(organization_id, call_id, command_id)
        request = {"TableName": self.tables.calls, "Key": key.attributes, "ConsistentRead": True}
        item = self.client.call("dynamodb", "GetItem", request).get("Item")
        return decode(RecordedCommand, item).result if item is not None else None

    def commands(self, organization_id: str, call_id: str) -> Sequence[RecordedCommand]:
        """All commands of a call, the oldest first; strongly consistent."""
        query = {
            "TableName": self.tables.calls,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
            "ExpressionAttributeValues": {
                ":pk": encode(call_key(organization_id, call_id).pk),
                ":prefix": encode(COMMAND_PREFIX),
            },
            "ConsistentRead": True,
        }
        found: list[RecordedCommand] = []
        while True:
            reply = self.client.call("dynamodb", "Query", query)
            found += [decode(RecordedCommand, item) for item in reply["Items"]]
            if (last_key := reply.get("LastEvaluatedKey")) is None:
                return sorted(found, key=lambda command: command.at)
            query["ExclusiveStartKey"] = last_key


def _command_key(organization_id: str, call_id: str, command_id: str) -> Key:
    return call_key(organization_id, call_id, f"{COMMAND_PREFIX}{command_id}")


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _minute_key(call: Call, moment: datetime) -> Key:
    return call_usage_key(call.organization_id, call.id, _minute(moment).strftime("%Y-%m-%dT%H:%M"))
