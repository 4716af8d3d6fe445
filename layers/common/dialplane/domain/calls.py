"""A call, what a carrier may report about it, and how a report changes it.

Pure rules only. How a carrier words its reports belongs to ``carriers``; how a call is stored belongs to ``dynamodb``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from dialplane.domain.conversation_settings import EndReason
from dialplane.domain.instructions import Instructions
from dialplane.domain.money import charge_micros
from dialplane.domain.statuses import AnsweredBy, CallerNumberReason, CallStatus, DialOutcome, EndedReason, Verdict

T = TypeVar("T")
# Carriers state whole seconds, by clocks of their own.
_CLOCK_TOLERANCE = timedelta(seconds=5)


DIAL_WINDOW = timedelta(seconds=10)
"""How long the carrier may be asked, from the commit or from the claim of a queued dial on. Whoever waits for dials to
be over waits this long."""
QUEUE_WINDOW = timedelta(seconds=60)
"""How long a queued dial may wait for its claim, which looks at the do-not-call lists again: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One report about a call in canonical words, whichever carrier and channel it came from.

    ``key`` is equal for two deliveries of the same report. ``carrier_call_id`` is empty for a report that does not name
    the carrier's call. Durations are whole seconds of connected time; ``carrier_cost`` is the carrier's own decimal
    text in ``carrier_cost_currency``. ``other_carrier_call_id`` is for carriers that know a call by two names.
    """

    key: str
    source: Literal["callback", "reconciler"]
    carrier_call_id: str
    carrier_status: str
    status: CallStatus | None = None
    status_if_answered: CallStatus | None = None
    """What ``status`` is instead for a call that somebody had answered, where the carrier has one word for both."""
    occurred_at: datetime | None = None
    sequence: int | None = None
    duration_seconds: int | None = None
    sip_response_code: int | None = None
    answered_by: AnsweredBy | None = None
    answered_by_raw: str | None = None
    carrier_cost: str | None = None
    carrier_cost_currency: str | None = None
    other_carrier_call_id: str | None = None
    recording_id: str | None = None
    recording_url: str | None = None
    """A recording that is ready, and where the carrier keeps it."""
    is_end_ambiguous: bool = False
    """True for a ``completed`` in words that this carrier also has for a call that nobody answered."""
    is_final_record: bool = False
    """True when the carrier's books say this: it settles what its reports have left in doubt."""
    are_instructions_done: bool = False
    """True when nothing is left of what the carrier was told to do: all is said, or the engine's connection is over."""


@dataclass(frozen=True, slots=True)
class Call:
    """One outbound call, from its admission to its settlement. Money is micro-units of ``currency``; times are UTC."""

    id: str
    organization_id: str
    dialect: str
    request_id: str
    api_key_id: str
    assistant_id: int
    assistant_name: str
    caller_number: str
    destination: str
    carrier: str
    carrier_account_id: str
    status: CallStatus
    created_at: datetime
    dial_deadline: datetime
    ring_timeout_seconds: int
    time_limit_seconds: int
    machine_detection: bool
    instructions: Instructions
    variables_json: str
    currency: str
    rate_micros_per_minute: int
    billing_increment_seconds: int
    hold_micros: int
    agenda: str | None = None
    gates: tuple[str, ...] = ()
    assistant_public_id: str | None = None
    configuration_json: str | None = None
    """``llm_config``, ``stt_config`` and ``tts_config`` of the assistant as this call has it."""
    conversation_json: str | None = None
    """``ConversationSettings`` of a call whose conversation we hold."""
    socket_token: str | None = None
    """What opens the conversation's WebSocket, once; gone when it has."""
    conversation_end: EndReason | None = None
    """Why we have ended the conversation; None where the callee hung up, or the time was over."""
    recording_id: str | None = None
    recording_url: str | None = None
    """Where the carrier keeps the recording; its own credentials are needed to fetch it."""
    transcript_erased_at: datetime | None = None
    """Since when no word of the call is kept any more."""
    contact_id: int | None = None
    flow_id: int | None = None
    caller_number_reason: CallerNumberReason | None = None
    carrier_number_id: str | None = None
    carrier_calls_per_second: int | None = None
    carrier_reply_json: str | None = None
    """The carrier's answer to the dial, for the formats that pass it on."""
    carrier_call_id: str | None = None
    is_dial_queued: bool = False
    dial_claim: str | None = None
    """Whoever took the dial from the queue; ``dial_deadline`` is when it must be taken, and from then on when it must
    have been sent."""
    dial_outcome: DialOutcome | None = None
    dial_replied_at: datetime | None = None
    dial_error: str | None = None
    dial_error_message: str | None = None
    instructions_served_at: datetime | None = None
    instructions_served_count: int = 0
    """How often the carrier has fetched them: first to begin, then to go on with a conversation that broke off."""
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: int | None = None
    ended_reason: EndedReason | None = None
    answer_in_doubt: bool = False
    answered_by: AnsweredBy | None = None
    answered_by_raw: str | None = None
    sip_response_code: int | None = None
    carrier_cost: str | None = None
    carrier_cost_currency: str | None = None
    charge_micros: int | None = None
    settled_at: datetime | None = None
    seen_event_keys: frozenset[str] = frozenset()
    next_check_at: datetime | None = None
    checks_made: int = 0
    times_not_found: int = 0
    """How often the carrier's lists did not show the call, one time after the other."""
    version: int = 1

    @property
    def is_open(self) -> bool:
        """True until the call has ended and its money is settled."""
        return self.settled_at is None


