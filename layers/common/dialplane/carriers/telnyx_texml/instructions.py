"""A call's instructions in TeXML: Twilio's document, with what Telnyx wants beside it.

https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs
"""

from __future__ import annotations

from dialplane.carriers.contract import Document
from dialplane.carriers.speech_config import speech_config_of
from dialplane.carriers.telnyx.instructions import language_of, voice_of
from dialplane.carriers.twilio import instructions as twiml
from dialplane.domain.instructions import Instructions

__all__ = ["hang_up", "render"]

hang_up = twiml.hang_up

# https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/conversationrelay
_TRANSCRIPTION_PROVIDERS = frozenset({"deepgram", "google", "telnyx"})


def render(instructions: Instructions, *, action_url: str | None = None) -> Document:
    """Word the instructions as a TeXML document.

    ``action_url`` is asked for another document once a conversation's session is over. Raises ValueError for the
    engine ``agent``, and when the engine needs a ``url`` and there is none.
    """
    return twiml.render(
        instructions,
        action_url=action_url,
        # Both ways: without it Telnyx takes nothing but whole MP3 files from the media server.
        stream_attributes={"bidirectional_mode": "rtp"},
        speech=_speech_attributes,
    )


def _speech_attributes(instructions: Instructions) -> twiml.Attributes:
    """How a conversation is heard and spoken. TeXML's noun has fewer words for it than Twilio's, and than the dial."""
    config = speech_config_of(instructions)
    provider = config.stt_provider
    return {
        "language": language_of(instructions, config),
        "voice": voice_of(config),
        "transcriptionProvider": provider if provider in _TRANSCRIPTION_PROVIDERS else None,
    }
