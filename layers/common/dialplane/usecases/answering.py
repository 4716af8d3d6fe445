"""Make one answer: ask the model, use its tools, and speak while the words come.

When somebody is to answer, and what is put on record of it, belongs to ``converse``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from dialplane.domain import builtin_tools
from dialplane.domain.conversation_settings import EndReason
from dialplane.domain.conversations import Conversation, Entry, EntryKind, Source
from dialplane.domain.language_model import LanguageModel, Message, ModelFailed, ModelRequest, ToolCall
from dialplane.domain.prompting import model_request
from dialplane.usecases.sockets import SocketFailed, SocketGone
from dialplane.usecases.speech import Speech

logger = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 22.0
"""How long an answer may be in the making, tools included: the gateway waits 29 seconds for whoever handles a frame."""
GOODBYE = "Goodbye."
_TOOL_ROUNDS_MAX = 4
_TOOLS_MAX = 16
"""How many tools are used at once; what a model wants beyond them is left out."""
_TOOLS_LENGTH_MAX = 16_000
"""Characters of tools that are kept of one answer; of more, only which they were."""
_TURN_CHECK_SECONDS = 0.5
_WAIT_MESSAGE = "One moment, please. "


class TurnLost(Exception):
    """Somebody else has taken the turn meanwhile: what is not said yet stays unsaid."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a conversation is to end: the last words (none when they were said) and what follows them."""

    reason: EndReason
    message: str = ""
    source: Source = Source.FAREWELL
    transfer_to: str | None = None
    within: timedelta | None = None
    """When it is over at the latest, the last words spoken or not."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What is to be put on record beside it: fields of ``Conversation``."""
    values_if_sent: Mapping[str, Any] = field(default_factory=dict)
    """The same, only when the last words were sent, all of them."""


@dataclass(frozen=True, slots=True)
class Means:
    """What an answer is made with. ``turn`` reads whose turn it is; ``use_tool`` uses one of the customer's."""

    open_model: Callable[[Conversation], LanguageModel]
    use_tool: Callable[[Conversation, ToolCall, float], str | None]
    send: Callable[[str, Mapping[str, Any]], None]
    turn: Callable[[str, str], int | None]
    monotonic: Callable[[], float]


