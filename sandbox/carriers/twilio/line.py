"""An answered call's line: waiting on it, and everything that may break into the waiting.

The API hangs up or redirects, the callee hangs up, the time limit runs out: all of it reaches the verb that is being
followed as an exception, at the moment it happens on the call's own time line.
"""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.twilio.parameters import Instructions

T = TypeVar("T")


class LineInterrupted(Exception):  # noqa: N818 - the course of a call, not an error
    """Something broke into the call."""


class CallEnds(LineInterrupted):
    """The call is over; `status` is the final one."""

    def __init__(self, status: str = "completed", sip_response_code: int | None = 200) -> None:
        super().__init__(status)
        self.status = status
        self.sip_response_code = sip_response_code


class CallRedirected(LineInterrupted):
    """The API gave the call new instructions."""

    def __init__(self, instructions: Instructions) -> None:
        super().__init__("redirected")
        self.instructions = instructions


class Line:
    """Waiting on one call, from the queue to the end."""

    def __init__(self, timeline: CallTimeline) -> None:
        self.timeline = timeline
        self._ends_at_elapsed = math.inf
        self._interruption: asyncio.Future[LineInterrupted] = asyncio.get_running_loop().create_future()

    def end_after(self, seconds: float) -> None:
        """The call ends, as completed, after simulated seconds from now at the latest."""
        self._ends_at_elapsed = min(self._ends_at_elapsed, self.timeline.elapsed_seconds + seconds)

    def interrupt(self, interruption: LineInterrupted) -> None:
        """Break into whatever the call is doing; the first one to come wins."""
        if not self._interruption.done():
            self._interruption.set_result(interruption)

    async def wait(self, seconds: float, until: "asyncio.Future[Any] | None" = None) -> bool:
        """Let simulated seconds pass; True when `until` was done before. Raises LineInterrupted."""
        left = self._ends_at_elapsed - self.timeline.elapsed_seconds
        asleep = asyncio.ensure_future(self.timeline.sleep(min(seconds, max(left, 0.0))))
        await self._race(asleep, until)
        if until is not None and until.done():
            return True
        if seconds >= left:
            raise CallEnds
        return False

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work that takes real time, such as an HTTP exchange. Raises LineInterrupted."""
        task = asyncio.ensure_future(work)
        with self.timeline.real_time():
            await self._race(task)
        if self.timeline.elapsed_seconds >= self._ends_at_elapsed:
            raise CallEnds
        return task.result()

    async def _race(self, task: "asyncio.Future[Any]", until: "asyncio.Future[Any] | None" = None) -> None:
        contestants = {task, self._interruption} | ({until} if until is not None else set())
        try:
            await asyncio.wait(contestants, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                # The cancelled sleep books the time that passed, so it must have run before anyone reads the time line.
                await asyncio.wait({task})
        if self._interruption.done():
            interruption = self._interruption.result()
            self._interruption = asyncio.get_running_loop().create_future()
            raise interruption
