"""What the sandbox has started before it is handed over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox.deployment import warm_up
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


class Recorded:
    """An AWS that remembers what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Remember it."""
        self.calls.append((service, operation, parameters))
        return {}


NOBODY = {"organization_id": "none", "call_id": "none"}
OUTPUTS = {
    "PublicBaseUrl": "http://127.0.0.1:9",  # a port where nobody listens: requests are lost
    "PublicSocketUrl": "ws://127.0.0.1:9/socket",
    "DialsQueueUrl": "https://queue.test/dials",
    "ConversationTasksQueueUrl": "https://queue.test/tasks",
}


def test_no_function_with_a_queue_starts_with_somebodys_call_whose_window_runs() -> None:
    aws = Recorded()
    warm_up(OUTPUTS, aws)
    assert {(service, operation) for service, operation, _ in aws.calls} == {("sqs", "SendMessage")}
    sent = {message["QueueUrl"]: json.loads(message["MessageBody"]) for _, _, message in aws.calls}
    assert sent == {"https://queue.test/dials": NOBODY, "https://queue.test/tasks": {"kind": "look", **NOBODY}}


def test_every_address_that_somebody_waits_for_is_asked_once(server: ScriptedServer) -> None:
    server.script = [Reply(403) for _ in range(5)]
    address = server.url.removeprefix("http://")
    warm_up(OUTPUTS | {"PublicBaseUrl": server.url, "PublicSocketUrl": f"ws://{address}/socket"}, Recorded())
    asked = {(request.method, request.path.split("/")[1].partition("?")[0]) for request in server.received}
    assert asked == {("POST", "calls"), ("POST", "wallet"), ("POST", "twiml"), ("POST", "status"), ("GET", "socket")}
    (handshake,) = [request for request in server.received if request.method == "GET"]
    assert handshake.headers["Upgrade"] == "websocket"
    assert handshake.path.startswith("/socket?call=")
