"""How a conversation is to be heard and spoken, read out of a customer's ``stt_config`` and ``tts_config``.

Customers write them in the words of whatever they come from, so everything is optional and nothing is refused: what is
of another form than it must have is as if it were not there. What a carrier calls it belongs to the carrier's
``instructions``, and so does leaving out what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialplane.domain.instructions import Instructions

HINTS_MAX = 100
HINT_LENGTH_MAX = 100
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./:-]{0,99}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")
# Deepgram's way to say how much a keyword counts.
_BOOST = re.compile(r":-?[0-9.]+$")
# Voices of <Say> that no conversation has; and how voices are named there, and at Telnyx, with their provider.
_BASIC_VOICES = frozenset({"alice", "female", "male", "man", "woman"})
_PREFIXED_VOICE = re.compile(r"(?:aws\.)?(azure|elevenlabs|google|polly|telnyx|xai)\.(.+)", re.IGNORECASE)
_PROVIDERS: Mapping[str, str] = {
    "11labs": "elevenlabs",
    "amazon_polly": "amazon",
    "aws": "amazon",
    "aws_polly": "amazon",
    "eleven_labs": "elevenlabs",
    "gcp": "google",
    "google_cloud": "google",
    "microsoft": "azure",
    "polly": "amazon",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice by its provider's name for it. Without provider the name is whatever the customer has for it."""

    name: str | None = None
    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechConfig:
    """Providers are lower case and have one name each; the other texts are as the customer wrote them."""

    stt_provider: str | None = None
    stt_model: str | None = None
    stt_language: str | None = None
    hints: tuple[str, ...] = ()
    """Words that speech recognition would not expect. None of them has a comma."""
    tts_language: str | None = None
    voices: tuple[Voice, ...] = ()
    """The configured voice, and the assistant's own for a carrier that does not have it."""
    api_key_ref: str | None = None
    """The name under which the carrier keeps the key of the voice's provider."""


def speech_config_of(instructions: Instructions) -> SpeechConfig:
    """The configuration, with the assistant's own voice where the customer's names none."""
    stt, tts = instructions.stt_config or {}, instructions.tts_config or {}
    return SpeechConfig(
        stt_provider=_provider(stt),
        stt_model=_text(stt, "model", "model_id"),
        stt_language=_language(stt),
        hints=_hints(stt),
        tts_language=_language(tts),
        voices=_voices(tts, instructions.voice),
        api_key_ref=_text(tts, "api_key_ref"),
    )


def _voices(config: Mapping[str, Any], own_voice: str | None) -> tuple[Voice, ...]:
    provider, model = _provider(config), _text(config, "model", "model_id")
    own, named = _voice(own_voice), _voice(_text(config, "voice_id", "voice"))
    if named.name is None and (own.provider is None or provider in (None, own.provider)):
        named = own
    return Voice(named.name, named.provider or provider, model), own


def _voice(text: str | None) -> Voice:
    if not text or text.lower() in _BASIC_VOICES:
        return Voice()
    prefixed = _PREFIXED_VOICE.fullmatch(text)
    if prefixed is None:
        return Voice(text)
    return Voice(prefixed[2], _known(prefixed[1]))


def _text(config: Mapping[str, Any], *names: str, pattern: re.Pattern[str] = _NAME) -> str | None:
    """The first of these entries that is a text of the pattern."""
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and pattern.fullmatch(value)), None)


def _provider(config: Mapping[str, Any]) -> str | None:
    return _known(_text(config, "provider") or "") or None


def _known(provider: str) -> str:
    name = provider.lower().replace("-", "_").replace(" ", "_")
    return _PROVIDERS.get(name, name)


def _language(config: Mapping[str, Any]) -> str | None:
    return _text(config, "language", "language_code", pattern=_LANGUAGE)


def _hints(config: Mapping[str, Any]) -> tuple[str, ...]:
    given = next((config[name] for name in ("hints", "keyterms", "keywords", "keyterm") if config.get(name)), ())
    phrases = given.split(",") if isinstance(given, str) else given
    if not isinstance(phrases, list | tuple):
        return ()
    words = (_BOOST.sub("", phrase).strip() for phrase in phrases if isinstance(phrase, str))
    usable = (word for word in words if 0 < len(word) <= HINT_LENGTH_MAX and "," not in word and word.isprintable())
    return tuple(dict.fromkeys(usable))[:HINTS_MAX]
