"""The WebSocket of a conversation: who is let in, what is answered to what, and what is left when frames go astray."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain.conversations import Source
from dialplane.domain.language_model import LanguageModel, Message, ModelFailed, ModelRequest, ToolCall
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.runtime import conversing
from dialplane.runtime.organization_secrets import OrganizationSecrets
from tests.fakes.phones import Exchange, Killed, Phone, an_exchange
from tests.fakes.world import World

SCRIPT: dict[str, Any] = {
    "start": "offer",
    "steps": {
        "offer": {
            "replies": [{"when": ["yes", "sure"], "next": "confirm"}, {"when": ["no"], "next": "later"}],
            "otherwise": "again",
        },
        "again": {
            "say": "I did not get that. Can you come on Monday?",
            "replies": [{"when": ["yes", "sure"], "next": "confirm"}, {"when": ["no"], "next": "later"}],
            "otherwise": "again",
        },
        "later": {"say": "What about Tuesday?", "otherwise": "confirm"},
        "confirm": {"say": "Wonderful, see you then. Goodbye.", "tool": "end_call", "outcome": "agreed"},
    },
}
SCRIPTED: dict[str, Any] = {"llm_config": {"provider": "scripted", "script": SCRIPT}}


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
    """What waits for its time, and what the carrier was told, is a test's own."""
    exchange.waiting.clear()
    exchange.world.carrier.commands.clear()
    yield
    exchange.take_queued()


class Spoken(LanguageModel):
    """A model that answers each request with the next of its ``answers``: pieces, or an exception to raise."""

    def __init__(self, *answers: list[str | ToolCall | Exception]) -> None:
        self.answers = list(answers)
        self.requests: list[ModelRequest] = []
        self.between: Any = lambda: None

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        self.requests.append(request)
        for piece in self.answers.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece
            self.between()


def is_listed(phone: Phone) -> bool:
    world = phone.exchange.world
    store = DestinationStore(world.aws, world.tables)
    return store.find_dnc_entry(phone.call.organization_id, phone.call.destination) is not None


# ---- the handshake --------------------------------------------------------------------------------------------------


def test_a_signed_handshake_with_the_calls_token_is_let_in_once(exchange: Exchange) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    assert not phone.knock(url), "the token was used"


@pytest.mark.parametrize("how", [{"signature": None}, {"signature": "bm90IGl0"}, {"token": "another account's"}])
def test_a_handshake_that_the_account_did_not_sign_is_refused_and_keeps_the_token(
    exchange: Exchange, how: dict[str, Any]
) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    assert not phone.knock(url, **how)
    assert phone.knock(url), "whoever holds the token can still come in"


@pytest.mark.parametrize(
    "forge",
    [
        lambda url: url.rpartition(".")[0] + ".wrong-token",
        lambda url: url + "x",
        lambda url: url.replace("org_", "org-"),
        lambda url: url.partition("?")[0],
        lambda url: url.replace(".twilio.", ".vonage."),
        lambda url: url.replace(".twilio.", ".nobody."),
        lambda url: url + "&call=again",
        lambda url: url.replace("call=", "call=."),
    ],
    ids=["token", "longer token", "organization", "nothing", "other carrier", "no carrier", "twice", "segments"],
)
def test_a_handshake_for_another_address_is_refused(exchange: Exchange, forge: Any) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    assert not phone.knock(forge(url))
    assert phone.knock(url)


def test_a_handshake_for_a_call_that_is_over_is_refused(exchange: Exchange) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    exchange.world.live_through(phone.call, "completed", duration=5)
    assert not phone.knock(url)


def test_instructions_that_are_served_again_let_the_latest_address_in_and_no_other(exchange: Exchange) -> None:
    phone = exchange.phone()
    first, second = phone.fetch_address(), phone.fetch_address()
    assert first is not None
    assert second is not None
    assert first != second
    assert not phone.knock(first)
    assert phone.knock(second)


# ---- turns ----------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_by_its_script_to_its_end(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("no, sorry")
    assert phone.heard == "What about Tuesday?"
    phone.say("that is fine")
    assert phone.heard == "What about Tuesday?Wonderful, see you then. Goodbye."
    assert not phone.is_ended, "the last words are still being spoken"
    exchange.pass_time(12)
    assert phone.is_ended
    assert phone.transcript == [
        ("assistant", "Hi, can you come on Monday?"),
        ("callee", "no, sorry"),
        ("assistant", "What about Tuesday?"),
        ("callee", "that is fine"),
        ("assistant", "Wonderful, see you then. Goodbye."),
    ]


