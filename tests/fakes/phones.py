"""The carrier's side of conversations on a ``World``: handshakes, frames, and time that passes when a test says so.

Frames go in as API Gateway hands them to the function. What is sent to a connection is kept; tasks wait for the world's
clock, whatever the queue's own delay would be.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from twilio.request_validator import RequestValidator

from dialplane.aws.client import AwsClient
from dialplane.carriers import registry
from dialplane.domain.accounts import Assistant
from dialplane.domain.calls import Call
from dialplane.domain.conversations import Conversation, Utterance, transcript
from dialplane.domain.language_model import LanguageModel
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.runtime import conversing
from dialplane.usecases.sockets import SocketGone
from functions.conversation import analysis, app, tasks
from tests.fakes.world import AUTH_TOKEN, World

METHOD_ARN = "arn:aws:execute-api:us-east-1:123456789012:socketapi/live/$connect"
_ids = itertools.count(1)


REDELIVERY = timedelta(seconds=60)


class Killed(BaseException):
    """The function is gone, between two of its requests."""


@dataclass
class FakeSockets:
    """Keeps what is sent to each connection; those in ``gone`` are closed. ``on_send`` runs while a frame is sent."""

    sent: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)
    on_send: Callable[[str, Mapping[str, Any]], None] = lambda connection_id, frame: None

    def send(self, connection_id: str, frame: Mapping[str, Any]) -> None:
        """Keep a frame."""
        if connection_id in self.gone:
            raise SocketGone
        self.sent.setdefault(connection_id, []).append(json.loads(json.dumps(frame)))
        self.on_send(connection_id, frame)

    def close(self, connection_id: str) -> None:
        """Close a connection."""
        self.gone.add(connection_id)
        self.closed.append(connection_id)


@dataclass
class Exchange:
    """A world with WebSockets: its AWS client, but that tasks are kept here until their time."""

    world: World
    sockets: FakeSockets = field(default_factory=FakeSockets)
    waiting: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Operations of DynamoDB, in order."""
    dies_after: int | None = None
    """After how many more requests to AWS whoever makes them is gone; None for never."""

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """One request to AWS."""
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                self.dies_after = None
                raise Killed
        if service == "dynamodb":
            self.requests.append(operation)
        if operation == "SendMessage" and params["QueueUrl"] == self.tasks_queue_url:
            due_at = self.world.clock.now() + timedelta(seconds=int(params.get("DelaySeconds", 0)))
            self.waiting.append((due_at, json.loads(params["MessageBody"])))
            return {}
        return self.world.aws.call(service, operation, params)

    @property
    def tasks_queue_url(self) -> str:
        """The queue of tasks."""
        return self.world.settings.text("CONVERSATION_TASKS_QUEUE_URL")

    def monotonic(self) -> float:
        """The world's clock as one that only counts."""
        return self.world.clock.now().timestamp()

    def endpoint(self) -> app.SocketEndpoint:
        """The function behind the WebSocket."""
        clock = self.world.clock
        return app.build(self.world.settings, self, sockets=self.sockets, now=clock.now, monotonic=self.monotonic)

    def run_task(self, task: Mapping[str, Any]) -> None:
        """Deliver one task."""
        use_case = tasks.build(
            self.world.settings, self, sockets=self.sockets, now=self.world.clock.now, monotonic=self.monotonic
        )
        tasks.attend_record(SQSRecord({"messageId": f"task-{next(_ids)}", "body": json.dumps(task)}), use_case)

    def take_queued(self) -> None:
        """Tasks that other functions have put on the real queue join those that wait here."""
        sqs = self.world.session.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.tasks_queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.waiting.append((self.world.clock.now(), json.loads(message["Body"])))
                sqs.delete_message(QueueUrl=self.tasks_queue_url, ReceiptHandle=message["ReceiptHandle"])

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and every task happen when it is due."""
        self.take_queued()
        until = self.world.clock.now() + timedelta(seconds=seconds)
        while due := [entry for entry in self.waiting if entry[0] <= until]:
            entry = min(due, key=lambda each: each[0])
            self.waiting.remove(entry)
            self.world.clock.moment = max(self.world.clock.moment, entry[0])
            try:
                self.run_task(entry[1])
            except Killed:
                self.waiting.append((self.world.clock.now() + REDELIVERY, entry[1]))
        self.world.clock.moment = until

    @contextmanager
    def with_model(self, model: LanguageModel) -> Any:
        """Every conversation has this model meanwhile."""
        with patch.object(conversing, "open_model", lambda *args, **kwargs: model):
            yield

    def set_organization(self, **changes: Any) -> None:
        """Change the organization that all phones are called by."""
        provision = self.world.stack.provision
        provision.accounts.put(replace(provision.organization(self.world.demo.organization_id), **changes))

    def phone(self, **assistant: Any) -> Phone:
        """A callee's phone: a call to it was placed and answered, and its WebSocket is not open yet."""
        number = next(_ids)
        world = self.world
        settings = {"name": "Anna", "welcome_message": "Hi, can you come on Monday?", "engine": "conversation"}
        kept = Assistant(id=9000 + number, organization_id=world.demo.organization_id, **(settings | assistant))
        world.stack.provision.put_assistant(kept)
        body = {
            "from_phone_number": "+15551234567",
            "to_phone_number": f"+1555987{number:04d}",
            "assistant_id": kept.id,
        }
        reply = world.initiate(body)
        assert reply.status == 200, reply.body
        return Phone(self, world.last_call().id)


