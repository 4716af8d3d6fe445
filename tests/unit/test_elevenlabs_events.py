"""What ElevenLabs' words mean, row by row, and that neither repetition nor order changes what becomes of a call."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from dialplane.carriers.elevenlabs.events import CONVERSATION_STATUSES, to_call_event
from dialplane.carriers.elevenlabs.webhooks import conversation_fields, parse_report
from dialplane.domain.calls import Call, CallEvent, apply_event, settlement_charge
from dialplane.domain.statuses import CallStatus, EndedReason, Verdict
from tests.fakes.elevenlabs import (
    CALL_SID,
    CONVERSATION_ID,
    CREDENTIALS,
    ENDED,
    RECEIVED,
    STARTED,
    a_call,
    a_conversation,
    a_failure,
    a_webhook,
)


def transcription(status: str = "done", **metadata: Any) -> CallEvent:
    body = a_webhook("post_call_transcription", a_conversation(status, **metadata))
    return to_call_event(parse_report(CREDENTIALS, body).fields, RECEIVED)


def failure(reason: str | None = "busy", **said: Any) -> CallEvent:
    body = a_webhook("call_initiation_failure", a_failure(reason, **said))
    return to_call_event(parse_report(CREDENTIALS, body).fields, RECEIVED)


def record(status: str = "done", **metadata: Any) -> CallEvent:
    return to_call_event(conversation_fields(a_conversation(status, **metadata)), RECEIVED)


def phone_call(result: str) -> dict[str, Any]:
    return {**a_conversation()["metadata"]["phone_call"], "call_result": result}


def merged(call: Call, *events: CallEvent) -> Call:
    for event in events:
        call = apply_event(call, event, received_at=RECEIVED).call
    return call


# ---- the words ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        ("done", {}, CallStatus.COMPLETED),
        ("failed", {}, CallStatus.COMPLETED),  # 22 seconds of connected time
        ("processing", {}, CallStatus.COMPLETED),
        ("of-the-future", {}, CallStatus.COMPLETED),
        ("done", {"call_duration_secs": 0}, CallStatus.COMPLETED),
        ("failed", {"call_duration_secs": 0}, CallStatus.FAILED),
        ("failed", {"call_duration_secs": None}, CallStatus.FAILED),
        ("failed", {"call_duration_secs": 0, "phone_call": phone_call("busy")}, CallStatus.BUSY),
        ("failed", {"call_duration_secs": 0, "phone_call": phone_call("no_answer")}, CallStatus.NO_ANSWER),
        ("failed", {"call_duration_secs": 0, "phone_call": phone_call("failed")}, CallStatus.FAILED),
        ("failed", {"call_duration_secs": 0, "phone_call": phone_call("answered")}, CallStatus.FAILED),
        ("done", {"call_duration_secs": 0, "phone_call": phone_call("no_answer")}, CallStatus.NO_ANSWER),
        ("done", {"phone_call": phone_call("busy")}, CallStatus.COMPLETED),
    ],
)
def test_a_transcription_is_the_end_of_a_call(status: str, metadata: dict[str, Any], expected: CallStatus) -> None:
    event = transcription(status, **metadata)
    assert (event.status, event.source, event.is_final_record) == (expected, "callback", False)


@pytest.mark.parametrize(
    ("reason", "said", "expected"),
    [
        ("busy", {}, CallStatus.BUSY),
        ("no-answer", {}, CallStatus.NO_ANSWER),
        ("unknown", {}, CallStatus.FAILED),
        ("of-the-future", {}, CallStatus.FAILED),
        (None, {}, CallStatus.FAILED),
        ("unknown", {"CallStatus": "canceled"}, CallStatus.CANCELED),
        ("unknown", {"CallStatus": "no-answer"}, CallStatus.NO_ANSWER),
        ("busy", {"CallStatus": "no-answer"}, CallStatus.BUSY),
    ],
)
def test_a_failure_to_initiate_is_the_end_of_a_call(
    reason: str | None, said: dict[str, Any], expected: CallStatus
) -> None:
    event = failure(reason, **said)
    assert (event.status, event.duration_seconds, event.sip_response_code) == (expected, None, 486)
    assert event.occurred_at == RECEIVED


@pytest.mark.parametrize(("word", "expected"), CONVERSATION_STATUSES.items())
def test_a_conversation_as_the_books_have_it(word: str, expected: CallStatus) -> None:
    event = record(word, call_duration_secs=0)
    assert (event.status, event.carrier_status, event.source) == (expected, word, "reconciler")
    assert event.is_final_record is expected.is_terminal


def test_a_conversation_of_an_unknown_status_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="paused"):
        record("paused")


def test_the_facts_of_a_conversation() -> None:
    event = transcription()
    assert event.key == f"{CONVERSATION_ID}:post_call_transcription"
    assert (event.carrier_call_id, event.other_carrier_call_id) == (CONVERSATION_ID, CALL_SID)
    assert (event.occurred_at, event.duration_seconds) == (ENDED, 22)
    assert (event.carrier_cost, event.carrier_cost_currency) == ("296", "credits")
    assert transcription(call_duration_secs="22.9").duration_seconds == 22


def test_the_cost_is_in_dollars_where_elevenlabs_says_so() -> None:
    event = transcription(cost_fiat=0.0123)
    assert (event.carrier_cost, event.carrier_cost_currency) == ("0.0123", "USD")
    assert transcription(cost=None).carrier_cost_currency is None


def test_a_voicemail_is_a_machine() -> None:
    event = transcription(phone_call=phone_call("voicemail"))
    assert (event.answered_by, event.answered_by_raw) == ("machine", "voicemail")
    assert transcription(phone_call=phone_call("answered")).answered_by is None


@pytest.mark.parametrize("reason", ["busy", "no-answer", "unknown"])
def test_a_callee_who_declined_is_told_by_the_sip_code_alone(reason: str) -> None:
    event = failure(reason, SipResponseCode="603")
    assert (event.status, event.sip_response_code) == (CallStatus.REJECTED, 603)


def test_a_failure_without_a_conversation_is_about_the_call_at_twilio() -> None:
    data = {**a_failure(), "conversation_id": None}
    event = to_call_event(parse_report(CREDENTIALS, a_webhook("call_initiation_failure", data)).fields, RECEIVED)
    assert (event.key, event.carrier_call_id) == (f"{CALL_SID}:call_initiation_failure", CALL_SID)
    assert event.other_carrier_call_id is None


def test_a_stated_time_is_never_later_than_its_arrival() -> None:
    at = STARTED - timedelta(hours=1)
    fields = parse_report(CREDENTIALS, a_webhook("post_call_transcription", a_conversation())).fields
    assert to_call_event(fields, at).occurred_at == at


def test_two_readings_of_a_conversation_differ_when_their_facts_do() -> None:
    assert record().key == record().key
    assert len({record().key, record("failed").key, record(cost=297).key, record(cost_fiat=0.1).key}) == 4


# ---- what becomes of the call ---------------------------------------------------------------------------------------


def test_an_answered_call_is_charged_for_its_connected_time() -> None:
    call = merged(a_call(), transcription())
    assert (call.status, call.ended_reason, call.answered_at) == (CallStatus.COMPLETED, EndedReason.HANG_UP, STARTED)
    assert settlement_charge(call) == 30_000


@pytest.mark.parametrize("event", [transcription(), failure(), failure("no-answer"), record()])
def test_a_report_that_comes_twice_counts_once(event: CallEvent) -> None:
    once = merged(a_call(), event)
    twice = apply_event(once, event, received_at=RECEIVED + timedelta(minutes=1))
    assert (twice.call, twice.verdict) == (once, Verdict.DUPLICATE)


@pytest.mark.parametrize(
    "events",
    [
        (
            record("initiated", call_duration_secs=0),
            record("in-progress", call_duration_secs=3),
            transcription(),
            record(),
        ),
        (record("initiated", call_duration_secs=0), failure("no-answer")),
        (failure("busy"), transcription("done", call_duration_secs=0)),
        (failure("no-answer"), record("failed", call_duration_secs=0, phone_call=phone_call("no_answer"))),
    ],
)
def test_any_order_ends_in_the_same_call(events: tuple[CallEvent, ...]) -> None:
    outcomes = set()
    for order in itertools.permutations(events):
        call = merged(a_call(), *order, *order)
        outcomes.add((call.status, call.ended_reason, call.answered_at, call.duration_seconds, settlement_charge(call)))
    assert len(outcomes) == 1


def test_two_ends_that_contradict_each_other_charge_nothing_and_the_first_one_stays() -> None:
    broken = transcription("failed", call_duration_secs=0)
    for first, second in itertools.permutations((failure("busy"), broken)):
        call = merged(a_call(), first, second)
        assert (call.status, settlement_charge(call)) == (first.status, 0)


@pytest.mark.parametrize("known_as", [CONVERSATION_ID, CALL_SID, None])
def test_a_call_is_known_by_either_of_its_names(known_as: str | None) -> None:
    for event in (transcription(), failure()):
        assert apply_event(a_call(carrier_call_id=known_as), event, received_at=RECEIVED).verdict is Verdict.ACCEPTED


def test_another_conversation_that_carries_our_id_changes_nothing() -> None:
    call = a_call(carrier_call_id="conv_another")
    assert apply_event(call, transcription(), received_at=RECEIVED).verdict is Verdict.FOREIGN


def test_a_callee_who_declined_is_told_from_one_who_was_busy() -> None:
    assert merged(a_call(), failure("busy")).ended_reason is EndedReason.BUSY
    assert merged(a_call(), failure("busy", SipResponseCode="603")).ended_reason is EndedReason.DECLINED
