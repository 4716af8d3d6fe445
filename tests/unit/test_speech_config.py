"""Customers' words about speech: whatever they wrote, only what has the form it must have is passed on."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.carriers.speech_config import HINT_LENGTH_MAX, HINTS_MAX, speech_config_of
from dialplane.carriers.telnyx.instructions import dial_fields
from dialplane.carriers.telnyx_texml.instructions import render as render_texml
from dialplane.carriers.twilio.instructions import render as render_twiml
from dialplane.domain.instructions import Instructions

# As a customer of the control plane whose format has `stt_config` and `tts_config` writes them.
STT = {"provider": "deepgram", "model": "nova-3-general", "language": "en-US", "keywords": ["Dialplane:3", "Okonkwo"]}
TTS = {"provider": "ElevenLabs", "voice_id": "UgBBYS2sOqTuMpoF3BR0", "model": "eleven_flash_v2_5", "speed": 1.1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("provider", "model", "language", "hints", "keywords", "voice", "voice_id", "api_key_ref")
CONFIGS = st.none() | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=6)


def conversation(
    stt: Any = None, tts: Any = None, voice: str | None = None, language: str | None = None
) -> Instructions:
    return Instructions(
        engine="conversation",
        welcome_message="Hello.",
        url="wss://talk.test/live?call=a.b.c.d.e",
        voice=voice,
        language=language,
        stt_config=stt,
        tts_config=tts,
    )


def twilio(stt: Any = None, tts: Any = None, **assistant: str) -> dict[str, str]:
    """What Twilio is told about hearing and speaking, as attributes."""
    return relay(render_twiml(conversation(stt, tts, **assistant)).text)


def texml(stt: Any = None, tts: Any = None, **assistant: str) -> dict[str, str]:
    return relay(render_texml(conversation(stt, tts, **assistant)).text)


def relay(document: str) -> dict[str, str]:
    noun = ElementTree.fromstring(document).find("Connect/ConversationRelay")  # noqa: S314 - our own document
    assert noun is not None
    always = {"url", "welcomeGreeting", "welcomeGreetingInterruptible", "interruptible", "dtmfDetection"}
    return {name: value for name, value in noun.attrib.items() if name not in {*always, "reportInputDuringAgentSpeech"}}


def telnyx(stt: Any = None, tts: Any = None, **assistant: str) -> dict[str, Any]:
    config = dial_fields(conversation(stt, tts, **assistant))["conversation_relay_config"]
    always = {"url", "greeting", "interruptible", "interruptible_greeting", "dtmf_detection"}
    return {name: value for name, value in config.items() if name not in always}


# ---- what is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("Deepgram", "deepgram"),
        ("11labs", "elevenlabs"),
        ("eleven-labs", "elevenlabs"),
        ("Google Cloud", "google"),
        ("AWS", "amazon"),
        ("polly", "amazon"),
        ("microsoft", "azure"),
        ("brand-new", "brand_new"),
        ("", None),
        (7, None),
        ("<script>", None),
    ],
)
def test_a_provider_has_one_name(given: Any, known: str | None) -> None:
    assert speech_config_of(conversation({"provider": given}, {"provider": given})).stt_provider == known
    assert speech_config_of(conversation({"provider": given}, {"provider": given})).voices[0].provider == known


@pytest.mark.parametrize(
    ("config", "hints"),
    [
        ({"hints": ["Okonkwo", "Dialplane"]}, ("Okonkwo", "Dialplane")),
        ({"keywords": ["Okonkwo:5", "a b:-1.5"]}, ("Okonkwo", "a b")),
        ({"keyterms": "Okonkwo, Dialplane ,,"}, ("Okonkwo", "Dialplane")),
        ({"hints": ["a,b", "", " ", 5, None, "a\tb", "x" * (HINT_LENGTH_MAX + 1), "ok", "ok"]}, ("ok",)),
        ({"hints": {"a": 1}}, ()),
        ({"hints": 5}, ()),
    ],
    ids=repr,
)
def test_hints_are_words_without_weight_and_without_commas(config: Any, hints: tuple[str, ...]) -> None:
    assert speech_config_of(conversation(config)).hints == hints


def test_hints_are_bounded() -> None:
    assert len(speech_config_of(conversation({"hints": [f"word{n}" for n in range(500)]})).hints) == HINTS_MAX


# ---- what carriers are told -----------------------------------------------------------------------------------------


def test_a_whole_configuration_in_every_carriers_words() -> None:
    assert twilio(STT, TTS, language="en-US") == {
        "language": "en-US",
        "ttsProvider": "ElevenLabs",
        "voice": "UgBBYS2sOqTuMpoF3BR0-flash_v2_5",
        "transcriptionProvider": "Deepgram",
        "speechModel": "nova-3-general",
        "hints": "Dialplane,Okonkwo",
    }
    assert telnyx(STT, {**TTS, "api_key_ref": "eleven"}, language="en-US") == {
        "language": "en-US",
        "voice": "ElevenLabs.eleven_flash_v2_5.UgBBYS2sOqTuMpoF3BR0",
        "voice_settings": {"type": "elevenlabs", "api_key_ref": "eleven"},
        "transcription_engine": "Deepgram",
        "transcription_engine_config": {
            "transcription_model": "deepgram/nova-3",
            "keyterms": ["Dialplane", "Okonkwo"],
        },
    }
    assert texml(STT, TTS, language="en-US") == {"language": "en-US", "transcriptionProvider": "deepgram"}


def test_without_a_configuration_the_assistants_own_voice_and_language_are_all() -> None:
    assert twilio(voice="abc", language="nl-NL") == {"voice": "abc", "language": "nl-NL"}
    assert telnyx(voice="Telnyx.Natural.abbie", language="nl") == {"voice": "Telnyx.Natural.abbie", "language": "nl"}
    assert texml(voice="Telnyx.Natural.abbie") == {"voice": "Telnyx.Natural.abbie"}
    assert (twilio(), telnyx(), texml()) == ({}, {}, {})


@pytest.mark.parametrize(
    ("tts", "attributes"),
    [
        ({"provider": "google", "voice": "en-US-Journey-D"}, {"ttsProvider": "Google", "voice": "en-US-Journey-D"}),
        ({"provider": "polly", "voice": "Joanna-Neural"}, {"ttsProvider": "Amazon", "voice": "Joanna-Neural"}),
        ({"provider": "elevenlabs", "voice": "v", "model": "eleven_v3"}, {"ttsProvider": "ElevenLabs", "voice": "v"}),
        ({"provider": "elevenlabs"}, {"ttsProvider": "ElevenLabs", "voice": "own"}),
        ({"voice_id": "v"}, {"voice": "v"}),
        # Twilio cannot speak with it, and would refuse the session for its voice.
        ({"provider": "openai", "voice": "alloy", "model": "tts-1"}, {"voice": "own"}),
        ({"voice": "v", "language": "fr-FR"}, {"voice": "v", "ttsLanguage": "fr-FR"}),
        ({"voice": "x\n"}, {"voice": "own"}),
        ({"voice": "Polly.Joanna-Neural"}, {"ttsProvider": "Amazon", "voice": "Joanna-Neural"}),
        ({"provider": "polly", "voice": "AWS.Polly.Joanna"}, {"ttsProvider": "Amazon", "voice": "Joanna"}),
        ({"voice": "ElevenLabs.BaseModel.John"}, {"ttsProvider": "ElevenLabs", "voice": "John"}),
        ({"voice": "Telnyx.NaturalHD.astra"}, {"voice": "own"}),
        ({"voice": "alice"}, {"voice": "own"}),
    ],
    ids=repr,
)
def test_twilio_is_told_of_voices_that_it_has(tts: Any, attributes: dict[str, str]) -> None:
    assert twilio(None, tts, voice="own", language="en-US") == {"language": "en-US", **attributes}


@pytest.mark.parametrize(
    ("own", "tts", "in_twilios_words", "in_telnyxs_words"),
    [
        ("Polly.Joanna-Neural", None, {"ttsProvider": "Amazon", "voice": "Joanna-Neural"}, "AWS.Polly.Joanna-Neural"),
        ("Google.en-US-Neural2-A", None, {"ttsProvider": "Google", "voice": "en-US-Neural2-A"}, None),
        ("Telnyx.Natural.abbie", None, {}, "Telnyx.Natural.abbie"),
        ("alice", None, {}, None),
        ("female", {"provider": "google"}, {"ttsProvider": "Google"}, None),
        ("Polly.Joanna", {"provider": "google"}, {"ttsProvider": "Google"}, "AWS.Polly.Joanna"),
        ("Polly.Amy", {"provider": "openai", "voice": "x"}, {"ttsProvider": "Amazon", "voice": "Amy"}, "AWS.Polly.Amy"),
    ],
    ids=repr,
)
def test_an_assistants_voice_may_be_named_as_for_plain_speech(
    own: str, tts: Any, in_twilios_words: dict[str, str], in_telnyxs_words: str | None
) -> None:
    """No conversation begins with a voice that the carrier does not have: Twilio would end it there and then."""
    assert twilio(None, tts, voice=own) == in_twilios_words
    voice = {"voice": in_telnyxs_words} if in_telnyxs_words else {}
    assert telnyx(None, tts, voice=own) == texml(None, tts, voice=own) == voice


@pytest.mark.parametrize(
    ("stt", "attributes"),
    [
        (
            {"provider": "deepgram", "model": "nova-3"},
            {"transcriptionProvider": "Deepgram", "speechModel": "nova-3-general"},
        ),
        ({"provider": "deepgram", "model": "flux"}, {"transcriptionProvider": "Deepgram", "speechModel": "flux"}),
        ({"provider": "google", "model": "telephony"}, {"transcriptionProvider": "Google", "speechModel": "telephony"}),
        ({"model": "telephony"}, {"speechModel": "telephony"}),
        ({"provider": "whisper", "model": "large-v3", "hints": ["a"]}, {"hints": "a"}),
        ({"language": "de-DE"}, {"transcriptionLanguage": "de-DE"}),
        ({"language": "en-US"}, {}),
        ({"language": "not a language"}, {}),
    ],
    ids=repr,
)
def test_twilio_is_told_of_recognition_that_it_has(stt: Any, attributes: dict[str, str]) -> None:
    assert twilio(stt, language="en-US") == {"language": "en-US", **attributes}


@pytest.mark.parametrize(
    ("tts", "fields"),
    [
        ({"provider": "telnyx", "voice": "astra", "model": "NaturalHD"}, {"voice": "Telnyx.NaturalHD.astra"}),
        ({"provider": "telnyx", "voice": "Telnyx.NaturalHD.astra"}, {"voice": "Telnyx.NaturalHD.astra"}),
        ({"provider": "telnyx", "voice": "astra"}, {"voice": "own"}),
        ({"provider": "aws", "voice": "Joanna-Neural"}, {"voice": "AWS.Polly.Joanna-Neural"}),
        ({"provider": "azure", "voice": "en-CA-ClaraNeural"}, {"voice": "Azure.en-CA-ClaraNeural"}),
        # Telnyx speaks with ElevenLabs only for who has given it a key of ElevenLabs'.
        ({"provider": "elevenlabs", "voice": "v"}, {"voice": "own"}),
        ({"provider": "google", "voice": "en-US-Journey-D"}, {"voice": "own"}),
        ({"voice": "AWS.Polly.Joanna"}, {"voice": "AWS.Polly.Joanna"}),
        ({"voice": "Polly.Joanna"}, {"voice": "AWS.Polly.Joanna"}),
        ({"voice": "Google.en-US-Journey-D"}, {"voice": "own"}),
        ({"voice": "woman"}, {"voice": "own"}),
        ({"voice": "Inworld.Mini.Loretta"}, {"voice": "Inworld.Mini.Loretta"}),
    ],
    ids=repr,
)
def test_telnyx_is_told_of_voices_by_its_own_names(tts: Any, fields: dict[str, Any]) -> None:
    assert telnyx(None, tts, voice="own") == fields
    assert texml(None, tts, voice="own") == fields


@pytest.mark.parametrize(
    ("stt", "fields"),
    [
        ({"provider": "deepgram"}, {"transcription_engine": "Deepgram"}),
        ({"provider": "deepgram", "hints": ["a"]}, {"transcription_engine": "Deepgram"}),
        (
            {"provider": "deepgram", "model": "nova-2", "hints": ["a"]},
            {
                "transcription_engine": "Deepgram",
                "transcription_engine_config": {"transcription_model": "deepgram/nova-2", "hints": ["a"]},
            },
        ),
        (
            {"provider": "google", "hints": ["a"]},
            {"transcription_engine": "Google", "transcription_engine_config": {"hints": ["a"]}},
        ),
        ({"provider": "assemblyai"}, {"transcription_engine": "AssemblyAI"}),
        ({"provider": "whisper", "model": "large-v3"}, {}),
        ({"language": "de"}, {"language": "de"}),
    ],
    ids=repr,
)
def test_telnyx_is_told_of_recognition_that_it_has(stt: Any, fields: dict[str, Any]) -> None:
    assert telnyx(stt) == fields


@given(stt=CONFIGS, tts=CONFIGS)
def test_whatever_a_customer_wrote_every_carrier_has_words(stt: Any, tts: Any) -> None:
    instructions = conversation(stt, tts)
    for document in (render_twiml(instructions), render_texml(instructions)):
        noun = ElementTree.fromstring(document.text.encode())[0][0]  # noqa: S314 - our own document
        assert (noun.tag, len(noun)) == ("ConversationRelay", 0)
    assert all(dial_fields(instructions)["conversation_relay_config"].values())