@dataclass(frozen=True, slots=True)
class Transition:
    """What a report did to a call: the call afterwards and the verdict for the timeline."""

    call: Call
    verdict: Verdict


def apply_event(call: Call, event: CallEvent, *, received_at: datetime) -> Transition:
    """Merge a carrier's report into a call.

    States rank and never go back; the first terminal state is final, except that a specific failure replaces a
    ``completed`` that was never answered (carriers that send ``completed`` after ``busy`` deliver in any order).
    Facts that were unknown (duration, cost, SIP code, who answered) are filled in whenever they arrive.
    """
    names = (event.carrier_call_id, event.other_carrier_call_id)
    if call.carrier_call_id is not None and any(names) and call.carrier_call_id not in names:
        return Transition(call, Verdict.FOREIGN)
    if event.key in call.seen_event_keys:
        return Transition(call, Verdict.DUPLICATE)
    bound = replace(
        call,
        carrier_call_id=call.carrier_call_id or event.carrier_call_id or None,
        seen_event_keys=call.seen_event_keys | {event.key},
        dial_outcome=DialOutcome.PLACED,
    )
    merged = _resolve_doubt(_merge_facts(_move(bound, event, received_at), event), event)
    if merged == bound:
        conflicting = event.status is not None and event.status.is_terminal and event.status != call.status
        return Transition(bound, Verdict.CONFLICTING if conflicting else Verdict.STALE)
    return Transition(_infer(merged), Verdict.ACCEPTED)


def _move(call: Call, event: CallEvent, received_at: datetime) -> Call:
    status = event.status
    if event.status_if_answered is not None and _was_answered(call):
        status = event.status_if_answered
    if status is None or not (status.rank > call.status.rank or _is_better_failure(call, status)):
        return call
    at = event.occurred_at or received_at
    if status.is_terminal:
        # A call that was in progress had been answered, even if nobody has said when.
        in_doubt = event.is_end_ambiguous and call.status is not CallStatus.IN_PROGRESS
        return replace(call, status=status, ended_at=at, answer_in_doubt=in_doubt)
    return replace(call, status=status)


def _was_answered(call: Call) -> bool:
    return call.status is CallStatus.IN_PROGRESS or call.answered_at is not None or bool(call.duration_seconds)


def _is_better_failure(call: Call, status: CallStatus) -> bool:
    return (
        call.status is CallStatus.COMPLETED
        and status.is_terminal
        and status is not CallStatus.COMPLETED
        and call.answered_at is None
        and not call.duration_seconds
        and call.settled_at is None
    )


def _merge_facts(call: Call, event: CallEvent) -> Call:
    # The first figure stays: a settled call's duration is what its charge was computed from, and must not change later.
    keeps_words = call.transcript_erased_at is None
    known = call
    if known.answered_by == "machine" and event.answered_by in _GREETING_IS_OVER:
        known = replace(known, answered_by=None, answered_by_raw=None)  # the same verdict, and more of it
    return replace(
        call,
        answered_at=_answered_at(call, event),
        duration_seconds=_first(call.duration_seconds, event.duration_seconds),
        sip_response_code=_first(call.sip_response_code, event.sip_response_code),
        answered_by=_first(known.answered_by, event.answered_by),
        answered_by_raw=_first(known.answered_by_raw, event.answered_by_raw),
        carrier_cost=_first(call.carrier_cost, event.carrier_cost),
        carrier_cost_currency=_first(call.carrier_cost_currency, event.carrier_cost_currency),
        recording_id=_first(call.recording_id, event.recording_id) if keeps_words else None,
        recording_url=_first(call.recording_url, event.recording_url) if keeps_words else None,
    )


_GREETING_IS_OVER = ("machine_beep", "machine_silence")


def _resolve_doubt(call: Call, event: CallEvent) -> Call:
    """An answer or connected time proves a conversation; the carrier's books prove that there was none."""
    if not call.answer_in_doubt:
        return call
    if call.answered_at is not None or call.duration_seconds:
        return replace(call, answer_in_doubt=False)
    # Books that came before the end they are about: no report of an end but they states a duration.
    is_in_the_books = event.is_final_record or (event.is_end_ambiguous and event.duration_seconds is None)
    if is_in_the_books and call.duration_seconds == 0:
        return replace(call, answer_in_doubt=False, status=CallStatus.CANCELED)
    return call


