"""Tools that a model wants used, put together from the parts in which they come."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dialplane.domain.language_model import TEXT_LENGTH_MAX, TOOL_CALLS_MAX, ModelFailed, ToolCall

_NAME_LENGTH_MAX = 200
_NOT_IN_NAMES = re.compile(r"[^\x20-\x7e]")


@dataclass(slots=True)
class _Parts:
    key: object
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    length: int = 0


class ToolCalls:
    """Collects the parts of one answer's uses of tools.

    Arguments that are no JSON object and a tool without a name are failures of the model: half of a wish is not
    granted, and what would be missing of it nobody knows.
    """

    def __init__(self) -> None:
        self._calls: list[_Parts] = []

    def add(self, key: object, *, id: str = "", name: str = "", arguments: str = "") -> None:
        """One part. ``key`` is the model's number for the call; another id under the same number is another call.

        Raises ModelFailed for more than anybody means.
        """
        call = next((each for each in reversed(self._calls) if each.key == key), None)
        if call is None or (id and call.id and id != call.id) or (key is None and name and call.name):
            if len(self._calls) == TOOL_CALLS_MAX:
                raise ModelFailed(f"more than {TOOL_CALLS_MAX} tools at once")
            call = _Parts(key, id)
            self._calls.append(call)
        call.id = call.id or id
        call.name = call.name or name
        call.arguments.append(arguments)
        call.length += len(arguments)
        if call.length > TEXT_LENGTH_MAX:
            raise ModelFailed(f"a tool's arguments have more than {TEXT_LENGTH_MAX:,} characters")

    def complete(self) -> Iterator[ToolCall]:
        """All of them, once the answer is complete. Raises ModelFailed."""
        ids: set[str] = set()
        for number, call in enumerate(self._calls):
            if not call.name:
                raise ModelFailed("a tool without a name")
            if len(call.name) > _NAME_LENGTH_MAX:
                raise ModelFailed(f"a tool's name has more than {_NAME_LENGTH_MAX} characters")
            # Some servers give several calls of one answer one id, or none.
            identity = call.id if call.id and call.id not in ids else f"call_{number}"
            ids.add(identity)
            # Of another one there is no tool, and nobody could keep what the model is told of that.
            name = _NOT_IN_NAMES.sub("?", call.name)
            yield ToolCall(identity, name, _arguments("".join(call.arguments)))


def _arguments(text: str) -> Mapping[str, Any]:
    try:
        arguments = json.loads(text, parse_constant=_refuse, parse_float=_finite) if text.strip() else None
    except (ValueError, RecursionError):
        raise ModelFailed("a tool's arguments are no JSON") from None
    if arguments is None:  # a tool without parameters
        return {}
    if not isinstance(arguments, dict):
        raise ModelFailed("a tool's arguments are no JSON object")
    return arguments


def _refuse(constant: str) -> Any:
    raise ValueError(constant)  # NaN and Infinity are no JSON, whatever Python thinks


def _finite(number: str) -> float:
    value = float(number)
    return _refuse(number) if math.isinf(value) else value  # 1e999 is infinite to Python, and then no JSON any more
