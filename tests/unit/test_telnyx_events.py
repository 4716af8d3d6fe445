"""What Telnyx's reports and books mean, and that no order or repetition of them makes another call."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telnyx.types.call_hangup import Payload as HangupPayload
from telnyx.types.call_machine_detection_ended import Payload as DetectionPayload
from telnyx.types.call_machine_greeting_ended import Payload as GreetingPayload
from telnyx.types.call_machine_premium_detection_ended import Payload as PremiumPayload

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.telnyx.events import (
    HANGUP_CAUSES,
    UnknownHangupCause,
    call_resource_to_fields,
    parse_time,
    to_call_event,
)
from dialplane.carriers.telnyx.webhooks import parse_report
from dialplane.domain.calls import Call, CallEvent, apply_event, settlement_charge
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, EndedReason, Verdict
from tests.fakes.telnyx import CALL_CONTROL_ID, CALL_ID, CONNECTION_ID, NOW, PUBLIC_KEY, event

CREDENTIALS = CarrierCredentials({"api_key": "KEY", "public_key": PUBLIC_KEY, "connection_id": CONNECTION_ID})
CREATED = NOW - timedelta(minutes=2)
ANSWERED_AT, HUNG_UP_AT = NOW - timedelta(seconds=90), NOW - timedelta(seconds=30)
RESOURCE: dict[str, Any] = {
    "record_type": "call",
    "call_control_id": CALL_CONTROL_ID,
    "call_leg_id": "2dc6fc34-f9e0-11ea-b68e-02420a0f7768",
    "call_session_id": "2dc1b3c8-f9e0-11ea-bc5a-02420a0f7768",
    "client_state": "x",
    "is_alive": False,
    "call_duration": 60,
    "start_time": "2026-11-20T14:58:00.574Z",
    "end_time": "2026-11-20T14:59:30.574Z",
}


def an_event(event_type: str, at: datetime = HUNG_UP_AT, **payload: Any) -> CallEvent:
    body = event(event_type, at=at.isoformat().replace("+00:00", "Z"), **payload)
    return to_call_event(parse_report(CREDENTIALS, body).fields, NOW)


INITIATED = an_event("call.initiated", CREATED, direction="outgoing")
ANSWERED = an_event("call.answered", ANSWERED_AT)
COST_PARTS = [{"currency": "USD"}]


def hangup(cause: str, **payload: Any) -> CallEvent:
    return an_event("call.hangup", hangup_cause=cause, hangup_source="callee", **payload)


def cost(seconds: int) -> CallEvent:
    total = "0.0075" if seconds else "0.0"
    return an_event(
        "call.cost", NOW, status="success", billed_duration_secs=seconds, total_cost=total, cost_parts=COST_PARTS
    )


def books(**changes: Any) -> CallEvent:
    return to_call_event(call_resource_to_fields({**RESOURCE, **changes}), NOW)


def a_call(**facts: Any) -> Call:
    defaults: dict[str, Any] = {
        "id": CALL_ID,
        "organization_id": "org_1",
        "dialect": "burki",
        "request_id": "request",
        "api_key_id": "key_1",
        "assistant_id": 1,
        "assistant_name": "Ada",
        "caller_number": "+15551234567",
        "destination": "+15559876543",
        "carrier": "telnyx",
        "carrier_account_id": "acc_1",
        "status": CallStatus.DIALING,
        "created_at": CREATED,
        "dial_deadline": CREATED + timedelta(seconds=10),
        "ring_timeout_seconds": 30,
        "time_limit_seconds": 600,
        "machine_detection": False,
        "instructions": Instructions(engine="say", welcome_message="Hello"),
        "variables_json": "{}",
        "currency": "USD",
        "rate_micros_per_minute": 90_000,
        "billing_increment_seconds": 60,
        "hold_micros": 900_000,
    }
    return Call(**{**defaults, **facts})


def merged(*events: CallEvent) -> Call:
    call = a_call()
    for each in events:
        call = apply_event(call, each, received_at=NOW).call
    return call


@pytest.mark.parametrize(
    ("reported", "status"),
    [
        (INITIATED, CallStatus.INITIATED),
        (ANSWERED, CallStatus.IN_PROGRESS),
        (hangup("normal_clearing"), CallStatus.COMPLETED),
        (hangup("time_limit"), CallStatus.COMPLETED),
        (hangup("user_busy"), CallStatus.BUSY),
        (hangup("timeout"), CallStatus.NO_ANSWER),
        (hangup("no_answer"), CallStatus.NO_ANSWER),
        (hangup("originator_cancel"), CallStatus.CANCELED),
        (hangup("call_rejected"), CallStatus.REJECTED),
        (hangup("not_found"), CallStatus.FAILED),
        (hangup("unspecified"), CallStatus.FAILED),
        (cost(60), None),
        (an_event("call.speak.ended", status="completed"), None),
        (an_event("call.machine.detection.ended", result="human"), None),
    ],
)
def test_every_row_of_the_state_map(reported: CallEvent, status: CallStatus | None) -> None:
    assert reported.status is status
    assert reported.carrier_call_id == CALL_CONTROL_ID
    assert reported.source == "callback"


def test_a_call_that_broke_off_is_paid_for_and_one_that_could_not_be_made_is_not() -> None:
    broken = merged(INITIATED, ANSWERED, hangup("unspecified"))
    assert (broken.status, settlement_charge(broken)) == (CallStatus.COMPLETED, None)
    for last in (cost(61), books(call_duration=61)):
        after = merged(INITIATED, ANSWERED, hangup("unspecified"), last)
        assert (after.status, after.duration_seconds, settlement_charge(after)) == (CallStatus.COMPLETED, 61, 180_000)
    assert merged(INITIATED, cost(61), hangup("unspecified")).status is CallStatus.COMPLETED
    for order in itertools.permutations((INITIATED, hangup("unspecified"))):
        failed = merged(*order)
        assert (failed.status, settlement_charge(failed)) == (CallStatus.FAILED, 0)


def test_every_hangup_cause_of_telnyxs_sdk_is_known() -> None:
    annotation = HangupPayload.model_fields["hangup_cause"].annotation
    assert set(get_args(get_args(annotation)[0])) == set(HANGUP_CAUSES)


def test_a_cause_of_a_later_version_is_named_in_the_error() -> None:
    with pytest.raises(UnknownHangupCause) as raised:
        hangup("call_screened")
    assert raised.value.cause == "call_screened"


def test_only_normal_clearing_leaves_open_whether_somebody_answered() -> None:
    assert [cause for cause in HANGUP_CAUSES if hangup(cause).is_end_ambiguous] == ["normal_clearing"]


@pytest.mark.parametrize(
    ("event_type", "result", "canonical"),
    [
        ("call.machine.detection.ended", "human", "human"),
        ("call.machine.detection.ended", "machine", "machine"),
        ("call.machine.detection.ended", "not_sure", "unknown"),
        ("call.machine.greeting.ended", "beep_detected", "machine_beep"),
        ("call.machine.greeting.ended", "ended", "machine_silence"),
        ("call.machine.greeting.ended", "not_sure", "machine"),
        ("call.machine.premium.detection.ended", "human_residence", "human"),
        ("call.machine.premium.detection.ended", "human_business", "human"),
        ("call.machine.premium.detection.ended", "machine", "machine"),
        ("call.machine.premium.detection.ended", "silence", "silence"),
        ("call.machine.premium.detection.ended", "fax_detected", "fax"),
        ("call.machine.premium.detection.ended", "not_sure", "unknown"),
        ("call.machine.premium.greeting.ended", "beep_detected", "machine_beep"),
        ("call.machine.premium.greeting.ended", "no_beep_detected", "machine"),
        ("call.machine.premium.greeting.ended", "prompt_ended", "unknown"),
        ("call.machine.detection.ended", "robot", "unknown"),
    ],
)
def test_rule_2_a_verdict_on_who_answered_is_an_attribute(event_type: str, result: str, canonical: str) -> None:
    verdict = an_event(event_type, result=result)
    assert (verdict.status, verdict.answered_by, verdict.answered_by_raw) == (None, canonical, result)
    call = merged(ANSWERED, verdict)
    assert (call.status, call.answered_by) == (CallStatus.IN_PROGRESS, canonical)


@pytest.mark.parametrize("model", [DetectionPayload, GreetingPayload, PremiumPayload])
def test_every_verdict_of_telnyxs_sdk_is_known(model: Any) -> None:
    names = {DetectionPayload: "detection", GreetingPayload: "greeting", PremiumPayload: "premium.detection"}
    for result in get_args(get_args(model.model_fields["result"].annotation)[0]):
        assert an_event(f"call.machine.{names[model]}.ended", result=result).answered_by is not None


def test_rule_5_the_events_id_is_its_key() -> None:
    assert ANSWERED.key == "0ccc7b54-4df3-4bca-a65a-call-answered"
    assert merged(ANSWERED, ANSWERED) == merged(ANSWERED)
    assert apply_event(merged(ANSWERED), ANSWERED, received_at=NOW).verdict is Verdict.DUPLICATE


@pytest.mark.parametrize(("stated", "code"), [("486", 486), ("unspecified", None), (None, None), (603, 603)])
def test_the_sip_code_is_kept_where_there_is_one(stated: object, code: int | None) -> None:
    assert hangup("user_busy", sip_hangup_cause=stated).sip_response_code == code


def test_the_cost_brings_duration_and_price_and_settles_doubts() -> None:
    reported = cost(60)
    assert (reported.duration_seconds, reported.carrier_cost, reported.carrier_cost_currency) == (60, "0.0075", "USD")
    assert reported.is_final_record


def test_no_other_event_brings_a_duration_or_settles_doubts() -> None:
    for reported in (INITIATED, ANSWERED, hangup("normal_clearing"), hangup("user_busy")):
        assert reported.duration_seconds is None
        assert not reported.is_final_record


@pytest.mark.parametrize(
    "event_type",
    [
        "call.speak.ended",
        "call.conversation.ended",
        "call.conversation.start_failed",
        "streaming.stopped",
        "streaming.failed",
    ],
)
def test_the_end_of_words_or_of_an_engines_connection_is_the_end_of_the_instructions_and_no_state(
    event_type: str,
) -> None:
    reported = an_event(event_type)
    assert reported.are_instructions_done
    assert (reported.status, reported.duration_seconds, reported.is_end_ambiguous) == (None, None, False)


def test_nothing_else_is_the_end_of_the_instructions() -> None:
    others = (INITIATED, ANSWERED, hangup("normal_clearing"), cost(60), books())
    assert not any(each.are_instructions_done for each in others)


def test_times_are_utc_and_never_later_than_their_receipt() -> None:
    assert ANSWERED.occurred_at == ANSWERED_AT
    assert an_event("call.answered", NOW + timedelta(hours=1)).occurred_at == NOW
    assert parse_time("2026-11-20T16:00:00+01:00") == datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@given(st.text())
def test_any_time_is_read_or_none(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC


ENDINGS = {
    "conversation": ([INITIATED, ANSWERED, hangup("normal_clearing"), cost(60)], CallStatus.COMPLETED, 90_000),
    "answer never reported": ([INITIATED, hangup("normal_clearing"), cost(60)], CallStatus.COMPLETED, 90_000),
    "ended while ringing": ([INITIATED, hangup("normal_clearing"), cost(0)], CallStatus.CANCELED, 0),
    "time limit": ([INITIATED, ANSWERED, hangup("time_limit"), cost(600)], CallStatus.COMPLETED, 900_000),
    "busy": ([INITIATED, hangup("user_busy"), cost(0)], CallStatus.BUSY, 0),
    "declined": ([INITIATED, hangup("call_rejected"), cost(0)], CallStatus.REJECTED, 0),
    "nobody there": ([INITIATED, hangup("timeout"), cost(0)], CallStatus.NO_ANSWER, 0),
    "cancelled": ([INITIATED, hangup("originator_cancel"), cost(0)], CallStatus.CANCELED, 0),
    "no such number": ([INITIATED, hangup("not_found"), cost(0)], CallStatus.FAILED, 0),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_all_orders_single_and_doubled_end_in_the_same_call(name: str) -> None:
    reports, status, charge = ENDINGS[name]
    in_order = merged(*reports)
    assert (in_order.status, settlement_charge(in_order)) == (status, charge)
    for order in itertools.permutations(reports):
        assert merged(*order) == in_order
        assert merged(*(each for one in order for each in (one, one))) == in_order
        assert merged(*order, *order) == in_order
    assert in_order.carrier_call_id == CALL_CONTROL_ID


def test_rule_7_normal_clearing_without_an_answer_is_settled_only_by_the_cost_or_the_books() -> None:
    open_end = merged(INITIATED, hangup("normal_clearing"))
    assert open_end.status is CallStatus.COMPLETED
    assert open_end.answer_in_doubt
    assert settlement_charge(open_end) is None
    for record in (cost(0), books(call_duration=0)):
        canceled = apply_event(open_end, record, received_at=NOW).call
        assert (canceled.status, canceled.ended_reason) == (CallStatus.CANCELED, EndedReason.CANCELED)
        assert settlement_charge(canceled) == 0
    for record in (cost(60), books()):
        answered = apply_event(open_end, record, received_at=NOW).call
        assert (answered.status, answered.answer_in_doubt) == (CallStatus.COMPLETED, False)
        assert settlement_charge(answered) == 90_000


def test_an_answer_ends_the_doubt_however_late_it_comes() -> None:
    call = merged(INITIATED, hangup("normal_clearing"), ANSWERED)
    assert (call.status, call.answer_in_doubt, call.answered_at) == (CallStatus.COMPLETED, False, ANSWERED_AT)
    assert settlement_charge(call) is None
    assert settlement_charge(apply_event(call, cost(60), received_at=NOW).call) == 90_000


def test_the_books_of_a_call_that_is_over_are_final() -> None:
    record = books()
    assert (record.status, record.duration_seconds, record.is_final_record) == (CallStatus.COMPLETED, 60, True)
    assert record.occurred_at == datetime(2026, 11, 20, 14, 59, 30, 574000, tzinfo=UTC)
    assert (record.source, record.is_end_ambiguous) == ("reconciler", True)


@pytest.mark.parametrize(
    "changes", [{"is_alive": True, "end_time": None}, {"end_time": None, "call_duration": None}, {"is_alive": True}]
)
def test_a_call_that_is_not_alive_yet_has_not_ended(changes: dict[str, Any]) -> None:
    record = books(**changes)
    assert (record.status, record.duration_seconds, record.is_final_record) == (CallStatus.INITIATED, None, False)


def test_books_never_take_back_an_answer() -> None:
    call = merged(INITIATED, ANSWERED, books(is_alive=True, end_time=None))
    assert call.status is CallStatus.IN_PROGRESS


def test_reading_with_new_facts_is_no_repetition_of_the_reading_before() -> None:
    assert books().key == books().key != books(call_duration=61).key
    assert books(is_alive=True).key != books().key


def test_the_books_do_not_undo_what_a_hangup_said() -> None:
    for cause, status in (("user_busy", CallStatus.BUSY), ("timeout", CallStatus.NO_ANSWER)):
        assert merged(INITIATED, hangup(cause), books(call_duration=0)).status is status


def test_a_transferred_leg_changes_nothing_of_the_call() -> None:
    call = merged(INITIATED, ANSWERED)
    other = replace(hangup("normal_clearing"), carrier_call_id="v3:other")
    transition = apply_event(call, other, received_at=NOW)
    assert (transition.verdict, transition.call) == (Verdict.FOREIGN, call)
