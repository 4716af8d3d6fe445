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

from dialplane.domain.instructions import Instructions

SPEECH_LENGTH_MAX = 3_000
"""Characters that one command can say, markup included."""
_VOICE = "female"
_LANGUAGE = "en-US"
_PAUSE = '<break time="1s"/>'
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def dial_fields(instructions: Instructions) -> dict[str, Any]:
    """What rides in the dial; nothing for ``say``, which is commanded on the answer.

    A stream carries no parameters when it is started by the dial: the media server finds our call id in
    ``start.client_state`` (base64) of the stream's first message. Raises ValueError for the engine ``agent``, and when
    the engine needs a ``url`` and there is none.
    """
    match instructions.engine:
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
