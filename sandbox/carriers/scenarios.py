"""The scenario tables: which number makes what happen, in words that hold for every carrier.

Data only; what a callee says is in `callee_scripts`. How a carrier shows an outcome (its status words, SIP codes, error
codes) is in that carrier's package.
"""

import math
import re
from dataclasses import dataclass
from enum import Enum

from sandbox.carriers import callee_scripts
from sandbox.carriers.callee_scripts import POLITE, VOICEMAIL, Script


class Placing(Enum):
    """What the carrier does with the request that asks for the call."""

    ACCEPTED = "accepted"
    INVALID_NUMBER = "invalid number"
    RATE_LIMITED = "rate limited"
    RATE_LIMITED_TWICE = "rate limited twice, then accepted"
    SERVER_ERROR = "server error, not placed"
    SERVER_ERROR_BUT_PLACED = "server error, placed"
    NO_REPLY_BUT_PLACED = "no reply, placed"
    CONNECTION_RESET = "connection reset, not placed"
    CONNECTION_RESET_BUT_PLACED = "connection reset, placed"


class Callee(Enum):
    """What the called party does."""

    ANSWERS = "answers"
    MACHINE_ANSWERS = "machine answers"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    REJECTS = "rejects"
    UNREACHABLE = "unreachable"


class Delivery(Enum):
    """What becomes of the status callbacks on their way."""

    IN_ORDER = "in order"
    DUPLICATED = "each sent twice"
    REVERSED = "held back, then last first"
    LOST = "none arrives"
    ONLY_TERMINAL = "only the terminal one arrives"
    TERMINAL_LOST = "the terminal one is lost"
    TERMINAL_BEFORE_RINGING = "the terminal one overtakes ringing"


@dataclass(frozen=True)
class Scenario:
    """One row: durations are simulated seconds; `hangs_up_after_seconds` counts from the answer.

    `talks_seconds` is how long the callee listens to nothing; a conversation lasts as long as its `script` does.
    """

    number: str
    name: str
    proves: str
    placing: Placing = Placing.ACCEPTED
    callee: Callee = Callee.ANSWERS
    delivery: Delivery = Delivery.IN_ORDER
    queued_seconds: float = 0.0
    rings_seconds: float = 3.0
    talks_seconds: float = 12.0
    hangs_up_after_seconds: float = math.inf
    script: Script = POLITE


# Numbers are possible but not valid (the 555-01xx fiction range), like the ones in the project's examples.
SCENARIOS: tuple[Scenario, ...] = (
    Scenario("+15550100101", "answered", "the callee answers, the call runs its course and completes"),
    Scenario("+15550100102", "busy", "a busy callee ends the call without an answer or a charge", callee=Callee.BUSY),
    Scenario(
        "+15550100103",
        "no-answer",
        "ringing ends with the ring timeout and costs nothing",
        callee=Callee.NO_ANSWER,
    ),
    Scenario(
        "+15550100104",
        "rejected",
        "a declined call (SIP 603) is told apart from a busy one by its SIP code",
        callee=Callee.REJECTS,
        rings_seconds=2.0,
    ),
    Scenario("+15550100105", "failed", "an unreachable number fails without ringing", callee=Callee.UNREACHABLE),
    Scenario(
        "+15550100106",
        "machine",
        "an answering machine is reported when machine detection was asked for",
        callee=Callee.MACHINE_ANSWERS,
        script=VOICEMAIL,
    ),
    Scenario(
        "+15550100107",
        "invalid-number",
        "a definite refusal: nothing was placed and nothing may stay held",
        placing=Placing.INVALID_NUMBER,
    ),
    Scenario(
        "+15550100108",
        "rate-limited",
        "every request is refused for its rate; nothing was placed, so trying again is safe but never succeeds",
        placing=Placing.RATE_LIMITED,
    ),
    Scenario(
        "+15550100109",
        "rate-limited-twice",
        "two refusals for rate, then the call is accepted: exactly one call",
        placing=Placing.RATE_LIMITED_TWICE,
    ),
    Scenario(
        "+15550100110",
        "500-but-placed",
        "a server error hides a call that was placed: asking again would ring twice",
        placing=Placing.SERVER_ERROR_BUT_PLACED,
    ),
    Scenario(
        "+15550100111",
        "500-not-placed",
        "a server error and no call: the hold is given back once the carrier's list proves it",
        placing=Placing.SERVER_ERROR,
    ),
    Scenario(
        "+15550100112",
        "timeout-but-placed",
        "no reply within any client's timeout, yet the call was placed",
        placing=Placing.NO_REPLY_BUT_PLACED,
    ),
    Scenario(
        "+15550100113",
        "connection-reset",
        "the connection breaks before a reply and nothing was placed",
        placing=Placing.CONNECTION_RESET,
    ),
    Scenario(
        "+15550100114",
        "connection-reset-but-placed",
        "the connection breaks before a reply, yet the call was placed",
        placing=Placing.CONNECTION_RESET_BUT_PLACED,
    ),
    Scenario(
        "+15550100115",
        "callbacks-duplicated",
        "every callback arrives twice and counts once",
        delivery=Delivery.DUPLICATED,
    ),
    Scenario(
        "+15550100116",
        "callbacks-reordered",
        "callbacks arrive last first; the state never goes back",
        delivery=Delivery.REVERSED,
    ),
    Scenario(
        "+15550100117",
        "mute",
        "no callback arrives (the TwiML is still fetched); the call is settled by asking the carrier",
        delivery=Delivery.LOST,
    ),
    Scenario(
        "+15550100118",
        "only-terminal",
        "only the terminal callback arrives; the answer is inferred from the duration",
        delivery=Delivery.ONLY_TERMINAL,
    ),
    Scenario(
        "+15550100119",
        "terminal-lost",
        "the terminal callback is lost; the call is settled by asking the carrier",
        delivery=Delivery.TERMINAL_LOST,
    ),
    Scenario(
        "+15550100120",
        "completed-before-ringing",
        "the terminal callback overtakes ringing, which then changes nothing",
        delivery=Delivery.TERMINAL_BEFORE_RINGING,
    ),
    Scenario(
        "+15550100121",
        "long-call",
        "the callee never hangs up: a conversation ends with the call's time limit",
        talks_seconds=math.inf,
    ),
    Scenario(
        "+15550100122",
        "hangs-up-early",
        "the callee hangs up two seconds after answering, in the middle of whatever is going on",
        hangs_up_after_seconds=2.0,
    ),
    Scenario(
        "+15550100123",
        "slow-to-queue",
        "the carrier keeps the call queued for eight seconds and says so",
        queued_seconds=8.0,
    ),
)

