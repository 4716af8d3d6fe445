"""The benchmark's own arithmetic, and that the world it measures in is the one our code knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bench.conversation_subjects import EARLY, FIRST_ANSWER, LATE, LATE_ANSWER, PROMPT, WORDS, seed_conversations
from bench.measure import FirstFrame
from bench.our_subjects import TABLES, Seeding, our_environment, our_world, seed
from bench.rie import Answer
from bench.server import AWS_ADDRESSES, Addresses
from bench.socket_events import Socket
from bench.stub import SOCKET, Backend, Exchange, Tally
from bench.subjects import WrongAnswerError, verify_frames
from bench.updates import updated
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.runtime.settings import Settings
from functions.conversation import app

NOWHERE = "http://127.0.0.1:1"
ADDRESSES = Addresses(aws=dict.fromkeys(AWS_ADDRESSES, NOWHERE), carrier=NOWHERE, sockets=NOWHERE)


class Stub:
    """The stub as a client and as sockets, without a network between."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.environment = our_environment(ADDRESSES, None)
        seed(self.backend, our_world(), NOWHERE)
        seed_conversations(self.backend, our_world(), self.environment)

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """One request to AWS."""
        prefix = {"dynamodb": "DynamoDB_20120810", "sqs": "AmazonSQS"}[service]
        exchange = Exchange(0.0, 0.0, body=json.dumps(params).encode())
        _, reply = self.backend.answer(f"{prefix}.{operation}", "/", exchange)
        return reply

    def send(self, connection_id: str, frame: Mapping[str, Any]) -> None:
        """One frame."""
        path = f"/live/@connections/{connection_id}"
        self.backend.answer("", path, Exchange(0.0, 0.0, body=json.dumps(frame).encode()))

    def close(self, connection_id: str) -> None:
        """Nobody closes a connection here."""
        raise AssertionError(connection_id)


@pytest.fixture(scope="module")
def stub() -> Stub:
    return Stub()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("SET a = :two", {"a": {"N": "2"}}),
        ("SET #b = :two, a = a + :two", {"a": {"N": "5"}, "b": {"N": "2"}}),
        ("SET a = a - :two REMOVE list", {"a": {"N": "1"}, "list": None}),
        ("SET a = if_not_exists(a, :two), b = if_not_exists(b, :two) + :two", {"b": {"N": "4"}}),
        ("SET list = list_append(list, :more)", {"list": {"L": [{"S": "1"}, {"S": "2"}]}}),
        ("ADD a :two, marks :marks SET b = :two", {"a": {"N": "5"}, "b": {"N": "2"}, "marks": {"SS": ["x", "y"]}}),
        ("ADD b :two, others :marks", {"b": {"N": "2"}, "others": {"SS": ["y"]}}),
        ("DELETE marks :marks", {}),
        ("DELETE marks :all", {"marks": None}),
    ],
)
def test_an_update_leaves_what_dynamodb_leaves(expression: str, expected: dict[str, Any]) -> None:
    item = {"a": {"N": "3"}, "marks": {"SS": ["x"]}, "list": {"L": [{"S": "1"}]}}
    values = {
        ":two": {"N": "2"},
        ":more": {"L": [{"S": "2"}]},
        ":marks": {"SS": ["y"]},
        ":all": {"SS": ["x"]},
    }
    request = {
        "UpdateExpression": expression,
        "ExpressionAttributeNames": {"#b": "b"},
        "ExpressionAttributeValues": values,
    }
    left = {name: value for name, value in (item | expected).items() if value is not None}
    assert updated(item, request) == left


def test_an_update_that_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        updated({}, {"UpdateExpression": "SET a = size(a, :b)", "ExpressionAttributeValues": {":b": {"N": "1"}}})


def test_what_the_stub_took_before_the_first_frame_is_not_ours() -> None:
    before = Exchange(10.001, 10.0015, name="DynamoDB UpdateItem", answered_at=10.003)
    frame = Exchange(10.004, 10.005, name=SOCKET, answered_at=10.006)
    after = Exchange(10.007, 10.0075, name="DynamoDB UpdateItem", answered_at=10.009)
    later = Exchange(10.0095, 10.0096, name=SOCKET, answered_at=10.0097)

    first = FirstFrame.of(Answer(10.0, 0.01, b"{}"), Tally(exchanges=[before, frame, after, later]))

    assert first is not None
    assert first.seconds == pytest.approx(0.005)
    assert first.own_seconds == pytest.approx(0.003)
    assert FirstFrame.of(Answer(10.0, 0.01, b"{}"), Tally(exchanges=[before, after])) is None


def test_an_apology_is_no_answer_to_measure() -> None:
    apology = Exchange(0.0, 0.0, name=SOCKET, body=b'{"type": "text", "token": "I am sorry.", "last": true}')
    with pytest.raises(WrongAnswerError, match="I am sorry"):
        verify_frames("turn", FIRST_ANSWER, Tally(exchanges=[apology]))
    with pytest.raises(WrongAnswerError):
        verify_frames("turn", FIRST_ANSWER, Tally())


def test_the_late_call_is_late_and_has_a_long_prompt(stub: Stub) -> None:
    store = ConversationStore(Seeding(stub.backend), TABLES)
    early, late = (store.get(socket.organization_id, socket.call_id) for socket in (EARLY, LATE))
    assert early is not None
    assert late is not None
    assert (len(early.entries), len(late.entries)) == (2, 20)
    assert len(PROMPT) > 4_096
    assert late.settings.prompt == PROMPT


@pytest.mark.parametrize(("socket", "says"), [(EARLY, FIRST_ANSWER), (LATE, LATE_ANSWER)], ids=["early", "late"])
def test_a_turn_asks_dynamodb_twice_and_the_queue_once(stub: Stub, socket: Socket, says: str) -> None:
    stub.backend.reset()
    endpoint = app.build(Settings(stub.environment), stub, sockets=stub)

    endpoint.take(socket.prompt(WORDS))

    tally = stub.backend.tally
    verify_frames("turn", says, tally)
    assert tally.dynamodb_trips <= 2
    assert tally.requests["AmazonSQS SendMessage"] == 1
    assert tally.unserved == []
