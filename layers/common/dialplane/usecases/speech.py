"""Speaking while the words still come: pieces of text to the carrier's voice, as soon as they can be spoken.

What is said and by whom belongs to ``converse``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

SPOKEN_LENGTH_MAX = 2_000
"""Characters of one answer that are spoken: more than two minutes. What a model writes beyond them is left out."""
_PIECE_LENGTH = 40
# A voice can begin with the first words of a sentence; single tokens only cost requests.
_FIRST_LENGTH = 12
_PAUSE = re.compile(r"[.!?;:,。！？…]\s*$")
_NOT_SPOKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff*_#`]")


class Speech:
    """One answer on its way. ``send`` takes a frame; ``text`` is all that was sent so far."""

    def __init__(self, send: Callable[[Mapping[str, Any]], None], *, is_interruptible: bool = True) -> None:
        self._send = send
        self._is_interruptible = is_interruptible
        self._waiting = ""
        self.text = ""
        self.is_sent = False
        """True once all of it was sent."""

    @property
    def is_full(self) -> bool:
        """True when no more of the answer will be spoken."""
        return len(self.text) + len(self._waiting) >= SPOKEN_LENGTH_MAX

    @property
    def is_empty(self) -> bool:
        """True as long as there is nothing to be heard."""
        return not (self.text + self._waiting).strip()

    def hold(self, text: str) -> None:
        """The rest of the answer: it goes out with ``finish``, in one request."""
        spoken = _NOT_SPOKEN.sub("", text)
        room = SPOKEN_LENGTH_MAX - len(self.text) - len(self._waiting)
        self._waiting += spoken[:room]

    def add(self, piece: str) -> None:
        """More of the answer, and more may come."""
        self.hold(piece)
        # Cut between words: the rest of a word may still come.
        end = len(self._waiting) if self.is_full or _PAUSE.search(self._waiting) else self._waiting.rfind(" ") + 1
        if end >= (_PIECE_LENGTH if self.text else _FIRST_LENGTH):
            self._flush(end, is_last=False)

    def finish(self) -> None:
        """The answer is complete."""
        if self.text or self._waiting.strip():
            self._flush(len(self._waiting), is_last=True)
            self.is_sent = True

    def _flush(self, end: int, *, is_last: bool) -> None:
        token, self._waiting = self._waiting[:end], self._waiting[end:]
        frame: dict[str, Any] = {"type": "text", "token": token, "last": is_last}
        if not self._is_interruptible:
            frame["interruptible"] = False
        self._send(frame)
        self.text += token
