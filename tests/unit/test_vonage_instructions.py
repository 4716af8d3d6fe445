"""NCCOs: Vonage's SDK accepts every action, and nothing a customer writes becomes one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vonage_voice.models import Connect, Talk, Wait
from vonage_voice.models.ncco import NccoAction

from dialplane.carriers.vonage.instructions import TEXT_LENGTH_MAX, hang_up, render, talk
from dialplane.domain.instructions import Instructions

SDK_ACTIONS: dict[str, type[NccoAction]] = {"connect": Connect, "talk": Talk, "wait": Wait}


def say(welcome: str = "Hello.", **changes: Any) -> Instructions:
    return Instructions(engine="say", welcome_message=welcome, **changes)


def actions_of(instructions: Instructions) -> list[dict[str, Any]]:
    document = render(instructions)
    assert document.content_type == "application/json"
    actions: list[dict[str, Any]] = json.loads(document.text)
    return actions


def through_the_sdk(action: dict[str, Any]) -> dict[str, Any]:
    """The action as the SDK's model of it would send it."""
    stated = dict(action)
    if stated["action"] == "connect":
        # The SDK wants a caller number for every connect; Vonage documents it as optional, and a websocket has no use
        # for one. Ours is put in and taken out again.
        stated.setdefault("from", "15551234567")
        endpoint = dict(stated["endpoint"][0])
        endpoint["contentType"] = endpoint.pop("content-type")
        stated = {**stated, "from_": stated.pop("from"), "endpoint": [endpoint]}
    model = SDK_ACTIONS[stated["action"]].model_validate(stated, strict=False)
    sent: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "from" not in action:
        sent.pop("from", None)
    return sent


@pytest.mark.parametrize(
    "instructions",
    [
        say(),
        say(goodbye_message="Bye."),
        say(goodbye_message="Bye.", language="de-DE", voice="11"),
        say(language="en-US", voice="2-premium"),
        say("A sentence. " * 500, language="en-GB", voice="Polly.Joanna"),
        Instructions(engine="stream", welcome_message="", url="wss://media.test/s", parameters={"call_id": "call_1"}),
        Instructions(engine="stream", welcome_message="", url="wss://media.test/s"),
    ],
)
def test_sdk_sends_every_action_as_we_do(instructions: Instructions) -> None:
    for action in actions_of(instructions):
        assert through_the_sdk(action) == action


def test_say_speaks_pauses_and_says_goodbye() -> None:
    voice = {"language": "de-DE", "style": 11, "premium": True}
    assert actions_of(say("Guten Tag.", goodbye_message="Auf Wiederhören.", language="de-DE", voice="11-premium")) == [
        {"action": "talk", "text": "Guten Tag.", **voice},
        {"action": "wait", "timeout": 1},
        {"action": "talk", "text": "Auf Wiederhören.", **voice},
    ]


@pytest.mark.parametrize("voice", [None, "", "Polly.Joanna", "1234", "premium", "11-PREMIUM", "-1"])
def test_voice_of_another_carrier_is_left_out(voice: str | None) -> None:
    assert actions_of(say(voice=voice))[0] == {"action": "talk", "text": "Hello."}


def test_stream_hands_the_audio_to_the_media_server_with_its_parameters() -> None:
    instructions = Instructions(
        engine="stream", welcome_message="Hi", url="wss://media.test/socket", parameters={"call_id": "call_1"}
    )
    assert actions_of(instructions) == [
        {
            "action": "connect",
            "endpoint": [
                {
                    "type": "websocket",
                    "uri": "wss://media.test/socket",
                    "content-type": "audio/l16;rate=16000",
                    "headers": {"call_id": "call_1"},
                }
            ],
        }
    ]


@pytest.mark.parametrize("engine", ["relay", "agent"])
def test_other_engines_have_no_words(engine: Any) -> None:
    with pytest.raises(ValueError, match=engine):
        render(Instructions(engine=engine, welcome_message="Hi", url="wss://media.test/socket"))


def test_stream_without_a_url_is_an_error() -> None:
    with pytest.raises(ValueError, match="url"):
        render(Instructions(engine="stream", welcome_message="Hi"))


def test_no_action_left_ends_the_call() -> None:
    assert (hang_up().content_type, hang_up().text) == ("application/json", "[]")


def test_nothing_to_say_is_not_an_empty_talk() -> None:
    assert [action["action"] for action in actions_of(say("  ", goodbye_message="\x00"))] == ["wait"]


def texts(text: str) -> list[str]:
    return [action["text"] for action in talk(text)]


def test_long_text_is_cut_at_the_last_sentence_that_fits() -> None:
    sentence = "This is a sentence of some length, and it ends here. "
    pieces = texts(sentence * 60)
    assert len(pieces) == 3
    assert all(piece.endswith("ends here.") and len(piece) > TEXT_LENGTH_MAX - len(sentence) for piece in pieces[:-1])
    assert " ".join(pieces) == (sentence * 60).strip()


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("x" * 1500, [1500]),
        ("x" * 1501, [1500, 1]),
        ("x" * 1499 + ". y", [1500, 1]),
        ("x" * 1500 + ". y", [1500, 3]),
        ("x" * 1500 + " y", [1500, 1]),
        ("あ" * 999 + "。" + "い" * 999 + "。", [1000, 1000]),
        ("word " * 400, [1499, 499]),
        ("a! " + "x" * 1500, [2, 1500]),
        ("a! " + "x" * 1496 + ". y", [1500, 1]),
    ],
)
def test_pieces_at_the_borders(text: str, lengths: list[int]) -> None:
    assert [len(piece) for piece in texts(text)] == lengths


@given(st.text(alphabet="ab. !?。\n\u00e9\U0001f600", max_size=6000))
def test_no_piece_is_too_long_or_empty_and_nothing_but_spaces_is_lost(text: str) -> None:
    pieces = texts(text)
    assert all(0 < len(piece) <= TEXT_LENGTH_MAX for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "<speak>Hi</speak>",
        "< SPEAK >Hi</ Speak>",
        "<speak><break time='9s'/></speak>",
        "<<speak>Hi<</speak>",
        "<< < /<speak>Hi</</speak>",
        "<\x00speak>Hi<\x00/speak>",
    ],
)
def test_text_is_never_read_as_markup(text: str) -> None:
    spoken = texts(text)[0].lower().replace(" ", "")
    assert "<speak" not in spoken
    assert "</speak" not in spoken


@given(
    st.text(max_size=300), st.text(max_size=30), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3)
)
def test_nothing_written_becomes_an_action_and_every_document_is_ascii(
    text: str, voice: str, parameters: dict[str, str]
) -> None:
    spoken = render(say(text, goodbye_message=text, voice=voice))
    assert {action["action"] for action in json.loads(spoken.text)} <= {"talk", "wait"}
    stream = render(
        Instructions(engine="stream", welcome_message=text, url="wss://m.test/" + text, parameters=parameters)
    )
    assert [action["action"] for action in json.loads(stream.text)] == ["connect"]
    assert spoken.text.isascii()
    assert stream.text.isascii()


@pytest.mark.parametrize("half", [0xD800, 0xDFFF])
def test_half_a_character_does_not_spoil_the_document(half: int) -> None:
    spoken = render(say(f"Hello {chr(half)} there.")).text
    assert "\\ud" not in spoken.lower()
