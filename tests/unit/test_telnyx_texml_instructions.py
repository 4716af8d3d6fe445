"""TeXML documents: nothing in them that Telnyx does not know."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dialplane.carriers.telnyx_texml.instructions import hang_up, render
from dialplane.carriers.twilio import instructions as twiml
from dialplane.domain.instructions import Engine, Instructions

# https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs, as far as we use it.
KNOWN = {
    "Response": set(),
    "Connect": {"action"},
    "ConversationRelay": {
        "url", "welcomeGreeting", "voice", "language", "transcriptionProvider", "interruptible",
        "welcomeGreetingInterruptible", "dtmfDetection",
    },
    "Stream": {"url", "track", "name", "codec", "bidirectionalMode", "bidirectionalCodec"},
    "Parameter": {"name", "value"},
    "Say": {"voice", "language", "loop"},
    "Pause": {"length"},
    "Hangup": set(),
    "Dial": {"callerId", "timeout", "action", "method"},
    "Number": set(),
}  # fmt: skip


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 - our own


def instructions(engine: Engine, *, url: str | None = "wss://engine.test/ws") -> Instructions:
    return Instructions(
        engine=engine,
        welcome_message="Tom & <Ann>",
        goodbye_message="Bye",
        url=url,
        voice="Polly.Joanna",
        language="en-US",
        parameters={"call_id": "call_1", "agenda": '"&'},
    )


@pytest.mark.parametrize("engine", ["relay", "stream", "say", "conversation"])
def test_telnyx_knows_every_verb_and_attribute(engine: Engine) -> None:
    documents = [render(instructions(engine), action_url="https://calls.example.test/twiml"), hang_up()]
    documents.append(twiml.transfer("+15550001111", caller_number="+15551234567", message="One moment"))
    for document in documents:
        assert document.content_type.startswith("text/xml")
        for element in parsed(document.text).iter():
            assert element.tag in KNOWN
            assert set(element.attrib) <= KNOWN[element.tag]


def test_a_stream_carries_sound_both_ways_and_its_parameters() -> None:
    stream = parsed(render(instructions("stream")).text).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {"url": "wss://engine.test/ws", "bidirectionalMode": "rtp"}
    assert {each.get("name"): each.get("value") for each in stream} == {"call_id": "call_1", "agenda": '"&'}


def test_a_conversation_opens_our_own_socket_and_asks_again_when_it_is_over() -> None:
    document = parsed(render(instructions("conversation"), action_url="https://calls.example.test/twiml").text)
    connect, noun = document.find("Connect"), document.find("Connect/ConversationRelay")
    assert connect is not None
    assert noun is not None
    assert connect.attrib == {"action": "https://calls.example.test/twiml"}
    assert noun.attrib == {
        "url": "wss://engine.test/ws",
        "welcomeGreeting": "Tom & <Ann>",
        "welcomeGreetingInterruptible": "any",
        "interruptible": "any",
        "dtmfDetection": "true",
        "voice": "AWS.Polly.Joanna",
        "language": "en-US",
    }


def test_only_streams_differ_from_twilios_documents() -> None:
    for engine in ("relay", "say"):
        assert render(instructions(engine)) == twiml.render(instructions(engine))
    assert "bidirectionalMode" not in twiml.render(instructions("stream")).text


def test_an_engine_without_words_is_an_error() -> None:
    for unusable in (instructions("agent"), instructions("relay", url=None)):
        with pytest.raises(ValueError, match=unusable.engine):
            render(unusable)
