"""How reports merge into a call, and what an ended call costs."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.calls import Call, CallEvent, apply_event, as_reported, settlement_charge
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome, EndedReason, Verdict

CREATED = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
RECEIVED = CREATED + timedelta(minutes=5)
CARRIER_CALL_ID = "CA1"
TERMINAL = [status for status in CallStatus if status.is_terminal]
LIVE = [status for status in CallStatus if not status.is_terminal]


def a_call(status: CallStatus = CallStatus.QUEUED, **facts: Any) -> Call:
    defaults: dict[str, Any] = {
        "id": "call_1",
        "organization_id": "org_1",
        "dialect": "burki",
        "request_id": "request",
        "api_key_id": "key",
        "assistant_id": 1,
        "assistant_name": "Somebody",
        "caller_number": "+15551234567",
        "destination": "+15559876543",
        "carrier": "twilio",
        "carrier_account_id": "acct_1",
        "created_at": CREATED,
        "dial_deadline": CREATED + timedelta(seconds=10),
        "ring_timeout_seconds": 30,
        "time_limit_seconds": 600,
        "machine_detection": False,
        "instructions": Instructions(engine="say", welcome_message="Hello."),
        "variables_json": "{}",
        "currency": "USD",
        "rate_micros_per_minute": 30_000,
        "billing_increment_seconds": 60,
        "hold_micros": 300_000,
        "carrier_call_id": CARRIER_CALL_ID,
    }
    return Call(status=status, **{**defaults, **facts})


def an_event(status: CallStatus | None, **facts: Any) -> CallEvent:
    defaults: dict[str, Any] = {
        "key": f"{status}",
        "source": "callback",
        "carrier_call_id": CARRIER_CALL_ID,
        "carrier_status": str(status),
        "status": status,
    }
    return CallEvent(**{**defaults, **facts})


def merged(call: Call, *events: CallEvent) -> Call:
    for event in events:
        call = apply_event(call, event, received_at=RECEIVED).call
    return call


# ---- ranks ----------------------------------------------------------------------------------------------------------


def test_the_ranks_are_those_of_the_contract() -> None:
    order = ["queued", "initiated", "ringing", "in_progress"]
    ranks = [CallStatus(name).rank for name in order]
    assert ranks == sorted(set(ranks))
    assert CallStatus.DIALING.rank == CallStatus.UNCONFIRMED.rank < CallStatus.QUEUED.rank
    assert {status.rank for status in TERMINAL} == {9}
    assert {status.value for status in TERMINAL} == {"completed", "busy", "no_answer", "rejected", "failed", "canceled"}


@pytest.mark.parametrize(("before", "reported"), list(itertools.product(CallStatus, CallStatus)))
def test_rule_1_a_state_is_only_ever_raised(before: CallStatus, reported: CallStatus) -> None:
    """Every pair of states; the one exception is rule 3's and stands in its own test."""
    call = a_call(before, answered_at=CREATED)
    after = merged(call, an_event(reported))
    assert after.status is (reported if reported.rank > before.rank else before)


@pytest.mark.parametrize("failure", [status for status in TERMINAL if status is not CallStatus.COMPLETED])
@pytest.mark.parametrize(
    ("facts", "is_replaced"),
    [
        ({}, True),
        ({"duration_seconds": 0}, True),
        ({"answered_at": CREATED}, False),
        ({"duration_seconds": 5}, False),
        ({"settled_at": CREATED}, False),
    ],
    ids=str,
)
def test_rule_3_a_failure_replaces_a_completed_that_was_never_answered(
    failure: CallStatus, facts: dict[str, Any], is_replaced: bool
) -> None:
    transition = apply_event(a_call(CallStatus.COMPLETED, **facts), an_event(failure), received_at=RECEIVED)
    assert transition.call.status is (failure if is_replaced else CallStatus.COMPLETED)
    assert transition.verdict is (Verdict.ACCEPTED if is_replaced else Verdict.CONFLICTING)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(TERMINAL, 2)))
def test_otherwise_the_first_ending_is_final_and_the_second_is_conflicting(
    first: CallStatus, second: CallStatus
) -> None:
    call = merged(a_call(CallStatus.IN_PROGRESS, answered_at=CREATED), an_event(first))
    transition = apply_event(call, an_event(second), received_at=RECEIVED)
    assert transition.call.status is first
    assert transition.verdict is Verdict.CONFLICTING


