"""The callee until the answer: busy, unreachable, ringing in vain, declining or answering, as the scenario says."""

from collections.abc import Callable

from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.scenarios import Callee, Scenario


async def wait_for_answer(
    line: Line, scenario: Scenario, *, ring_seconds_max: float, on_ringing: Callable[[], None] = lambda: None
) -> None:
    """Return when the callee answers. Raises CallEnds when nobody does, LineInterrupted."""
    if scenario.callee is Callee.BUSY:
        raise CallEnds(Ending.BUSY)
    if scenario.callee is Callee.UNREACHABLE:
        raise CallEnds(Ending.UNREACHABLE)
    on_ringing()
    if scenario.callee is Callee.NO_ANSWER or scenario.rings_seconds > ring_seconds_max:
        await line.wait(ring_seconds_max)
        raise CallEnds(Ending.NO_ANSWER)
    await line.wait(scenario.rings_seconds)
    if scenario.callee is Callee.REJECTS:
        raise CallEnds(Ending.DECLINED)
