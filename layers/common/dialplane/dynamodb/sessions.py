"""What a client's earlier request has said, for the dialects that remember it. Kept for a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialplane.aws.client import AwsClient
from dialplane.domain.sessions import Session
from dialplane.dynamodb.codec import decode, encode, encode_fields, plain
from dialplane.dynamodb.tables import Tables, session_key

SESSION_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SessionStore:
    """Reads and writes sessions."""

    client: AwsClient
    tables: Tables

    def put(self, organization_id: str, session_id: str, session: Session, *, now: datetime) -> None:
        """Create or replace a session."""
        item = {
            **encode_fields(session),
            **session_key(organization_id, session_id).attributes,
            "expires_at": encode(int((now + SESSION_LIFETIME).timestamp())),
        }
        self.client.call("dynamodb", "PutItem", {"TableName": self.tables.idempotency, "Item": item})

    def find(self, organization_id: str, session_id: str, *, now: datetime) -> Session | None:
        """The session, unless its day is over."""
        key = session_key(organization_id, session_id).attributes
        request = {"TableName": self.tables.idempotency, "Key": key, "ConsistentRead": True}
        item = self.client.call("dynamodb", "GetItem", request).get("Item")
        if item is None or plain(item["expires_at"]) <= now.timestamp():
            return None
        return decode(Session, item)
