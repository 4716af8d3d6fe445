"""How long a model may take and how much of its answer is read, whatever it does.

A connection has time limits of its own, but they are about single reads: who drips bytes, or has a name that takes long
to be looked up, outlasts them all. So the connection belongs to a thread, and whoever waits for the answer waits for
the thread no longer than the request allows. What is said over the connection belongs to the models' modules.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from enum import Enum

from dialplane.domain.language_model import TEXT_LENGTH_MAX, ModelFailed, ModelRequest, ToolCall


class Sign(Enum):
    """What a model's module gives beside the answer."""

    OF_LIFE = "of life"
    """A part of the answer has come that nobody can use before the rest has."""
    OF_THE_END = "of the end"
    """The answer is complete; nobody has to wait for what the thread still does."""


class Line:
    """The connection of one answer, seen from both of its ends: the thread that reads and whoever waits for it."""

    def __init__(self) -> None:
        self._is_closed = threading.Event()
        self._lock = threading.Lock()
        self._interrupt: Callable[[], object] | None = None

    def is_closed(self) -> bool:
        """True when nobody waits for the answer any more."""
        return self._is_closed.is_set()

    def pause(self, seconds: float) -> None:
        """Let time pass, for as long as somebody waits."""
        self._is_closed.wait(seconds)

    def hold(self, interrupt: Callable[[], object]) -> None:
        """Say how the thread is to be interrupted while it reads, without waiting for it."""
        with self._lock:
            self._interrupt = interrupt
            if self.is_closed():
                self._interrupt_now()

    def let_go(self) -> bool:
        """The thread is not to be interrupted any more; True when it was not."""
        with self._lock:
            self._interrupt = None
            return not self.is_closed()

    def close(self) -> None:
        """Stop waiting."""
        with self._lock:
            self._is_closed.set()
            self._interrupt_now()

    def _interrupt_now(self) -> None:
        if self._interrupt is not None:
            with contextlib.suppress(Exception):  # it is closed at the other end
                self._interrupt()


Answer = Callable[[ModelRequest, Line], Generator[str | ToolCall | Sign, None, None]]
"""What a model's module does in the thread. Whatever it raises is a failure of the model."""


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str


def within_limits(answer: Answer, request: ModelRequest) -> Iterator[str | ToolCall]:
    """The pieces of an answer as they come, no later and no more than the request allows. Raises ModelFailed."""
    line = Line()
    pieces: queue.SimpleQueue[str | ToolCall | Sign | _Failure] = queue.SimpleQueue()
    now = time.monotonic()
    next_by, ends_at = now + request.first_token_seconds, now + request.total_seconds

    def read() -> None:
        for piece in _caught(answer, request, line):
            pieces.put(piece)

    # A daemon: who hangs in a name that is looked up for ever must not keep the process from ending.
    threading.Thread(target=read, daemon=True, name="language-model").start()
    try:
        while True:
            try:
                piece = pieces.get(timeout=max(0.0, min(next_by, ends_at) - time.monotonic()))
            except queue.Empty:
                reason = (
                    f"not complete within {request.total_seconds:.3g} s"
                    if ends_at <= next_by
                    else f"no token within {request.first_token_seconds:.3g} s"
                )
                raise ModelFailed(reason) from None
            if piece is Sign.OF_THE_END:
                return
            if isinstance(piece, _Failure):
                raise ModelFailed(piece.reason)
            if not isinstance(piece, Sign):
                yield piece
            next_by = time.monotonic() + request.first_token_seconds
    finally:
        line.close()


def _caught(answer: Answer, request: ModelRequest, line: Line) -> Iterator[str | ToolCall | Sign | _Failure]:
    """The pieces and what ends them. Nothing that a thread meets may be lost, or be told to anybody else."""
    try:
        with contextlib.closing(answer(request, line)) as pieces:
            yield from _limited(pieces, line)
        yield Sign.OF_THE_END
    except ModelFailed as failure:
        yield _Failure(failure.reason)
    except Exception as error:
        yield _Failure(type(error).__name__)  # its words may be the prompt, or the key


def _limited(pieces: Iterator[str | ToolCall | Sign], line: Line) -> Iterator[str | ToolCall | Sign]:
    length = 0
    for piece in pieces:
        if line.is_closed():
            return
        if not isinstance(piece, str):
            yield piece
        elif piece:
            yield piece[: TEXT_LENGTH_MAX - length]
            length += len(piece)
            if length >= TEXT_LENGTH_MAX:
                return
