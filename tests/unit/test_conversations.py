"""What was heard of a conversation, and what is due of it when nobody says anything."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dialplane.domain.conversation_settings import ConversationSettings, EndReason
from dialplane.domain.conversations import (
    OVERDUE,
    RECONNECT_WINDOW,
    SETUP_WINDOW,
    Conversation,
    Due,
    Entry,
    EntryKind,
    Look,
    ends_call,
    look,
    speech_ends,
    speech_time,
    transcript,
)

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SETTINGS = ConversationSettings(first_message="Hello.", silence_timeout_seconds=10, silence_prompts=1)
CONVERSATION = Conversation(
    "org_1", "call_1", SETTINGS, started_at=AT, connection_id="c1", carrier_call_id="CA1", turn=1
)


def said(text: str, turn: int) -> Entry:
    return Entry(EntryKind.ASSISTANT, AT, text, turn=turn)


def heard(text: str, turn: int) -> Entry:
    return Entry(EntryKind.INTERRUPTION, AT, text, turn=turn)


def callee(text: str) -> Entry:
    return Entry(EntryKind.CALLEE, AT, text)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


# ---- transcripts ----------------------------------------------------------------------------------------------------


def test_a_transcript_has_what_was_heard_in_whatever_order_it_was_written() -> None:
    """Who is cut off writes what was sent when it notices, before or after the interruption is written."""
    pieces = [said("One two three four.", 2), heard("One two", 2)]
    for order in itertools.permutations(pieces):
        lines = transcript([callee("hm?"), *order])
        assert [(line.speaker, line.text, line.is_interrupted) for line in lines] == [
            ("callee", "hm?", False),
            ("assistant", "One two", True),
        ]


def test_an_interruption_cuts_its_own_turn_and_no_other() -> None:
    lines = transcript([said("Hello.", 1), callee("hi"), said("How are you?", 2), heard("How", 2), said("Fine.", 4)])
    assert [line.text for line in lines] == ["Hello.", "hi", "How", "Fine."]


def test_words_that_were_never_heard_are_in_no_transcript() -> None:
    assert transcript([said("Hello.", 1), heard("", 1)]) == ()


def test_notes_and_tools_are_in_no_transcript() -> None:
    entries = [Entry(EntryKind.CONTEXT, AT, "vip"), Entry(EntryKind.TOOL, AT, "ok", tool="x"), callee("hi")]
    assert [line.text for line in transcript(entries)] == ["hi"]


# ---- speaking -------------------------------------------------------------------------------------------------------


def test_speaking_takes_longer_the_more_is_said_and_nothing_takes_no_time() -> None:
    assert speech_time(" ") == timedelta()
    assert timedelta(seconds=2) < speech_time("Hello, how are you today?") < timedelta(seconds=5)
    assert speech_time("Hello. Hello.") > speech_time("Hello hello ")


def test_what_is_sent_while_something_is_spoken_is_spoken_after_it() -> None:
    speaking = replace(CONVERSATION, speech_ends_at=later(4))
    assert speech_ends(speaking, "Hello.", now=AT) == later(4) + speech_time("Hello.")
    assert speech_ends(CONVERSATION, "Hello.", now=AT) == AT + speech_time("Hello.")


# ---- phrases that end a call ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Not interested!", "well, NOT  interested.", "I'm not interested thank you"])
def test_a_phrase_ends_the_call_however_it_is_written(text: str) -> None:
    assert ends_call(text, ["not interested"])


@pytest.mark.parametrize("text", ["interested", "I am not disinterested", "not very interested", "", "…"])
def test_half_a_phrase_does_not(text: str) -> None:
    assert not ends_call(text, ["not interested", "", "!"])


# ---- what is due ----------------------------------------------------------------------------------------------------


def test_a_silent_callee_is_asked_and_then_left() -> None:
    spoken = replace(CONVERSATION, speech_ends_at=later(3))
    assert look(spoken, now=later(12.9)) == Look(Due.LATER, later(13))
    assert look(spoken, now=later(13)).due is Due.ASK_WHETHER_THERE
    assert look(replace(spoken, silences=1), now=later(13)).due is Due.END_FOR_SILENCE


def test_silence_begins_when_the_last_of_both_has_stopped_speaking() -> None:
    assert look(replace(CONVERSATION, last_heard_at=later(5)), now=later(14)) == Look(Due.LATER, later(15))
    both = replace(CONVERSATION, last_heard_at=later(5), speech_ends_at=later(9))
    assert look(both, now=later(14)) == Look(Due.LATER, later(19))


def test_while_an_answer_is_owed_nobody_is_asked_whether_they_are_there() -> None:
    owed = replace(CONVERSATION, owed_since=later(1), last_heard_at=later(1))
    assert look(owed, now=later(20)) == Look(Due.LATER, later(1) + OVERDUE)
    assert look(owed, now=later(1) + OVERDUE).due is Due.APOLOGIZE


def test_a_conversation_ends_when_its_last_words_were_spoken() -> None:
    ending = replace(CONVERSATION, ends_at=later(5), end_reason=EndReason.ASSISTANT, owed_since=AT)
    assert look(ending, now=later(4)) == Look(Due.LATER, later(5))
    assert look(ending, now=later(5)).due is Due.END


def test_a_connection_that_does_not_come_back_is_given_up() -> None:
    lost = replace(CONVERSATION, connection_id=None, disconnected_at=later(5))
    assert look(lost, now=later(6)) == Look(Due.LATER, later(5) + RECONNECT_WINDOW)
    assert look(lost, now=later(5) + RECONNECT_WINDOW).due is Due.HANG_UP


def test_a_connection_over_which_nothing_comes_is_given_up_and_nobody_is_asked_meanwhile() -> None:
    waiting = replace(CONVERSATION, carrier_call_id=None, turn=0)
    assert look(waiting, now=later(15)) == Look(Due.LATER, AT + SETUP_WINDOW)
    assert look(waiting, now=AT + SETUP_WINDOW).due is Due.HANG_UP
    assert look(replace(waiting, turn=1), now=later(15)).due is Due.ASK_WHETHER_THERE, "words have overtaken it"


def test_last_words_that_nobody_can_hear_any_more_do_not_wait_for_a_reconnect() -> None:
    lost = replace(CONVERSATION, connection_id=None, disconnected_at=later(5), ends_at=later(4))
    assert look(lost, now=later(6)).due is Due.END


def test_nothing_is_due_of_a_conversation_that_has_ended() -> None:
    over = replace(CONVERSATION, ended_at=later(5), ends_at=later(4), owed_since=AT, disconnected_at=later(6))
    assert look(over, now=later(1000)) == Look(Due.NOTHING)
