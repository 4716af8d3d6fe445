"""TeXML's callbacks: Twilio's words under Telnyx's signatures, and no order or repetition makes another call."""

from __future__ import annotations

import itertools
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telnyx.types.texml.accounts.call_resource import CallResource

from dialplane.carriers.contract import CarrierCredentials, ForeignAccount, InvalidCallback
from dialplane.carriers.telnyx_texml.events import (
    CALL_STATUSES,
    UnknownCallStatus,
    call_resource_to_fields,
    parse_time,
    to_call_event,
)
from dialplane.carriers.telnyx_texml.webhooks import is_authentic, parse_answer, parse_report, to_answered_by
from dialplane.domain.calls import Call, CallEvent, apply_event, settlement_charge
from dialplane.domain.statuses import CallStatus
from tests.fakes.telnyx import CALL_CONTROL_ID, NOW, PUBLIC_KEY, signed
from tests.unit.test_telnyx_events import a_call

ACCOUNT_SID = "f5586561-8ff0-4291-a51b-c7dfe4139ff9"
CREDENTIALS = CarrierCredentials({"public_key": PUBLIC_KEY, "account_sid": ACCOUNT_SID})
COMPLETED = {
    "AccountSid": ACCOUNT_SID,
    "CallSid": CALL_CONTROL_ID,
    "CallSidLegacy": CALL_CONTROL_ID,
    "CallStatus": "completed",
    "CallbackSource": "call-progress-events",
    "CallInitiatedAt": "2026-11-20T14:58:00.028Z",
    "AnsweredTime": "2026-11-20T14:58:30Z",
    "CallDuration": "60",
    "CallerId": "Jane Doe",
    "CallQualityStats": '{"mos": 4.2}',
    "ConnectionId": "1234567890",
    "EndTime": "2026-11-20T14:59:30Z",
    "From": "+15551234567",
    "HangupCause": "normal_clearing",
    "HangupSource": "callee",
    "ParentCallSid": "",
    "SequenceNumber": "3",
    "Timestamp": "2026-11-20T14:59:30.731479Z",
    "To": "+15559876543",
}
RESOURCE: dict[str, Any] = {
    "account_sid": ACCOUNT_SID,
    "answered_by": None,
    "caller_name": "Jane Doe",
    "date_created": "Fri, 20 Nov 2026 14:58:00 +0000",
    "direction": "outbound",
    "duration": "60",
    "end_time": "Fri, 20 Nov 2026 14:59:30 +0000",
    "from": "+15551234567",
    "price": "-0.0075",
    "price_unit": "USD",
    "sid": CALL_CONTROL_ID,
    "start_time": "Fri, 20 Nov 2026 14:58:01 +0000",
    "status": "completed",
    "to": "+15559876543",
}


def form(**changes: str | None) -> bytes:
    fields = {**COMPLETED, **changes}
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()


def an_event(**changes: str | None) -> CallEvent:
    return to_call_event(parse_report(CREDENTIALS, form(**changes)).fields, NOW)


def books(**changes: Any) -> CallEvent:
    return to_call_event(call_resource_to_fields({**RESOURCE, **changes}), NOW)


UNANSWERED: dict[str, str | None] = {"AnsweredTime": None, "CallDuration": "0"}
INITIATED = an_event(CallStatus="initiated", SequenceNumber="0", Timestamp="2026-11-20T14:58:00Z", **UNANSWERED)
RINGING = an_event(CallStatus="ringing", SequenceNumber="1", Timestamp="2026-11-20T14:58:02Z", **UNANSWERED)
ANSWERED = an_event(CallStatus="in-progress", SequenceNumber="2", Timestamp="2026-11-20T14:58:30Z")


def merged(*events: CallEvent) -> Call:
    call = a_call(carrier="telnyx-texml")
    for each in events:
        call = apply_event(call, each, received_at=NOW).call
    return call


def test_a_form_is_signed_like_any_webhook_of_telnyxs() -> None:
    request = signed(form())
    assert is_authentic(CREDENTIALS, request)
    assert not is_authentic(
        CREDENTIALS, signed(form(CallDuration="61"), signature=request.headers["telnyx-signature-ed25519"])
    )


def test_only_fields_without_personal_data_travel_on() -> None:
    fields = parse_report(CREDENTIALS, form()).fields
    assert set(fields) == {
        "AccountSid", "CallSid", "CallStatus", "CallbackSource", "AnsweredTime", "CallDuration",
        "HangupCause", "HangupSource", "SequenceNumber", "Timestamp",
    }  # fmt: skip
    assert not any("555" in value or "Jane" in value for value in fields.values())


def test_a_completed_call_becomes_an_event_in_canonical_words() -> None:
    event = an_event()
    assert event.key == f"{CALL_CONTROL_ID}:completed:3:call-progress-events"
    assert (event.source, event.carrier_call_id) == ("callback", CALL_CONTROL_ID)
    assert event.carrier_status == "completed:normal_clearing"
    assert (event.status, event.sequence, event.duration_seconds) == (CallStatus.COMPLETED, 3, 60)
    assert event.occurred_at == datetime(2026, 11, 20, 14, 59, 30, 731479, tzinfo=UTC)
    assert (event.is_end_ambiguous, event.is_final_record) == (False, False)


