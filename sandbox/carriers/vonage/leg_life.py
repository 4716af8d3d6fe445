"""One leg from its start to its end: a call's own, or that of whom it is connected with."""

from sandbox.carriers.callee import wait_for_answer
from sandbox.carriers.line import Ending, Line
from sandbox.carriers.vonage.calls import Leg
from sandbox.carriers.vonage.events import Events

CONNECTING_SECONDS = 1.0
# The callee's network stops ringing by itself, whatever Vonage was asked for.
NETWORK_RINGS_SECONDS_MAX = 90.0
NOT_REACHED = frozenset({Ending.BUSY, Ending.NO_ANSWER, Ending.DECLINED, Ending.UNREACHABLE})

# The status and detail of each ending.
_ENDINGS: dict[Ending, tuple[str, str | None]] = {
    Ending.CALLEE_HUNG_UP: ("completed", None),
    Ending.APPLICATION_HUNG_UP: ("completed", None),
    Ending.TIME_LIMIT: ("completed", None),
    Ending.CANCELED: ("cancelled", None),
    Ending.BUSY: ("busy", None),
    Ending.NO_ANSWER: ("timeout", None),
    Ending.DECLINED: ("rejected", "declined"),
    Ending.UNREACHABLE: ("failed", "number_out_of_service"),
}


class LegLife:
    """Lives a leg on a line and reports each step."""

    def __init__(self, leg: Leg, line: Line, events: Events) -> None:
        self.leg = leg
        self.line = line
        self.events = events
        self._rings_longest = False

    async def reach(self, ring_timeout: float) -> None:
        """Start, ring and be answered. Raises CallEnds (NOT_REACHED when nobody answers), LineInterrupted."""
        self.events.raise_status("started")
        await self.line.wait(self.leg.scenario.queued_seconds + CONNECTING_SECONDS)
        self._rings_longest = ring_timeout > NETWORK_RINGS_SECONDS_MAX
        await wait_for_answer(
            self.line,
            self.leg.scenario,
            ring_seconds_max=min(ring_timeout, NETWORK_RINGS_SECONDS_MAX),
            on_ringing=self._ring,
        )
        self.answer()

    def _ring(self) -> None:
        self.leg.status = "ringing"
        self.events.raise_status("ringing")

    def answer(self) -> None:
        """Somebody picked up."""
        self.leg.answered()
        self.events.raise_status("answered")

    def end(self, ending: Ending) -> None:
        """The leg is over; what was not answered ends a second time, as completed, unless it was rejected."""
        status, detail = _ENDINGS[ending]
        if ending is Ending.NO_ANSWER and self._rings_longest:
            # Not Vonage's timer ran out but the network's.
            status, detail = "unanswered", "timeout"
        self.leg.end(status)
        self.events.raise_status(status, detail)
        if status not in ("completed", "rejected"):
            self.events.raise_status("completed")
