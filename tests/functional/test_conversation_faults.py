"""What may go wrong between two requests of a conversation, and what is left of the call then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain import conversations
from dialplane.domain.conversations import Source, speech_time
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.language_model import LanguageModel, ModelFailed, ModelRequest, ToolCall
from dialplane.dynamodb.commands import CommandStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.runtime.conversation_tasks import ConversationTasks
from dialplane.usecases.browse_calls import RecordedCommand
from dialplane.usecases.sockets import SocketFailed
from tests.fakes.phones import Exchange, Killed, Phone, an_exchange
from tests.fakes.world import World

SCRIPT: dict[str, Any] = {
    "start": "offer",
    "steps": {
        "offer": {"replies": [{"when": ["yes"], "next": "confirm"}], "otherwise": "again"},
        "again": {
            "say": "I did not get that.",
            "replies": [{"when": ["yes"], "next": "confirm"}],
            "otherwise": "again",
        },
        "confirm": {"say": "Wonderful, see you then. Goodbye.", "tool": "end_call"},
    },
}
SCRIPTED: dict[str, Any] = {"llm_config": {"provider": "scripted", "script": SCRIPT}}
MACHINE = {"on_machine": "leave_message", "voicemail_message": "Please call us back.", "machine_detection": True}
FAILED = {"SessionId": "VX1", "SessionStatus": "failed", "SessionDuration": "3"}


@pytest.fixture(scope="module")
def exchange(world: World) -> Iterator[Exchange]:
    with an_exchange(world) as exchange:
        exchange.set_organization(discloses=False, active_calls_max=10_000)
        world.stack.wallets.deposit(
            world.demo.organization_id, micros=2_000_000_000, currency="USD", note="For many calls"
        )
        yield exchange


@pytest.fixture(autouse=True)
def _time_of_its_own(exchange: Exchange) -> Iterator[None]:
    exchange.waiting.clear()
    exchange.world.carrier.commands.clear()
    yield
    exchange.dies_after = None
    exchange.sockets.on_send = lambda connection_id, frame: None
    exchange.take_queued()


@pytest.fixture
def disclosing(exchange: Exchange) -> Iterator[Exchange]:
    exchange.set_organization(discloses=True)
    yield exchange
    exchange.set_organization(discloses=False)


class Spoken(LanguageModel):
    """A model that answers each request with the next of its ``answers``; ``meanwhile`` happens before each."""

    def __init__(self, *answers: list[str | ToolCall | Exception]) -> None:
        self.answers = list(answers)
        self.meanwhile: Any = lambda: None

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        pieces = self.answers.pop(0)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def is_listed(phone: Phone) -> bool:
    world = phone.exchange.world
    store = DestinationStore(world.aws, world.tables)
    return store.find_dnc_entry(phone.call.organization_id, phone.call.destination) is not None


def is_over(phone: Phone) -> bool:
    """Whether the session was ended, or the carrier told to end the call."""
    return phone.is_ended or {"end": phone.carrier_call_id} in phone.exchange.world.carrier.commands


def ids(phone: Phone) -> dict[str, Any]:
    return {"organization_id": phone.call.organization_id, "call_id": phone.call_id}


# ---- timers ---------------------------------------------------------------------------------------------------------


def test_a_session_whose_setup_never_comes_is_not_left_open(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    phone.connect()
    exchange.pass_time(120)
    assert is_over(phone)


@pytest.mark.parametrize("requests", range(5))
def test_a_setup_whose_function_dies_leaves_no_callee_in_silence(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    phone.connect()
    exchange.dies_after = requests
    with contextlib.suppress(Killed):
        phone.set_up()
    exchange.dies_after = None
    exchange.pass_time(120)
    assert is_over(phone)


def test_a_connection_whose_timer_cannot_be_set_is_not_refused(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    broken = AwsError(service="sqs", operation="SendMessage", code="ReplyLost")
    with patch.object(ConversationTasks, "put", side_effect=broken):
        phone.connect()


def test_a_callee_is_greeted_and_answered_although_no_timer_can_be_set(disclosing: Exchange) -> None:
    phone = disclosing.phone(**SCRIPTED, is_recorded=True)
    broken = AwsError(service="sqs", operation="SendMessage", code="ReplyLost")
    with patch.object(ConversationTasks, "put", side_effect=broken):
        phone.answer()
        assert phone.heard == phone.conversation.settings.first_message
        assert [line.source for line in phone.lines] == [Source.DISCLOSURE, Source.FIRST_MESSAGE]
        with pytest.raises(AwsError):  # for the alarm
            phone.say("hm?")
    assert phone.heard.endswith("I did not get that.")


@pytest.mark.parametrize("words", ["stop calling me", "yes"])
def test_a_conversation_that_is_to_end_is_ended_although_no_timer_can_be_set(exchange: Exchange, words: str) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    broken = AwsError(service="sqs", operation="SendMessage", code="ReplyLost")
    with patch.object(ConversationTasks, "put", side_effect=broken), pytest.raises(AwsError):
        phone.say(words)
    assert phone.is_ended
    assert phone.conversation.is_ending


def test_a_timer_that_rings_a_moment_early_rings_again(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    phone.say("all right")
    ends_at = phone.conversation.ends_at
    assert ends_at is not None
    exchange.world.clock.moment = ends_at - timedelta(milliseconds=20)
    early, exchange.waiting = exchange.waiting, []
    for _, task in early:
        exchange.run_task(task)
    exchange.pass_time(60)
    assert phone.is_ended


@pytest.mark.parametrize("requests", range(3))
def test_an_interruption_whose_function_dies_leaves_no_callee_in_silence(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("what?")
    exchange.dies_after = requests
    with pytest.raises(Killed):
        phone.interrupt("I did")
    exchange.pass_time(120)
    assert is_over(phone)


@pytest.mark.parametrize("requests", range(3))
def test_a_disconnect_whose_function_dies_leaves_no_conversation_open(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("what?")
    exchange.dies_after = requests
    with contextlib.suppress(Killed):
        phone.hang_up()
    exchange.dies_after = None
    exchange.pass_time(200)
    assert not phone.conversation.is_open
    assert {"end": phone.carrier_call_id} in exchange.world.carrier.commands


# ---- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", range(1, 9))
@pytest.mark.parametrize("kind", ["end-call", "transfer"])
def test_an_end_that_was_told_to_be_applied_ends_the_call(exchange: Exchange, kind: str, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    command = {"kind": "command", "command_id": "cmd_end", "type": kind, "content": "Goodbye then.", **ids(phone)}
    if kind == "transfer":
        command["destination"] = "+15559990001"
    exchange.dies_after = requests
    exchange.waiting.append((exchange.world.clock.now(), command))
    exchange.waiting = [exchange.waiting[-1]]  # nothing else sees to the call
    exchange.pass_time(200)
    told = {next(iter(command)) for command in exchange.world.carrier.commands}
    assert phone.is_ended or told & {"end", "transfer"}
    # When its task came again, a minute later, silence may have ended the call already.
    assert phone.conversation.end_reason in ("transfer" if kind == "transfer" else "command", "silence")


@pytest.mark.parametrize("requests", range(1, 5))
def test_words_that_were_told_to_be_applied_were_spoken(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    recorded = RecordedCommand(id="cmd_say", command="say", at=exchange.world.clock.now(), api_key_id="key")
    store = CommandStore(exchange.world.aws, exchange.world.tables)
    store.begin(phone.call, recorded, per_minute_max=10)
    command = {"kind": "command", "command_id": "cmd_say", "type": "say", "content": "One more thing.", **ids(phone)}
    exchange.dies_after = requests
    exchange.waiting = [(exchange.world.clock.now(), command)]
    exchange.pass_time(70)
    (kept,) = store.commands(phone.call.organization_id, phone.call_id)
    spoken = phone.heard.count("One more thing.")
    assert spoken == 1 if kept.result == "applied" else spoken <= 1
    assert kept.result in ("applied", "internal_error")


def test_a_command_that_is_told_to_have_failed_is_not_carried_out(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    recorded = RecordedCommand(id="cmd_say", command="say", at=exchange.world.clock.now(), api_key_id="key")
    store = CommandStore(exchange.world.aws, exchange.world.tables)
    store.begin(phone.call, recorded, per_minute_max=10)
    store.finish(phone.call.organization_id, phone.call_id, "cmd_say", result="internal_error")
    exchange.run_task({"kind": "command", "command_id": "cmd_say", "type": "say", "content": "Hello.", **ids(phone)})
    assert phone.heard == ""


# ---- opting out -----------------------------------------------------------------------------------------------------


def test_who_repeats_the_wish_is_not_kept_on_the_line_for_it(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    began = exchange.world.clock.now()
    for _ in range(5):
        phone.say("stop calling me!")
        exchange.pass_time(2)
    assert exchange.world.clock.now() - began == timedelta(seconds=10)
    assert phone.is_ended


@pytest.mark.parametrize("failure", [ModelFailed("too slow"), ToolCall("1", "transfer")], ids=["fails", "transfers"])
def test_an_answer_that_comes_after_the_wish_takes_nothing_of_it_back(exchange: Exchange, failure: Any) -> None:
    phone = exchange.phone(on_failure="transfer", transfer_number="+15559990001").answer()
    model = Spoken([failure])

    def meanwhile() -> None:
        phone.say("stop calling me!")
        exchange.world.clock.sleep(0.3)

    model.meanwhile = meanwhile
    with exchange.with_model(model):
        phone.say("what?")
    exchange.pass_time(9.5)
    assert phone.conversation.end_reason == "opt_out"
    assert phone.is_ended
    assert exchange.world.carrier.commands == []


def test_an_answer_that_fails_when_nobody_waits_for_it_any_more_ends_nothing(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    model = Spoken([ModelFailed("too slow")], ["Here is the other answer."])
    model.meanwhile = lambda: phone.say("something else, please")
    with exchange.with_model(model):
        phone.say("what?")
    assert phone.heard == "Here is the other answer."
    assert not phone.conversation.is_ending


@pytest.mark.parametrize("requests", range(1, 4))
def test_a_wish_counts_when_its_function_dies_and_the_callee_hangs_up(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    exchange.dies_after = requests
    with pytest.raises(Killed):
        phone.say("stop calling me")
    phone.hang_up()
    exchange.world.live_through(phone.call, "completed", duration=12)
    exchange.pass_time(60)
    assert is_listed(phone)


def test_a_wish_is_written_however_long_the_list_cannot_be(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    broken = AwsError(service="dynamodb", operation="UpdateItem", code="InternalServerError", http_status=500)
    with patch.object(DestinationStore, "add_dnc_entry", side_effect=broken):
        phone.say("stop calling me")
        exchange.pass_time(600)
    assert phone.is_ended
    exchange.pass_time(900)
    assert is_listed(phone)


# ---- sessions that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("requests", range(1, 4))
def test_a_handshake_whose_function_dies_takes_no_greeting_with_it(disclosing: Exchange, requests: int) -> None:
    phone = disclosing.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    disclosing.dies_after = requests
    with contextlib.suppress(Killed):
        phone.knock(url)
    disclosing.dies_after = None
    url = phone.fetch_address(FAILED)
    assert url is not None
    assert phone.knock(url)
    phone.set_up()
    assert phone.greeting or phone.heard.startswith(phone.conversation.settings.disclosure or "?")
    assert phone.heard.endswith("Hi, can you come on Monday?")
    assert phone.transcript == [
        ("assistant", phone.conversation.settings.disclosure),
        ("assistant", "Hi, can you come on Monday?"),
    ]


def test_a_session_that_failed_before_its_setup_begins_with_the_greeting(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    phone.hang_up()
    url = phone.fetch_address(FAILED)
    assert url is not None
    assert phone.knock(url)
    phone.set_up()
    assert phone.heard == "Hi, can you come on Monday?"


def test_a_disclosure_that_was_broken_off_is_spoken_again(disclosing: Exchange) -> None:
    phone = disclosing.phone(**SCRIPTED).answer()
    disclosure = phone.conversation.settings.disclosure
    assert disclosure is not None
    disclosing.pass_time(1)
    phone.hang_up()
    url = phone.fetch_address(FAILED)
    assert url is not None
    assert phone.knock(url)
    phone.set_up()
    assert phone.heard == f"{disclosure}Hi, can you come on Monday?"
    assert phone.frames[0]["interruptible"] is False


def test_a_prompt_that_is_being_answered_keeps_its_turn_when_the_setup_comes(exchange: Exchange) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    model = Spoken(["An answer, given in peace."])

    def meanwhile() -> None:
        phone.set_up()
        exchange.world.clock.sleep(1)

    model.meanwhile = meanwhile
    with exchange.with_model(model):
        phone.say("hello?")
    assert phone.conversation.owed_since is None
    assert phone.heard == "An answer, given in peace."


def test_a_setup_that_does_not_name_its_call_is_refused(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    assert phone.frame({"type": "setup", "sessionId": "VX1"}) == {"statusCode": 200}
    assert exchange.sockets.closed[-1] == phone.connection_id


# ---- machines and recordings ----------------------------------------------------------------------------------------


def test_a_verdict_that_comes_before_the_websocket_is_kept_for_it(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, **MACHINE)
    url = phone.fetch_address()
    assert url is not None
    exchange.run_task({"kind": "machine", "answered_by": "machine_beep", **ids(phone)})
    assert phone.knock(url)
    phone.set_up()
    exchange.pass_time(5)
    assert phone.heard == "Please call us back."


def test_a_verdict_on_a_call_without_a_websocket_is_not_kept_for_ever(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, **MACHINE)
    exchange.run_task({"kind": "machine", "answered_by": "machine_beep", **ids(phone)})
    exchange.pass_time(120)
    assert exchange.waiting == []


@pytest.mark.parametrize("requests", range(1, 5))
def test_a_verdict_whose_task_died_still_waits_for_the_beep(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**SCRIPTED, **MACHINE).answer()
    verdict = {"kind": "machine", "answered_by": "machine", **ids(phone)}
    exchange.dies_after = requests
    with contextlib.suppress(Killed):
        exchange.run_task(verdict)
    exchange.dies_after = None
    exchange.run_task(verdict)
    phone.say("you have reached the mailbox of")
    exchange.pass_time(120)
    assert phone.heard == "Please call us back."


def test_a_message_that_could_not_be_sent_is_not_noted_as_played(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, **MACHINE).answer()

    def fail(connection_id: str, frame: Any) -> None:
        exchange.sockets.sent[connection_id].pop()
        raise SocketFailed("HTTP 500")

    exchange.sockets.on_send = fail
    exchange.run_task({"kind": "machine", "answered_by": "machine_beep", **ids(phone)})
    exchange.sockets.on_send = lambda connection_id, frame: None
    exchange.pass_time(30)
    assert is_over(phone)
    assert phone.conversation.voicemail_played_at is None


def test_a_message_that_is_left_says_first_whose_voice_it_is(disclosing: Exchange) -> None:
    phone = disclosing.phone(**SCRIPTED, **MACHINE).answer()
    before = phone.heard
    disclosing.run_task({"kind": "machine", "answered_by": "machine_beep", **ids(phone)})
    disclosure = phone.conversation.settings.disclosure
    assert phone.heard.removeprefix(before) == f"{disclosure} Please call us back."


def test_a_recording_is_asked_for_once(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, is_recorded=True).answer()
    task = {"kind": "record", **ids(phone)}
    exchange.run_task(task)
    exchange.run_task(task)
    assert len([each for each in exchange.world.carrier.commands if "record" in each]) == 1


# ---- what is too much -----------------------------------------------------------------------------------------------


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake database counts a list that is replaced twice, and so has half of the room."""
    monkeypatch.setattr(conversations, "SIZE_MAX", conversations.SIZE_MAX // 3)


@pytest.mark.usefixtures("_small")
def test_a_record_that_has_grown_too_long_ends_the_call_and_hears_a_wish(exchange: Exchange) -> None:
    phone = exchange.phone(turns_max=500, goodbye_message="That is all for today.").answer()

    class Endless(LanguageModel):
        def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
            yield "word " * 400

    with exchange.with_model(Endless()):
        for _ in range(120):
            phone.say("ë" * 4_000)
            if phone.conversation.is_ending:
                break
    assert phone.heard.endswith("That is all for today.")
    phone.say("stop calling me")
    assert is_listed(phone)
    exchange.pass_time(10)
    assert phone.is_ended


@pytest.mark.usefixtures("_small")
def test_interruptions_without_end_do_not_fill_the_record(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    for _ in range(60):
        phone.interrupt("é" * 4_000)
    phone.say("stop calling me")
    assert is_listed(phone)
    exchange.pass_time(10)
    assert phone.is_ended


def test_arguments_of_tools_do_not_fill_the_record(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    calls: list[str | ToolCall | Exception] = [
        ToolCall(str(number), "press_digits", {"digits": "x" * 16_000}) for number in range(64)
    ]
    with exchange.with_model(Spoken(calls, ["Done with it."])):
        phone.say("hello")
    assert phone.conversation.owed_since is None
    assert phone.heard == "Done with it."


def test_tools_that_take_their_time_do_not_outlast_the_function(exchange: Exchange) -> None:
    phone = exchange.phone(fallback_message="Sorry, technical trouble.").answer()
    began = exchange.world.clock.now()
    calls: list[str | ToolCall | Exception] = [ToolCall(str(number), "slow") for number in range(10)]

    def slow(self: Any, *use: Any) -> str:
        exchange.world.clock.sleep(9)
        return "Nothing."

    with exchange.with_model(Spoken(calls)), patch("dialplane.runtime.conversing._CustomerTools.call", slow):
        phone.say("hello")
    assert (exchange.world.clock.now() - began).total_seconds() < 29
    assert phone.heard.endswith("Sorry, technical trouble.")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("本日はお時間をいただきありがとうございました。失礼いたします。", 6),
        ("감사합니다 안녕히 계세요 좋은 하루 되세요", 3.5),
        ("+1 555 123 4567", 5),
    ],
)
def test_the_estimate_of_speech_knows_signs_that_take_longer_than_letters(text: str, seconds: float) -> None:
    assert speech_time(text).total_seconds() >= seconds


def test_a_call_that_the_callee_has_ended_keeps_its_reason(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.world.live_through(phone.call, "completed", duration=12)
    before = phone.call
    exchange.pass_time(30)
    assert phone.call.conversation_end is None
    assert phone.call.version == before.version


# ---- transfers ------------------------------------------------------------------------------------------------------

TRANSFERRING: dict[str, Any] = {"on_failure": "transfer", "transfer_number": "+15559990001"}


def hand_over(phone: Phone) -> None:
    with phone.exchange.with_model(Spoken([ModelFailed("HTTP 500")])):
        phone.say("hello")


def test_a_call_that_could_not_be_handed_over_does_not_count_as_transferred(exchange: Exchange) -> None:
    phone = exchange.phone(**TRANSFERRING).answer()
    hand_over(phone)
    exchange.world.carrier.command_errors.append(CarrierUnavailable("HTTP 500"))
    exchange.pass_time(15)
    assert [next(iter(command)) for command in exchange.world.carrier.commands] == ["transfer", "end"]
    exchange.world.live_through(phone.call, "completed", duration=12)
    assert phone.call.ended_reason != "transferred"


@pytest.mark.parametrize("requests", range(1, 9))
def test_a_call_is_handed_over_once_whenever_the_task_of_it_dies(exchange: Exchange, requests: int) -> None:
    phone = exchange.phone(**TRANSFERRING).answer()
    hand_over(phone)
    ends_at = phone.conversation.ends_at
    assert ends_at is not None
    exchange.world.clock.moment = ends_at
    look = {"kind": "look", "turn": phone.conversation.turn, **ids(phone)}
    exchange.waiting = [(ends_at, look)]
    exchange.dies_after = requests
    exchange.pass_time(1)
    exchange.dies_after = None
    if exchange.world.carrier.commands:
        phone.hang_up()  # a transfer closes the WebSocket
    exchange.pass_time(200)
    assert [next(iter(command)) for command in exchange.world.carrier.commands] == ["transfer"]
    assert not phone.conversation.is_open
