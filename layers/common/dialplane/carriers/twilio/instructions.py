"""A call's instructions in Twilio's words: TwiML.

Nothing a customer writes can become a verb: texts and parameters end up in attributes and character data only.
https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from twilio.twiml.voice_response import VoiceResponse

from dialplane.carriers.contract import Document
from dialplane.carriers.speech_config import Voice, speech_config_of
from dialplane.domain.instructions import Instructions

_CONTENT_TYPE = "text/xml; charset=utf-8"

# Everything outside "Char" of XML 1.0: Twilio's builder escapes markup and lets these through, and then no parser
# accepts the document. https://www.w3.org/TR/xml/#charsets
# Named by what is not in it: the complement compiles ten times slower.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

# https://www.twilio.com/docs/voice/conversationrelay/voice-configuration
_TTS_PROVIDERS = {"amazon": "Amazon", "elevenlabs": "ElevenLabs", "google": "Google"}
_ELEVENLABS_MODELS = frozenset({"flash_v2", "flash_v2_5", "turbo_v2", "turbo_v2_5"})
_STT_PROVIDERS = {"deepgram": "Deepgram", "google": "Google"}
# Deepgram's short names of its general models.
_SPEECH_MODELS = {"nova-2": "nova-2-general", "nova-3": "nova-3-general"}

Attributes = Mapping[str, str | None]


def speech_attributes(instructions: Instructions) -> Attributes:
    """How a conversation is heard and spoken, as attributes of ``<ConversationRelay>``.

    What a provider that Twilio does not have would do is left to Twilio's own: a voice of one or a model of one would
    end the session before it began.
    """
    config = speech_config_of(instructions)
    spoken = next((each for each in config.voices if each.provider is None or each.provider in _TTS_PROVIDERS), Voice())
    voice, tts = spoken.name, _TTS_PROVIDERS.get(spoken.provider or "")
    if tts is not None and voice is not None:
        # A name of Telnyx's has the model before the voice.
        voice = voice.rpartition(".")[2]
        voice_model = (spoken.model or "").removeprefix("eleven_")
        voice = f"{voice}-{voice_model}" if tts == "ElevenLabs" and voice_model in _ELEVENLABS_MODELS else voice
    stt = _STT_PROVIDERS.get(config.stt_provider or "")
    model = config.stt_model if stt is not None or config.stt_provider is None else None
    language = instructions.language
    return {
        "language": language,
        "ttsLanguage": config.tts_language if config.tts_language != language else None,
        "transcriptionLanguage": config.stt_language if config.stt_language != language else None,
        "ttsProvider": tts,
        "voice": voice,
        "transcriptionProvider": stt,
        "speechModel": _SPEECH_MODELS.get(model, model) if model is not None else None,
        "hints": ",".join(config.hints),
        # What is said or pressed while the assistant may not be interrupted is told all the same: it may be an opt-out.
        "reportInputDuringAgentSpeech": "any",
    }


def render(
    instructions: Instructions,
    *,
    action_url: str | None = None,
    stream_attributes: Mapping[str, str] = MappingProxyType({}),
    speech: Callable[[Instructions], Attributes] = speech_attributes,
) -> Document:
    """Word the instructions as a TwiML document.

    ``action_url`` is asked for another document once a conversation's session is over. ``stream_attributes`` are what
    others want beside a stream's address, ``speech`` says in their words how a conversation is heard and spoken.

    Raises ValueError for the engine ``agent``, and when the engine needs a ``url`` and there is none.
    """
    response = VoiceResponse()
    match instructions.engine:
        case "conversation":
            attributes = {name: _text(value) for name, value in speech(instructions).items()}
            conversation = response.connect(action=_text(action_url)).conversation_relay(
                url=_url(instructions),
                welcome_greeting=_text(instructions.welcome_message),
                welcome_greeting_interruptible="any" if instructions.is_welcome_interruptible else "none",
                interruptible="any",
                dtmf_detection=True,
                **{name: value for name, value in attributes.items() if value is not None},
            )
            _add_parameters(conversation, instructions)
        case "relay":
            relay = response.connect().conversation_relay(
                url=_url(instructions),
                welcome_greeting=_text(instructions.welcome_message),
                language=_text(instructions.language),
                voice=_text(instructions.voice),
            )
            _add_parameters(relay, instructions)
        case "stream":
            stream = response.connect().stream(url=_url(instructions), **stream_attributes)
            _add_parameters(stream, instructions)
        case "say":
            voice, language = _text(instructions.voice), _text(instructions.language)
            response.say(_text(instructions.welcome_message) or "", voice=voice, language=language)
            response.pause()
            if goodbye := _text(instructions.goodbye_message):
                response.say(goodbye, voice=voice, language=language)
            response.hangup()
        case _:
            raise ValueError(f"TwiML has no words for the engine {instructions.engine!r}")
    return _document(response)


def hang_up() -> Document:
    """The TwiML that ends the call; also the answer to a request we do not want to serve."""
    response = VoiceResponse()
    response.hangup()
    return _document(response)


def transfer(
    address: str,
    *,
    caller_number: str,
    message: str | None,
    byoc_trunk_sid: str | None = None,
    sip_username: str | None = None,
    sip_password: str | None = None,
) -> Document:
    """The TwiML that says ``message`` and connects the callee with a number in E.164 or a ``sip:`` address."""
    response = VoiceResponse()
    if spoken := _text(message):
        response.say(spoken)
    dial = response.dial(caller_id=caller_number)
    if address.startswith("sip:"):
        dial.sip(address, username=sip_username, password=sip_password)
    else:
        dial.number(address, byoc=byoc_trunk_sid)
    return _document(response)


def _document(response: VoiceResponse) -> Document:
    return Document(_CONTENT_TYPE, str(response))


def _add_parameters(noun: object, instructions: Instructions) -> None:
    for name, value in instructions.parameters.items():
        noun.parameter(name=_text(name), value=_text(value) or "")  # type: ignore[attr-defined]


def _url(instructions: Instructions) -> str:
    if not instructions.url:
        raise ValueError(f"instructions for engine {instructions.engine!r} need a url (wss://…) and have none")
    return _NOT_XML.sub("", instructions.url)


def _text(text: str | None) -> str | None:
    return _NOT_XML.sub("", text) or None if text else None
