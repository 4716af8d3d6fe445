"""Simulated time: a clock that runs faster than the wall's, and each call's own time line upon it.

Knows nothing of calls' states, carriers or HTTP.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

SPEED_MAX = 10_000.0
# Below this many simulated seconds a sleep is over: event loop timers are no finer.
_SLEEP_RESOLUTION_SECONDS = 1e-4


class SpeedError(ValueError):
    """The speed asked for is not a number the clock can run at."""


class SimulatedClock:
    """A clock that counts simulated seconds, `speed` of them per real second.

    Must be used from one event loop. The speed may change while others sleep; they wake at the right simulated time.
    """

    def __init__(self, speed: float = 1.0) -> None:
        """Start counting from zero. Raises SpeedError."""
        self._speed = _checked_speed(speed)
        self._simulated_base = 0.0
        self._real_base = time.monotonic()
        self._speed_changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        checked = _checked_speed(speed)
        self._simulated_base, self._real_base = self.seconds(), time.monotonic()
        self._speed = checked
        self._speed_changed.set()
        self._speed_changed = asyncio.Event()

    def seconds(self) -> float:
        """Simulated seconds since the clock was made."""
        return self._simulated_base + (time.monotonic() - self._real_base) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for simulated seconds; infinity sleeps until cancelled."""
        wake_at = self.seconds() + seconds
        while (left := wake_at - self.seconds()) > _SLEEP_RESOLUTION_SECONDS:
            real_left = None if math.isinf(left) else left / self._speed
            with suppress(TimeoutError):
                async with asyncio.timeout(real_left):
                    await self._speed_changed.wait()


class CallTimeline:
    """One call's own time: it starts at the wall clock's present and advances by what happens to the call.

    Simulated waiting advances it by exactly the simulated seconds, so that durations are the same at every speed.
    Real work (fetching a document from the application under test) advances it by the real seconds it took:
    a Lambda's cold start of one second must not look like twenty to the callee. Anchoring each call to the wall clock
    keeps its dates comparable to the dates of the application under test.
    """

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._started_at = datetime.now(UTC)
        self.elapsed_seconds = 0.0

    def now(self) -> datetime:
        """The call's present, in UTC."""
        return self._started_at + timedelta(seconds=self.elapsed_seconds)

    async def sleep(self, seconds: float) -> None:
        """Let simulated seconds pass; a cancelled sleep counts for the part that passed."""
        begun = self._clock.seconds()
        try:
            await self._clock.sleep(seconds)
        except asyncio.CancelledError:
            self.elapsed_seconds += min(seconds, self._clock.seconds() - begun)
            raise
        self.elapsed_seconds += seconds

    async def sleep_in_real_time(self, seconds: float) -> None:
        """Let real seconds pass; infinity sleeps until cancelled."""
        with self.real_time():
            if math.isinf(seconds):
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(seconds)

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """Let the real duration of the block pass."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.elapsed_seconds += time.monotonic() - begun


def _checked_speed(speed: float) -> float:
    if not 0 < speed <= SPEED_MAX:
        raise SpeedError(f"speed must be above 0 and at most {SPEED_MAX:.0f} simulated seconds per second, got {speed}")
    return float(speed)
