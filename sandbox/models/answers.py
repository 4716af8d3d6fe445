"""What the simulated model answers: rules, no chance. How that travels is in `server`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_OPT_OUT = re.compile(r"\b(stop|do not|don't|never) call|\bremove me\b", re.IGNORECASE)
_GOODBYE = re.compile(r"\b(good)?bye\b|\bhave to go\b", re.IGNORECASE)
_REFUSAL = re.compile(r"\bno\b|\bnot interested\b", re.IGNORECASE)
_NOTE = re.compile(r"<note>(.*?)</note>", re.DOTALL)
_TURNS = (
    "Thank you. Which day would suit you, Monday or Tuesday?",
    "Very good, I have noted that. Shall I send you a reminder?",
    "That is arranged. Thank you for your time, and goodbye.",
)
_DEPTH_MAX = 8

Message = Mapping[str, Any]


@dataclass(frozen=True)
class ModelAnswer:
    """Text, then the tool that is to be used."""

    text: str = ""
    tool: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def answer(messages: Sequence[Message], *, tools: frozenset[str], schema: Mapping[str, Any] | None) -> ModelAnswer:
    """The answer to a conversation. `tools` are the names on offer; with a schema it is a JSON object of that form."""
    last = messages[-1] if messages else {}
    said = _text(last)
    if schema is not None:
        return ModelAnswer(json.dumps(_example(schema, "", _summary(said))))
    if last.get("role") == "tool":
        return ModelAnswer("Thank you for waiting, that is done. What else can I do for you?")
    if note := _NOTE.search(said):
        return ModelAnswer(f"I have just learned this: {note[1].strip()}.")
    if _OPT_OUT.search(said) and "opt_out" in tools:
        return ModelAnswer(tool="opt_out")
    turns = sum(message.get("role") == "user" for message in messages)
    return _spoken(said, turns, tools)


def _spoken(said: str, turns: int, tools: frozenset[str]) -> ModelAnswer:
    if _GOODBYE.search(said):
        return _farewell("Goodbye.", tools)
    if _REFUSAL.search(said):
        return _farewell("I understand. Thank you for your time, and goodbye.", tools)
    if turns >= len(_TURNS):
        return _farewell(_TURNS[-1], tools)
    return ModelAnswer(_TURNS[max(turns, 1) - 1])


def _farewell(text: str, tools: frozenset[str]) -> ModelAnswer:
    return ModelAnswer(text, tool="end_call" if "end_call" in tools else None)


def _text(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _summary(transcript: str) -> str:
    lines = transcript.count("\n") + 1 if transcript else 0
    return f"A call was held; its transcript has {lines} lines."


def _example(schema: Mapping[str, Any], name: str, summary: str, depth: int = 0) -> Any:
    """Something of the form that the schema asks for."""
    if "const" in schema or schema.get("enum"):
        return schema["const"] if "const" in schema else schema["enum"][0]
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        properties = (schema.get("properties") or {}) if depth < _DEPTH_MAX else {}
        return {key: _example(each, key, summary, depth + 1) for key, each in properties.items()}
    if kind == "array":
        least = int(schema.get("minItems") or 0)
        return [_example(schema.get("items") or {}, name, summary, depth + 1) for _ in range(least)]
    values = {"boolean": False, "integer": schema.get("minimum", 0), "number": schema.get("minimum", 0), "null": None}
    return values.get(str(kind), summary if name == "summary" else name or "nothing")