# ---- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ({"status": CallStatus.IN_PROGRESS}, CallStatus.COMPLETED),
        ({"answered_at": CREATED + timedelta(seconds=8)}, CallStatus.COMPLETED),
        ({"duration_seconds": 9}, CallStatus.COMPLETED),
        ({}, CallStatus.FAILED),
        ({"duration_seconds": 0}, CallStatus.FAILED),
    ],
)
def test_a_word_for_two_endings_is_the_one_that_fits_what_is_known(before: dict[str, Any], status: CallStatus) -> None:
    ended = an_event(CallStatus.FAILED, status_if_answered=CallStatus.COMPLETED)
    transition = apply_event(a_call(**before), ended, received_at=RECEIVED)
    assert (transition.call.status, transition.verdict) == (status, Verdict.ACCEPTED)
    is_known = status is CallStatus.FAILED or "duration_seconds" in before
    assert (settlement_charge(transition.call) is not None) is is_known


@pytest.mark.parametrize(
    ("facts", "status", "seconds", "charge"),
    [
        ({"answered_at": CREATED + timedelta(seconds=8, milliseconds=300)}, CallStatus.COMPLETED, 60, 30_000),
        ({"answered_at": CREATED + timedelta(seconds=99)}, CallStatus.COMPLETED, 0, 0),
        ({}, CallStatus.COMPLETED, 0, 0),
        ({"answer_in_doubt": True}, CallStatus.CANCELED, 0, 0),
        ({"answer_in_doubt": True, "duration_seconds": 0}, CallStatus.CANCELED, 0, 0),
        ({"duration_seconds": 7}, CallStatus.COMPLETED, 7, 30_000),
    ],
)
def test_what_was_reported_of_a_call_that_its_carrier_has_forgotten(
    facts: dict[str, Any], status: CallStatus, seconds: int, charge: int
) -> None:
    call = as_reported(a_call(CallStatus.COMPLETED, ended_at=CREATED + timedelta(seconds=69), **facts))
    assert (call.status, call.duration_seconds, settlement_charge(call)) == (status, seconds, charge)


@pytest.mark.parametrize("reason", [EndedReason.NOT_PLACED, EndedReason.CARRIER_REJECTED])
def test_a_call_that_we_have_ended_keeps_its_reason_whatever_is_reported_later(reason: EndedReason) -> None:
    ended = a_call(CallStatus.FAILED, ended_reason=reason, ended_at=RECEIVED, settled_at=RECEIVED, carrier_call_id=None)
    late = an_event(CallStatus.IN_PROGRESS, occurred_at=RECEIVED)
    after = apply_event(ended, late, received_at=RECEIVED).call
    assert (after.carrier_call_id, after.status, after.ended_reason) == (CARRIER_CALL_ID, CallStatus.FAILED, reason)


def test_the_same_report_again_is_a_duplicate_and_changes_nothing() -> None:
    call = merged(a_call(), an_event(CallStatus.RINGING))
    transition = apply_event(call, an_event(CallStatus.RINGING), received_at=RECEIVED)
    assert (transition.verdict, transition.call) == (Verdict.DUPLICATE, call)


def test_an_earlier_state_without_news_is_stale() -> None:
    call = merged(a_call(), an_event(CallStatus.IN_PROGRESS))
    transition = apply_event(call, an_event(CallStatus.RINGING), received_at=RECEIVED)
    assert transition.verdict is Verdict.STALE
    assert replace(transition.call, seen_event_keys=call.seen_event_keys) == call


def test_a_report_about_another_carrier_call_is_foreign_and_changes_nothing() -> None:
    call = a_call()
    transition = apply_event(call, an_event(CallStatus.COMPLETED, carrier_call_id="CA2"), received_at=RECEIVED)
    assert (transition.verdict, transition.call) == (Verdict.FOREIGN, call)


@pytest.mark.parametrize("status", [CallStatus.DIALING, CallStatus.UNCONFIRMED])
def test_the_first_report_binds_a_call_whose_dial_has_no_answer_yet(status: CallStatus) -> None:
    call = merged(a_call(status, carrier_call_id=None), an_event(CallStatus.INITIATED))
    assert (call.carrier_call_id, call.dial_outcome) == (CARRIER_CALL_ID, DialOutcome.PLACED)


