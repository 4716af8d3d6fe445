"""TwiML: well-formed whatever customers write, and never a verb of theirs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.carriers.twilio.instructions import hang_up, render
from dialplane.domain.instructions import Engine, Instructions

ALLOWED = {"Response", "Connect", "ConversationRelay", "Stream", "Parameter", "Say", "Pause", "Hangup"}
# Surrogates, control characters and markup on purpose: what no XML document may hold.
TEXT = (
    st.text()
    | st.text(st.characters(codec=None))
    | st.sampled_from(["<Dial>+1900</Dial>", '"/><Redirect>', "\x00", "]]>"])
)


def test_relay_connects_the_conversation_with_its_words_and_parameters() -> None:
    document = render(
        Instructions(
            engine="relay",
            url="wss://relay.example.test/ws",
            welcome_message="Hello & welcome",
            voice="UgBBYS2sOqTuMpoF3BR0",
            language="en-US",
            parameters={"call_id": "call_1"},
        )
    ).text
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?><Response><Connect>'
        '<ConversationRelay language="en-US" url="wss://relay.example.test/ws" voice="UgBBYS2sOqTuMpoF3BR0"'
        ' welcomeGreeting="Hello &amp; welcome"><Parameter name="call_id" value="call_1" /></ConversationRelay>'
        "</Connect></Response>"
    )


CONVERSATION = Instructions(
    engine="conversation",
    url="wss://talk.example.test/live?call=org_1.twilio.acct_1.call_1.token",
    welcome_message="Hello, this is an automated assistant.",
    is_welcome_interruptible=False,
    language="en-US",
    parameters={"call_id": "call_1"},
)
ACTION = "https://calls.example.test/twiml/twilio/org_1/acct_1/call_1"


def test_a_conversation_opens_our_own_socket_and_asks_again_when_it_is_over() -> None:
    assert render(CONVERSATION, action_url=ACTION).text == (
        f'<?xml version="1.0" encoding="UTF-8"?><Response><Connect action="{ACTION}">'
        '<ConversationRelay dtmfDetection="true" interruptible="any" language="en-US"'
        ' reportInputDuringAgentSpeech="any" url="wss://talk.example.test/live?call=org_1.twilio.acct_1.call_1.token"'
        ' welcomeGreeting="Hello, this is an automated assistant." welcomeGreetingInterruptible="none">'
        '<Parameter name="call_id" value="call_1" /></ConversationRelay></Connect></Response>'
    )


def test_only_a_disclosure_cannot_be_interrupted_and_a_resumed_conversation_greets_nobody() -> None:
    greeted = render(replace(CONVERSATION, is_welcome_interruptible=True)).text
    resumed = render(replace(CONVERSATION, welcome_message="")).text

    assert 'welcomeGreetingInterruptible="any"' in greeted
    assert "welcomeGreeting=" not in resumed


@pytest.mark.parametrize("engine", ["relay", "stream", "say"])
def test_nobody_elses_engine_comes_back_to_us(engine: Engine) -> None:
    instructions = Instructions(engine=engine, url="wss://m.test/x", welcome_message="Hi")
    assert render(instructions, action_url=ACTION) == render(instructions)


def test_stream_connects_the_media_server() -> None:
    document = render(
        Instructions(engine="stream", url="wss://m.test/x", welcome_message="", parameters={"a": ""})
    ).text
    assert document.endswith(
        '<Connect><Stream url="wss://m.test/x"><Parameter name="a" value="" /></Stream></Connect></Response>'
    )


def test_say_speaks_and_hangs_up() -> None:
    spoken = Instructions(
        engine="say", welcome_message="Hi", goodbye_message="Bye", voice="Polly.Amy", language="en-GB"
    )
    assert render(spoken).text.endswith(
        '<Response><Say language="en-GB" voice="Polly.Amy">Hi</Say><Pause />'
        '<Say language="en-GB" voice="Polly.Amy">Bye</Say><Hangup /></Response>'
    )
    assert render(Instructions(engine="say", welcome_message="Hi")).text.endswith(
        "<Response><Say>Hi</Say><Pause /><Hangup /></Response>"
    )


def test_hang_up_only_hangs_up() -> None:
    assert hang_up().text.endswith("<Response><Hangup /></Response>")


@pytest.mark.parametrize("engine", ["relay", "stream", "conversation"])
def test_engine_without_its_url_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="need a url"):
        render(Instructions(engine=engine, welcome_message="Hi"))


def test_an_agent_of_another_carrier_has_no_words_here() -> None:
    with pytest.raises(ValueError, match="agent"):
        render(Instructions(engine="agent", welcome_message="Hi", agent_id="agent_1"))


def test_what_is_served_is_xml() -> None:
    served = (render(Instructions(engine="say", welcome_message="Hi")), hang_up())
    assert {document.content_type for document in served} == {"text/xml; charset=utf-8"}


@given(
    engine=st.sampled_from(["relay", "stream", "say", "conversation"]),
    url=TEXT.map(lambda text: f"wss://relay.test/{text}"),
    welcome=TEXT,
    goodbye=st.none() | TEXT,
    voice=st.none() | TEXT,
    language=st.none() | TEXT,
    parameters=st.dictionaries(TEXT, TEXT, max_size=4),
)
def test_any_text_gives_a_document_of_the_allowed_verbs_only(
    *,
    engine: Engine,
    url: str,
    welcome: str,
    goodbye: str | None,
    voice: str | None,
    language: str | None,
    parameters: dict[str, str],
) -> None:
    document = render(
        Instructions(
            engine=engine,
            url=url,
            welcome_message=welcome,
            goodbye_message=goodbye,
            voice=voice,
            language=language,
            parameters=parameters,
        )
    ).text
    root = ET.fromstring(document.encode())  # noqa: S314 - our own document
    assert {element.tag for element in root.iter()} <= ALLOWED
    assert len(root) <= 4


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1))
def test_clean_text_arrives_unchanged(text: str) -> None:
    document = render(
        Instructions(engine="relay", url="wss://r.test/", welcome_message=text, parameters={"v": text})
    ).text
    relay = ET.fromstring(document.encode())[0][0]  # noqa: S314
    assert relay.get("welcomeGreeting") == text
    assert relay[0].get("value") == text
