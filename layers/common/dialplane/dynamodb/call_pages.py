"""How a list of calls is asked for: the index, the filters, cursors that are bound to both, and counting."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from datetime import datetime
from typing import Any

from dialplane.domain.errors import CursorInvalid
from dialplane.domain.ids import is_id
from dialplane.dynamodb.codec import Item, encode
from dialplane.dynamodb.tables import BY_ORGANIZATION_INDEX, call_key
from dialplane.usecases.browse_calls import CallFilters


def query(organization_id: str, filters: CallFilters, *, limit: int, cursor: str | None) -> dict[str, Any]:
    """The query for one page and one call more, newest first. Raises CursorInvalid."""
    request: dict[str, Any] = {
        "IndexName": BY_ORGANIZATION_INDEX,
        "KeyConditionExpression": "organization_id = :organization_id",
        "ExpressionAttributeValues": {":organization_id": encode(organization_id)},
        "ScanIndexForward": False,
        "Limit": limit + 1,
    }
    _add_filters(request, filters)
    if cursor is not None:
        request["ExclusiveStartKey"] = _start_key(organization_id, filters, cursor)
    return request


def count_query(organization_id: str, filters: CallFilters) -> dict[str, Any]:
    """The query for nothing but the calls' ids and what ``is_meant`` looks at, newest first."""
    request: dict[str, Any] = {
        "IndexName": BY_ORGANIZATION_INDEX,
        "KeyConditionExpression": "organization_id = :organization_id",
        "ExpressionAttributeValues": {":organization_id": encode(organization_id)},
        "ProjectionExpression": "id, assistant_name",
        "ScanIndexForward": False,
    }
    _add_filters(request, filters)
    return request


def is_meant(filters: CallFilters, item: Item) -> bool:
    """What DynamoDB cannot compare: a part of a name, whatever its case."""
    part = filters.assistant_name
    return part is None or part.casefold() in item["assistant_name"]["S"].casefold()


_FILTER_EXPRESSIONS = {
    "assistant_id": "assistant_id = :assistant_id",
    "assistant_public_id": "assistant_public_id = :assistant_public_id",
    "caller_number": "caller_number = :caller_number",
    "destination": "destination = :destination",
    "carrier_call_id": "carrier_call_id = :carrier_call_id",
    "created_after": "created_at >= :created_after",
    "created_before": "created_at < :created_before",
    "duration_seconds_min": "duration_seconds >= :duration_seconds_min",
    "duration_seconds_max": "duration_seconds <= :duration_seconds_max",
}


def _add_filters(query: dict[str, Any], filters: CallFilters) -> None:
    wanted = {name: getattr(filters, name) for name in _FILTER_EXPRESSIONS if getattr(filters, name) is not None}
    expressions = [_FILTER_EXPRESSIONS[name] for name in wanted]
    values = {f":{name}": encode(value) for name, value in wanted.items()}
    if filters.statuses is not None:
        statuses = {f":status_{number}": encode(status) for number, status in enumerate(sorted(filters.statuses))}
        # No call has none of all statuses: DynamoDB takes no empty list, so the condition is one that nothing meets.
        expressions.append(f"#status IN ({', '.join(statuses)})" if statuses else "attribute_not_exists(#status)")
        values |= statuses
        query["ExpressionAttributeNames"] = {"#status": "status"}
    if expressions:
        query["FilterExpression"] = " AND ".join(expressions)
        query["ExpressionAttributeValues"] |= values


def _filters_digest(filters: CallFilters) -> str:
    text = json.dumps(dataclasses.astuple(filters), default=_as_json)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_json(value: datetime | frozenset[str]) -> str | list[str]:
    return str(value) if isinstance(value, datetime) else sorted(value)


def cursor_after(filters: CallFilters, call_id: str) -> str:
    """The cursor of the page that begins after a call; good for these filters only."""
    return base64.urlsafe_b64encode(f"{_filters_digest(filters)}.{call_id}".encode()).decode()


def _start_key(organization_id: str, filters: CallFilters, cursor: str) -> dict[str, Any]:
    """Where the next page starts. The organization comes from the key that asks, never from the cursor."""
    try:
        digest, _, call_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(".")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise CursorInvalid from error
    if digest != _filters_digest(filters) or not is_id("call", call_id):
        raise CursorInvalid
    return {
        **call_key(organization_id, call_id).attributes,
        "organization_id": encode(organization_id),
        "id": encode(call_id),
    }
