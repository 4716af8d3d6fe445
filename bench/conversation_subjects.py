"""The functions of a conversation as subjects: calls that talk, with records that our own use case has written.

Nothing here knows how a record looks: setups and turns went through the code that takes them in production.
"""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from bench import events
from bench.our_subjects import (
    CARRIER_ACCOUNT_ID,
    ORGANIZATION_ID,
    TABLES,
    Artefact,
    Seeding,
    World,
    admitted_call,
    callback_parameters,
)
from bench.socket_events import Socket
from bench.stub import Backend
from bench.subjects import Step, Subject, is_connecting_twiml, is_let_in, is_ok
from dialplane.domain.accounts import Assistant
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.runtime.conversing import build_converse
from dialplane.runtime.settings import Settings
from dialplane.usecases.converse import Connection

BEGAN_AT = datetime(2026, 1, 2, 10, 0, 20, tzinfo=UTC)
TURNS_BEFORE = 9
"""Of the late call: with the greeting, twenty entries of its record."""

PROMPT = " ".join(
    [
        "You remind people of appointments at a dental practice, and find another time for those who cannot come.",
        *(
            f"Rule {number}: when the callee asks about treatment {number}, say that it takes about {number * 10} "
            "minutes, that nothing needs to be prepared, and that the practice will call back about the costs; never "
            "name a price."
            for number in range(1, 22)
        ),
    ]
)
"""Four kilobytes, as prompts of assistants in production have them."""
SCRIPT: Mapping[str, Any] = {
    "start": "greeting",
    "steps": {
        "greeting": {"replies": [{"when": ["stop", "goodbye"], "next": "bye"}], "otherwise": "offer"},
        "offer": {
            "say": "Thank you, {{ name }}. We could also move it to {{ time }} on Thursday. Would that suit you?",
            "replies": [{"when": ["stop", "goodbye"], "next": "bye"}, {"when": ["no", "not"], "next": "other"}],
            "otherwise": "other",
        },
        "other": {
            "say": "I see. There is another free time on Friday in the afternoon. Shall I put you down for that one?",
            "replies": [{"when": ["stop", "goodbye"], "next": "bye"}, {"when": ["no", "not"], "next": "offer"}],
            "otherwise": "offer",
        },
        "bye": {"say": "Goodbye.", "tool": "end_call"},
    },
}
TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": "free_times",
        "description": "The free times of the practice on a day.",
        "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
    },
    "server": {"url": "https://practice.example.com/free-times", "timeout_seconds": 5},
}
WORDS = (
    "Well, I am not quite sure whether I can make it at that time, I have to be at work until the late afternoon. What "
    "else would you have for me in that week?"
)
FIRST_ANSWER, LATE_ANSWER = "Thank you, John Doe. ", "I see. "


def _socket(letter: str) -> Socket:
    """One call's: the ids differ in one letter."""
    return Socket(
        organization_id=ORGANIZATION_ID,
        carrier_account_id=CARRIER_ACCOUNT_ID,
        call_id=f"call_01J9ZW3QJ6Y7N8T5V4R3E2D1C{letter}",
        token="Zm9yIHRoZSBiZW5jaG1hcmsgb25seSwg",  # noqa: S106 - nobody's
        connection_id=f"L0SM9cOFvHcCIh{letter}=",
    )


OPENING, EARLY, LATE = _socket("A"), _socket("B"), _socket("C")


@dataclass(frozen=True, slots=True)
class _Nobody:
    """Sockets that nobody listens at."""

    def send(self, connection_id: str, frame: Mapping[str, Any]) -> None:
        """Say it to nobody."""

    def close(self, connection_id: str) -> None:
        """Leave it."""


def seed_conversations(backend: Backend, world: World, environment: Mapping[str, str]) -> None:
    """Put in three calls: one that is answered now, one that has been greeted, and one late in a conversation."""
    seeding = Seeding(backend)
    assistant = Assistant(
        id=124,
        organization_id=ORGANIZATION_ID,
        name="Front desk",
        welcome_message="Hello, this is the front desk.",
        engine="conversation",
        prompt=PROMPT,
        language="en-US",
        llm_config={"provider": "scripted", "script": SCRIPT, "tools": [TOOL]},
        end_phrases=("that is all", "hang up now"),
        caller_number=events.CALLER_NUMBER,
    )
    calls = TABLES.calls
    for socket in (OPENING, EARLY, LATE):
        call = admitted_call(world, assistant, call_id=socket.call_id, socket_token=socket.token)
        seeding.call("dynamodb", "PutItem", {"TableName": calls, "Item": call_item(call)})
    _talk(EARLY, seeding, environment, turns=0)
    _talk(LATE, seeding, environment, turns=TURNS_BEFORE)


def _talk(socket: Socket, seeding: Seeding, environment: Mapping[str, str], *, turns: int) -> None:
    moments = (BEGAN_AT + timedelta(seconds=4 * number) for number in itertools.count())
    use_case = build_converse(
        Settings(environment), seeding, sockets=_Nobody(), now=lambda: next(moments), monotonic=time.monotonic
    )
    ConversationStore(seeding, TABLES).open(
        socket.organization_id,
        socket.call_id,
        carrier_account_id=socket.carrier_account_id,
        token=socket.token,
        connection_id=socket.connection_id,
        at=BEGAN_AT,
    )
    connection = Connection(socket.organization_id, socket.call_id, socket.connection_id)
    use_case.take(connection, "L0SM9setupFrame=", {"type": "setup", "callSid": events.CARRIER_CALL_ID})
    for number in range(turns):
        frame = {"type": "prompt", "voicePrompt": WORDS, "lang": "en-US", "last": True}
        use_case.take(connection, f"L0SM9prompt{number:04d}=", frame)


def conversing(artefact: Artefact) -> list[Subject]:
    """Return the functions that a callee waits for."""
    function = ("ConversationFunction", "conversation.app")
    route = "/twiml/{carrier}/{organization_id}/{carrier_account_id}/{call_id}"
    parameters = callback_parameters("twilio", CARRIER_ACCOUNT_ID, OPENING.call_id)
    first_steps = (
        Step("connected", OPENING.connected),
        Step("setup", OPENING.setup),
        Step("first prompt", partial(OPENING.prompt, WORDS), says=FIRST_ANSWER),
    )
    return [
        artefact.subject(
            "conversation-twiml",
            "TwimlFunction",
            "twiml.app",
            event=partial(events.twilio_event, route, parameters, events.TWIML_FORM),
            check=is_connecting_twiml,
        ),
        artefact.subject(
            "conversation-open", *function, event=OPENING.handshake, check=is_let_in, following=first_steps
        ),
        artefact.subject("conversation-setup", *function, event=EARLY.setup, check=is_ok),
        artefact.subject(
            "conversation-turn", *function, event=partial(EARLY.prompt, WORDS), check=is_ok, says=FIRST_ANSWER
        ),
        artefact.subject(
            "conversation-late-turn", *function, event=partial(LATE.prompt, WORDS), check=is_ok, says=LATE_ANSWER
        ),
    ]
