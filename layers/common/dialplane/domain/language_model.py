"""What any language model is asked and how it answers. Types only; ``models.registry`` knows the models.

Nothing here knows of calls: what a model is told and what becomes of its answer belongs to ``usecases.converse``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants used. ``id`` is the model's own, to tell several apart."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation so far. ``tool_calls`` are an assistant's, ``tool_call_id`` is a result's."""

    role: Literal["user", "assistant", "tool"]
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may use; ``parameters`` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked. Times are seconds; whoever is slower has failed."""

    system: str
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    model: str | None = None
    temperature: float | None = None
    tokens_max: int = 400
    first_token_seconds: float = 6.0
    total_seconds: float = 20.0
    response_schema: Mapping[str, Any] | None = None
    """A JSON schema that the whole answer must be an instance of; only for answers that nobody hears."""


class ModelFailed(Exception):
    """The model gave no usable answer. ``reason`` is for the log and for operators: no secret, no words of the call."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LanguageModel(Protocol):
    """Answers requests. Safe to share between threads."""

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        """The answer as it comes: pieces of text in order, and the tools that the model wants used, each complete.

        Nothing at all is a model that has answered nothing. Raises ModelFailed; at most 16,384 characters are given.
        """
