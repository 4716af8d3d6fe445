"""What the sandbox has started before it is handed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox.deployment import warm_up


class Recorded:
    """An AWS that remembers what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Remember it."""
        self.calls.append((service, operation, parameters))
        return {}


def test_the_dial_function_does_not_start_with_somebodys_call_whose_window_runs() -> None:
    aws = Recorded()
    warm_up("http://127.0.0.1:9", aws, "https://queue.test/dials")  # a port where nobody listens: requests are lost
    ((service, operation, message),) = aws.calls
    assert (service, operation, message["QueueUrl"]) == ("sqs", "SendMessage", "https://queue.test/dials")
    assert json.loads(message["MessageBody"]) == {"organization_id": "none", "call_id": "none"}
