"""The words for where a call stands and how it got there, the same for every carrier."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class CallStatus(StrEnum):
    """The states of a call, the same for every carrier."""

    DIALING = "dialing"
    """Admitted and paid for; the carrier is being asked right now."""
    UNCONFIRMED = "unconfirmed"
    """The carrier was asked and its answer was lost: it may or may not have placed the call."""
    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    """The callee declined the call."""
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def rank(self) -> int:
        """Position in the life of a call; a report of a lower rank never moves a call back."""
        return _RANKS[self]

    @property
    def is_terminal(self) -> bool:
        """True for states that a call never leaves."""
        return self.rank == _TERMINAL_RANK


_TERMINAL_RANK = 9
_RANKS = {
    CallStatus.DIALING: 1,
    CallStatus.UNCONFIRMED: 1,
    CallStatus.QUEUED: 2,
    CallStatus.INITIATED: 3,
    CallStatus.RINGING: 4,
    CallStatus.IN_PROGRESS: 5,
    CallStatus.COMPLETED: _TERMINAL_RANK,
    CallStatus.BUSY: _TERMINAL_RANK,
    CallStatus.NO_ANSWER: _TERMINAL_RANK,
    CallStatus.REJECTED: _TERMINAL_RANK,
    CallStatus.FAILED: _TERMINAL_RANK,
    CallStatus.CANCELED: _TERMINAL_RANK,
}


class DialOutcome(StrEnum):
    """What became of the one request that asks the carrier to dial."""

    PLACED = "placed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class EndedReason(StrEnum):
    """Why a call ended, in one word that is the same for every carrier."""

    HANG_UP = "hang_up"
    TIME_LIMIT = "time_limit"
    BUSY = "busy"
    DECLINED = "declined"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    CARRIER_FAILED = "carrier_failed"
    CARRIER_REJECTED = "carrier_rejected"
    NOT_PLACED = "not_placed"
    ASSISTANT_ENDED = "assistant_ended"
    """The assistant said goodbye; so on for the next ones: who ended the conversation, where we held it."""
    OPT_OUT = "opt_out"
    SILENCE = "silence"
    TRANSFERRED = "transferred"
    VOICEMAIL = "voicemail"
    MODEL_FAILED = "model_failed"


class CallerNumberReason(StrEnum):
    """Why a call is made from its number."""

    REQUESTED = "requested"
    ASSISTANT = "assistant"
    """It is the assistant's own."""
    STICKY = "sticky"
    """The destination was last called from it and knows it."""
    LOCAL_AREA = "local_area"
    LOCAL_COUNTRY = "local_country"
    LEAST_USED = "least_used"


class Verdict(StrEnum):
    """What was done with a carrier's report."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    STALE = "stale"
    CONFLICTING = "conflicting"
    """Another terminal state than the one the call already has: kept on record, never applied."""
    FOREIGN = "foreign"
    """Authentic, but about another carrier call or from another carrier account than this call's."""


AnsweredBy = Literal["human", "machine", "machine_beep", "machine_silence", "fax", "silence", "unknown"]
