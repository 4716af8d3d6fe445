"""Callbacks and Call resources: which fields travel on, and what they mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.carriers.contract import InvalidCallback
from dialplane.carriers.twilio.events import (
    CALL_STATUSES,
    UnknownCallStatus,
    call_resource_to_fields,
    parse_time,
    to_call_event,
)
from dialplane.carriers.twilio.fields import parse_fields, to_answered_by
from dialplane.domain.statuses import CallStatus

CALL_SID = "CA" + "0" * 31 + "1"
ACCOUNT_SID = "AC" + "0" * 31 + "2"
RECEIVED_AT = datetime(2022, 11, 1, 2, 0, 0, tzinfo=UTC)
COMPLETED = {
    "CallSid": CALL_SID,
    "AccountSid": ACCOUNT_SID,
    "From": "+15551234567",
    "To": "+15559876543",
    "Caller": "+15551234567",
    "Called": "+15559876543",
    "CallerName": "Jane Doe",
    "FromCity": "SPRINGFIELD",
    "Direction": "outbound-api",
    "ApiVersion": "2010-04-01",
    "ForwardedFrom": "",
    "CallStatus": "completed",
    "SequenceNumber": "3",
    "Timestamp": "Tue, 01 Nov 2022 01:59:13 +0000",
    "CallbackSource": "call-progress-events",
    "CallDuration": "61",
    "Duration": "2",
    "SipResponseCode": "200",
    "AnsweredBy": "machine_start",
    "SomethingNew": "of next year",
}
RESOURCE: dict[str, Any] = {
    "sid": CALL_SID,
    "account_sid": ACCOUNT_SID,
    "to": "+15559876543",
    "from": "+15551234567",
    "caller_name": "Jane Doe",
    "status": "completed",
    "start_time": "Tue, 01 Nov 2022 01:58:00 +0000",
    "end_time": "Tue, 01 Nov 2022 01:59:13 +0000",
    "date_created": "Tue, 01 Nov 2022 01:57:59 +0000",
    "duration": "61",
    "price": "-0.02800",
    "price_unit": "USD",
    "answered_by": None,
}


def form(**changes: str | None) -> bytes:
    fields = {**COMPLETED, **changes}
    return urlencode({name: value for name, value in fields.items() if value is not None}).encode()


def test_only_fields_without_personal_data_travel_on() -> None:
    fields = parse_fields(form())
    assert set(fields) == {
        "CallSid", "AccountSid", "CallStatus", "SequenceNumber", "Timestamp", "CallbackSource",
        "CallDuration", "Duration", "SipResponseCode", "AnsweredBy",
    }  # fmt: skip
    assert not any("555" in value or "Jane" in value for value in fields.values())


def test_completed_callback_becomes_an_event_in_canonical_words() -> None:
    event = to_call_event(parse_fields(form()), RECEIVED_AT)
    assert event.key == f"{CALL_SID}:completed:3:call-progress-events"
    assert (event.source, event.carrier_call_id, event.carrier_status) == ("callback", CALL_SID, "completed")
    assert event.status is CallStatus.COMPLETED
    assert event.occurred_at == datetime(2022, 11, 1, 1, 59, 13, tzinfo=UTC)
    assert (event.sequence, event.duration_seconds, event.sip_response_code) == (3, 61, 200)
    assert (event.answered_by, event.answered_by_raw) == ("machine", "machine_start")
    assert event.carrier_cost is None


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", CallStatus.QUEUED),
        ("initiated", CallStatus.INITIATED),
        ("ringing", CallStatus.RINGING),
        ("in-progress", CallStatus.IN_PROGRESS),
        ("completed", CallStatus.COMPLETED),
        ("busy", CallStatus.BUSY),
        ("failed", CallStatus.FAILED),
        ("no-answer", CallStatus.NO_ANSWER),
        ("canceled", CallStatus.CANCELED),
    ],
)
def test_every_twilio_status_has_its_canonical_status(word: str, status: CallStatus) -> None:
    event = to_call_event(parse_fields(form(CallStatus=word)), RECEIVED_AT)
    assert event.status is status
    assert (event.duration_seconds is not None) == status.is_terminal
    assert len(CALL_STATUSES) == 9


@pytest.mark.parametrize(
    ("word", "code", "status"),
    [
        ("busy", "603", CallStatus.REJECTED),
        ("no-answer", "603", CallStatus.REJECTED),
        ("failed", "603", CallStatus.REJECTED),
        ("busy", "486", CallStatus.BUSY),
        ("no-answer", "487", CallStatus.NO_ANSWER),
        ("failed", "604", CallStatus.FAILED),
        ("failed", None, CallStatus.FAILED),
        ("completed", "603", CallStatus.COMPLETED),
        ("canceled", "603", CallStatus.CANCELED),
        ("ringing", "603", CallStatus.RINGING),
    ],
)
def test_a_callee_who_declined_is_told_by_the_sip_code_of_a_call_that_was_not_answered(
    word: str, code: str | None, status: CallStatus
) -> None:
    event = to_call_event(parse_fields(form(CallStatus=word, SipResponseCode=code)), RECEIVED_AT)
    assert event.status is status
    assert event.carrier_status == word


def test_status_of_a_later_version_is_named_in_the_error() -> None:
    with pytest.raises(UnknownCallStatus) as raised:
        to_call_event(parse_fields(form(CallStatus="on-hold")), RECEIVED_AT)
    assert raised.value.status == "on-hold"


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("human", "human"),
        ("machine_start", "machine"),
        ("machine_end_beep", "machine_beep"),
        ("machine_end_silence", "machine_silence"),
        ("machine_end_other", "machine"),
        ("fax", "fax"),
        ("unknown", "unknown"),
        ("robot", "unknown"),
        (None, None),
        ("", None),
    ],
)
def test_answered_by_is_translated(raw: str | None, canonical: str | None) -> None:
    assert to_answered_by(raw) == canonical


def test_repeated_delivery_has_the_same_key_and_the_next_event_another() -> None:
    first, again = (to_call_event(parse_fields(form()), RECEIVED_AT) for _ in range(2))
    other = to_call_event(parse_fields(form(SequenceNumber="2", CallStatus="in-progress")), RECEIVED_AT)
    assert first.key == again.key != other.key


def test_time_in_the_future_is_the_time_of_receipt() -> None:
    event = to_call_event(parse_fields(form(Timestamp="Tue, 01 Nov 2122 01:59:13 +0000")), RECEIVED_AT)
    assert event.occurred_at == RECEIVED_AT


@pytest.mark.parametrize("missing", ["CallSid", "AccountSid", "CallStatus"])
def test_form_without_what_identifies_it_is_invalid(missing: str) -> None:
    for absent in (None, ""):
        with pytest.raises(InvalidCallback, match=missing):
            parse_fields(form(**{missing: absent, "AnsweredBy": None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CallSid", "CA1"),
        ("CallSid", CALL_SID + "\n"),
        ("AccountSid", CALL_SID),
        ("CallDuration", "-1"),
        ("CallDuration", "6١"),
        ("CallDuration", "6.1"),
        ("SequenceNumber", "9" * 20),
        ("SipResponseCode", "999"),
        ("CallStatus", "completed&x"),
    ],
)
def test_value_of_another_form_is_invalid_and_not_repeated_in_the_error(name: str, value: str) -> None:
    with pytest.raises(InvalidCallback) as raised:
        parse_fields(form(**{name: value}))
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    ("known", "moved", "value"),
    [
        ("CallDuration", "CallDuration6", "1"),
        ("CallDuration", "CallDurati", "on61"),
        ("SipResponseCode", "SipResponseCode2", "00"),
        ("AnsweredBy", "", "AnsweredBymachine_start"),
        ("AnsweredBy", "AnsweredBymachine_start", ""),
    ],
)
def test_border_between_name_and_value_cannot_be_moved(known: str, moved: str, value: str) -> None:
    body = form(**{known: None}) + b"&" + urlencode({moved: value}).encode()
    with pytest.raises(InvalidCallback):
        parse_fields(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"CallSid",
        form() + b"&CallStatus=failed",
        form() + b"&x%00y=1",
        form() + b"&CallSid=%FF",
        b"&".join(b"Field=1" for _ in range(300)),
    ],
)
def test_body_that_is_not_a_plain_form_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidCallback):
        parse_fields(body)


@given(st.binary(max_size=300))
def test_any_body_is_read_or_invalid(body: bytes) -> None:
    try:
        fields = parse_fields(body)
    except InvalidCallback:
        return
    assert {"CallSid", "AccountSid", "CallStatus"} <= set(fields)


def test_call_resource_says_the_same_as_the_callback_and_adds_the_price() -> None:
    fields = call_resource_to_fields(RESOURCE)
    assert not any("555" in value or "Jane" in value for value in fields.values())
    event = to_call_event(fields, RECEIVED_AT)
    callback = to_call_event(parse_fields(form()), RECEIVED_AT)
    assert (event.status, event.duration_seconds, event.occurred_at, event.carrier_call_id) == (
        callback.status,
        callback.duration_seconds,
        callback.occurred_at,
        callback.carrier_call_id,
    )
    assert (event.source, event.carrier_cost, event.carrier_cost_currency) == ("reconciler", "0.02800", "USD")


def test_reading_with_new_facts_is_no_repetition_of_the_reading_before() -> None:
    early = to_call_event(call_resource_to_fields({**RESOURCE, "price": None}), RECEIVED_AT)
    late, later = (to_call_event(call_resource_to_fields(RESOURCE), RECEIVED_AT) for _ in range(2))
    assert early.key != late.key == later.key
    assert early.carrier_cost is None
    assert early.carrier_cost_currency is None


def test_start_of_dialling_is_never_taken_for_the_answer() -> None:
    event = to_call_event(call_resource_to_fields({**RESOURCE, "status": "in-progress"}), RECEIVED_AT)
    assert event.occurred_at is None


@pytest.mark.parametrize(
    "resource", [{}, {**RESOURCE, "sid": "x"}, {**RESOURCE, "status": None}, {**RESOURCE, "duration": []}]
)
def test_json_that_is_no_call_is_invalid(resource: dict[str, Any]) -> None:
    with pytest.raises(InvalidCallback):
        call_resource_to_fields(resource)


@given(st.text())
def test_any_time_is_read_or_none(text: str) -> None:
    parsed = parse_time(text)
    assert parsed is None or parsed.tzinfo is UTC
