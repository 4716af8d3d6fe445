"""The callee: until the answer as the scenario says, and from then on as its script does.

Here is what it decides; what it hears and when its words arrive is in `conversations`.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.carriers.callee_scripts import Answer, Move, Script
from sandbox.carriers.journal import CONVERSATIONS_MAX, ConversationJournal, ConversationRecord
from sandbox.carriers.line import CallEnds, Ending, Line
from sandbox.carriers.person import Terminal, Terminals
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


@dataclass(frozen=True)
class Choice:
    """A move that a callee would make now, and the number of the answer in its script that says so."""

    move: Move
    number: int | None = None


class Mind:
    """What a scripted callee makes of what it hears. `turns` counts its moves.

    A choice counts once it is `made`: what the callee was about to say when the other side went on is forgotten.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.turns = 0
        self._used: Counter[int] = Counter()

    def made(self, choice: Choice) -> None:
        """The move was made."""
        self.turns += 1
        if choice.number is not None:
            self._used[choice.number] += 1

    def answer(self, heard: str) -> Choice | None:
        """The move upon all that was heard since the last one, now that the assistant has finished."""
        return self._choose(heard, lambda answer: answer.breaks_in_after is None)

    def break_in(self, heard: str) -> Choice | None:
        """The move in the middle of an utterance of which so much was heard."""
        words = len(heard.split())
        return self._choose(
            heard, lambda answer: answer.breaks_in_after is not None and answer.breaks_in_after <= words
        )

    def words_to_break_in(self, words: int) -> int | None:
        """How many words of an utterance it hears before it may break in, more than these."""
        points = [
            answer.breaks_in_after
            for index, answer in enumerate(self.script.answers)
            if answer.breaks_in_after is not None and answer.breaks_in_after > words and self._may(index, answer)
        ]
        return min(points, default=None)

    def left_alone(self) -> Choice | None:
        """The move when the assistant waits for one and nothing it said asks for any."""
        return self._choice(self.script.left_alone) if self.script.left_alone is not None else None

    def nobody_there(self) -> Choice | None:
        """The move when no word is heard at all; made once."""
        if self.turns or self.script.nobody_there is None:
            return None
        return self._choice(self.script.nobody_there)

    def _choose(self, heard: str, is_candidate: Callable[[Answer], bool]) -> Choice | None:
        for number, answer in enumerate(self.script.answers):
            if is_candidate(answer) and self._may(number, answer) and re.search(answer.to, heard, re.IGNORECASE):
                return self._choice(answer.move, number)
        return None

    def _may(self, index: int, answer: Answer) -> bool:
        return answer.times is None or self._used[index] < answer.times

    def _choice(self, move: Move, number: int | None = None) -> Choice:
        if self.script.turns_max is not None and self.turns >= self.script.turns_max:
            return Choice(self.script.leave)
        return Choice(move, number)


@dataclass
class CalleeOnCall:
    """One callee on one call, with what it has heard; a further session of the same call finds it as it was.

    `sessions` counts those that were begun, opened or not.
    """

    mind: Mind
    record: ConversationRecord
    terminal: Terminal | None = None
    sessions: int = 0
    has_greeted: bool = False


@dataclass
class Callees:
    """Everybody who was called into a conversation, and the terminals at which people wait to be."""

    journal: ConversationJournal = field(default_factory=ConversationJournal)
    terminals: Terminals = field(default_factory=Terminals)
    _on_calls: dict[str, CalleeOnCall] = field(default_factory=dict)

    def on_call(self, call_id: str, *, from_number: str, to_number: str, scenario: Scenario) -> CalleeOnCall:
        """The callee of a call; the carrier's id of it names it."""
        callee = self._on_calls.get(call_id)
        if callee is None:
            record = ConversationRecord(call_id, from_number, to_number, scenario.name)
            callee = CalleeOnCall(Mind(scenario.script), record)
            if scenario.script.is_person:
                callee.terminal = self.terminals.take()
            self.journal.add(record)
            self._on_calls[call_id] = callee
            while len(self._on_calls) > CONVERSATIONS_MAX:
                del self._on_calls[next(iter(self._on_calls))]
        return callee

    def clear(self) -> None:
        """Forget everybody. Terminals that wait go on waiting."""
        self.journal.clear()
        self._on_calls.clear()
