"""What any language model is asked and how it answers. Names and types; ``models.registry`` knows the models.

Nothing here knows of calls: what a model is told and what becomes of its answer belongs to ``usecases.converse``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

PROVIDERS_WITH_KEY = frozenset({"openai", "mistral", "xai"})
"""Providers that are asked with a key of the organization's own."""
PROVIDERS = PROVIDERS_WITH_KEY | {"scripted", "bedrock"}
"""Providers of the language models that hold conversations."""
TEXT_LENGTH_MAX = 16_384
"""How many characters of an answer are read; and of each tool's arguments."""
TOOL_CALLS_MAX = 64
"""How many tools an answer may want used."""


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
    """What a model is asked. Times are seconds from the first piece asked for; whoever is slower has failed.

    ``first_token_seconds`` is also the longest silence between two tokens. ``model`` and ``temperature`` win over those
    of the configuration that the model was opened with.
    """

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
        """The answer as it comes: pieces of text in order, then the tools that the model wants used, each complete.

        Nothing at all is a model that has answered nothing; what is longer than TEXT_LENGTH_MAX is cut off. Closing
        the iterator hangs up. Raises ModelFailed, which may come after pieces were given.
        """