class Answer:
    """One answer in the making. ``began`` is when it was asked for, on the monotonic clock."""

    def __init__(self, conversation: Conversation, means: Means, began: float) -> None:
        self._conversation = conversation
        self._means = means
        self._began = began
        self._checked_at = began
        self._first_token_ms: int | None = None
        self._tools: list[tuple[ToolCall, str]] = []
        self._is_heard = True
        self._answer = Speech(self._send)
        self._last_words = Speech(self._send, is_interruptible=False)

    @property
    def text(self) -> str:
        """All that was sent to be spoken."""
        return f"{self._answer.text} {self._last_words.text}".strip()

    @property
    def are_last_words_sent(self) -> bool:
        """True when the last words were sent, to the end."""
        return self._last_words.is_sent

    def add(self, text: str, *, is_interruptible: bool = True) -> None:
        """Say something that is there already. It is sent with ``finish``, after all that the model has said."""
        (self._answer if is_interruptible else self._last_words).hold(text)

    def think(self) -> Ending | None:
        """Have the model answer. Returns how it wants the conversation to end, if it does.

        Raises ModelFailed, TurnLost and SocketFailed.
        """
        model = self._means.open_model(self._conversation)
        request = model_request(self._conversation, builtin_tools.offered(self._conversation.settings))
        for _ in range(_TOOL_ROUNDS_MAX):
            said_before = len(self._answer.text)
            calls = self._listen_to(model, request)
            if not calls:
                if self._answer.is_empty:
                    raise ModelFailed("it has answered nothing")
                return None
            results: list[Message] = []
            calls = calls[:_TOOLS_MAX]
            for call in calls:
                outcome = self._use(call)
                if isinstance(outcome, Ending):
                    return outcome
                self._tools.append((call, outcome))
                results.append(Message("tool", outcome, tool_call_id=call.id))
            used = Message("assistant", self._answer.text[said_before:], tool_calls=tuple(calls))
            request = replace(request, messages=(*request.messages, used, *results))
        raise ModelFailed(f"it has used tools {_TOOL_ROUNDS_MAX} times and said nothing of them")

    def finish(self) -> None:
        """Send what is left. Nobody may be there to hear it any more."""
        for speech in (self._answer, self._last_words):
            try:
                speech.finish()
            except SocketFailed as failure:
                logger.warning("socket_failed", extra={"call_id": self._conversation.call_id, "reason": str(failure)})
                return

    def entries(self, at: datetime, source: Source, last_source: Source = Source.FAREWELL) -> tuple[Entry, ...]:
        """What of it is to be put on record."""
        turn = self._conversation.turn
        tools = tuple(self._tool_entries(at))
        spoken = ((self._answer.text, source, self._first_token_ms), (self._last_words.text, last_source, None))
        words = tuple(
            Entry(EntryKind.ASSISTANT, at, text.strip(), turn=turn, source=whose, first_token_ms=first)
            for text, whose, first in spoken
            if text.strip()
        )
        return (*tools, *words)

    def _tool_entries(self, at: datetime) -> Iterator[Entry]:
        room = _TOOLS_LENGTH_MAX
        for call, result in self._tools:
            arguments_json, text = json.dumps(dict(call.arguments)), result
            if len(arguments_json) + len(text) > room:
                arguments_json, text = "{}", ""
            room -= len(arguments_json) + len(text)
            name, turn = call.name[:64], self._conversation.turn
            yield Entry(EntryKind.TOOL, at, text, turn=turn, tool=name, arguments_json=arguments_json)

    def _listen_to(self, model: LanguageModel, request: ModelRequest) -> list[ToolCall]:
        left = self._seconds_left()
        calls: list[ToolCall] = []
        seconds = min(request.first_token_seconds, left)
        pieces = model.stream(replace(request, first_token_seconds=seconds, total_seconds=left))
        for piece in pieces:
            if isinstance(piece, ToolCall):
                calls.append(piece)
            else:
                self._answer.add(piece)
            self._check_turn()
            if self._answer.is_full:
                break
        return calls

    def _seconds_left(self) -> float:
        """Raises ModelFailed when there are none."""
        left = ANSWER_SECONDS_MAX - (self._means.monotonic() - self._began)
        if left <= 0:
            raise ModelFailed(f"its answer was not complete within {ANSWER_SECONDS_MAX:.0f} s")
        return left

    def _check_turn(self) -> None:
        """Whoever speaks for longer than a moment looks now and then whether the callee has spoken meanwhile."""
        now = self._means.monotonic()
        if now - self._checked_at < _TURN_CHECK_SECONDS:
            return
        self._checked_at = now
        of = self._conversation
        if self._means.turn(of.organization_id, of.call_id) != of.turn:
            raise TurnLost

    def _use(self, call: ToolCall) -> str | Ending:
        settings = self._conversation.settings
        message = call.arguments.get("message")
        words = message if isinstance(message, str) else ""
        match call.name:
            case "end_call":
                if not words and self._answer.is_empty:
                    words = settings.goodbye_message or GOODBYE
                return Ending(EndReason.ASSISTANT, words)
            case "opt_out":
                return Ending(EndReason.OPT_OUT)
            case "transfer":
                return self._transfer(call, words)
            case "press_digits":
                return self._press(call)
        if self._answer.is_empty:
            self._answer.add(_WAIT_MESSAGE)  # a tool may take its time, and nobody is to hear silence
        result = self._means.use_tool(self._conversation, call, self._seconds_left())
        self._check_turn()
        return result if result is not None else f"There is no tool named {call.name[:64]}."

    def _transfer(self, call: ToolCall, words: str) -> str | Ending:
        destinations = builtin_tools.transfer_destinations(self._conversation.settings)
        asked = call.arguments.get("destination") or next(iter(destinations), None)
        if not isinstance(asked, str) or asked not in destinations:  # a model may write a list
            return f"The call can only be transferred to: {', '.join(destinations) or 'nobody'}."
        return Ending(EndReason.TRANSFER, words, transfer_to=asked)

    def _press(self, call: ToolCall) -> str:
        digits = call.arguments.get("digits")
        if not isinstance(digits, str) or not builtin_tools.DIGITS.fullmatch(digits):
            return "Digits are 0 to 9, *, # and w for a pause of half a second, at most 32."
        self._send({"type": "sendDigits", "digits": digits})
        return "The digits were pressed."

    def _send(self, frame: Mapping[str, Any]) -> None:
        connection_id = self._conversation.connection_id
        if connection_id is None:
            raise SocketGone
        self._means.send(connection_id, frame)
        if self._first_token_ms is None:
            self._first_token_ms = round((self._means.monotonic() - self._began) * 1000)