def _answered_at(call: Call, event: CallEvent) -> datetime | None:
    """The carrier's own time of the answer, in whatever order it arrives, over the time it asked us what to say.

    A time outside the call's life is no answer to it.
    """
    stated = event.occurred_at if event.status is CallStatus.IN_PROGRESS else None
    if stated is None or stated < call.created_at - _CLOCK_TOLERANCE:
        return call.answered_at
    if call.ended_at is not None and stated > call.ended_at + _CLOCK_TOLERANCE:
        return call.answered_at
    return stated


def _first(known: T | None, reported: T | None) -> T | None:
    return reported if known is None else known


def _infer(call: Call) -> Call:
    """Derive what the reports imply: when the call was answered, and why it ended."""
    if not call.status.is_terminal:
        return call
    answered_at = call.answered_at
    if answered_at is None and call.duration_seconds and call.ended_at is not None:
        answered_at = call.ended_at - timedelta(seconds=call.duration_seconds)
    # What we have ended ourselves stays ended for our reason, whatever is reported later.
    reason = call.ended_reason if call.ended_reason in _OUR_REASONS else _ended_reason(call)
    return replace(call, answered_at=answered_at, ended_reason=reason)


_OUR_REASONS = (EndedReason.NOT_PLACED, EndedReason.CARRIER_REJECTED)
# RFC 3261: 603 Decline, for carriers that report it only in the SIP code of a call that was busy or not answered.
_SIP_DECLINE = 603
_ENDED_REASONS = {
    CallStatus.BUSY: EndedReason.BUSY,
    CallStatus.NO_ANSWER: EndedReason.NO_ANSWER,
    CallStatus.CANCELED: EndedReason.CANCELED,
    CallStatus.REJECTED: EndedReason.DECLINED,
}


_CONVERSATION_ENDS = {
    EndReason.OPT_OUT: EndedReason.OPT_OUT,
    EndReason.SILENCE: EndedReason.SILENCE,
    EndReason.TRANSFER: EndedReason.TRANSFERRED,
    EndReason.VOICEMAIL: EndedReason.VOICEMAIL,
    EndReason.MODEL_FAILED: EndedReason.MODEL_FAILED,
    EndReason.CONNECTION_LOST: EndedReason.CARRIER_FAILED,
}


def _ended_reason(call: Call) -> EndedReason:
    if call.status is CallStatus.COMPLETED:
        if call.conversation_end is not None:
            return _CONVERSATION_ENDS.get(call.conversation_end, EndedReason.ASSISTANT_ENDED)
        reached = (call.duration_seconds or 0) >= call.time_limit_seconds
        return EndedReason.TIME_LIMIT if reached else EndedReason.HANG_UP
    if call.sip_response_code == _SIP_DECLINE:
        return EndedReason.DECLINED
    return _ENDED_REASONS.get(call.status, EndedReason.CARRIER_FAILED)


def as_reported(call: Call) -> Call:
    """An ended call whose carrier has forgotten it, and with it how long it lasted: what was reported is all there is.

    Connected were its callee and we from the answer to the end, in whole seconds; not at all where nobody has reported
    an answer.
    """
    seconds = 0
    if call.answered_at is not None and call.ended_at is not None:
        seconds = max(0, int((call.ended_at - call.answered_at).total_seconds()))
    is_unanswered = call.answer_in_doubt and call.answered_at is None
    known = replace(
        call,
        status=CallStatus.CANCELED if is_unanswered else call.status,
        answer_in_doubt=False,
        duration_seconds=_first(call.duration_seconds, seconds),
    )
    return _infer(known)


def without_words(call: Call, *, at: datetime) -> Call:
    """A call of which nothing is kept that was said, or was to be said: what it was and what it cost is left."""
    return replace(
        call,
        transcript_erased_at=at,
        variables_json="{}",
        agenda=None,
        instructions=replace(call.instructions, welcome_message="", goodbye_message=None, prompt=None),
        configuration_json=None,
        conversation_json=None,
        recording_id=None,
        recording_url=None,
    )


def settlement_charge(call: Call) -> int | None:
    """The micro-units an ended call costs, never more than its hold; None while facts are missing.

    Those are its duration, and whether it was answered at all where the carrier's words leave that open.

    Only connected time is charged. The carrier was given the time limit that the hold pays for, so a duration beyond
    it is the carrier's overrun and not the customer's.
    """
    if call.status is not CallStatus.COMPLETED:
        return 0
    if call.duration_seconds is None or call.answer_in_doubt:
        return None
    charge = charge_micros(
        seconds=call.duration_seconds,
        rate_micros_per_minute=call.rate_micros_per_minute,
        increment_seconds=call.billing_increment_seconds,
    )
    return min(charge, call.hold_micros)
