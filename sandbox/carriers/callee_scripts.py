"""What callees say to what they hear. Data only: who brings it to life is `callee`, over which frames `relay`."""

from dataclasses import dataclass
from enum import Enum

THINKS_SECONDS = 0.8


class Mischief(Enum):
    """What a line or a carrier may do to a conversation that nobody said it would."""

    GARBAGE = "frames that are none: no JSON, no object, unknown types, fields of other types"
    BINARY = "a binary frame"
    OVERSIZED = "a frame bigger than 32 KB"
    TWICE = "a prompt is sent twice"
    LATE_INTERRUPT = "an interruption is told after the words that have interrupted"
    SECOND_SOCKET = "the WebSocket is opened once more, with the same address"
    SOCKET_DIES = "the WebSocket breaks without a word"


@dataclass(frozen=True)
class Move:
    """What a callee does when it has its turn: first trouble, then keys, then words. Nothing of it is silence.

    Who hangs up after words does so half a second later, unless `slams` the phone down with the last of them.
    """

    says: str = ""
    presses: str = ""
    hangs_up: bool = False
    slams: bool = False
    after_seconds: float = THINKS_SECONDS
    mischief: Mischief | None = None


@dataclass(frozen=True)
class Answer:
    """A move to make upon words of the assistant's.

    `to` is a regular expression, looked for in any case in all that was heard since the callee last spoke. The move is
    made once the assistant has finished; with `breaks_in_after` it is made in the middle, when so many words of what
    is being said were heard. `times` is how often at most.
    """

    to: str
    move: Move
    breaks_in_after: int | None = None
    times: int | None = None


@dataclass(frozen=True)
class Script:
    """One callee. Seconds are those of the call's time line.

    `answers` are tried in order. `left_alone` is said when the assistant has finished with nothing that any of them
    fits, `nobody_there` when there is no word from the assistant at all. After `turns_max` turns the callee takes its
    leave. A machine says its `greeting` to whoever is there, beeps and records what it hears from then on.
    """

    answers: tuple[Answer, ...] = ()
    left_alone: Move | None = None
    nobody_there: Move | None = Move("Hello, who is calling?")
    greeting: Move | None = None
    beeps_after_seconds: float | None = None
    turns_max: int | None = None
    leave: Move = Move("I have to go now. Goodbye.", hangs_up=True)
    interrupts_regardless: bool = False
    """Whether it breaks in although what is being said cannot be interrupted."""
    is_person: bool = False
    """Whether somebody at a terminal is the callee."""


ANYTHING = r"\w"
# Who has said goodbye hangs up, or waits for the other side to do so.
_LEAVES = Answer(r"\b(good)?bye\b", Move("Thank you. Goodbye.", hangs_up=True))
_WAITS = Answer(r"\b(good)?bye\b", Move("Goodbye."), times=1)
_POLITE = (
    _LEAVES,
    Answer(r"which day|monday|tuesday", Move("Tuesday would be good."), times=1),
    Answer(r"\?", Move("Yes, please.")),
)

POLITE = Script(_POLITE, left_alone=Move("Okay."), turns_max=8)
"""Everybody who is in no list: answers questions, chooses Tuesday, says goodbye and hangs up."""

AGREES = Script((_WAITS, Answer(r"\?", Move("Yes."))), left_alone=Move("Yes."), turns_max=8)
REFUSES = Script(
    (_WAITS, Answer(r"\?", Move("No, thank you."))), left_alone=Move("No, I am not interested."), turns_max=8
)
STOP_CALLING = Script(
    (Answer(ANYTHING, Move("Please stop calling me."), times=1),),
    left_alone=None,
)
STOPS_AND_SLAMS = Script(
    (Answer(ANYTHING, Move("Do not call me again!", hangs_up=True, slams=True), times=1),),
)
PRESSES_9 = Script((Answer(ANYTHING, Move(presses="9"), times=1),))
PRESSES_KEYS = Script((Answer(ANYTHING, Move(presses="12#"), times=1), *_POLITE), left_alone=Move("Okay."), turns_max=8)
INTERRUPTS = Script(
    (Answer(ANYTHING, Move("Wait, who are you?", after_seconds=0.0), breaks_in_after=6, times=1), *_POLITE),
    left_alone=Move("Okay."),
    turns_max=8,
)
TALKS_OVER = Script(
    (Answer(ANYTHING, Move("Hello? Hello?", after_seconds=0.0), breaks_in_after=3, times=1), *_POLITE),
    left_alone=Move("Okay."),
    turns_max=8,
    interrupts_regardless=True,
)
SILENT = Script(nobody_there=None)
VOICEMAIL = Script(
    greeting=Move(
        "You have reached the voicemail of the number that you have called. Please leave a message after the tone.",
        after_seconds=0.5,
    ),
    beeps_after_seconds=8.0,
    nobody_there=None,
)
HANGS_UP_MID_SENTENCE = Script(
    (Answer(ANYTHING, Move(hangs_up=True, after_seconds=0.0), breaks_in_after=5),), interrupts_regardless=True
)
TALKATIVE = Script(
    (
        Answer(r"\b(good)?bye\b", Move("One more thing. How is the weather at your place?")),
        Answer(ANYTHING, Move("And another question: what happens then?")),
    ),
    left_alone=Move("Tell me more, please."),
)
THINKS_LONG = Script(
    (Answer(r"\?", Move("Tuesday would be good.", after_seconds=600.0), times=1), *_POLITE),
    left_alone=Move("Okay."),
    turns_max=8,
)
SAYS_GOODBYE = Script((Answer(ANYTHING, Move("Goodbye."), times=1),))
PERSON = Script(nobody_there=None, is_person=True)


def _polite_but(mischief: Mischief) -> Script:
    """A polite callee whose line does this at the first answer."""
    first = Answer(ANYTHING, Move("Yes, please.", mischief=mischief), times=1)
    return Script((first, *_POLITE), left_alone=Move("Okay."), turns_max=8)


GARBAGE = _polite_but(Mischief.GARBAGE)
BINARY = _polite_but(Mischief.BINARY)
OVERSIZED = _polite_but(Mischief.OVERSIZED)
TWICE = _polite_but(Mischief.TWICE)
LATE_INTERRUPT = Script(
    (
        Answer(
            ANYTHING,
            Move("Wait, who are you?", after_seconds=0.0, mischief=Mischief.LATE_INTERRUPT),
            breaks_in_after=6,
            times=1,
        ),
        *_POLITE,
    ),
    left_alone=Move("Okay."),
    turns_max=8,
)
SECOND_SOCKET = _polite_but(Mischief.SECOND_SOCKET)
SOCKET_DIES = Script(
    (Answer(ANYTHING, Move(after_seconds=0.0, mischief=Mischief.SOCKET_DIES), breaks_in_after=4, times=1), *_POLITE),
    left_alone=Move("Okay."),
    turns_max=8,
    interrupts_regardless=True,
)
