"""The one write of a call that is being answered. Apart from the other writes of calls: a callee is waiting for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.dynamodb.codec import Item, decode, encode
from dialplane.dynamodb.tables import Tables, call_key
from dialplane.usecases.serve_instructions import SERVED_MAX, InstructionsRequest, Served

TERMINAL_STATUSES = tuple(status for status in CallStatus if status.is_terminal)


@dataclass(frozen=True, slots=True)
class _Serving:
    """What the write does beside marking the call answered: attributes that are set, conditions, and their values."""

    sets: Sequence[str] = ()
    conditions: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


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
        before = self._write(request, _Serving(), at, next_check_at)
        return _instructions(before) if before is not None else None

    def serve(
        self,
        request: InstructionsRequest,
        *,
        socket_token: str,
        is_resumption: bool,
        at: datetime,
        next_check_at: datetime,
    ) -> Served | None:
        """The same, and give the call's conversation a new token in the same write; the old one is gone.

        None also for a conversation whose instructions were served too often, for one that we have ended, and for one
        that has begun unless this ``is_resumption``. Whoever opens a WebSocket uses up the token: a conversation that
        has none has begun.
        """
        # The write cannot know of what engine the call is: a token that no conversation belongs to opens nothing.
        serving = _Serving(
            sets=(
                "socket_token = :socket_token",
                "instructions_served_count = if_not_exists(instructions_served_count, :zero) + :one",
            ),
            conditions=(
                "(attribute_not_exists(conversation_json) OR (attribute_not_exists(conversation_end) AND "
                "(attribute_not_exists(instructions_served_count) OR instructions_served_count < :served_max)"
                + ("" if is_resumption else " AND attribute_exists(socket_token)")
                + "))",
            ),
            values={":socket_token": socket_token, ":served_max": SERVED_MAX, ":zero": 0},
        )
        before = self._write(request, serving, at, next_check_at)
        return Served(_instructions(before), has_begun="socket_token" not in before) if before is not None else None

    def _write(
        self, request: InstructionsRequest, serving: _Serving, at: datetime, next_check_at: datetime
    ) -> Item | None:
        """The call as it was before; None when a condition does not hold."""
        key = call_key(request.organization_id, request.call_id)
        facts = {"answered_by": request.answered_by, "answered_by_raw": request.answered_by_raw}
        known = {name: value for name, value in facts.items() if value is not None}
        sets = (
            "#status = :in_progress",
            "dial_outcome = :placed",
            "carrier_call_id = :carrier_call_id",
            "answered_at = if_not_exists(answered_at, :at)",
            "instructions_served_at = if_not_exists(instructions_served_at, :at)",
            "next_check_at = :next_check_at",
            "version = version + :one",
            *(f"{name} = if_not_exists({name}, :{name})" for name in known),
            *serving.sets,
        )
        conditions = (
            "attribute_exists(pk)",
            "carrier_account_id = :carrier_account_id",
            f"NOT #status IN ({', '.join(f':{status.value}' for status in TERMINAL_STATUSES)})",
            "(attribute_not_exists(carrier_call_id) OR carrier_call_id = :carrier_call_id)",
            *serving.conditions,
        )
        try:
            reply = self.client.call(
                "dynamodb",
                "UpdateItem",
                {
                    "TableName": self.tables.calls,
                    "Key": key.attributes,
                    "UpdateExpression": f"SET {', '.join(sets)}",
                    "ConditionExpression": " AND ".join(conditions),
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
                        **{name: encode(value) for name, value in serving.values.items()},
                    },
                    "ReturnValues": "ALL_OLD",
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return None
        before: Item = reply["Attributes"]
        return before


def _instructions(item: Item) -> Instructions:
    """What to say, which no answer changes."""
    return decode(Instructions, item["instructions"]["M"])
