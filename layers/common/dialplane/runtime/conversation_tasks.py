"""The queue of what is to be done about conversations later: what is due then, and what customers command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialplane.aws.client import AwsClient

_DELAY_SECONDS_MAX = 900


@dataclass(frozen=True, slots=True)
class ConversationTasks:
    """Puts tasks on the queue."""

    client: AwsClient
    queue_url: str

    def put(self, task: Mapping[str, Any], *, delay_seconds: int = 0) -> None:
        """Have a task delivered, at least once, not before the delay is over. Raises AwsError."""
        delay = min(delay_seconds, _DELAY_SECONDS_MAX)
        message = {"QueueUrl": self.queue_url, "MessageBody": json.dumps(task), "DelaySeconds": delay}
        self.client.call("sqs", "SendMessage", message)
