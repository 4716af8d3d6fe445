"""A carrier's limit of requests per second, in simulated time."""

from sandbox.carriers.clock import SimulatedClock


class RateLimit:
    """Lets one second's requests through at once, and then as many as time brings."""

    def __init__(self, clock: SimulatedClock, per_second: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._most = max(per_second, 1.0)
        self._left = self._most
        self._counted_at = clock.seconds()

    def allows(self) -> bool:
        """Count a request; whether it is within the limit."""
        now = self._clock.seconds()
        self._left = min(self._most, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