@pytest.mark.parametrize(("word", "status"), CALL_STATUSES.items())
def test_every_status_has_its_canonical_status(word: str, status: CallStatus) -> None:
    event = an_event(CallStatus=word, HangupCause=None)
    assert event.status is status
    assert (event.duration_seconds is not None) == status.is_terminal


def test_every_status_of_telnyxs_sdk_is_known() -> None:
    annotation = CallResource.model_fields["status"].annotation
    assert set(get_args(get_args(annotation)[0])) <= set(CALL_STATUSES)


def test_a_status_of_a_later_version_is_named_in_the_error() -> None:
    with pytest.raises(UnknownCallStatus) as raised:
        an_event(CallStatus="on-hold")
    assert raised.value.status == "on-hold"


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        ("user_busy", CallStatus.BUSY),
        ("timeout", CallStatus.NO_ANSWER),
        ("no_answer", CallStatus.NO_ANSWER),
        ("originator_cancel", CallStatus.CANCELED),
        ("call_rejected", CallStatus.REJECTED),
        ("not_found", CallStatus.FAILED),
        ("unspecified", CallStatus.FAILED),
        ("time_limit", CallStatus.COMPLETED),
        ("normal_clearing", CallStatus.COMPLETED),
        ("of_next_year", CallStatus.COMPLETED),
        (None, CallStatus.COMPLETED),
    ],
)
def test_the_cause_of_the_hangup_tells_what_completed_does_not(cause: str | None, status: CallStatus) -> None:
    assert an_event(HangupCause=cause, **UNANSWERED).status is status
    assert an_event(HangupCause=cause).status is CallStatus.COMPLETED
    assert an_event(HangupCause=cause, AnsweredTime=None).status is CallStatus.COMPLETED
    assert an_event(HangupCause=cause, CallDuration=None).status is CallStatus.COMPLETED


def test_a_callee_who_declined_is_told_by_the_cause_alone() -> None:
    for word in ("busy", "failed", "no-answer"):
        assert an_event(CallStatus=word, HangupCause="call_rejected", **UNANSWERED).status is CallStatus.REJECTED
    assert an_event(CallStatus="busy", HangupCause="normal_clearing", **UNANSWERED).status is CallStatus.BUSY


@pytest.mark.parametrize(
    ("changes", "is_ambiguous"),
    [
        ({}, False),
        (UNANSWERED, True),
        ({"AnsweredTime": None, "CallDuration": None}, True),
        ({**UNANSWERED, "HangupCause": "time_limit"}, False),
        ({**UNANSWERED, "HangupCause": None}, True),
        ({**UNANSWERED, "HangupCause": "user_busy"}, False),
    ],
)
def test_completed_without_a_sign_of_an_answer_leaves_it_open(
    changes: dict[str, str | None], *, is_ambiguous: bool
) -> None:
    assert an_event(**changes).is_end_ambiguous is is_ambiguous


ENDINGS = {
    "conversation": ([INITIATED, RINGING, ANSWERED, an_event()], CallStatus.COMPLETED, 90_000),
    "busy": ([INITIATED, RINGING, an_event(HangupCause="user_busy", **UNANSWERED)], CallStatus.BUSY, 0),
    "declined": ([INITIATED, RINGING, an_event(HangupCause="call_rejected", **UNANSWERED)], CallStatus.REJECTED, 0),
    "nobody": ([INITIATED, RINGING, an_event(CallStatus="no-answer", **UNANSWERED)], CallStatus.NO_ANSWER, 0),
    "ended while ringing": (
        [INITIATED, RINGING, an_event(**UNANSWERED), books(duration="0", price=None)],
        CallStatus.CANCELED,
        0,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_all_orders_single_and_doubled_end_in_the_same_call(name: str) -> None:
    reports, status, charge = ENDINGS[name]
    in_order = merged(*reports)
    assert (in_order.status, settlement_charge(in_order)) == (status, charge)
    for order in itertools.permutations(reports):
        for played in (order, [each for one in order for each in (one, one)], [*order, *order]):
            call = merged(*played)
            assert (call.status, settlement_charge(call)) == (status, charge)
            assert (call.answered_at, call.duration_seconds) == (in_order.answered_at, in_order.duration_seconds)


def test_an_open_end_is_settled_by_the_books_alone() -> None:
    call = merged(INITIATED, an_event(**UNANSWERED))
    assert call.answer_in_doubt
    assert settlement_charge(call) is None
    call = apply_event(call, books(duration="0"), received_at=NOW).call
    assert (call.status, call.answer_in_doubt, settlement_charge(call)) == (CallStatus.CANCELED, False, 0)
    call = apply_event(merged(an_event(**UNANSWERED)), books(status="no-answer", duration="0"), received_at=NOW).call
    assert (call.status, settlement_charge(call)) == (CallStatus.NO_ANSWER, 0)


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("human", "human"),
        ("machine", "machine"),
        ("not_sure", "unknown"),
        ("machine_end_beep", "machine_beep"),
        ("machine_end_silence", "machine_silence"),
        ("fax", "fax"),
        ("robot", "unknown"),
        ("", None),
        (None, None),
    ],
)
def test_answered_by_is_translated(raw: str | None, canonical: str | None) -> None:
    assert to_answered_by(raw) == canonical
    assert an_event(AnsweredBy=raw).answered_by == canonical