@pytest.mark.parametrize("order", [("CA1", "leg-1"), ("leg-1", "CA1")])
def test_a_call_is_known_by_either_of_its_two_names(order: tuple[str, str]) -> None:
    name, other = order
    event = an_event(CallStatus.RINGING, carrier_call_id=name, other_carrier_call_id=other)
    transition = apply_event(a_call(), event, received_at=RECEIVED)
    assert transition.verdict is Verdict.ACCEPTED
    assert transition.call.carrier_call_id == CARRIER_CALL_ID


def test_a_report_with_two_names_of_another_call_is_foreign() -> None:
    event = an_event(CallStatus.COMPLETED, carrier_call_id="CA2", other_carrier_call_id="leg-2")
    assert apply_event(a_call(), event, received_at=RECEIVED).verdict is Verdict.FOREIGN


def test_the_first_of_two_names_binds_a_call_and_the_other_one_alone_then_does_not() -> None:
    event = an_event(CallStatus.INITIATED, carrier_call_id="CA1", other_carrier_call_id="leg-1")
    call = merged(a_call(CallStatus.UNCONFIRMED, carrier_call_id=None), event)
    assert call.carrier_call_id == "CA1"
    alone = an_event(CallStatus.RINGING, carrier_call_id="leg-1")
    assert apply_event(call, alone, received_at=RECEIVED).verdict is Verdict.FOREIGN


# ---- an end that leaves the answer open -----------------------------------------------------------------------------

ANSWER = an_event(CallStatus.IN_PROGRESS, key="answer", occurred_at=CREATED + timedelta(seconds=10))
END = an_event(CallStatus.COMPLETED, key="end", occurred_at=CREATED + timedelta(seconds=71), is_end_ambiguous=True)


def the_books(duration: int) -> CallEvent:
    return an_event(None, key="books", source="reconciler", duration_seconds=duration, is_final_record=True)


def test_an_end_that_leaves_the_answer_open_is_completed_and_in_doubt() -> None:
    call = merged(a_call(CallStatus.RINGING), END)
    assert (call.status, call.answer_in_doubt, call.answered_at) == (CallStatus.COMPLETED, True, None)


@pytest.mark.parametrize("duration", [None, 0])
def test_a_call_in_doubt_has_no_charge_yet(duration: int | None) -> None:
    call = merged(a_call(CallStatus.RINGING), replace(END, duration_seconds=duration))
    assert settlement_charge(replace(call, answer_in_doubt=True)) is None
    assert settlement_charge(replace(call, answer_in_doubt=True, duration_seconds=61)) is None


@pytest.mark.parametrize("events", list(itertools.permutations([ANSWER, END])))
def test_an_answer_before_or_after_settles_the_doubt(events: tuple[CallEvent, ...]) -> None:
    call = merged(a_call(CallStatus.RINGING), *events)
    assert (call.status, call.answer_in_doubt) == (CallStatus.COMPLETED, False)
    assert call.answered_at == ANSWER.occurred_at


@pytest.mark.parametrize("events", list(itertools.permutations([END, the_books(61)])))
def test_connected_time_before_or_after_settles_the_doubt(events: tuple[CallEvent, ...]) -> None:
    call = merged(a_call(CallStatus.RINGING), *events)
    assert (call.status, call.answer_in_doubt, call.duration_seconds) == (CallStatus.COMPLETED, False, 61)
    assert settlement_charge(call) == 60_000


@pytest.mark.parametrize("events", list(itertools.permutations([END, the_books(0)])))
def test_books_without_connected_time_before_or_after_prove_that_nobody_answered(
    events: tuple[CallEvent, ...],
) -> None:
    call = merged(a_call(CallStatus.RINGING), *events)
    assert (call.status, call.answer_in_doubt, call.ended_reason) == (
        CallStatus.CANCELED,
        False,
        EndedReason.CANCELED,
    )
    assert settlement_charge(call) == 0


def test_an_end_that_itself_says_zero_seconds_is_not_the_books() -> None:
    call = merged(a_call(CallStatus.RINGING), replace(END, duration_seconds=0))
    assert (call.status, call.answer_in_doubt) == (CallStatus.COMPLETED, True)


@pytest.mark.parametrize("failure", [CallStatus.BUSY, CallStatus.NO_ANSWER, CallStatus.REJECTED, CallStatus.FAILED])
def test_a_failure_before_or_after_an_ambiguous_end_is_what_the_call_ended_in(failure: CallStatus) -> None:
    for events in itertools.permutations([END, an_event(failure)]):
        call = merged(a_call(CallStatus.RINGING), *events)
        assert (call.status, call.answer_in_doubt) == (failure, False)
        assert settlement_charge(call) == 0


