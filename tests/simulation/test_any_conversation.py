"""Whatever comes over a conversation's WebSocket, in whatever order and however often, and whoever dies meanwhile.

No call is left open, nobody is answered twice, whoever asked not to be called is on the list, and the books are right.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplane.domain.conversations import EntryKind
from dialplane.dynamodb.destinations import DestinationStore
from tests.fakes.moto_dynamodb import empty_table
from tests.fakes.phones import Exchange, Killed, Phone, an_exchange
from tests.fakes.world import a_world
from tests.simulation.simulation import scaled

pytestmark = pytest.mark.timeout(0)

SCRIPT: dict[str, Any] = {
    "start": "ask",
    "steps": {
        "ask": {
            "say": "Can you come on Monday?",
            "replies": [{"when": ["yes"], "next": "done"}, {"when": ["person"], "next": "hand_over"}],
            "otherwise": "ask",
        },
        "done": {"say": "Wonderful. Goodbye.", "tool": "end_call"},
        "hand_over": {"say": "I will connect you.", "tool": "transfer"},
    },
}
ASSISTANT: dict[str, Any] = {
    "llm_config": {"provider": "scripted", "script": SCRIPT},
    "on_machine": "leave_message",
    "voicemail_message": "Please call us back.",
    "machine_detection": True,
    "transfer_number": "+15559990001",
    "end_phrases": ("not interested",),
    "max_duration_seconds": 60,
}
OPT_OUT = "stop calling me"

words = st.sampled_from(["yes", "no", "what?", "a person please", "not interested", OPT_OUT])
steps = st.one_of(
    st.tuples(st.just("say"), words),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("press"), st.sampled_from("159")),
    st.tuples(st.just("interrupt"), st.sampled_from(["", "Can you", "Wonder"])),
    st.tuples(st.just("overlap"), words),
    st.tuples(st.just("wait"), st.sampled_from([1, 4, 11, 30])),
    st.tuples(st.just("lose"), st.none()),
    st.tuples(st.just("return"), st.none()),
    st.tuples(st.just("setup"), st.none()),
    st.tuples(st.just("machine"), st.sampled_from(["human", "machine", "machine_beep", "fax"])),
    st.tuples(st.just("command"), st.sampled_from(["say", "end-call", "inject-context"])),
    st.tuples(st.just("die"), st.integers(0, 4)),
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    logging.getLogger("dialplane").setLevel(logging.CRITICAL)
    with a_world() as world, an_exchange(world) as exchange:
        exchange.set_organization(discloses=False, active_calls_max=100_000)
        yield exchange
    logging.getLogger("dialplane").setLevel(logging.INFO)


@given(history=st.lists(steps, max_size=12))
@settings(max_examples=scaled(20), derandomize=scaled(1) == 1)
def test_no_history_of_a_conversation_leaves_a_call_open_or_a_wish_unheard(
    exchange: Exchange, history: list[tuple[str, Any]]
) -> None:
    exchange.waiting.clear()
    exchange.world.carrier.commands.clear()
    phone = exchange.phone(**ASSISTANT).answer()
    for number, (kind, value) in enumerate(history):
        with contextlib.suppress(Killed):
            live(phone, kind, value, number)
        if kind != "die":
            exchange.dies_after = None
    exchange.dies_after = None

    exchange.pass_time(400)
    told = {
        next(iter(command)) for command in exchange.world.carrier.commands if phone.carrier_call_id in command.values()
    }
    assert phone.is_ended or told & {"end", "transfer"}, "nobody has ended the call"
    assert not phone.conversation.is_open
    wishes = [
        entry
        for entry in phone.conversation.entries
        if (entry.kind is EntryKind.CALLEE and entry.text == OPT_OUT)
        or (entry.kind is EntryKind.DIGITS and entry.text == "9")
    ]
    if wishes:
        store = DestinationStore(exchange.world.aws, exchange.world.tables)
        assert store.find_dnc_entry(phone.call.organization_id, phone.call.destination) is not None
        assert phone.conversation.opted_out_at is not None

    answered = [entry.turn for entry in phone.conversation.entries if entry.kind is EntryKind.ASSISTANT]
    models = [entry for entry in phone.conversation.entries if entry.source == "model"]
    assert len({entry.turn for entry in models}) == len(models), f"a turn was answered twice: {answered}"

    exchange.world.live_through(phone.call, "completed", duration=30)
    assert phone.call.settled_at is not None
    assert exchange.world.differences() == []
    empty_table(exchange.world.tables.calls)


def live(phone: Phone, kind: str, value: Any, number: int) -> None:  # noqa: PLR0912 - one branch for each step
    """One step of a history."""
    exchange = phone.exchange
    ids = {"organization_id": phone.call.organization_id, "call_id": phone.call_id}
    match kind:
        case "say":
            phone.say(value, message_id=f"{phone.call_id}-{number}")
        case "again":
            phone.say("what?", message_id=f"{phone.call_id}-again")
        case "press":
            phone.press(value)
        case "interrupt":
            phone.interrupt(value)
        case "overlap":
            # Said while the answer to something else is on its way: the other frame is handled in the middle of it.
            def meanwhile(connection_id: str, frame: Any) -> None:
                exchange.sockets.on_send = lambda connection_id, frame: None
                phone.say(value)

            exchange.sockets.on_send = meanwhile
            phone.say("what?")
            if exchange.sockets.on_send is meanwhile:  # nothing was sent
                exchange.sockets.on_send = lambda connection_id, frame: None
                phone.say(value)
        case "wait":
            exchange.pass_time(value)
        case "lose":
            phone.hang_up()
        case "return":
            url = phone.fetch_address({"SessionId": "VX1", "SessionStatus": "failed"})
            if url is not None and phone.knock(url):
                phone.set_up()
        case "setup":
            phone.set_up()
        case "machine":
            exchange.run_task({"kind": "machine", "answered_by": value, **ids})
        case "command":
            command = {
                "kind": "command",
                "command_id": f"cmd_{number}",
                "type": value,
                "content": "Hello there.",
                **ids,
            }
            exchange.run_task(command)
            exchange.run_task(command)
        case "die":
            exchange.dies_after = value
