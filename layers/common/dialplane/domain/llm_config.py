"""What the ``llm_config`` of an assistant that holds conversations may be: the model, its tools, the script.

Shapes only. Whether the organization has a key for the model belongs to ``conversation_planning``; what a script means
to ``models.scripted``; the address of a tool to ``tool_urls``. Entries that are not named here are kept and mean
nothing: configurations are shared with other platforms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dialplane.domain import builtin_tools
from dialplane.domain.errors import (
    ConfigurationInvalid,
    PhoneNumberInvalid,
    TemplateInvalid,
    ValueInvalid,
    VariablesMissing,
)
from dialplane.domain.json_schema import check_schema
from dialplane.domain.language_model import PROVIDERS
from dialplane.domain.phone_numbers import PhoneNumber
from dialplane.domain.templates import PROMPT_LENGTH_MAX, check_text, render
from dialplane.domain.tool_urls import check_tool_url

TOKENS_MAX = 4_096
MESSAGES_MAX = 50
TOOLS_MAX = 20
TOOL_SECONDS_MAX = 10
DESTINATIONS_MAX = 20
STEPS_MAX = 100
REPLIES_MAX = 20
PHRASES_MAX = 50
PHRASE_LENGTH_MAX = 200
_DESCRIPTION_LENGTH_MAX = 1_024
_ROLES = ("system", "user", "assistant")
_TEMPERATURE_MAX = 2
# After these nothing is asked of the model any more, so that a step may have nothing else.
_LAST_TOOLS = frozenset({builtin_tools.END_CALL, builtin_tools.TRANSFER, builtin_tools.OPT_OUT})

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_llm_config(llm: Mapping[str, Any]) -> None:
    """Raise ConfigurationInvalid, with the path of what to change, for a configuration that no model could be opened
    with.
    """
    provider = llm.get("provider")
    if provider is not None and not (isinstance(provider, str) and provider in PROVIDERS):
        raise ConfigurationInvalid(
            f'The engine "conversation" has models of the providers {", ".join(sorted(PROVIDERS))}; '
            f'llm_config.provider is "{provider}".',
            param="llm_config",
        )
    model = llm.get("model")
    if model is not None and not (isinstance(model, str) and _MODEL.fullmatch(model)):
        raise _invalid("llm_config.model", "must be the name of a model")
    _check_number(llm, "temperature", 0, _TEMPERATURE_MAX, int | float)
    _check_number(llm, "max_tokens", 1, TOKENS_MAX, int)
    _check_messages(llm.get("messages"))
    names = _check_tools(llm.get("tools"))
    if llm.get("script") is not None:
        _check_script(llm["script"], {*builtin_tools.NAMES, *names})


def _check_number(
    of: Mapping[str, Any], name: str, lowest: int, highest: int, kind: Any, *, path: str = "llm_config"
) -> None:
    value = of.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or not lowest <= value <= highest:
        noun = "whole number" if kind is int else "number"
        raise _invalid(f"{path}.{name}", f"must be a {noun} from {lowest} to {highest}")


def _check_messages(messages: object) -> None:
    path = "llm_config.messages"
    for index, message in enumerate(_list(messages, path, MESSAGES_MAX)):
        here = f"{path}.{index}"
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise _invalid(here, f"must have a role, one of {', '.join(_ROLES)}")
        _check_words(message.get("content"), f"{here}.content", PROMPT_LENGTH_MAX)


# ---- tools ----------------------------------------------------------------------------------------------------------


def _check_tools(tools: object) -> Sequence[str]:
    """Returns the names of the customer's own."""
    path = "llm_config.tools"
    names: list[str] = []
    for index, tool in enumerate(_list(tools, path, TOOLS_MAX)):
        here = f"{path}.{index}"
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if isinstance(tool, Mapping) and kind in builtin_tools.NAMES:
            _check_destinations(tool.get("destinations"), f"{here}.destinations")
            continue
        if kind != "function":
            raise _invalid(here, f'must have a type, one of {", ".join(builtin_tools.NAMES)} or "function"')
        name = _check_function(tool.get("function"), f"{here}.function")
        if name in builtin_tools.NAMES or name in names:
            raise _invalid(f"{here}.function.name", "is the name of another tool")
        names.append(name)
        _check_server(tool.get("server"), f"{here}.server")
    return names


def _check_destinations(destinations: object, path: str) -> None:
    for index, destination in enumerate(_list(destinations, path, DESTINATIONS_MAX)):
        here, number = f"{path}.{index}", destination
        if isinstance(destination, Mapping):
            here, number = f"{here}.number", destination.get("number")
            if destination.get("description") is not None:
                _check_words(destination["description"], f"{path}.{index}.description", _DESCRIPTION_LENGTH_MAX)
        try:
            PhoneNumber.parse(number if isinstance(number, str) else "", field=here)
        except PhoneNumberInvalid as error:
            raise ConfigurationInvalid(error.message, param=here) from error


def _check_function(function: object, path: str) -> str:
    if not isinstance(function, Mapping):
        raise _invalid(path, "must be an object with name, description and parameters")
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _invalid(f"{path}.name", "must have from 1 to 64 letters, digits, _ or -")
    _check_words(function.get("description"), f"{path}.description", _DESCRIPTION_LENGTH_MAX)
    if function.get("parameters") is not None:
        check_schema(function["parameters"], param=f"{path}.parameters")
    return name


