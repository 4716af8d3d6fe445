"""Which commands were given lately: one with the same command_id is not carried out again for a while.

The while is 60 real seconds and not simulated ones: a client repeats a command because a real answer did not come.
Source: https://developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

REMEMBERED_SECONDS = 60.0

Result = TypeVar("Result")


class RecentCommands(Generic[Result]):
    """What commands led to, by whom they were given and their command_id."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._results: dict[tuple[str, str], tuple[float, Result]] = {}

    def find(self, giver: str, command_id: object) -> Result | None:
        """What the same command led to, if it was given lately."""
        given = self._results.get((giver, command_id)) if isinstance(command_id, str) else None
        return given[1] if given is not None and self._now() - given[0] < REMEMBERED_SECONDS else None

    def remember(self, giver: str, command_id: object, result: Result) -> None:
        """Remember a command that was carried out, if it has a command_id."""
        if isinstance(command_id, str):
            self._results[giver, command_id] = (self._now(), result)

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
