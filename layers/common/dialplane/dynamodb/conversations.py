"""Conversations: one item each, whose record only grows. Every write is made once and returns the whole conversation.

A turn takes two writes: the one that takes it also reads all that an answer needs, the other adds what was said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from dialplane.aws.client import AwsClient, AwsError
from dialplane.domain.conversation_settings import ConversationSettings, EndReason
from dialplane.domain.conversations import Change, Conversation, Entry, EntryKind, Source
from dialplane.domain.times import from_text, to_text
from dialplane.dynamodb.answers import TERMINAL_STATUSES
from dialplane.dynamodb.codec import Item, encode, plain
from dialplane.dynamodb.tables import CONVERSATION, Tables, call_key

_TIMES = frozenset(field.name for field in fields(Conversation) if field.name.endswith("_at")) - {"expires_at"} | {
    "owed_since"
}
# Kept by other names: as JSON texts, which are read and written in one go.
_ENTRIES, _SETTINGS = "entries", "settings_json"
_NOT_OVER = f"NOT #status IN ({', '.join(f':{status.value}' for status in TERMINAL_STATUSES)})"
_TERMINAL = {f":{status.value}": encode(status) for status in TERMINAL_STATUSES}
_NAMES = {"carrier_call_id": "session_call_id"}
"""Fields that are kept by another name: by its own, this one would put conversations into the index of calls by it."""


@dataclass(frozen=True, slots=True)
class ConversationStore:
    """Reads and writes conversations."""

    client: AwsClient
    tables: Tables

    def open(
        self,
        organization_id: str,
        call_id: str,
        *,
        carrier_account_id: str,
        token: str,
        connection_id: str,
        at: datetime,
    ) -> bool:
        """Use up a call's token and let a connection hold its conversation, a new one or the one that was cut off.

        Both or neither: that the token is gone says that the conversation has begun. False when the token is not the
        call's or was used before, when the call is over, is another carrier account's, or has no conversation.
        """
        call = self._call_of_token(organization_id, call_id, carrier_account_id, token)
        if call is None:
            return False
        first = {
            "organization_id": encode(organization_id),
            "call_id": encode(call_id),
            _SETTINGS: call["conversation_json"],
            "started_at": encode(at),
            "carrier": call["carrier"],
            "carrier_account_id": encode(carrier_account_id),
            "destination": call["destination"],
            "caller_number": call["caller_number"],
            "turn": encode(0),
            # Should it never be concluded; then the end of the call and of its retention are counted from there.
            "expires_at": encode(
                retention_end(at, ConversationSettings.from_json(call["conversation_json"]["S"]).retention_days)
            ),
            _ENTRIES: encode([]),
        }
        sets = [f"{name} = if_not_exists({name}, :{name})" for name in first]
        begin = {
            "TableName": self.tables.calls,
            "Key": call_key(organization_id, call_id, CONVERSATION).attributes,
            "UpdateExpression": f"SET {', '.join(sets)}, connection_id = :connection "
            "REMOVE disconnected_at, session_id ADD connections :one, marks :mark",
            "ConditionExpression": "attribute_not_exists(ended_at)",
            "ExpressionAttributeValues": {
                **{f":{name}": value for name, value in first.items()},
                ":connection": encode(connection_id),
                ":one": encode(1),
                ":mark": encode(frozenset({f"open:{connection_id}"})),
            },
        }
        use_token = {
            "TableName": self.tables.calls,
            "Key": call_key(organization_id, call_id).attributes,
            "UpdateExpression": "REMOVE socket_token SET version = version + :one",
            "ConditionExpression": f"socket_token = :token AND {_NOT_OVER}",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {":token": encode(token), ":one": encode(1), **_TERMINAL},
        }
        steps = [{"Update": use_token}, {"Update": begin}]
        try:
            self.client.call("dynamodb", "TransactWriteItems", {"TransactItems": steps})
        except AwsError as error:
            if any(reason.get("Code") == "ConditionalCheckFailed" for reason in error.cancellation_reasons):
                return False
            raise
        return True

    def change(self, organization_id: str, call_id: str, change: Change) -> Conversation | None:
        """Make a change and return the conversation as it is then; None when it cannot be made any more.

        That is when the conversation has ended, when this very change was made before, and when its conditions fail.
        """
        sets, removes, values, names = ["entries = list_append(entries, :entries)"], [], {}, {}
        values[":entries"] = {"L": [encode(_entry_text(entry)) for entry in change.entries]}
        for name, value in change.values.items():
            names[f"#{name}"] = _NAMES.get(name, name)
            if value is None:
                removes.append(f"#{name}")
            else:
                sets.append(f"#{name} = :{name}")
                values[f":{name}"] = encode(value)
        if change.takes_turn:
            sets.append("turn = turn + :one")
            values[":one"] = encode(1)
        conditions = ["attribute_exists(pk)", "attribute_not_exists(ended_at)", "NOT contains(marks, :made)"]
        if change.connection_id is not None:
            conditions.append("connection_id = :connection")
            values[":connection"] = encode(change.connection_id)
        if change.turn is not None:
            conditions.append("turn = :turn")
            values[":turn"] = encode(change.turn)
        if change.absent is not None:
            conditions.append(f"attribute_not_exists({change.absent})")
        if change.heard_by is not None:
            conditions.append("(attribute_not_exists(last_heard_at) OR last_heard_at <= :heard_by)")
            values[":heard_by"] = encode(change.heard_by)
        values |= {":made": encode(change.mark), ":mark": encode(frozenset({change.mark}))}
        try:
            reply = self._update(
                organization_id,
                call_id,
                {
                    "UpdateExpression": f"SET {', '.join(sets)}"
                    + (f" REMOVE {', '.join(removes)}" if removes else "")
                    + " ADD marks :mark",
                    "ConditionExpression": " AND ".join(conditions),
                    "ExpressionAttributeValues": values,
                    **({"ExpressionAttributeNames": names} if names else {}),
                },
            )
        except AwsError as error:
            return _of_this_write(error, change.mark)
        return _to_conversation(reply["Attributes"])

    def get(self, organization_id: str, call_id: str) -> Conversation | None:
        """The conversation of a call, strongly consistent."""
        item = self._read(organization_id, call_id)
        return _to_conversation(item) if item is not None else None

    def turn(self, organization_id: str, call_id: str) -> int | None:
        """Whose turn it is; None when nobody's, because the conversation is over."""
        item = self._read(organization_id, call_id, "turn, ended_at")
        return plain(item["turn"]) if item is not None and "ended_at" not in item else None

    def conclude(
        self,
        conversation: Conversation,
        *,
        summary: str | None,
        analysis_json: str | None,
        at: datetime,
    ) -> None:
        """Keep what was found out of a conversation that is over, for as long as it may be kept."""
        expires_at = retention_end(conversation.ended_at or at, conversation.settings.retention_days)
        values = {"analyzed_at": at, "expires_at": expires_at, "summary": summary, "analysis_json": analysis_json}
        given = {name: value for name, value in values.items() if value is not None}
        sets = [f"{name} = :{name}" for name in given]
        try:
            self._update(
                conversation.organization_id,
                conversation.call_id,
                {
                    "UpdateExpression": f"SET {', '.join(sets)}, ended_at = if_not_exists(ended_at, :ended_at) "
                    "REMOVE connection_id, owed_since",
                    # Not when it was erased meanwhile: what was erased stays so.
                    "ConditionExpression": "attribute_exists(settings_json)",
                    "ExpressionAttributeValues": {f":{name}": encode(value) for name, value in given.items()}
                    | {":ended_at": encode(conversation.ended_at or at)},
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise

    def erase(self, organization_id: str, call_id: str, *, at: datetime) -> bool:
        """Remove every word of a conversation, and what was made of them; that it took place is left.

        False when there is none.
        """
        words = (_SETTINGS, "marks", "summary", "analysis_json", "transfer_to", "destination", "caller_number")
        try:
            self._update(
                organization_id,
                call_id,
                {
                    "UpdateExpression": "SET erased_at = :at, entries = :none, ended_at = if_not_exists(ended_at, :at) "
                    f"REMOVE {', '.join(words)}",
                    "ConditionExpression": "attribute_exists(pk)",
                    "ExpressionAttributeValues": {":at": encode(at), ":none": encode([])},
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def end_of_call(self, conversation: Conversation, *, instead_of: EndReason | None = None) -> None:
        """Note on the call why its conversation was ended, for its end to be told by that.

        The first note stays, unless it is the one that this is ``instead_of``.
        """
        if conversation.end_reason is None:
            return
        noted = "attribute_not_exists(conversation_end)" if instead_of is None else "conversation_end = :noted"
        try:
            self.client.call(
                "dynamodb",
                "UpdateItem",
                {
                    "TableName": self.tables.calls,
                    "Key": call_key(conversation.organization_id, conversation.call_id).attributes,
                    "UpdateExpression": "SET conversation_end = :reason, version = version + :one",
                    # A call that has ended before was not ended by this.
                    "ConditionExpression": f"attribute_exists(pk) AND {noted} AND {_NOT_OVER}",
                    "ExpressionAttributeNames": {"#status": "status"},
                    "ExpressionAttributeValues": {
                        ":reason": encode(conversation.end_reason),
                        ":one": encode(1),
                        **({":noted": encode(instead_of)} if instead_of is not None else {}),
                        **_TERMINAL,
                    },
                },
            )
        except AwsError as error:
            if error.code != "ConditionalCheckFailedException":
                raise

    def _call_of_token(self, organization_id: str, call_id: str, carrier_account_id: str, token: str) -> Item | None:
        """The call's attributes as they are stored: most of them nobody needs while a callee waits for a greeting."""
        request = {
            "TableName": self.tables.calls,
            "Key": call_key(organization_id, call_id).attributes,
            "ConsistentRead": True,
        }
        call: Item = self.client.call("dynamodb", "GetItem", request).get("Item", {})
        is_its_own = call.get("socket_token") == encode(token)
        is_its_own = is_its_own and call.get("carrier_account_id") == encode(carrier_account_id)
        return call if is_its_own and "conversation_json" in call else None

    def _read(self, organization_id: str, call_id: str, projection: str | None = None) -> dict[str, Any] | None:
        request: dict[str, Any] = {
            "TableName": self.tables.calls,
            "Key": call_key(organization_id, call_id, CONVERSATION).attributes,
            "ConsistentRead": True,
        }
        if projection is not None:
            request["ProjectionExpression"] = projection
        item: dict[str, Any] | None = self.client.call("dynamodb", "GetItem", request).get("Item")
        return item

    def _update(self, organization_id: str, call_id: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.client.call(
            "dynamodb",
            "UpdateItem",
            {
                "TableName": self.tables.calls,
                "Key": call_key(organization_id, call_id, CONVERSATION).attributes,
                "ReturnValues": "ALL_NEW",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                **request,
            },
        )


def retention_end(at: datetime, days: int) -> int:
    """When a conversation that ended then is no longer kept, in Unix seconds as the table's expiry wants them."""
    return int((at + timedelta(days=days)).timestamp())


def _of_this_write(error: AwsError, mark: str) -> Conversation | None:
    """The conversation, when a condition failed because this write's own first try was in already."""
    if error.code != "ConditionalCheckFailedException":
        raise error
    if error.repeated and error.item is not None and mark in plain(error.item.get("marks", {"SS": []})):
        return _to_conversation(error.item)
    return None


def _to_conversation(item: dict[str, Any]) -> Conversation | None:
    """An item again; None for one whose words were erased."""
    if _SETTINGS not in item:
        return None
    values = {name: plain(item[stored]) for name, stored in _PLAIN.items() if stored in item}
    for name in _TIMES & values.keys():
        values[name] = from_text(values[name])
    if "end_reason" in values:
        values["end_reason"] = EndReason(values["end_reason"])
    entries = [entry["S"] for entry in item[_ENTRIES]["L"]]
    texts = [item[_SETTINGS]["S"], *entries, *item.get("marks", {}).get("SS", ())]
    return Conversation(
        settings=ConversationSettings.from_json(item[_SETTINGS]["S"]),
        entries=_entries(entries),
        size=len("".join(texts).encode()),
        **values,
    )


_PLAIN = {
    field.name: _NAMES.get(field.name, field.name)
    for field in fields(Conversation)
    if field.name not in ("settings", "entries", "size")
}


def _entry_text(entry: Entry) -> str:
    values = {
        "kind": entry.kind.value,
        "at": to_text(entry.at),
        "text": entry.text or None,
        "turn": entry.turn,
        "source": entry.source.value if entry.source is not None else None,
        "first_token_ms": entry.first_token_ms,
        "tool": entry.tool,
        "arguments_json": entry.arguments_json,
    }
    given = {name: value for name, value in values.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def _entries(texts: list[str]) -> tuple[Entry, ...]:
    # All at once: a late turn has hundreds, and most of the time of reading one is the call that reads it.
    return tuple(map(_entry, json.loads(f"[{','.join(texts)}]")))


def _entry(values: dict[str, Any]) -> Entry:
    source = values.pop("source", None)
    return Entry(
        EntryKind(values.pop("kind")),
        from_text(values.pop("at")),
        source=Source(source) if source is not None else None,
        **values,
    )
