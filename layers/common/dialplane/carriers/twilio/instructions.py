"""A call's instructions in Twilio's words: TwiML.

Nothing a customer writes can become a verb: texts and parameters end up in attributes and character data only.
https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from twilio.twiml.voice_response import Connect, VoiceResponse

from dialplane.carriers.contract import Document
from dialplane.domain.instructions import Instructions

_CONTENT_TYPE = "text/xml; charset=utf-8"

# Everything outside "Char" of XML 1.0: Twilio's builder escapes markup and lets these through, and then no parser
# accepts the document. https://www.w3.org/TR/xml/#charsets
# Named by what is not in it: the complement compiles ten times slower.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def render(instructions: Instructions, *, stream_attributes: Mapping[str, str] = MappingProxyType({})) -> Document:
    """Word the instructions as a TwiML document; ``stream_attributes`` are what others want beside a stream's address.

    Raises ValueError for the engine ``agent``, and when the engine needs a ``url`` and there is none.
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
            stream = _connect(response).stream(url=_url(instructions), **stream_attributes)
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
