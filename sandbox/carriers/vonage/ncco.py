"""Reading an NCCO: which actions there are and what each must say. Following them is `actions`'.

Source: https://developer.vonage.com/en/voice/voice-api/ncco-reference
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Action = Mapping[str, Any]

TEXT_LENGTH_MAX = 1500
_BREAK = re.compile(r"""<break[^>]*\btime\s*=\s*["']([0-9.]+)(ms|s)["'][^>]*>""")
_TAG = re.compile(r"<[^>]*>")


class NccoError(Exception):
    """A document is no NCCO; the message says why."""


def parse_ncco(document: Any) -> tuple[Action, ...]:
    """The actions of a decoded NCCO. Raises NccoError."""
    if not isinstance(document, list):
        raise NccoError("an NCCO is a list of actions")
    for action in document:
        name = action.get("action") if isinstance(action, dict) else None
        check = _CHECKS.get(str(name))
        if check is None:
            raise NccoError(f"action {name!r} is none of {', '.join(_CHECKS)}")
        complaint = check(action)
        if complaint:
            raise NccoError(f"{name}: {complaint}")
    return tuple(document)


def plain_speech(text: str) -> tuple[str, float]:
    """A text without its SSML, and the seconds of the pauses that the SSML asks for."""
    pauses = sum(float(amount) / (1000 if unit == "ms" else 1) for amount, unit in _BREAK.findall(text))
    return _TAG.sub(" ", text), pauses


def _check_talk(action: Action) -> str | None:
    text = action.get("text")
    if not isinstance(text, str) or not text or len(text) > TEXT_LENGTH_MAX:
        return f"text must have 1 to {TEXT_LENGTH_MAX} characters"
    return _check_loop(action)


def _check_stream(action: Action) -> str | None:
    if not _is_single(action.get("streamUrl"), str):
        return "streamUrl must be a list of one URL"
    return _check_loop(action)


def _check_loop(action: Action) -> str | None:
    loop = action.get("loop", 1)
    return None if isinstance(loop, int) and loop >= 0 else "loop must be a whole number"


def _check_input(action: Action) -> str | None:
    types = action.get("type")
    if not isinstance(types, list) or not types or not set(types) <= {"dtmf", "speech"}:
        return "type must list dtmf, speech or both"
    return None


def _check_connect(action: Action) -> str | None:
    if not _is_single(action.get("endpoint"), dict):
        return "endpoint must be a list of one endpoint"
    endpoint = action["endpoint"][0]
    lacking = {"phone": "number", "sip": "uri", "websocket": "uri", "vbc": "extension"}.get(str(endpoint.get("type")))
    if lacking is None:
        return "endpoint.type must be phone, sip, websocket or vbc"
    return None if isinstance(endpoint.get(lacking), str) else f"endpoint.{lacking} is missing"


def _check_conversation(action: Action) -> str | None:
    return None if isinstance(action.get("name"), str) else "name is missing"


def _check_notify(action: Action) -> str | None:
    if not isinstance(action.get("payload"), dict) or not _is_single(action.get("eventUrl"), str):
        return "payload and an eventUrl with one URL are needed"
    return None


def _check_nothing(_action: Action) -> str | None:
    return None


def _is_single(value: object, kind: type) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], kind)


_CHECKS: Final[Mapping[str, Callable[[Action], str | None]]] = {
    "talk": _check_talk,
    "stream": _check_stream,
    "input": _check_input,
    "record": _check_nothing,
    "connect": _check_connect,
    "conversation": _check_conversation,
    "notify": _check_notify,
    "wait": _check_nothing,
}
