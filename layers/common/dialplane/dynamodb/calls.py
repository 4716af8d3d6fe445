"""Calls and what was reported about them: every write conditional, none takes a call back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.calls import Call, Transition
from dialplane.domain.carrier import Placed
from dialplane.domain.errors import DestinationOnDnc
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.domain.times import to_text
from dialplane.dynamodb.codec import decode, encode, encode_fields
from dialplane.dynamodb.tables import (
    BY_CARRIER_CALL_ID_INDEX,
    CHECK_KEY,
    DUE_CHECKS_INDEX,
    EVENT_PREFIX,
    Key,
    Tables,
    call_key,
    destination_key,
    platform_destination_key,
)

if TYPE_CHECKING:  # who places calls loads this module, and must not load what only reports need
    from dialplane.usecases.apply_carrier_event import CarrierReport

_BATCH_GET_MAX = 100


def call_attributes(call: Call) -> dict[str, Any]:
    """A call's fields, which its indexes use as keys, and the mark of the index of due checks.

    No check is due for a settled call. Reports have no organization, so that they stay out of the indexes.
    """
    attributes = encode_fields(call)
    if call.next_check_at is not None and call.is_open:
        attributes["check_key"] = encode(CHECK_KEY)
    else:
        attributes.pop("next_check_at", None)
    return attributes


def call_item(call: Call) -> dict[str, Any]:
    """A call as a whole item."""
    return {**call_attributes(call), **call_key(call.organization_id, call.id).attributes}


def call_update(table: str, before: Call, after: Call) -> dict[str, Any]:
    """An update of the attributes that differ, on condition that the call is still what ``before`` was."""
    old, new = call_attributes(before), call_attributes(replace(after, version=before.version + 1))
    changed = [name for name, value in new.items() if old.get(name) != value]
    removed = [name for name in old if name not in new]
    sets = ", ".join(f"#{name} = :{name}" for name in changed)
    removes = f" REMOVE {', '.join(f'#{name}' for name in removed)}" if removed else ""
    return {
        "TableName": table,
        "Key": call_key(before.organization_id, before.id).attributes,
        "UpdateExpression": f"SET {sets}{removes}",
        "ConditionExpression": "#version = :version_before",
        "ExpressionAttributeNames": {f"#{name}": name for name in {*changed, *removed, "version"}},
        "ExpressionAttributeValues": {
            **{f":{name}": new[name] for name in changed},
            ":version_before": encode(before.version),
        },
    }


@dataclass(frozen=True, slots=True)
class CallStore:
    """Reads and writes calls."""

    client: AwsClient
    tables: Tables

    def get(self, organization_id: str, call_id: str) -> Call | None:
        """The call, strongly consistent."""
        return self._get(call_key(organization_id, call_id))

    def get_many(self, organization_id: str, call_ids: Sequence[str]) -> Sequence[Call]:
        """Calls by id, strongly consistent; unknown ids are left out."""
        found: list[Call] = []
        for start in range(0, len(call_ids), _BATCH_GET_MAX):
            keys = [
                call_key(organization_id, call_id).attributes for call_id in call_ids[start : start + _BATCH_GET_MAX]
            ]
            request = {self.tables.calls: {"Keys": keys, "ConsistentRead": True}}
            reply = self.client.call("dynamodb", "BatchGetItem", {"RequestItems": request})
            found += [decode(Call, item) for item in reply["Responses"].get(self.tables.calls, [])]
        return found

    def find_by_carrier_call_id(self, organization_id: str, carrier_call_id: str) -> Call | None:
        """The call that a carrier's call is bound to, as of a moment ago."""
        reply = self._call(
            "Query",
            {
                "IndexName": BY_CARRIER_CALL_ID_INDEX,
                "KeyConditionExpression": "carrier_call_id = :carrier_call_id AND organization_id = :organization_id",
                "ExpressionAttributeValues": {
                    ":carrier_call_id": encode(carrier_call_id),
                    ":organization_id": encode(organization_id),
                },
            },
        )
        items = reply["Items"]
        return self._get(Key.of(items[0])) if items else None

    def claim_dial(self, call: Call, claim: str, *, dial_deadline: datetime) -> Call | None:
        """Take the one dial of a call that is still to be dialled; None when it is taken or the call has moved on.

        Raises DestinationOnDnc when the number has been put on a list since the commit; then nothing is taken.
        """
        take = {
            "TableName": self.tables.calls,
            "Key": call_key(call.organization_id, call.id).attributes,
            "UpdateExpression": "SET dial_claim = :claim, dial_deadline = :dial_deadline, "
            "next_check_at = :dial_deadline, version = version + :one",
            # The claim's own name lets a repeated write of the same claim pass, whose first answer was lost.
            "ConditionExpression": "#status = :dialing AND attribute_not_exists(carrier_call_id) "
            "AND (attribute_not_exists(dial_claim) OR dial_claim = :claim)",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":claim": encode(claim),
                ":dial_deadline": encode(dial_deadline),
                ":dialing": encode(CallStatus.DIALING),
                ":one": encode(1),
            },
        }
        steps = [{"Update": take}, *({"ConditionCheck": check} for check in self._not_on_dnc(call))]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": steps})
        except AwsError as error:
            refused = [reason.get("Code") == "ConditionalCheckFailed" for reason in error.cancellation_reasons]
            if refused[:1] == [True]:
                return None
            if any(refused):
                raise DestinationOnDnc from error
            raise
        return replace(
            call, dial_claim=claim, dial_deadline=dial_deadline, next_check_at=dial_deadline, version=call.version + 1
        )

    def _not_on_dnc(self, call: Call) -> list[dict[str, Any]]:
        keys = (destination_key(call.organization_id, call.destination), platform_destination_key(call.destination))
        return [
            {
                "TableName": self.tables.destinations,
                "Key": key.attributes,
                "ConditionExpression": "attribute_not_exists(dnc)",
            }
            for key in keys
        ]

    def record_placed(self, call: Call, placed: Placed, *, at: datetime, next_check_at: datetime) -> Call:
        """Bind the carrier's call to ours, unless a callback already has; returns the call as it is afterwards."""
        values = {
            ":placed": encode(DialOutcome.PLACED),
            ":at": encode(at),
            ":carrier_call_id": encode(placed.carrier_call_id),
            ":one": encode(1),
        }
        facts = "SET dial_outcome = :placed, dial_replied_at = :at, version = version + :one"
        if (reply_json := placed.reply_json) is not None:
            values[":reply_json"] = encode(reply_json)
            facts += ", carrier_reply_json = :reply_json"
        bound_or_free = "(attribute_not_exists(carrier_call_id) OR carrier_call_id = :carrier_call_id)"
        try:
            reply = self._update(
                call,
                f"{facts}, #status = :queued, carrier_call_id = :carrier_call_id, next_check_at = :next_check_at",
                f"#status IN (:dialing, :unconfirmed) AND {bound_or_free}",
                {
                    **values,
                    ":queued": encode(CallStatus.QUEUED),
                    ":dialing": encode(CallStatus.DIALING),
                    ":unconfirmed": encode(CallStatus.UNCONFIRMED),
                    ":next_check_at": encode(next_check_at),
                },
                {"#status": "status"},
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            # A callback was faster: the call has moved on, and only the time of the reply is news.
            reply = self._update(call, facts, bound_or_free, values)
        return decode(Call, reply["Attributes"])

    def record_unknown(self, call: Call, *, at: datetime, next_check_at: datetime) -> Call:
        """Mark the call unconfirmed, unless a callback has proved it placed; returns the call afterwards."""
        try:
            reply = self._update(
                call,
                "SET #status = :unconfirmed, dial_outcome = :unknown, dial_replied_at = :at, "
                "next_check_at = :next_check_at, version = version + :one",
                "#status = :dialing AND attribute_not_exists(carrier_call_id)",
                {
                    ":unconfirmed": encode(CallStatus.UNCONFIRMED),
                    ":dialing": encode(CallStatus.DIALING),
                    ":unknown": encode(DialOutcome.UNKNOWN),
                    ":at": encode(at),
                    ":next_check_at": encode(next_check_at),
                    ":one": encode(1),
                },
                {"#status": "status"},
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException" or error.item is None:
                raise
            return decode(Call, error.item)
        return decode(Call, reply["Attributes"])

    def record_event(self, before: Call, transition: Transition, report: CarrierReport) -> bool:
        """Write the transition and its timeline entry in one transaction; False when the call has changed since."""
        from dialplane.usecases.apply_carrier_event import RecordedEvent  # noqa: PLC0415 - whoever has a report has it

        event = report.event
        recorded = RecordedEvent(
            received_at=report.received_at,
            source=event.source,
            verdict=transition.verdict,
            carrier_status=event.carrier_status,
            # Empty where a report does not name its call; an index has it as a key, which may not be.
            carrier_call_id=event.carrier_call_id or transition.call.carrier_call_id,
            status=event.status.value if event.status is not None else None,
            sequence=event.sequence,
            occurred_at=event.occurred_at,
            duration_seconds=event.duration_seconds,
            sip_response_code=event.sip_response_code,
        )
        name = f"{EVENT_PREFIX}{to_text(report.received_at)}#{report.message_id}"
        key = call_key(before.organization_id, before.id, name)
        put = {
            "TableName": self.tables.calls,
            "Item": {**encode_fields(recorded), **key.attributes},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        steps: list[dict[str, Any]] = [{"Put": put}]
        if transition.call != before:
            steps.append({"Update": call_update(self.tables.calls, before, transition.call)})
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": steps})
        except AwsError as error:
            codes = [reason.get("Code") for reason in error.cancellation_reasons]
            if codes[:1] == ["ConditionalCheckFailed"]:
                return True  # the queue delivered this message before
            if codes[1:] == ["ConditionalCheckFailed"]:
                return False
            raise
        return True

    def due_for_check(self, now: datetime, *, limit: int) -> Sequence[str]:
        """References to open calls whose next check is due, the longest due first."""
        reply = self._call(
            "Query",
            {
                "IndexName": DUE_CHECKS_INDEX,
                "KeyConditionExpression": "check_key = :open AND next_check_at <= :now",
                "ExpressionAttributeValues": {":open": encode(CHECK_KEY), ":now": encode(now)},
                "Limit": limit,
            },
        )
        return [item["pk"]["S"] for item in reply["Items"]]

    def due_call(self, reference: str, now: datetime) -> Call | None:
        """The call behind a reference as it is now; None when its check is not due any more."""
        call = self._get(Key(reference, "CALL"))
        # The index may be a moment behind the table.
        is_due = call is not None and call.is_open and call.next_check_at is not None and call.next_check_at <= now
        return call if is_due else None

    def schedule_check(
        self, call: Call, *, next_check_at: datetime, checks_made: int, times_not_found: int = 0
    ) -> Call | None:
        """Set the time of the next check; the call as it is then, or None when it has changed since it was read."""
        later = replace(call, next_check_at=next_check_at, checks_made=checks_made, times_not_found=times_not_found)
        return replace(later, version=call.version + 1) if self.replace(call, later) else None

    def replace(self, before: Call, after: Call) -> bool:
        """Write what has changed; False when the call is not as it was read any more."""
        try:
            self.client.call("dynamodb", "UpdateItem", call_update(self.tables.calls, before, after))
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _get(self, key: Key) -> Call | None:
        reply = self._call("GetItem", {"Key": key.attributes, "ConsistentRead": True})
        return decode(Call, reply["Item"]) if "Item" in reply else None

    def _update(
        self, call: Call, update: str, condition: str, values: dict[str, Any], names: dict[str, str] | None = None
    ) -> dict[str, Any]:
        request = {
            "Key": call_key(call.organization_id, call.id).attributes,
            "UpdateExpression": update,
            "ConditionExpression": f"attribute_exists(pk) AND {condition}",
            "ExpressionAttributeValues": values,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        return self._call("UpdateItem", request | ({"ExpressionAttributeNames": names} if names else {}))

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        return self.client.call("dynamodb", operation, {"TableName": self.tables.calls, **params})