def test_the_books_say_the_same_as_the_callback_and_add_the_price() -> None:
    fields = call_resource_to_fields(RESOURCE)
    assert not any("555" in value or "Jane" in value for value in fields.values())
    event = to_call_event(fields, NOW)
    assert (event.status, event.duration_seconds, event.carrier_call_id) == (CallStatus.COMPLETED, 60, CALL_CONTROL_ID)
    assert event.occurred_at == datetime(2026, 11, 20, 14, 59, 30, tzinfo=UTC)
    assert (event.source, event.is_final_record) == ("reconciler", True)
    assert (event.carrier_cost, event.carrier_cost_currency) == ("0.0075", "USD")


def test_a_call_under_way_is_no_final_record_and_its_start_no_answer() -> None:
    event = books(status="in-progress", end_time=None, duration=None, price=None)
    assert (event.is_final_record, event.occurred_at, event.carrier_cost) == (False, None, None)


def test_a_price_without_a_currency_is_none() -> None:
    assert books(price_unit=None).carrier_cost is None


def test_reading_with_new_facts_is_no_repetition_of_the_reading_before() -> None:
    assert books().key == books().key != books(price=None).key


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T14:59:30Z", "2026-11-20 14:59:30Z", "Fri, 20 Nov 2026 14:59:30 +0000", "2026-11-20T15:59:30+01:00"],
)
def test_times_of_every_form_that_telnyx_has_are_read(text: str) -> None:
    assert parse_time(text) == datetime(2026, 11, 20, 14, 59, 30, tzinfo=UTC)
    assert an_event(Timestamp=text).occurred_at == datetime(2026, 11, 20, 14, 59, 30, tzinfo=UTC)


def test_a_time_in_the_future_is_the_time_of_receipt() -> None:
    assert an_event(Timestamp="2126-11-20T14:59:30Z").occurred_at == NOW


@given(st.text())
def test_any_time_is_read_or_none(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC


def test_another_account_is_foreign() -> None:
    for read in (parse_report, parse_answer):
        with pytest.raises(ForeignAccount):
            read(CREDENTIALS, form(AccountSid="other"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"CallSid",
        b"{}",
        form(CallSid=None),
        form(AccountSid=None),
        form(AccountSid=""),
        form() + b"&CallSid=v3:2",
        form(CallSid="a b"),
        form(CallDuration="-1"),
        form(Timestamp="x"),
        form(CallStatus="completed&x"),
        b"&".join(b"Field=1" for _ in range(300)),
    ],
)
def test_a_body_that_is_no_form_of_telnyxs_is_invalid(body: bytes) -> None:
    for read in (parse_report, parse_answer):
        with pytest.raises(InvalidCallback):
            read(CREDENTIALS, body)


def test_a_status_is_what_a_report_cannot_be_without() -> None:
    with pytest.raises(InvalidCallback):
        parse_report(CREDENTIALS, form(CallStatus=None))


@given(st.binary(max_size=300))
def test_any_body_is_invalid_or_foreign_and_nothing_else(body: bytes) -> None:
    for read in (parse_report, parse_answer):
        with pytest.raises((InvalidCallback, ForeignAccount)):
            read(CREDENTIALS, body)


@pytest.mark.parametrize(
    "resource", [{}, {**RESOURCE, "sid": "a b"}, {**RESOURCE, "status": None}, {**RESOURCE, "duration": []}]
)
def test_json_that_is_no_call_is_invalid(resource: dict[str, Any]) -> None:
    with pytest.raises(InvalidCallback):
        call_resource_to_fields(resource)


def test_a_request_for_instructions_names_the_call_and_who_answered() -> None:
    answer = parse_answer(CREDENTIALS, form(CallStatus="in-progress", AnsweredBy="machine"))
    assert (answer.carrier_call_id, answer.answered_by, answer.answered_by_raw) == (
        CALL_CONTROL_ID,
        "machine",
        "machine",
    )
    assert parse_answer(CREDENTIALS, form(CallStatus=None)).answered_by is None


def test_the_webhooks_load_no_http_client_and_no_cryptography() -> None:
    names = ("urllib3", "cryptography", "pydantic", "decimal", "http.client", "email", "dialplane.domain.calls")
    code = f"import sys, dialplane.carriers.telnyx_texml.webhooks; print([n for n in {names!r} if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
