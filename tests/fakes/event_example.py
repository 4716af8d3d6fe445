"""One file of `events/`: what it holds, what it shows, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.fakes.event_world import CREATED_AT

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Example:
    """A name (which begins with its function's), the event, what it shows and what is answered.

    An event that is good for minutes only is a function of the time at which it is invoked. ``answer`` is what the
    answer must hold: members of a JSON object, or a piece of a text. ``status`` is None for functions that do not speak
    HTTP.
    """

    name: str
    event: Event | Callable[[datetime], Event]
    shows: str
    status: int | None = None
    answer: Mapping[str, Any] | str = ""

    @property
    def is_made_at_run_time(self) -> bool:
        """True for an event whose file is too old to be accepted as it is."""
        return callable(self.event)

    @property
    def stored(self) -> Event:
        """The event as its file has it: made at the time of the world's calls, if its time matters."""
        return self.at(CREATED_AT)

    def at(self, now: datetime) -> Event:
        """The event as it is to be invoked ``now``."""
        return self.event(now) if callable(self.event) else self.event

    def mismatch(self, given: Any) -> str:
        """What is wrong with this answer of the function's; '' when it is the one documented."""
        if isinstance(given, Mapping) and "errorMessage" in given:
            return f"raised {given.get('errorType')}: {given['errorMessage']}"
        if self.status is not None:
            status = given.get("statusCode") if isinstance(given, Mapping) else None
            if status != self.status:
                return f"expected status {self.status}, got {json.dumps(given)[:2000]}"
            given = given.get("body", "")
        if isinstance(self.answer, str):
            return "" if self.answer in str(given) else f"expected {self.answer!r} in {str(given)[:2000]!r}"
        try:
            document = json.loads(given) if isinstance(given, str) else given
        except ValueError:
            document = None
        if not isinstance(document, Mapping):
            return f"expected a JSON object, got {given!r}"
        differing = {name: value for name, value in self.answer.items() if (name, value) not in document.items()}
        return "; ".join(f"{name}: expected {value!r}, got {document.get(name)!r}" for name, value in differing.items())
