"""How every scenario must end, whichever carrier it is lived over, and what carriers cannot help doing otherwise.

Data that the suites share and ``docs/conformance.md`` shows; ``python -m tests.sandbox.canonical_ends`` prints its
table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from sandbox.demo_data import CALLER_NUMBERS, CARRIER_NUMBERS

NUMBERS = {"twilio": CALLER_NUMBERS[0], **CARRIER_NUMBERS}
"""Each carrier with the demo organization's number there."""


@dataclass(frozen=True)
class End:
    """What becomes of a scenario's call.

    ``answers`` are the statuses that the request for it (Burki's) may be answered with; ``dials`` the calls that the
    carrier placed; ``is_charged`` tells whether connected time is.
    """

    answers: frozenset[int]
    status: str
    ended_reason: str
    is_charged: bool
    dials: int = 1


def _end(answer: int, status: str, ended_reason: str, *, is_charged: bool = False, dials: int = 1) -> End:
    return End(frozenset({answer}), status, ended_reason, is_charged, dials)


_CONVERSATION = _end(200, "completed", "hang_up", is_charged=True)
# A callback may prove a call placed before its lost answer is given up: then the answer is the ordinary one.
_UNKNOWN_BUT_PLACED = replace(_CONVERSATION, answers=frozenset({200, 202}))
_UNKNOWN_AND_NOT_PLACED = _end(202, "failed", "not_placed", dials=0)

ENDS: dict[str, End] = {
    "answered": _CONVERSATION,
    "busy": _end(200, "busy", "busy"),
    "no-answer": _end(200, "no_answer", "no_answer"),
    "rejected": _end(200, "rejected", "declined"),
    "failed": _end(200, "failed", "carrier_failed"),
    "machine": _CONVERSATION,
    "invalid-number": _end(400, "failed", "carrier_rejected", dials=0),
    "rate-limited": _end(503, "failed", "carrier_rejected", dials=0),
    "rate-limited-twice": _CONVERSATION,
    "500-but-placed": _UNKNOWN_BUT_PLACED,
    "500-not-placed": _UNKNOWN_AND_NOT_PLACED,
    "timeout-but-placed": _UNKNOWN_BUT_PLACED,
    "connection-reset": _UNKNOWN_AND_NOT_PLACED,
    "connection-reset-but-placed": _UNKNOWN_BUT_PLACED,
    "callbacks-duplicated": _CONVERSATION,
    "callbacks-reordered": _CONVERSATION,
    "mute": _CONVERSATION,
    "only-terminal": _CONVERSATION,
    "terminal-lost": _CONVERSATION,
    "completed-before-ringing": _CONVERSATION,
    "long-call": _CONVERSATION,
    "hangs-up-early": _CONVERSATION,
    "slow-to-queue": _CONVERSATION,
}

_REPEATED = (
    "the dial has a request key: when its answer is lost the adapter asks once more, the carrier answers with the same "
    "call, and the customer never learns of it"
)
_SILENT = (
    "what it says is commanded once its webhook has told of the answer; when that comes only with the end, or never, "
    "the callee hears nothing; the call is ended once it has lasted longer than it can have rung, but simulated "
    "seconds are faster than that check, and the limit ends it first"
)
_UNLIMITED = (
    "its agent talks for as long as the callee does, and the dial does not limit that: the agent's own limit ends the "
    "call, and what lies beyond ours is never charged"
)
EXCEPTIONS: dict[tuple[str, str], tuple[End, str]] = {
    **{
        (carrier, scenario): (_CONVERSATION, _REPEATED)
        for carrier in ("telnyx", "sip-telnyx")
        for scenario in ("500-but-placed", "timeout-but-placed", "connection-reset-but-placed")
    },
    **{
        (carrier, scenario): (_end(200, "completed", "time_limit", is_charged=True), _SILENT)
        for carrier in ("telnyx", "sip-telnyx")
        for scenario in ("callbacks-reordered", "mute", "only-terminal", "completed-before-ringing")
    },
    ("elevenlabs", "invalid-number"): (
        replace(ENDS["invalid-number"], answers=frozenset({502})),
        "no code tells a number that is none from any other refusal of a request",
    ),
    ("elevenlabs", "long-call"): (
        _end(200, "completed", "time_limit", is_charged=True),
        _UNLIMITED,
    ),
}
"""Ends that differ, with the reason why they must."""

COSTS = {
    "twilio": ("USD", False),
    "telnyx": ("USD", True),
    "telnyx-texml": ("USD", False),
    "vonage": ("EUR", True),
    "sip-twilio": ("USD", False),
    "sip-telnyx": ("USD", True),
    "elevenlabs": ("USD", True),
}
"""In which currency the carrier states its cost, and whether its reports do; else only its books, read when a report is
missing."""

RINGING_TOLD = frozenset({"twilio", "telnyx-texml", "vonage", "sip-twilio"})
"""Carriers that report ringing."""

DEPLOYED = (
    "answered",
    "busy",
    "rejected",
    "500-but-placed",
    "mute",
    "callbacks-duplicated",
    "callbacks-reordered",
)
"""The scenarios that are lived over every carrier on the deployed sandbox as well; in process all of them are."""


def end_of(carrier: str, scenario: str) -> End:
    """How it ends there."""
    exception = EXCEPTIONS.get((carrier, scenario))
    return exception[0] if exception is not None else ENDS[scenario]


def table() -> str:
    """The Markdown table of all of it."""
    lines = [f"| Scenario | {' | '.join(NUMBERS)} |", "| --- |" + " --- |" * len(NUMBERS)]
    lines += [f"| {scenario} | {' | '.join(_cell(carrier, scenario) for carrier in NUMBERS)} |" for scenario in ENDS]
    return "\n".join(lines)


def _cell(carrier: str, scenario: str) -> str:
    end = end_of(carrier, scenario)
    answers = "/".join(str(status) for status in sorted(end.answers))
    return f"{answers} {end.status}, {end.ended_reason}{' ¹' if (carrier, scenario) in EXCEPTIONS else ''}"


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