@pytest.mark.parametrize(
    ("reports", "status", "charge"),
    [
        ([ANSWER, END, the_books(61)], CallStatus.COMPLETED, 60_000),
        ([END, the_books(0)], CallStatus.CANCELED, 0),
        ([END, the_books(61)], CallStatus.COMPLETED, 60_000),
        ([END, an_event(CallStatus.BUSY)], CallStatus.BUSY, 0),
        ([END], CallStatus.COMPLETED, None),
        ([ANSWER, END], CallStatus.COMPLETED, None),
    ],
)
@given(data=st.data())
def test_any_order_and_number_of_ambiguous_reports_ends_in_the_same_call_and_charge(
    reports: list[CallEvent], status: CallStatus, charge: int | None, data: st.DataObject
) -> None:
    call = merged(a_call(CallStatus.RINGING), *data.draw(st.permutations(reports * 2)))
    assert (call.status, settlement_charge(call)) == (status, charge)
    assert call.answer_in_doubt is (status is CallStatus.COMPLETED and call.answered_at is None)


# ---- facts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("duration_seconds", 61),
        ("sip_response_code", 200),
        ("answered_by", "human"),
        ("answered_by_raw", "human"),
        ("carrier_cost", "0.0140"),
        ("carrier_cost_currency", "USD"),
    ],
)
def test_rule_4_a_fact_is_filled_in_whenever_it_arrives_and_never_replaced(fact: str, value: Any) -> None:
    ended = merged(a_call(), an_event(CallStatus.COMPLETED))
    late = apply_event(ended, an_event(CallStatus.COMPLETED, key="late", **{fact: value}), received_at=RECEIVED)
    assert late.verdict is Verdict.ACCEPTED
    assert getattr(late.call, fact) == value
    assert late.call.status is CallStatus.COMPLETED
    other = 99 if isinstance(value, int) else "other"
    again = merged(late.call, an_event(CallStatus.COMPLETED, key="later", **{fact: other}))
    assert getattr(again, fact) == value


def test_a_duration_that_is_zero_is_a_known_duration() -> None:
    call = merged(a_call(), an_event(CallStatus.COMPLETED, duration_seconds=0))
    again = merged(call, an_event(CallStatus.COMPLETED, key="later", duration_seconds=60))
    assert again.duration_seconds == 0


def test_rule_6_an_answer_that_was_never_reported_is_inferred_from_the_duration() -> None:
    ended = CREATED + timedelta(seconds=100)
    event = an_event(CallStatus.COMPLETED, occurred_at=ended, duration_seconds=61)
    assert merged(a_call(), event).answered_at == ended - timedelta(seconds=61)
    assert merged(a_call(), replace(event, duration_seconds=0)).answered_at is None


def test_the_carriers_time_of_the_answer_counts_over_the_time_it_asked_us() -> None:
    asked, answered = CREATED + timedelta(seconds=9), CREATED + timedelta(seconds=8)
    call = a_call(CallStatus.IN_PROGRESS, answered_at=asked)
    assert merged(call, an_event(CallStatus.IN_PROGRESS, occurred_at=answered)).answered_at == answered
    assert merged(call, an_event(CallStatus.IN_PROGRESS)).answered_at == asked


@pytest.mark.parametrize("stated", [datetime(1970, 1, 1, tzinfo=UTC), CREATED + timedelta(hours=1)])
def test_a_time_outside_the_calls_life_is_no_answer_to_it(stated: datetime) -> None:
    answered_at, ended_at = CREATED + timedelta(seconds=8), CREATED + timedelta(seconds=60)
    ended = a_call(CallStatus.COMPLETED, answered_at=answered_at, ended_at=ended_at, duration_seconds=52)
    late = an_event(CallStatus.IN_PROGRESS, occurred_at=stated)
    assert apply_event(ended, late, received_at=RECEIVED).call.answered_at == answered_at


def test_without_a_time_of_its_own_a_report_happened_when_it_was_received() -> None:
    assert merged(a_call(), an_event(CallStatus.BUSY)).ended_at == RECEIVED


