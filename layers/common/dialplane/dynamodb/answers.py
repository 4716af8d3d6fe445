"""The one write of a call that is being answered. Apart from the other writes of calls: a callee is waiting for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.dynamodb.codec import decode, encode
from dialplane.dynamodb.tables import Tables, call_key
from dialplane.usecases.serve_instructions import InstructionsRequest

TERMINAL_STATUSES = tuple(status for status in CallStatus if status.is_terminal)


@dataclass(frozen=True, slots=True)
class AnswerStore:
    """Marks calls answered."""

    client: AwsClient
    tables: Tables

    def answer(self, request: InstructionsRequest, *, at: datetime, next_check_at: datetime) -> Instructions | None:
        """Mark the call answered and bound, in one conditional write that also reads what to say.

        None when the call is unknown, has ended, belongs to another carrier account, or is bound to another carrier
        call already.
        """
        key = call_key(request.organization_id, request.call_id)
        facts = {"answered_by": request.answered_by, "answered_by_raw": request.answered_by_raw}
        known = {name: value for name, value in facts.items() if value is not None}
        try:
            reply = self.client.call(
                "dynamodb",
                "UpdateItem",
                {
                    "TableName": self.tables.calls,
                    "Key": key.attributes,
                    "UpdateExpression": (
                        "SET #status = :in_progress, dial_outcome = :placed, carrier_call_id = :carrier_call_id, "
                        "answered_at = if_not_exists(answered_at, :at), "
                        "instructions_served_at = if_not_exists(instructions_served_at, :at), "
                        "next_check_at = :next_check_at, version = version + :one"
                        + "".join(f", {name} = if_not_exists({name}, :{name})" for name in known)
                    ),
                    "ConditionExpression": (
                        "attribute_exists(pk) AND carrier_account_id = :carrier_account_id AND NOT #status IN "
                        f"({', '.join(f':{status.value}' for status in TERMINAL_STATUSES)}) AND "
                        "(attribute_not_exists(carrier_call_id) OR carrier_call_id = :carrier_call_id)"
                    ),
                    "ExpressionAttributeNames": {"#status": "status"},
                    "ExpressionAttributeValues": {
                        ":in_progress": encode(CallStatus.IN_PROGRESS),
                        ":placed": encode(DialOutcome.PLACED),
                        ":carrier_call_id": encode(request.carrier_call_id),
                        ":carrier_account_id": encode(request.carrier_account_id),
                        ":at": encode(at),
                        ":next_check_at": encode(next_check_at),
                        ":one": encode(1),
                        **{f":{name}": encode(value) for name, value in known.items()},
                        **{f":{status.value}": encode(status) for status in TERMINAL_STATUSES},
                    },
                    "ReturnValues": "ALL_NEW",
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return None
        return decode(Instructions, reply["Attributes"]["instructions"]["M"])
