"""How a list of calls is asked for: the index, the filters, and cursors that are bound to both."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from typing import Any

from dialplane.domain.errors import CursorInvalid
from dialplane.domain.ids import is_id
from dialplane.dynamodb.codec import encode
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


_FILTER_EXPRESSIONS = {
    "status": "#status = :status",
    "assistant_id": "assistant_id = :assistant_id",
    "caller_number": "caller_number = :caller_number",
    "destination": "destination = :destination",
    "created_after": "created_at >= :created_after",
    "created_before": "created_at < :created_before",
}


def _add_filters(query: dict[str, Any], filters: CallFilters) -> None:
    wanted = {name: getattr(filters, name) for name in _FILTER_EXPRESSIONS if getattr(filters, name) is not None}
    if not wanted:
        return
    query["FilterExpression"] = " AND ".join(_FILTER_EXPRESSIONS[name] for name in wanted)
    query["ExpressionAttributeValues"] |= {f":{name}": encode(value) for name, value in wanted.items()}
    if "status" in wanted:
        query["ExpressionAttributeNames"] = {"#status": "status"}


def _filters_digest(filters: CallFilters) -> str:
    text = json.dumps(dataclasses.astuple(filters), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
