"""Calls as they are listed and told: pages, positions, timelines. Nothing is written here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dialplane.domain.calls import Call
from dialplane.dynamodb import call_pages
from dialplane.dynamodb.calls import CallStore
from dialplane.dynamodb.codec import Item, decode, encode
from dialplane.dynamodb.tables import EVENT_PREFIX, call_key
from dialplane.usecases.apply_carrier_event import RecordedEvent
from dialplane.usecases.browse_calls import CallFilters, CallPage, CallQuery, CallRange

_FILTERED_PAGES_MAX = 20
# What one request may count: so many calls, in so many pages of one megabyte each.
_COUNTED_MAX = 10_000
_COUNTED_PAGES_MAX = 40


@dataclass(frozen=True, slots=True)
class CallLog(CallStore):
    """Reads calls, alone and many, and what was reported about them."""

    def events(self, organization_id: str, call_id: str) -> Sequence[RecordedEvent]:
        """All reports of a call in the order they were received."""
        items = self._query_all(
            {
                "KeyConditionExpression": "pk = :pk AND begins_with(sk, :prefix)",
                "ExpressionAttributeValues": {
                    ":pk": encode(call_key(organization_id, call_id).pk),
                    ":prefix": encode(EVENT_PREFIX),
                },
                "ConsistentRead": True,
            }
        )
        return [decode(RecordedEvent, item) for item in items]

    def page(self, organization_id: str, filters: CallFilters, *, limit: int, cursor: str | None) -> CallPage:
        """A page of calls, newest first. Raises CursorInvalid."""
        query = call_pages.query(organization_id, filters, limit=limit, cursor=cursor)
        calls: list[Call] = []
        # A filter can leave a page empty although more follow; bounded, so one request cannot read a whole table.
        for _ in range(_FILTERED_PAGES_MAX):
            reply = self._call("Query", query)
            calls += [decode(Call, item) for item in reply["Items"] if call_pages.is_meant(filters, item)]
            last_key = reply.get("LastEvaluatedKey")
            if len(calls) > limit or last_key is None:
                break
            query["ExclusiveStartKey"] = last_key
        if len(calls) > limit:
            return CallPage(tuple(calls[:limit]), call_pages.cursor_after(filters, calls[limit - 1].id))
        scanned_to = last_key["id"]["S"] if last_key is not None else None
        return CallPage(tuple(calls), call_pages.cursor_after(filters, scanned_to) if scanned_to is not None else None)

    def range(self, organization_id: str, query: CallQuery) -> CallRange:
        """Calls by their positions, newest first, and the total: at most 10,000 calls are counted."""
        ids = self._ids(organization_id, query.filters)
        calls = self.get_many(organization_id, ids[query.offset : query.offset + query.limit])
        return CallRange(tuple(sorted(calls, key=lambda call: call.id, reverse=True)), len(ids))

    def _ids(self, organization_id: str, filters: CallFilters) -> list[str]:
        query = call_pages.count_query(organization_id, filters)
        ids: list[str] = []
        for _ in range(_COUNTED_PAGES_MAX):
            reply = self._call("Query", query)
            ids += [item["id"]["S"] for item in reply["Items"] if call_pages.is_meant(filters, item)]
            if len(ids) >= _COUNTED_MAX or (last_key := reply.get("LastEvaluatedKey")) is None:
                break
            query["ExclusiveStartKey"] = last_key
        return ids[:_COUNTED_MAX]

    def _query_all(self, params: dict[str, Any]) -> list[Item]:
        items: list[Item] = []
        while True:
            reply = self._call("Query", params)
            items += reply["Items"]
            if (last_key := reply.get("LastEvaluatedKey")) is None:
                return items
            params = {**params, "ExclusiveStartKey": last_key}