@dataclass
class Phone:
    """One call and its line. Every frame has a message id of its own unless a test says otherwise."""

    exchange: Exchange
    call_id: str
    connection_id: str = ""
    document: ElementTree.Element | None = None

    # ---- the handshake ----------------------------------------------------------------------------------------------

    def fetch_address(self, form: Mapping[str, str] | None = None) -> str | None:
        """Fetch the call's instructions; the address that they name, None when they say to hang up."""
        reply = self.exchange.world.fetch_instructions(self.call, form)
        self.document = ElementTree.fromstring(reply.body)  # noqa: S314 - our own document
        relay = self.document.find("Connect/ConversationRelay")
        return relay.attrib["url"] if relay is not None else None

    def knock(self, url: str, *, token: str = AUTH_TOKEN, connection_id: str = "", **how: Any) -> bool:
        """Open a WebSocket as the carrier does; whether it was let in."""
        connection_id = connection_id or f"connection-{next(_ids)}"
        signature = how.get("signature", RequestValidator(token).compute_signature(url, {}))
        headers = {"Host": "x", "X-Twilio-Signature": signature} if signature is not None else {"Host": "x"}
        query = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
        event = {
            "type": "REQUEST",
            "methodArn": METHOD_ARN,
            "headers": headers,
            "queryStringParameters": query or None,
            "requestContext": {"routeKey": "$connect", "eventType": "CONNECT", "connectionId": connection_id},
        }
        policy = self.exchange.endpoint().authorize(event)
        (statement,) = policy["policyDocument"]["Statement"]
        assert statement["Resource"] == METHOD_ARN
        if statement["Effect"] != "Allow":
            return False
        self.connection_id = connection_id
        assert policy["context"] == {"organization_id": self.call.organization_id, "call_id": self.call_id}
        return True

    def answer(self) -> Phone:
        """Pick up: the instructions are fetched, the WebSocket is opened, the carrier sends its setup."""
        url = self.fetch_address()
        assert url is not None
        assert self.knock(url)
        self.connect()
        self.set_up()
        return self

    def connect(self) -> None:
        """The gateway opens the connection that was let in."""
        self._event("CONNECT", None)

    # ---- frames -----------------------------------------------------------------------------------------------------

    def frame(self, body: Any, *, message_id: str | None = None, connection_id: str | None = None) -> dict[str, Any]:
        """Send a frame; texts are sent as they are."""
        return self._event(
            "MESSAGE",
            body if isinstance(body, str) else json.dumps(body),
            message_id=message_id,
            connection_id=connection_id,
        )

    def set_up(self, **fields: Any) -> None:
        """The first frame."""
        self.frame({"type": "setup", "sessionId": "VX1", "callSid": self.carrier_call_id, **fields})

    def say(self, words: str, *, message_id: str | None = None) -> None:
        """The callee says something, and stops."""
        self.frame({"type": "prompt", "voicePrompt": words, "lang": "en-US", "last": True}, message_id=message_id)

    def press(self, digit: str) -> None:
        """The callee presses a key."""
        self.frame({"type": "dtmf", "digit": digit})

    def interrupt(self, heard: Any, *, message_id: str | None = None, received_at: datetime | None = None) -> None:
        """The callee speaks over us, having heard so much; the gateway had it at ``received_at``."""
        frame = {"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 460}
        self._event("MESSAGE", json.dumps(frame), message_id=message_id, received_at=received_at)

    def hang_up(self) -> None:
        """The carrier closes the WebSocket."""
        self.exchange.sockets.gone.add(self.connection_id)
        self._event("DISCONNECT", None)

    def _event(
        self,
        kind: str,
        body: str | None,
        *,
        message_id: str | None = None,
        connection_id: str | None = None,
        received_at: datetime | None = None,
    ) -> dict[str, Any]:
        context = {
            "eventType": kind,
            "connectionId": connection_id or self.connection_id,
            "messageId": message_id or f"message-{next(_ids)}",
            "requestTimeEpoch": round((received_at or self.exchange.world.clock.now()).timestamp() * 1000),
            "authorizer": {"organization_id": self.call.organization_id, "call_id": self.call_id},
        }
        return self.exchange.endpoint().take({"requestContext": context, "body": body})

    # ---- what a test looks at ---------------------------------------------------------------------------------------

    @property
    def call(self) -> Call:
        """The call as it is stored."""
        return self.exchange.world.call(self.call_id)

    @property
    def carrier_call_id(self) -> str:
        """The carrier's name for the call."""
        return str(self.call.carrier_call_id)

    @property
    def conversation(self) -> Conversation:
        """The conversation as it is stored."""
        store = ConversationStore(self.exchange.world.aws, self.exchange.world.tables)
        conversation = store.get(self.call.organization_id, self.call_id)
        assert conversation is not None
        return conversation

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What was sent to the connection."""
        return self.exchange.sockets.sent.get(self.connection_id, [])

    @property
    def greeting(self) -> str:
        """What the carrier was told to speak before the WebSocket is open."""
        relay = self.document.find("Connect/ConversationRelay") if self.document is not None else None
        return relay.attrib.get("welcomeGreeting", "") if relay is not None else ""

    @property
    def heard(self) -> str:
        """All that was sent to be spoken."""
        return "".join(frame["token"] for frame in self.frames if frame["type"] == "text")

    @property
    def is_ended(self) -> bool:
        """Whether the session was ended by us."""
        return {"type": "end"} in self.frames

    @property
    def transcript(self) -> list[tuple[str, str]]:
        """Who said what."""
        return [(each.speaker, each.text) for each in self.lines]

    @property
    def lines(self) -> tuple[Utterance, ...]:
        """The transcript, with all that is known of each line."""
        return transcript(self.conversation.entries)

    def analyze(self) -> str:
        """The task after the settlement."""
        world = self.exchange.world
        use_case = analysis.build(world.settings, self.exchange, now=world.clock.now)
        return use_case.analyze(self.call.organization_id, self.call_id)


@contextmanager
def an_exchange(world: World) -> Any:
    """The exchange of a world; its carrier takes the commands of conversations as well."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(registry, "open_carrier", lambda *args, **kwargs: world.carrier))
        yield Exchange(world)


def _satisfies(client: Exchange) -> AwsClient:
    return client
