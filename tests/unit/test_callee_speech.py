"""What a simulated callee has heard by when: utterances follow one another, and a cut leaves whole words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.carriers.speech import (
    AUDIO_SECONDS,
    CHARACTERS_PER_SECOND,
    KEYS,
    SPEECH,
    STARTS_AFTER_SECONDS,
    Playback,
    speaking_seconds,
)

ANY = frozenset({SPEECH, KEYS})
NONE: frozenset[str] = frozenset()
TEXT = "Hello there, this is a reminder."


def spoken(*tokens: str, cut_by: frozenset[str] = ANY, at: float = 0.0, playback: Playback | None = None) -> Playback:
    """A playback that was given these tokens, the last of which is the last."""
    playback = playback or Playback()
    for index, token in enumerate(tokens):
        playback.add(token, at=at, cut_by=cut_by, is_last=index == len(tokens) - 1)
    return playback


def after(characters: float) -> float:
    """The moment at which so many characters of a text that came at 0 were heard."""
    return STARTS_AFTER_SECONDS + characters / CHARACTERS_PER_SECOND


def test_an_utterance_is_heard_once_it_was_spoken() -> None:
    playback = spoken(TEXT)
    end = after(len(TEXT))
    assert playback.advance(end - 0.01) == []
    (heard,) = playback.advance(end)
    assert heard.text == TEXT
    assert (playback.current, playback.ends_at) == (None, None)


def test_utterances_wait_for_one_another() -> None:
    playback = spoken("Good morning.", playback=spoken(TEXT))
    assert [each.text for each in playback.advance(after(len(TEXT)))] == [TEXT]
    assert [each.text for each in playback.advance(60)] == ["Good morning."]


def test_tokens_of_any_size_make_one_utterance() -> None:
    playback = spoken("Hel", "lo the", "re, ", "", "this is a", " reminder.", "")
    (heard,) = playback.advance(60)
    assert heard.text == TEXT


def test_an_utterance_that_may_go_on_is_not_over() -> None:
    playback = Playback()
    playback.add("Hello", at=0, cut_by=ANY, is_last=False)
    assert playback.advance(60) == []
    assert (playback.is_hesitating, playback.is_speaking(60)) == (True, False)
    playback.add(" there", at=60, cut_by=ANY, is_last=True)
    assert playback.advance(60 + speaking_seconds(" there") - 0.01) == []
    assert [each.text for each in playback.advance(60 + speaking_seconds(" there"))] == ["Hello there"]


def test_a_last_token_without_text_says_nothing() -> None:
    playback = spoken("")
    assert (playback.current, playback.is_hesitating) == (None, False)


def test_an_interruption_leaves_whole_words_and_drops_what_waits() -> None:
    playback = spoken("And more.", playback=spoken(TEXT))
    cut = playback.interrupt(after(14), SPEECH)
    assert cut is not None
    assert (cut.heard, cut.unheard) == ("Hello there,", "this is a reminder.")
    assert cut.duration_ms == round(14 / CHARACTERS_PER_SECOND * 1000)
    assert playback.advance(60) == []


@pytest.mark.parametrize(("cut_by", "by"), [(NONE, SPEECH), ({KEYS}, SPEECH), ({SPEECH}, KEYS)])
def test_what_cannot_be_interrupted_by_it_is_spoken_to_the_end(cut_by: frozenset[str], by: str) -> None:
    playback = spoken(TEXT, cut_by=frozenset(cut_by))
    assert playback.interrupt(1, by) is None
    assert [each.text for each in playback.advance(60)] == [TEXT]


def test_what_cannot_be_interrupted_is_spoken_next_when_it_waited_behind() -> None:
    playback = spoken("You will not be called again.", cut_by=NONE, playback=spoken(TEXT))
    assert playback.interrupt(1, SPEECH) is not None
    assert [each.text for each in playback.advance(60)] == ["You will not be called again."]


def test_nothing_is_interrupted_when_nobody_speaks() -> None:
    assert Playback().interrupt(1, SPEECH) is None
    assert spoken(TEXT).interrupt(60, SPEECH) is None


def test_a_recording_is_heard_whole_or_not() -> None:
    playback = Playback()
    playback.add_audio("https://e.test/a.mp3", at=0, cut_by=ANY)
    cut = playback.interrupt(AUDIO_SECONDS - 1, SPEECH)
    assert cut is not None
    assert (cut.heard, cut.unheard) == ("", "[audio https://e.test/a.mp3]")


def test_the_end_of_the_line_cuts_everything_that_was_to_be_spoken() -> None:
    playback = spoken("And more.", playback=spoken(TEXT, cut_by=NONE))
    assert [(cut.heard, cut.unheard) for cut in playback.end(after(6))] == [
        ("Hello", "there, this is a reminder."),
        ("", "And more."),
    ]


@given(
    st.lists(st.text(alphabet="ab \n.", max_size=9), min_size=1, max_size=8),
    st.floats(0, 30),
)
def test_what_was_heard_is_the_beginning_of_what_was_said_in_whole_words(tokens: list[str], at: float) -> None:
    playback = spoken(*tokens)
    current, text = playback.current, "".join(tokens)
    if current is None:
        return
    heard = current.heard(at)
    assert text.startswith(heard)
    assert text.split()[: len(heard.split())] == heard.split()


@given(st.lists(st.text(alphabet="ab ", max_size=9), min_size=1, max_size=8), st.integers(1, 12))
def test_when_a_word_is_heard_it_and_none_after_it_was(tokens: list[str], words: int) -> None:
    current = spoken(*tokens).current
    moment = current.when_heard(words) if current is not None else None
    if current is None or moment is None:
        assert len("".join(tokens).split()) < words
    else:
        assert len(current.heard(moment).split()) == words
