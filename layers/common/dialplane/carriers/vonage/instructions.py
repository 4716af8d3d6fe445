"""A call's instructions in Vonage's words: an NCCO, a JSON list of actions.

Nothing a customer writes can become an action: texts and parameters end up in JSON texts only. A call ends when its
actions are done. https://developer.vonage.com/en/voice/voice-api/ncco-reference
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from dialplane.carriers.contract import Document
from dialplane.domain.instructions import Instructions

TEXT_LENGTH_MAX = 1500
_PAUSE_SECONDS = 1
_CONTENT_TYPE = "application/json"
_AUDIO = "audio/l16;rate=16000"
# Half a surrogate pair is no character, and a strict JSON parser refuses the whole document for it.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Text inside <speak> is read as markup. Ours is never meant so, and cutting it in pieces would break the markup anyway.
# The whole run before the word goes: what is left must not become a tag by the removal.
_SPEAK = re.compile(r"<[<\s/]*(?=speak\b)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"""[.!?…]+["'”’)\]]*\s+|[。！？]+|\n+""")
_STYLE = re.compile(r"([0-9]{1,3})(-premium)?")


def render(instructions: Instructions, *, action_url: str | None = None) -> Document:
    """Word the instructions as an NCCO.

    ``voice`` is the number of a style of the language, ``11`` or ``11-premium``; a voice of another carrier's is left
    out. Raises ValueError for engines other than ``say`` and ``stream``, and when ``stream`` has no ``url``.
    """
    match instructions.engine:
        case "say":
            voice = _voice(instructions)
            return _document(
                [
                    *talk(instructions.welcome_message, voice),
                    {"action": "wait", "timeout": _PAUSE_SECONDS},
                    *talk(instructions.goodbye_message or "", voice),
                ]
            )
        case "stream":
            return _document([_websocket(instructions)])
        case _:
            raise ValueError(f"Vonage has no words for the engine {instructions.engine!r}")


def hang_up() -> Document:
    """The NCCO that ends the call: no action is left to do. Also the answer to a request that is not served."""
    return _document([])


def talk(text: str, voice: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The actions that speak a text, in as many pieces as Vonage needs; none for an empty text."""
    spoken = _SPEAK.sub("", _NOT_TEXT.sub("", text)).strip()
    return [{"action": "talk", "text": piece, **(voice or {})} for piece in _pieces(spoken)]


def _websocket(instructions: Instructions) -> dict[str, Any]:
    if not instructions.url:
        raise ValueError("instructions for engine 'stream' need a url (wss://…) and have none")
    endpoint = {
        "type": "websocket",
        "uri": _NOT_TEXT.sub("", instructions.url),
        "content-type": _AUDIO,
        "headers": {_NOT_TEXT.sub("", name): _NOT_TEXT.sub("", text) for name, text in instructions.parameters.items()},
    }
    return {"action": "connect", "endpoint": [endpoint]}


def _voice(instructions: Instructions) -> dict[str, Any]:
    voice: dict[str, Any] = {"language": instructions.language} if instructions.language else {}
    if style := _STYLE.fullmatch(instructions.voice or ""):
        voice["style"] = int(style[1])
        if style[2]:
            voice["premium"] = True
    return voice


def _pieces(text: str) -> Iterator[str]:
    """Cut at the last end of a sentence that fits, else between words, else anywhere."""
    while len(text) > TEXT_LENGTH_MAX:
        # One more than fits: the space after a sentence of exactly this length is not spoken.
        head = text[: TEXT_LENGTH_MAX + 1]
        ends = [match.end() for match in _SENTENCE_END.finditer(head) if match.start() > 0]
        cut = ends[-1] if ends else head.rfind(" ") + 1 or TEXT_LENGTH_MAX
        yield text[:cut].strip()
        text = text[cut:].lstrip()
    if text:
        yield text


def _document(actions: Sequence[dict[str, Any]]) -> Document:
    return Document(_CONTENT_TYPE, json.dumps(actions, separators=(",", ":")))