def test_a_turn_takes_two_round_trips_to_the_database(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    exchange.requests.clear()
    phone.say("what?")
    assert exchange.requests == ["UpdateItem", "UpdateItem"]
    assert phone.heard == "I did not get that. Can you come on Monday?"


def test_a_frame_that_is_delivered_twice_is_answered_once(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("no", message_id="the same")
    phone.say("no", message_id="the same")
    assert phone.heard == "What about Tuesday?"
    assert [speaker for speaker, _ in phone.transcript] == ["assistant", "callee", "assistant"]


def test_a_prompt_that_overtakes_the_setup_is_answered(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    phone.say("no")
    phone.set_up()
    assert phone.heard == "What about Tuesday?"
    phone.say("fine")
    assert phone.heard.endswith("Wonderful, see you then. Goodbye.")


def test_a_setup_that_comes_twice_greets_once(exchange: Exchange) -> None:
    exchange.set_organization(discloses=True)
    try:
        phone = exchange.phone(**SCRIPTED)
        phone.answer()
        phone.set_up()
    finally:
        exchange.set_organization(discloses=False)
    assert phone.heard == "Hi, can you come on Monday?"


def test_a_setup_for_another_call_of_the_carriers_is_closed(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED)
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    phone.set_up(callSid="CAffffffffffffffffffffffffffffffff")
    assert exchange.sockets.closed[-1] == phone.connection_id


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "[]",
        "null",
        "{}",
        '{"type": null}',
        '{"type": "prompt"}',
        '{"type": "prompt", "voicePrompt": 5}',
        '{"type": "prompt", "voicePrompt": "half", "last": false}',
        '{"type": "dtmf", "digit": ["9"]}',
        '{"type": "interrupt", "utteranceUntilInterrupt": {}}',
        '{"type": "error", "description": "Invalid message"}',
        '{"type": "unheard of"}',
        "[" * 100_000,
        json.dumps({"type": "unheard of", "text": "x" * 200_000}),
    ],
    ids=lambda body: body[:40],
)
def test_a_frame_that_says_nothing_is_answered_with_nothing(exchange: Exchange, body: str) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    assert phone.frame(body) == {"statusCode": 200}
    assert phone.heard == ""
    phone.say("no")
    assert phone.heard == "What about Tuesday?", "the conversation goes on"


def test_a_frame_over_another_connection_than_the_calls_is_left_alone(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.frame({"type": "prompt", "voicePrompt": "no", "last": True}, connection_id="somebody else")
    assert phone.heard == ""


def test_frames_after_the_end_change_nothing(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.pass_time(10)
    assert phone.is_ended
    before = phone.transcript
    phone.say("hello?")
    phone.press("9")
    phone.interrupt("Wonder")
    assert phone.transcript == before
    assert not is_listed(phone)


# ---- interruptions --------------------------------------------------------------------------------------------------


def test_of_words_that_were_interrupted_the_transcript_has_what_was_heard(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("what?")
    phone.interrupt("I did not")
    phone.say("yes")
    assert ("assistant", "I did not") in phone.transcript
    assert next(line for line in phone.lines if line.text == "I did not").is_interrupted


def test_an_interruption_stops_who_is_still_speaking(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    model = Spoken(["First part of it. ", "Second part of it. ", "Third part of it. ", "Fourth part. "])
    pieces = 0

    def while_it_speaks() -> None:
        nonlocal pieces
        pieces += 1
        exchange.world.clock.sleep(0.6)
        if pieces == 2:
            phone.interrupt("First part")

    model.between = while_it_speaks
    with exchange.with_model(model):
        phone.say("tell me")
    assert "Fourth" not in phone.heard
    assert phone.transcript[-1] == ("assistant", "First part"), "the interruption came before the words it has cut"


def test_an_interruption_that_comes_twice_cuts_the_same_words(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("what?")
    phone.interrupt("I did", message_id="cut")
    phone.interrupt("I did", message_id="cut")
    phone.interrupt("I did", message_id="cut again")
    assert [text for speaker, text in phone.transcript if speaker == "assistant"][1:] == ["I did"]


def test_an_interruption_that_is_overtaken_by_its_words_stops_nobody_and_cuts_what_it_has_cut(
    exchange: Exchange,
) -> None:
    """A function that starts takes a second; the words after it may find one that is warm."""
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("what?")
    exchange.world.clock.sleep(1)
    interrupted_at = exchange.world.clock.now()
    exchange.world.clock.sleep(1)
    phone.say("no")
    phone.interrupt("I did not", received_at=interrupted_at, message_id="late")
    phone.interrupt("I did not", received_at=interrupted_at, message_id="late")
    assert [text for speaker, text in phone.transcript if speaker == "assistant"][1:] == [
        "I did not",
        "What about Tuesday?",
    ]
    phone.say("fine")
    assert phone.heard.endswith("Wonderful, see you then. Goodbye.")


def test_an_interruption_that_overtakes_the_end_of_an_answer_does_not_stop_the_answer_to_its_words(
    exchange: Exchange,
) -> None:
    phone = exchange.phone().answer()
    model = Spoken(["Let me think. ", "Yes, that is possible. "])
    interrupted_at = exchange.world.clock.now()
    exchange.world.clock.sleep(1)

    def while_it_speaks() -> None:
        exchange.world.clock.sleep(0.6)
        if len(model.requests) == 1 and phone.conversation.last_heard_at != interrupted_at:
            phone.interrupt("Hi, can", received_at=interrupted_at, message_id="late")

    model.between = while_it_speaks
    with exchange.with_model(model):
        phone.say("is it possible?")
    assert phone.heard.endswith("Yes, that is possible. ")
    assert phone.transcript[0] == ("assistant", "Hi, can")


def test_an_interruption_without_words_leaves_the_transcript_as_it_is(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.interrupt(None)
    phone.interrupt(["Hi"])
    assert phone.transcript == [("assistant", "Hi, can you come on Monday?")]
    phone.say("no")
    assert phone.heard == "What about Tuesday?"


# ---- models ---------------------------------------------------------------------------------------------------------


def test_tokens_are_spoken_as_they_come_and_the_last_one_says_so(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    model = Spoken(["Well, ", "hello there. ", "It is ", "nice to ", "hear ", "from you ", "again after so long", "."])
    with exchange.with_model(model):
        phone.say("hello")
    assert phone.heard == "Well, hello there. It is nice to hear from you again after so long."
    assert len(phone.frames) > 1
    assert [frame["last"] for frame in phone.frames] == [False] * (len(phone.frames) - 1) + [True]
    (line,) = (line for line in phone.lines if line.source is Source.MODEL)
    assert line.first_token_ms is not None


@pytest.mark.parametrize(
    "answer",
    [
        [ModelFailed("HTTP 500")],
        [],
        ["  "],
        [ToolCall("1", "no_such_tool")] * 1,
    ],
    ids=["fails", "answers nothing", "answers blanks", "wants tools for ever"],
)
def test_a_model_that_gives_no_answer_is_apologized_for_and_the_call_ends(
    exchange: Exchange, answer: list[Any]
) -> None:
    phone = exchange.phone(fallback_message="Sorry, technical trouble.").answer()
    with exchange.with_model(Spoken(*[answer] * 4)):
        phone.say("hello")
    assert phone.heard.endswith("Sorry, technical trouble.")
    exchange.pass_time(12)
    assert phone.is_ended
    assert phone.conversation.end_reason == "model_failed"


def test_a_model_whose_key_cannot_be_read_is_apologized_for(exchange: Exchange) -> None:
    exchange.set_organization(model_providers=frozenset({"openai"}))
    configured = {"llm_config": {"provider": "openai"}, "stt_config": {}, "tts_config": {}}
    phone = exchange.phone(**configured, fallback_message="Sorry, technical trouble.")
    unreadable = AwsError(service="secretsmanager", operation="GetSecretValue", code="InternalServiceError")
    with patch.object(OrganizationSecrets, "read", side_effect=unreadable):
        phone.answer()
        phone.say("hello")
    assert phone.heard == "Sorry, technical trouble."


def test_the_model_is_opened_while_the_callee_listens_to_the_greeting(exchange: Exchange) -> None:
    phone = exchange.phone()
    url = phone.fetch_address()
    assert url is not None
    assert phone.knock(url)
    opened: list[str] = []
    with patch.object(conversing, "open_model", side_effect=lambda *args, **kwargs: opened.append(phone.heard)):
        phone.set_up()
    assert len(opened) == 1


def test_last_words_come_after_all_that_the_model_has_said(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    farewell = ToolCall("1", "end_call", {"message": "Thank you for your time. Goodbye."})
    with exchange.with_model(Spoken(["That is all I wanted to know. ", "See you", farewell])):
        phone.say("fine")
    assert phone.heard == "That is all I wanted to know. See youThank you for your time. Goodbye."
    assert [frame["last"] for frame in phone.frames] == [False, True, True]


def test_words_that_are_there_already_are_one_frame(exchange: Exchange) -> None:
    phone = exchange.phone(goodbye_message="Well then. Have a very nice day. Goodbye.", end_phrases=("bye",)).answer()
    phone.say("bye")
    (frame,) = phone.frames
    assert (frame["token"], frame["last"]) == ("Well then. Have a very nice day. Goodbye.", True)


def test_a_model_that_fails_in_the_middle_has_said_what_was_heard(exchange: Exchange) -> None:
    phone = exchange.phone(fallback_message="Sorry, technical trouble.").answer()
    with exchange.with_model(Spoken(["This is the first sentence. ", ModelFailed("broken off")])):
        phone.say("hello")
    assert phone.transcript[-2:] == [
        ("assistant", "This is the first sentence."),
        ("assistant", "Sorry, technical trouble."),
    ]


def test_a_failure_hands_the_call_over_when_the_assistant_is_set_so(exchange: Exchange) -> None:
    phone = exchange.phone(on_failure="transfer", transfer_number="+15559990001").answer()
    with exchange.with_model(Spoken([ModelFailed("HTTP 500")])):
        phone.say("hello")
    exchange.pass_time(15)
    (command,) = exchange.world.carrier.commands
    assert (command["transfer"], command["to"]) == (phone.carrier_call_id, "+15559990001")
    assert phone.conversation.end_reason == "transfer"


def test_megabytes_of_an_answer_are_not_spoken(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    with exchange.with_model(Spoken(["word " * 1_000] * 100)):
        phone.say("hello")
    assert 1_900 < len(phone.heard) <= 2_000


def test_a_tools_result_is_told_to_the_model(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    model = Spoken(["One second. ", ToolCall("1", "press_digits", {"digits": "12#"})], ["It is done."])
    with exchange.with_model(model):
        phone.say("press it")
    assert {"type": "sendDigits", "digits": "12#"} in phone.frames
    assert phone.heard == "One second. It is done."
    used, result = model.requests[1].messages[-2:]
    assert used.tool_calls[0].name == "press_digits"
    assert result == Message("tool", "The digits were pressed.", tool_call_id="1")


@pytest.mark.parametrize("destination", [["+15559990001"], {"number": "+15559990001"}, 7, "+15559990002"], ids=str)
def test_a_destination_that_is_none_of_the_assistants_is_told_to_the_model(
    exchange: Exchange, destination: Any
) -> None:
    phone = exchange.phone(transfer_number="+15559990001").answer()
    model = Spoken([ToolCall("1", "transfer", {"destination": destination})], ["Nobody is there."])
    with exchange.with_model(model):
        phone.say("a person, please")
    assert phone.heard == "Nobody is there."
    assert model.requests[1].messages[-1].text == "The call can only be transferred to: +15559990001."


def test_the_model_is_told_what_was_said_and_which_words_were_heard(exchange: Exchange) -> None:
    phone = exchange.phone().answer()
    model = Spoken(["Long and winding answer. "], ["Yes."])
    with exchange.with_model(model):
        phone.say("tell me")
        phone.interrupt("Long and")
        phone.say("shorter please")
    texts = [message.text for message in model.requests[1].messages]
    assert any(text.startswith("Long and") and "winding" not in text for text in texts)
    assert texts[-1] == "shorter please"


# ---- the callee's wishes --------------------------------------------------------------------------------------------


def test_who_asks_not_to_be_called_is_listed_hears_so_and_the_call_ends_within_ten_seconds(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("stop calling me")
    assert is_listed(phone)
    assert phone.heard == phone.conversation.settings.opt_out_message
    assert phone.frames[-1]["interruptible"] is False
    exchange.pass_time(10)
    assert phone.is_ended
    assert phone.conversation.end_reason == "opt_out"
    again = exchange.world.initiate({"from_phone_number": "+15551234567", "to_phone_number": phone.call.destination})
    assert again.status == 403


def test_the_key_for_it_does_the_same(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.press("9")
    assert is_listed(phone)
    exchange.pass_time(10)
    assert phone.is_ended


def test_who_hangs_up_on_the_confirmation_has_opted_out_all_the_same(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("stop calling me")
    phone.hang_up()
    exchange.world.live_through(phone.call, "completed", duration=5)
    assert phone.call.ended_reason == "opt_out"


def test_an_opt_out_that_comes_twice_or_during_the_last_words_counts(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    phone.say("and stop calling me", message_id="same")
    phone.say("and stop calling me", message_id="same")
    assert is_listed(phone)
    assert phone.heard.count(phone.conversation.settings.opt_out_message) == 1
    exchange.pass_time(10)
    assert phone.conversation.end_reason == "opt_out"


def test_a_phrase_of_the_assistants_ends_the_call(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, end_phrases=("not interested",), goodbye_message="All right, bye.").answer()
    phone.say("I'm NOT interested!")
    assert phone.heard == "All right, bye."
    exchange.pass_time(6)
    assert phone.is_ended


def test_a_callee_who_stays_silent_is_asked_once_and_then_left(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, silence_timeout_seconds=5, silence_message="Anybody there?").answer()
    exchange.pass_time(10)
    assert phone.heard == "Anybody there?"
    assert not phone.is_ended
    exchange.pass_time(20)
    assert phone.is_ended
    assert phone.conversation.end_reason == "silence"


def test_who_speaks_in_time_is_not_asked(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, silence_timeout_seconds=10, silence_message="Anybody there?").answer()
    exchange.pass_time(9)
    phone.say("what?")
    exchange.pass_time(9)
    assert "Anybody" not in phone.heard


def test_a_look_that_is_delivered_twice_asks_once(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, silence_timeout_seconds=5, silence_message="Anybody there?").answer()
    look = {"kind": "look", "organization_id": phone.call.organization_id, "call_id": phone.call_id, "turn": 1}
    exchange.world.clock.sleep(9)
    exchange.run_task(look)
    exchange.run_task(look)
    assert phone.heard == "Anybody there?"


def test_an_answer_that_died_on_its_way_is_apologized_for(exchange: Exchange) -> None:
    phone = exchange.phone(fallback_message="Sorry, technical trouble.").answer()

    def die() -> None:
        raise Killed

    model = Spoken(["The first words. ", "More."])
    model.between = die
    with exchange.with_model(model), pytest.raises(Killed):
        phone.say("hello")
    exchange.pass_time(60)
    assert phone.heard.endswith("Sorry, technical trouble.")
    assert phone.is_ended


# ---- connections that break -----------------------------------------------------------------------------------------


def test_a_socket_that_dies_mid_sentence_leaves_no_call_open(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    exchange.sockets.gone.add(phone.connection_id)
    phone.say("what?")
    phone.hang_up()
    exchange.pass_time(20)
    assert {"end": phone.carrier_call_id} in exchange.world.carrier.commands
    assert phone.conversation.end_reason == "connection_lost"


def test_a_disconnect_after_the_callee_has_hung_up_asks_the_carrier_for_nothing(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.hang_up()
    exchange.world.live_through(phone.call, "completed", duration=12)
    exchange.pass_time(30)
    assert exchange.world.carrier.commands == []
    assert phone.call.ended_reason == "hang_up"
    assert not phone.conversation.is_open


def test_a_carrier_that_comes_back_goes_on_where_it_was(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("no")
    phone.hang_up()
    url = phone.fetch_address({"SessionId": "VX1", "SessionStatus": "failed", "SessionDuration": "3"})
    assert url is not None
    assert phone.knock(url)
    phone.set_up()
    assert "What about Tuesday?" in phone.heard, "the callee did not hear it to the end"
    phone.say("fine")
    assert phone.heard.endswith("Wonderful, see you then. Goodbye.")
    exchange.pass_time(15)
    assert phone.is_ended


def test_a_session_whose_end_nobody_can_be_told_is_ended_by_the_carrier(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.sockets.gone.add(phone.connection_id)
    exchange.pass_time(10)
    assert {"end": phone.carrier_call_id} in exchange.world.carrier.commands


def test_a_carrier_that_does_not_end_the_call_after_its_session_is_asked_to(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.pass_time(30)
    assert exchange.world.carrier.commands == [{"end": phone.carrier_call_id}]


def test_a_call_that_ended_by_its_conversation_says_why(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.pass_time(9)
    exchange.world.live_through(phone.call, "completed", duration=12)
    assert phone.call.ended_reason == "assistant_ended"
    exchange.pass_time(30)


# ---- machines -------------------------------------------------------------------------------------------------------


def a_verdict(phone: Phone, answered_by: str) -> dict[str, Any]:
    ids = {"organization_id": phone.call.organization_id, "call_id": phone.call_id}
    return {"kind": "machine", "answered_by": answered_by, **ids}


def test_a_machine_is_hung_up_on_when_the_assistant_is_set_so(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED, on_machine="hang_up", machine_detection=True).answer()
    exchange.run_task(a_verdict(phone, "machine"))
    exchange.run_task(a_verdict(phone, "machine"))
    exchange.pass_time(6)
    assert phone.is_ended
    assert phone.conversation.end_reason == "voicemail"


def test_a_message_is_left_after_the_beep_and_noted_when_it_was_played(exchange: Exchange) -> None:
    settings = {"on_machine": "leave_message", "voicemail_message": "Please call us back.", "machine_detection": True}
    phone = exchange.phone(**SCRIPTED, **settings).answer()
    exchange.run_task(a_verdict(phone, "machine"))
    phone.say("you have reached the mailbox of")
    assert phone.heard == "", "its greeting is not over"
    exchange.run_task(a_verdict(phone, "machine_beep"))
    exchange.run_task(a_verdict(phone, "machine_beep"))
    assert phone.heard == "Please call us back."
    assert phone.conversation.voicemail_played_at is None
    exchange.pass_time(8)
    assert phone.is_ended
    assert phone.conversation.voicemail_played_at is not None


def test_a_beep_that_nobody_reports_is_waited_for_so_long(exchange: Exchange) -> None:
    settings = {"on_machine": "leave_message", "voicemail_message": "Please call us back.", "machine_detection": True}
    phone = exchange.phone(**SCRIPTED, **settings).answer()
    exchange.run_task(a_verdict(phone, "machine"))
    exchange.pass_time(25)
    assert phone.heard == "Please call us back."


def test_a_message_that_was_cut_off_is_not_noted_as_played(exchange: Exchange) -> None:
    settings = {"on_machine": "leave_message", "voicemail_message": "Please call us back.", "machine_detection": True}
    phone = exchange.phone(**SCRIPTED, **settings).answer()
    exchange.run_task(a_verdict(phone, "machine_beep"))
    phone.hang_up()
    exchange.world.live_through(phone.call, "completed", duration=4)
    exchange.pass_time(30)
    assert phone.conversation.voicemail_sent_at is not None
    assert phone.conversation.voicemail_played_at is None


@pytest.mark.parametrize("verdict", ["human", "unknown"])
def test_a_human_is_talked_with(exchange: Exchange, verdict: str) -> None:
    phone = exchange.phone(**SCRIPTED, on_machine="hang_up", machine_detection=True).answer()
    exchange.run_task(a_verdict(phone, verdict))
    phone.say("no")
    assert phone.heard == "What about Tuesday?"


# ---- afterwards -----------------------------------------------------------------------------------------------------


def test_what_was_said_is_analyzed_once_and_kept_for_its_time(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    exchange.pass_time(9)
    exchange.world.live_through(phone.call, "completed", duration=12)
    assert phone.analyze() == "analyzed"
    conversation = phone.conversation
    assert conversation.summary
    assert conversation.expires_at is not None
    assert phone.analyze() == "analyzed"
    assert phone.conversation == conversation


def test_a_call_on_which_nobody_spoke_has_nothing_to_be_analyzed(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.hang_up()
    exchange.world.live_through(phone.call, "completed", duration=12)
    assert phone.analyze() == "nothing_said"
    assert phone.conversation.summary is None


def test_a_model_that_cannot_analyze_leaves_the_transcript(exchange: Exchange) -> None:
    phone = exchange.phone(**SCRIPTED).answer()
    phone.say("yes")
    with exchange.with_model(Spoken([ModelFailed("HTTP 500")])):
        assert phone.analyze() == "model_failed"
    assert phone.conversation.summary is None
    assert len(phone.transcript) == 3
