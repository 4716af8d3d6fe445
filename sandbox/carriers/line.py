"""A call's line: waiting on it, and everything that may break into the waiting.

The application hangs up or redirects, the callee hangs up, the time limit runs out: all of it reaches whatever the call
is doing as an exception, at the moment it happens on the call's own time line. In which words a carrier tells of an
ending is the carrier's.
"""

import asyncio
import math
from collections.abc import Coroutine
from enum import Enum
from typing import Any, TypeVar

from sandbox.carriers.clock import CallTimeline

T = TypeVar("T")

# Sums of simulated seconds are floats.
_ROUNDING_SECONDS = 1e-6


class Ending(Enum):
    """How a call ends."""

    CALLEE_HUNG_UP = "the callee hung up"
    APPLICATION_HUNG_UP = "the application hung up, or had nothing more to do"
    TIME_LIMIT = "the call reached its time limit"
    CANCELED = "the application hung up before an answer"
    BUSY = "busy"
    NO_ANSWER = "rang until the timeout"
    DECLINED = "the callee declined"
    UNREACHABLE = "there is no such number"


class LineInterrupted(Exception):
    """Something broke into the call."""


class CallEnds(LineInterrupted):
    """The call is over."""

    def __init__(self, ending: Ending = Ending.APPLICATION_HUNG_UP) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Line:
    """Waiting on one call, from the queue to the end."""

    def __init__(self, timeline: CallTimeline) -> None:
        self.timeline = timeline
        self._ends_at_elapsed = math.inf
        self._ending = Ending.TIME_LIMIT
        self._end_moved = asyncio.Event()
        self._interruption: asyncio.Future[LineInterrupted] = asyncio.get_running_loop().create_future()
        self._awaited: list[tuple[float, asyncio.Future[None]]] = []

    def end_at(self, elapsed_seconds: float, ending: Ending = Ending.TIME_LIMIT) -> None:
        """The call ends at this moment of its time line at the latest."""
        if elapsed_seconds < self._ends_at_elapsed:
            self._ends_at_elapsed, self._ending = elapsed_seconds, ending
            self._end_moved.set()

    def interrupt(self, interruption: LineInterrupted) -> None:
        """Break into whatever the call is doing; the first one to come wins."""
        if not self._interruption.done():
            self._interruption.set_result(interruption)

    async def wait(
        self, seconds: float, until: "asyncio.Future[Any] | None" = None, *, in_real_time: bool = False
    ) -> bool:
        """Let simulated seconds pass; True when `until` was done before. Raises LineInterrupted.

        `in_real_time` is for waiting for the application, which no clock makes faster.
        """
        sleep = self.timeline.sleep_in_real_time if in_real_time else self.timeline.sleep
        over_at = self.timeline.elapsed_seconds + seconds
        while True:
            self._end_moved.clear()
            nearest = min((moment for moment, _ in self._awaited), default=math.inf)
            left = min(over_at, self._ends_at_elapsed, nearest) - self.timeline.elapsed_seconds
            asleep = asyncio.ensure_future(sleep(max(left, 0.0)))
            end_moved = asyncio.ensure_future(self._end_moved.wait())
            try:
                await self._race(asleep, end_moved, until)
            finally:
                end_moved.cancel()
                self._tell_of_moments()
            if until is not None and until.done():
                return True
            if self._reached(self._ends_at_elapsed):
                raise CallEnds(self._ending)
            if self._reached(over_at):
                return False

    async def until(self, elapsed_seconds: float, over: asyncio.Event) -> bool:
        """Wait beside the call until its time line has come so far; False when it is over before."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((elapsed_seconds, reached))
        self._end_moved.set()
        ended = asyncio.ensure_future(over.wait())
        either: set[asyncio.Future[Any]] = {reached, ended}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            self._awaited = [(moment, each) for moment, each in self._awaited if each is not reached]
        return reached.done() and not over.is_set()

    def _tell_of_moments(self) -> None:
        for moment, reached in self._awaited:
            if self._reached(moment) and not reached.done():
                reached.set_result(None)
        self._awaited = [(moment, reached) for moment, reached in self._awaited if not reached.done()]

    def _reached(self, elapsed_seconds: float) -> bool:
        return self.timeline.elapsed_seconds >= elapsed_seconds - _ROUNDING_SECONDS

    async def attend(self, work: Coroutine[Any, Any, T]) -> T:
        """Do work that takes real time, such as an HTTP exchange. Raises LineInterrupted."""
        task = asyncio.ensure_future(work)
        with self.timeline.real_time():
            await self._race(task)
        self._tell_of_moments()
        if self._reached(self._ends_at_elapsed):
            raise CallEnds(self._ending)
        return task.result()

    async def _race(self, task: "asyncio.Future[Any]", *others: "asyncio.Future[Any] | None") -> None:
        """Wait until the task, one of the others or an interruption is there; raises the interruption."""
        contestants = {task, self._interruption, *(other for other in others if other is not None)}
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