def _check_server(server: object, path: str) -> None:
    if not isinstance(server, Mapping):
        raise _invalid(path, "must be an object with a url")
    check_tool_url(server.get("url"), param=f"{path}.url")
    _check_number(server, "timeout_seconds", 1, TOOL_SECONDS_MAX, int, path=path)


# ---- the script -----------------------------------------------------------------------------------------------------


def _check_script(script: object, tools: set[str]) -> None:
    path = "llm_config.script"
    steps = script.get("steps") if isinstance(script, Mapping) else None
    if not isinstance(script, Mapping) or not isinstance(steps, Mapping) or not 1 <= len(steps) <= STEPS_MAX:
        raise _invalid(path, f"must be an object with start and from 1 to {STEPS_MAX} steps")
    if not _is_step(script.get("start"), steps):
        raise _invalid(f"{path}.start", "must be the name of a step")
    if script.get("note") is not None:
        _check_line(script["note"], f"{path}.note", {"note": ""})
    for name, step in steps.items():
        if not _NAME.fullmatch(name):
            raise _invalid(f"{path}.steps", "has a name that is not from 1 to 64 letters, digits, _ or -")
        _check_step(step, f"{path}.steps.{name}", steps, tools)
    start = script["start"]
    entered = {start} if steps[start].get("otherwise") is None else set()  # who has no other way stays where he is
    entered.update(name for step in steps.values() for name in _ways(step))
    for name in entered:
        _check_can_answer(steps[name], f"{path}.steps.{name}")


def _ways(step: Mapping[str, Any]) -> Iterator[str]:
    yield from (reply["next"] for reply in step.get("replies") or ())
    yield from (step[way] for way in ("otherwise", "then") if step.get(way) is not None)


def _check_can_answer(step: Mapping[str, Any], path: str) -> None:
    """A step that somebody's words lead to has an answer to them: nobody is to hear silence."""
    if step.get("say") or step.get("tool") in _LAST_TOOLS or (step.get("tool") and step.get("then")):
        return
    raise _invalid(path, f"needs something to say, or {', '.join(sorted(_LAST_TOOLS))}, or a tool with then")


def _check_step(step: object, path: str, steps: Mapping[str, Any], tools: set[str]) -> None:
    if not isinstance(step, Mapping):
        raise _invalid(path, "must be an object")
    if step.get("say") is not None:
        _check_line(step["say"], f"{path}.say")
    for index, reply in enumerate(_list(step.get("replies"), f"{path}.replies", REPLIES_MAX)):
        here = f"{path}.replies.{index}"
        if not isinstance(reply, Mapping) or not _is_step(reply.get("next"), steps):
            raise _invalid(f"{here}.next", "must be the name of a step")
        phrases = _list(reply.get("when"), f"{here}.when", PHRASES_MAX)
        if not phrases or not all(isinstance(each, str) and _is_phrase(each) for each in phrases):
            raise _invalid(f"{here}.when", f"must be a list of words, each of at most {PHRASE_LENGTH_MAX} characters")
    for way in ("otherwise", "then"):
        if step.get(way) is not None and not _is_step(step[way], steps):
            raise _invalid(f"{path}.{way}", "must be the name of a step")
    tool = step.get("tool")
    if tool is not None and (not isinstance(tool, str) or tool not in tools):
        raise _invalid(f"{path}.tool", "must be a tool that the assistant has")
    if step.get("arguments") is not None and not isinstance(step["arguments"], Mapping):
        raise _invalid(f"{path}.arguments", "must be an object")
    outcome = step.get("outcome")
    if outcome is not None and not (isinstance(outcome, str) and _NAME.fullmatch(outcome)):
        raise _invalid(f"{path}.outcome", "must have from 1 to 64 letters, digits, _ or -")


def _is_step(name: object, steps: Mapping[str, Any]) -> bool:
    return isinstance(name, str) and name in steps


def _is_phrase(text: str) -> bool:
    return len(text) <= PHRASE_LENGTH_MAX and any(character.isalnum() for character in text)


def _check_line(text: object, path: str, variables: Mapping[str, str] | None = None) -> None:
    """A line is a template; which variables a call has is known when there is one, unless they are given here."""
    _check_words(text, path)
    try:
        render(str(text), variables or {}, field=path)
    except VariablesMissing as error:
        if variables is not None:
            raise _invalid(path, f"can be filled with {', '.join(variables)} alone") from error
    except TemplateInvalid as error:
        raise ConfigurationInvalid(error.message, param=path) from error


# ---- parts ----------------------------------------------------------------------------------------------------------


def _check_words(text: object, path: str, length_max: int | None = None) -> None:
    if not isinstance(text, str) or not text.strip():
        raise _invalid(path, "must be a text")
    try:
        check_text(text, field=path, **({} if length_max is None else {"length_max": length_max}))
    except ValueInvalid as error:
        raise ConfigurationInvalid(error.message, param=path) from error


def _list(value: object, path: str, length_max: int) -> Sequence[Any]:
    """A list; an absent one is empty."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > length_max:
        raise _invalid(path, f"must be a list of at most {length_max}")
    return value


def _invalid(path: str, what: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(f"{path} {what}.", param=path)
