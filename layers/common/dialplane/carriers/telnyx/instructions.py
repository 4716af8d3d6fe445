"""A call's instructions in Telnyx's words: fields of the dial, or a command on the answered call.

Nothing is fetched by Telnyx, so this renders no document. Nothing a customer writes can become markup.
https://developers.telnyx.com/docs/voice/programmable-voice/conversation-relay
https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from dialplane.carriers.speech_config import SpeechConfig, Voice, speech_config_of
from dialplane.domain.instructions import Instructions

SPEECH_LENGTH_MAX = 3_000
"""Characters that one command can say, markup included."""
_VOICE = "female"
_LANGUAGE = "en-US"
_PAUSE = '<break time="1s"/>'
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# A voice is named after its provider: `AWS.Polly.Joanna-Neural`, `Telnyx.NaturalHD.astra`.
_VOICE_PREFIXES = {
    "amazon": "AWS.Polly",
    "azure": "Azure",
    "elevenlabs": "ElevenLabs",
    "telnyx": "Telnyx",
    "xai": "xAI",
}
_VOICES_WITH_MODEL = ("elevenlabs", "telnyx")
_TRANSCRIPTION_ENGINES = {
    "assemblyai": "AssemblyAI",
    "azure": "Azure",
    "deepgram": "Deepgram",
    "google": "Google",
    "soniox": "Soniox",
    "speechmatics": "Speechmatics",
    "telnyx": "Telnyx",
    "xai": "xAI",
}
# Deepgram's names of its models, and Telnyx's of those it has; what Telnyx calls words that are not to be expected.
_DEEPGRAM_MODELS = {
    "flux": ("deepgram/flux", "keyterms"),
    "flux-general-en": ("deepgram/flux", "keyterms"),
    "nova-2": ("deepgram/nova-2", "hints"),
    "nova-2-general": ("deepgram/nova-2", "hints"),
    "nova-3": ("deepgram/nova-3", "keyterms"),
    "nova-3-general": ("deepgram/nova-3", "keyterms"),
}


def dial_fields(instructions: Instructions) -> dict[str, Any]:
    """What rides in the dial; nothing for ``say``, which is commanded on the answer.

    A stream carries no parameters when it is started by the dial: the media server finds our call id in
    ``start.client_state`` (base64) of the stream's first message. Raises ValueError for the engine ``agent``, and when
    the engine needs a ``url`` and there is none.
    """
    match instructions.engine:
        case "conversation":
            return {"conversation_relay_config": _conversation(instructions)}
        case "relay":
            relay: Mapping[str, Any] = {
                "url": _url(instructions),
                "greeting": instructions.welcome_message,
                "voice": instructions.voice,
                "language": instructions.language,
                "custom_parameters": dict(instructions.parameters),
            }
            return {"conversation_relay_config": {name: value for name, value in relay.items() if value}}
        case "stream":
            return {
                "stream_url": _url(instructions),
                "stream_track": "inbound_track",
                # Both ways: without it Telnyx takes nothing but whole MP3 files from the media server.
                "stream_bidirectional_mode": "rtp",
            }
        case "say":
            return {}
        case _:
            raise ValueError(f"Telnyx has no words for the engine {instructions.engine!r}")


def _conversation(instructions: Instructions) -> dict[str, Any]:
    config = speech_config_of(instructions)
    engine = _TRANSCRIPTION_ENGINES.get(config.stt_provider or "")
    relay: dict[str, Any] = {
        "url": _url(instructions),
        "greeting": instructions.welcome_message,
        "voice": (voice := voice_of(config, has_key=config.api_key_ref is not None)),
        "language": language_of(instructions, config),
        "dtmf_detection": True,
        "interruptible": "any",
        "interruptible_greeting": "any" if instructions.is_welcome_interruptible else "none",
        "transcription_engine": engine,
        "transcription_engine_config": _transcription(engine, config),
        "custom_parameters": dict(instructions.parameters),
    }
    if voice is not None and voice.startswith("ElevenLabs."):
        relay["voice_settings"] = {"type": "elevenlabs", "api_key_ref": config.api_key_ref}
    return {name: value for name, value in relay.items() if value}


def _transcription(engine: str | None, config: SpeechConfig) -> dict[str, Any]:
    if engine == "Google" and config.hints:
        return {"hints": list(config.hints)}
    if engine != "Deepgram" or config.stt_model not in _DEEPGRAM_MODELS:
        return {}
    model, hints = _DEEPGRAM_MODELS[config.stt_model]
    return {"transcription_model": model} | ({hints: list(config.hints)} if config.hints else {})


def voice_of(config: SpeechConfig, *, has_key: bool = False) -> str | None:
    """The voice by Telnyx's name; the assistant's own where the configured one has none there.

    ElevenLabs' voices speak with the customer's own key, which Telnyx must have been given: ``has_key``.
    """
    names = (_name_of(voice) for voice in config.voices if has_key or voice.provider != "elevenlabs")
    return next((name for name in names if name is not None), None)


def _name_of(voice: Voice) -> str | None:
    if voice.name is None or voice.provider is None:
        return voice.name
    prefix = _VOICE_PREFIXES.get(voice.provider)
    if prefix is None:
        return None
    if voice.provider not in _VOICES_WITH_MODEL or "." in voice.name:
        return f"{prefix}.{voice.name}"
    if voice.model is not None:
        return f"{prefix}.{voice.model}.{voice.name}"
    return f"{prefix}.{voice.name}" if voice.provider == "elevenlabs" else None


def language_of(instructions: Instructions, config: SpeechConfig) -> str | None:
    """The one language in which Telnyx listens and speaks."""
    return instructions.language or config.tts_language or config.stt_language


def speech(instructions: Instructions) -> dict[str, str]:
    """The fields of the command that says welcome, one pause and goodbye; cut at what one command can say."""
    welcome, goodbye = _text(instructions.welcome_message), _text(instructions.goodbye_message)
    room = SPEECH_LENGTH_MAX - len("<speak></speak>") - len(_PAUSE)
    farewell = _PAUSE + _cut(goodbye, room) if goodbye else ""
    greeting = _cut(welcome, SPEECH_LENGTH_MAX - len("<speak></speak>") - len(farewell))
    return {
        "payload": f"<speak>{greeting}{farewell}</speak>",
        "payload_type": "ssml",
        "voice": instructions.voice or _VOICE,
        "language": instructions.language or _LANGUAGE,
    }


def _cut(text: str, length: int) -> str:
    """As much of a text, escaped, as fits."""
    escaped = escape(text)
    while len(escaped) > length:
        text = text[: len(text) - max(1, (len(escaped) - length) // 5)]
        escaped = escape(text)
    return escaped


def _text(text: str | None) -> str:
    return _NOT_XML.sub("", text or "")


def _url(instructions: Instructions) -> str:
    if not instructions.url:
        raise ValueError(f"instructions for engine {instructions.engine!r} need a url (wss://…) and have none")
    return instructions.url