PERSON_NUMBER = "+15550100143"

# What these callees do is seen in a conversation over ConversationRelay; in any other call they answer and listen.
CONVERSATIONS: tuple[Scenario, ...] = (
    Scenario("+15550100131", "agrees", "the callee says yes to every question", script=callee_scripts.AGREES),
    Scenario("+15550100132", "refuses", "the callee says no to every question", script=callee_scripts.REFUSES),
    Scenario(
        "+15550100133",
        "stop-calling",
        "the callee asks not to be called again: noted, confirmed aloud, ended",
        script=callee_scripts.STOP_CALLING,
    ),
    Scenario(
        "+15550100134",
        "presses-9",
        "the callee presses the key that keeps calls away",
        script=callee_scripts.PRESSES_9,
    ),
    Scenario(
        "+15550100135",
        "interrupts",
        "the callee breaks in after six words; what was not heard is in no transcript",
        script=callee_scripts.INTERRUPTS,
    ),
    Scenario(
        "+15550100136",
        "talks-over-disclosure",
        "the callee talks over the first words, which cannot be interrupted",
        script=callee_scripts.TALKS_OVER,
    ),
    Scenario(
        "+15550100137",
        "silent",
        "the callee answers and never says a word",
        talks_seconds=120.0,
        script=callee_scripts.SILENT,
    ),
    Scenario(
        "+15550100138",
        "voicemail",
        "a machine that greets, beeps and records what is said after the beep",
        callee=Callee.MACHINE_ANSWERS,
        script=VOICEMAIL,
    ),
    Scenario(
        "+15550100139",
        "hangs-up-mid-sentence",
        "the callee hangs up after five words",
        script=callee_scripts.HANGS_UP_MID_SENTENCE,
    ),
    Scenario("+15550100140", "presses-keys", "the callee presses 1, 2 and #", script=callee_scripts.PRESSES_KEYS),
    Scenario(
        "+15550100141",
        "talkative",
        "the callee talks on and on: a conversation has a limit of turns",
        script=callee_scripts.TALKATIVE,
    ),
    Scenario("+15550100142", "says-goodbye", "the callee says goodbye at once", script=callee_scripts.SAYS_GOODBYE),
    Scenario(
        PERSON_NUMBER,
        "person",
        "whoever sits at a terminal: `dialplane talk`",
        talks_seconds=30.0,
        script=callee_scripts.PERSON,
    ),
    Scenario(
        "+15550100144",
        "garbage",
        "frames that are none come between the others",
        script=callee_scripts.GARBAGE,
    ),
    Scenario("+15550100145", "binary", "a binary frame comes between the others", script=callee_scripts.BINARY),
    Scenario("+15550100146", "oversized", "a frame bigger than 32 KB comes", script=callee_scripts.OVERSIZED),
    Scenario("+15550100147", "prompt-twice", "the same words come twice", script=callee_scripts.TWICE),
    Scenario(
        "+15550100148",
        "late-interrupt",
        "an interruption is told after the words that have interrupted",
        script=callee_scripts.LATE_INTERRUPT,
    ),
    Scenario(
        "+15550100149",
        "second-socket",
        "the WebSocket is opened a second time, with an address that was used",
        script=callee_scripts.SECOND_SOCKET,
    ),
    Scenario(
        "+15550100150",
        "socket-dies",
        "the WebSocket breaks in the middle of a sentence",
        script=callee_scripts.SOCKET_DIES,
    ),
    Scenario(
        "+15550100151",
        "thinks-long",
        "the callee thinks for ten minutes before the first answer, so that many calls can talk at the same time",
        script=callee_scripts.THINKS_LONG,
    ),
    Scenario(
        "+15550100152",
        "stops-and-slams",
        "the callee asks not to be called again and slams the phone down: heard all the same",
        script=callee_scripts.STOPS_AND_SLAMS,
    ),
)

_BY_NUMBER = {scenario.number: scenario for scenario in (*SCENARIOS, *CONVERSATIONS)}
_NUMBER = re.compile(r"(sips?:)?\+?(?P<digits>[0-9]+)(@.*)?")
_DEFAULT = Scenario("", "any other number", "answered and completed")


def find_scenario(destination: str) -> Scenario:
    """The scenario of a called number, with or without its plus, or inside a SIP URI.

    A destination outside the table answers and completes.
    """
    written = _NUMBER.fullmatch(destination)
    return _BY_NUMBER.get(f"+{written['digits']}", _DEFAULT) if written else _DEFAULT
