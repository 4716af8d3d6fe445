"""Commands that calls were given: how many in a minute, which, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.calls import Call
from dialplane.domain.errors import CommandsLimitReached
from dialplane.domain.times import to_text
from dialplane.dynamodb.codec import decode, encode, encode_fields
from dialplane.dynamodb.tables import COMMAND_PREFIX, Key, Tables, call_key, call_usage_key
from dialplane.usecases.browse_calls import RecordedCommand

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class CommandStore:
    """Reads and writes commands."""

    client: AwsClient
    tables: Tables

    def begin(self, call: Call, command: RecordedCommand, *, per_minute_max: int) -> None:
        """Count the command and put it on record, or change nothing. Raises CommandsLimitReached."""
        minute = command.at.replace(second=0, microsecond=0)
        ends_at = minute + _MINUTE
        count = {
            "TableName": self.tables.usage,
            "Key": call_usage_key(call.organization_id, call.id, minute.strftime("%Y-%m-%dT%H:%M")).attributes,
            "UpdateExpression": "ADD commands :one SET expires_at = :expires_at",
            "ConditionExpression": "attribute_not_exists(commands) OR commands < :per_minute_max",
            "ExpressionAttributeValues": {
                ":one": encode(1),
                ":per_minute_max": encode(per_minute_max),
                ":expires_at": encode(int(ends_at.timestamp())),
            },
        }
        put = {
            "TableName": self.tables.calls,
            "Item": {**encode_fields(command), **_command_key(call, command).attributes},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": [{"Update": count}, {"Put": put}]})
        except AwsError as error:
            if [reason.get("Code") for reason in error.cancellation_reasons][:1] != ["ConditionalCheckFailed"]:
                raise
            wait = int((ends_at - command.at).total_seconds()) + 1
            raise CommandsLimitReached(per_minute_max, retry_after_seconds=wait) from error

    def finish(self, call: Call, command: RecordedCommand) -> None:
        """Put the command's result on record."""
        self.client.call(
            "dynamodb",
            "UpdateItem",
            {
                "TableName": self.tables.calls,
                "Key": _command_key(call, command).attributes,
                "UpdateExpression": "SET #result = :result",
                "ConditionExpression": "attribute_exists(pk)",
                "ExpressionAttributeNames": {"#result": "result"},
                "ExpressionAttributeValues": {":result": encode(command.result)},
            },
        )

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
                return found
            query["ExclusiveStartKey"] = last_key


def _command_key(call: Call, command: RecordedCommand) -> Key:
    return call_key(call.organization_id, call.id, f"{COMMAND_PREFIX}{to_text(command.at)}#{command.id}")
