"""The tools that a language model may use on a call: the platform's own, and the ones that the customer declares.

Which are offered, and what their arguments may be. Using them belongs to ``usecases.converse``, asking a customer's
server to ``tools.http_tool``, the shape of a declaration to ``llm_config``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dialplane.domain.conversation_settings import ConversationSettings
from dialplane.domain.language_model import Tool

END_CALL, TRANSFER, OPT_OUT, PRESS_DIGITS = "end_call", "transfer", "opt_out", "press_digits"
NAMES = (END_CALL, TRANSFER, OPT_OUT, PRESS_DIGITS)

DIGITS = re.compile(r"[0-9*#w]{1,32}")
"""Keys that can be pressed; w waits for half a second."""
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
_LAST_WORDS = {"type": "string", "description": "Last words to the callee, unless you have said them already."}


def offered(settings: ConversationSettings) -> tuple[Tool, ...]:
    """The tools that the model of this conversation may use."""
    tools = [_END_CALL, _OPT_OUT]
    destinations = transfer_destinations(settings)
    if destinations:
        tools.append(_transfer(destinations))
    if any(tool.get("type") == PRESS_DIGITS for tool in _declared(settings)):
        tools.append(_PRESS_DIGITS)
    tools += [_function(tool["function"]) for tool in customer_tools(settings).values()]
    return tuple(tools)


def customer_tools(settings: ConversationSettings) -> dict[str, Mapping[str, Any]]:
    """The customer's own tools as they are declared, by name. None has the name of one of the platform's."""
    functions = (tool for tool in _declared(settings) if tool.get("type") == "function")
    named = {tool["function"]["name"]: tool for tool in functions}
    return {name: tool for name, tool in named.items() if name not in NAMES}


def transfer_destinations(settings: ConversationSettings) -> dict[str, str]:
    """The numbers that the model may transfer the call to, each with who is there; the usual one comes first.

    A declared transfer may have ``destinations``: numbers in E.164, or objects with ``number`` and ``description``.
    """
    usual = {settings.transfer_number: ""} if settings.transfer_number else {}
    declared = (each for tool in _declared(settings) if tool.get("type") == TRANSFER for each in _destinations(tool))
    return usual | dict(declared)


def _declared(settings: ConversationSettings) -> Iterator[Mapping[str, Any]]:
    yield from settings.llm.get("tools") or ()


def _destinations(tool: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for destination in tool.get("destinations") or ():
        if isinstance(destination, Mapping):
            yield destination["number"], destination.get("description") or ""
        else:
            yield destination, ""


def _function(function: Mapping[str, Any]) -> Tool:
    return Tool(function["name"], function.get("description") or "", function.get("parameters") or _NO_PARAMETERS)


def _transfer(destinations: Mapping[str, str]) -> Tool:
    listed = "; ".join(f"{number} ({who})" if who else number for number, who in destinations.items())
    return Tool(
        TRANSFER,
        f"Hand the call over to a person, and leave it. Use it when the callee asks for one. Destinations: {listed}.",
        {
            "type": "object",
            "properties": {
                "destination": {
                    "type": "string",
                    "enum": list(destinations),
                    "description": "Who takes the call over; the first one when it is left out.",
                },
                "message": {**_LAST_WORDS, "description": "What the callee is told before the call is handed over."},
            },
        },
    )


_END_CALL = Tool(
    END_CALL,
    "End the call. Use it once you have taken leave of each other, or when the callee wants to hang up.",
    {"type": "object", "properties": {"message": _LAST_WORDS}},
)
_OPT_OUT = Tool(
    OPT_OUT,
    "Put the callee on the do-not-call list, tell them so, and end the call. Use it at once when the callee does not "
    "want to be called any more, however they word it; never argue.",
    _NO_PARAMETERS,
)
_PRESS_DIGITS = Tool(
    PRESS_DIGITS,
    "Press keys of the telephone, to find the way through a menu.",
    {
        "type": "object",
        "properties": {
            "digits": {
                "type": "string",
                "minLength": 1,
                "maxLength": 32,
                "description": "0 to 9, * and #; w waits for half a second.",
            }
        },
        "required": ["digits"],
    },
)
