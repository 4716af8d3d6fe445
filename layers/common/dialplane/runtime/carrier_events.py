"""The message that carries a carrier's words from whoever heard them (webhook, reconciler) to the worker.

It holds the carrier's own fields as far as they may travel, so a report that could not be understood can be fed in
again when it can.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dialplane.aws.client import AwsClient


@dataclass(frozen=True, slots=True)
class CarrierMessage:
    """A carrier's words about one call, and when they were heard (RFC 3339, UTC).

    ``call_id`` is None where neither the address nor the words name our call, but only the carrier's own.
    """

    carrier: str
    organization_id: str
    carrier_account_id: str
    call_id: str | None
    source: Literal["callback", "reconciler"]
    received_at: str
    fields: Mapping[str, str]

    @classmethod
    def from_body(cls, body: str) -> CarrierMessage:
        """Read a message body. Raises ValueError or TypeError when it is not one of these."""
        content: dict[str, Any] = json.loads(body)
        return cls(**content)


def send(client: AwsClient, queue_url: str, message: CarrierMessage) -> None:
    """Put a message on the queue; when this returns the report is durable. Raises AwsError."""
    body = json.dumps(asdict(message), separators=(",", ":"))
    client.call("sqs", "SendMessage", {"QueueUrl": queue_url, "MessageBody": body})
