"""A call's instructions in Twilio's words: TwiML.

Nothing a customer writes can become a verb: texts and parameters end up in attributes and character data only.
https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import re
from typing import assert_never

from twilio.twiml.voice_response import Connect, VoiceResponse

from dialplane.domain.instructions import Instructions

# Everything outside "Char" of XML 1.0: Twilio's builder escapes markup and lets these through, and then no parser
# accepts the document. https://www.w3.org/TR/xml/#charsets
# Named by what is not in it: the complement compiles ten times slower.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(instructions: Instructions) -> str:
    """Word the instructions as a TwiML document.

    Raises ValueError when the engine needs a ``url`` and there is none.
    """
    response = VoiceResponse()
    match instructions.engine:
        case "relay":
            relay = _connect(response).conversation_relay(
                url=_url(instructions),
                welcome_greeting=_text(instructions.welcome_message),
                language=_text(instructions.language),
                voice=_text(instructions.voice),
            )
            _add_parameters(relay, instructions)
        case "stream":
            stream = _connect(response).stream(url=_url(instructions))
            _add_parameters(stream, instructions)
        case "say":
            voice, language = _text(instructions.voice), _text(instructions.language)
            response.say(_text(instructions.welcome_message) or "", voice=voice, language=language)
            response.pause()
            if goodbye := _text(instructions.goodbye_message):
                response.say(goodbye, voice=voice, language=language)
            response.hangup()
        case _:
            assert_never(instructions.engine)
    return str(response)


def hang_up() -> str:
    """The TwiML that ends the call; also the answer to a request we do not want to serve."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def _connect(response: VoiceResponse) -> Connect:
    return response.connect()


def _add_parameters(noun: object, instructions: Instructions) -> None:
    for name, value in instructions.parameters.items():
        noun.parameter(name=_text(name), value=_text(value) or "")  # type: ignore[attr-defined]


def _url(instructions: Instructions) -> str:
    if not instructions.url:
        raise ValueError(f"instructions for engine {instructions.engine!r} need a url (wss://…) and have none")
    return _NOT_XML.sub("", instructions.url)


def _text(text: str | None) -> str | None:
    return _NOT_XML.sub("", text) or None if text else None