@pytest.mark.parametrize(
    ("status", "facts", "reason"),
    [
        (CallStatus.COMPLETED, {"duration_seconds": 61}, EndedReason.HANG_UP),
        (CallStatus.COMPLETED, {"duration_seconds": 599}, EndedReason.HANG_UP),
        (CallStatus.COMPLETED, {"duration_seconds": 600}, EndedReason.TIME_LIMIT),
        (CallStatus.COMPLETED, {}, EndedReason.HANG_UP),
        (CallStatus.COMPLETED, {"sip_response_code": 603}, EndedReason.HANG_UP),
        (CallStatus.BUSY, {"sip_response_code": 486}, EndedReason.BUSY),
        (CallStatus.BUSY, {"sip_response_code": 603}, EndedReason.DECLINED),
        (CallStatus.NO_ANSWER, {"sip_response_code": 487}, EndedReason.NO_ANSWER),
        (CallStatus.NO_ANSWER, {"sip_response_code": 603}, EndedReason.DECLINED),
        (CallStatus.CANCELED, {}, EndedReason.CANCELED),
        (CallStatus.FAILED, {"sip_response_code": 404}, EndedReason.CARRIER_FAILED),
        (CallStatus.FAILED, {"sip_response_code": 603}, EndedReason.DECLINED),
        (CallStatus.REJECTED, {}, EndedReason.DECLINED),
    ],
    ids=str,
)
def test_why_a_call_ended(status: CallStatus, facts: dict[str, Any], reason: EndedReason) -> None:
    assert merged(a_call(), an_event(status, **facts)).ended_reason is reason


# ---- any order ------------------------------------------------------------------------------------------------------

at = {status: CREATED + timedelta(seconds=index) for index, status in enumerate(CallStatus)}
ANSWERED = [
    an_event(status, occurred_at=at[status])
    for status in (CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS)
]
ENDINGS: dict[CallStatus, dict[str, Any]] = {
    CallStatus.COMPLETED: {"duration_seconds": 61, "sip_response_code": 200, "answered_by": "human"},
    CallStatus.BUSY: {"duration_seconds": 0, "sip_response_code": 486},
    CallStatus.NO_ANSWER: {"duration_seconds": 0, "sip_response_code": 487},
}


@given(ending=st.sampled_from(sorted(ENDINGS)), data=st.data())
def test_any_order_and_number_of_the_same_reports_ends_in_the_same_call(
    ending: CallStatus, data: st.DataObject
) -> None:
    live = ANSWERED if ending is CallStatus.COMPLETED else ANSWERED[:2]
    events = [*live, an_event(ending, occurred_at=at[ending], **ENDINGS[ending])]
    order = data.draw(st.permutations(events * 2))
    assert merged(a_call(), *order) == merged(a_call(), *events)


@given(statuses=st.lists(st.sampled_from(sorted(CallStatus)), max_size=12))
def test_whatever_is_reported_a_rank_never_falls_and_an_ending_that_was_answered_never_changes(
    statuses: list[CallStatus],
) -> None:
    call = a_call(CallStatus.DIALING, carrier_call_id=None)
    for index, status in enumerate(statuses):
        before = call
        call = merged(call, an_event(CallStatus(status), key=str(index)))
        assert call.status.rank >= before.status.rank
        if before.status.is_terminal and before.status is not CallStatus.COMPLETED:
            assert call.status is before.status


# ---- settlement -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [status for status in TERMINAL if status is not CallStatus.COMPLETED])
@pytest.mark.parametrize("duration", [None, 0, 61])
def test_a_call_that_was_not_answered_costs_nothing(status: CallStatus, duration: int | None) -> None:
    assert settlement_charge(a_call(status, duration_seconds=duration)) == 0


def test_the_cost_is_unknown_while_the_duration_is() -> None:
    assert settlement_charge(a_call(CallStatus.COMPLETED)) is None


@pytest.mark.parametrize(
    ("seconds", "increment", "charge"),
    [
        (0, 60, 0),
        (1, 60, 30_000),
        (60, 60, 30_000),
        (61, 60, 60_000),
        (61, 1, 30_500),
        (61, 30, 45_000),
        (599, 60, 300_000),
        (600, 60, 300_000),
        (601, 60, 300_000),  # the carrier's overrun is not the customer's
        (10**9, 60, 300_000),
    ],
)
def test_connected_time_is_charged_by_the_increment_and_never_beyond_the_hold(
    seconds: int, increment: int, charge: int
) -> None:
    call = a_call(CallStatus.COMPLETED, duration_seconds=seconds, billing_increment_seconds=increment)
    assert settlement_charge(call) == charge
