"""What Vonage's words mean, row by row, and that no order of delivery changes how a call ends."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialplane.carriers.contract import CarrierCredentials, InvalidCallback
from dialplane.carriers.vonage.events import (
    CALL_STATUSES,
    VERDICTS,
    UnknownCallStatus,
    parse_time,
    record_to_fields,
    to_call_event,
)
from dialplane.carriers.vonage.webhooks import parse_report
from dialplane.domain.calls import Call, apply_event, settlement_charge
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, EndedReason, Verdict

UUID = "63f61863-4a51-4f6b-86e1-46edebcf9356"
CREATED = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
RECEIVED = CREATED + timedelta(minutes=20)


def at(seconds: int) -> str:
    return (CREATED + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def webhook(status: str, seconds: int = 0, **changes: Any) -> Mapping[str, str]:
    """The fields of an event webhook as Vonage documents it."""
    content = {
        "from": "15551234567",
        "to": "15559876543",
        "uuid": UUID,
        "conversation_uuid": "CON-f972836a-550f-45fa-956c-12a2ab5b7d22",
        "status": status,
        "direction": "outbound",
        "timestamp": at(seconds),
        **changes,
    }
    return parse_report(CarrierCredentials({}), json.dumps(content).encode()).fields


def completed(seconds: int = 68, *, duration: int = 60, **changes: Any) -> Mapping[str, str]:
    facts = {
        "start_time": at(seconds - duration),
        "end_time": at(seconds),
        "duration": str(duration),
        "rate": "0.00450000",
        "price": "0.00450000" if duration else "0",
        "network": "US-FIXED",
        **changes,
    }
    return webhook("completed", seconds, **facts)


def record(status: str = "completed", **changes: Any) -> dict[str, Any]:
    """A call record as GET /v1/calls/{uuid} answers it."""
    return {
        "_links": {"self": {"href": f"/calls/{UUID}"}},
        "uuid": UUID,
        "conversation_uuid": "CON-f972836a-550f-45fa-956c-12a2ab5b7d22",
        "to": {"type": "phone", "number": "15559876543"},
        "from": {"type": "phone", "number": "15551234567"},
        "status": status,
        "direction": "outbound",
        "rate": "0.39",
        "price": "23.40",
        "duration": "60",
        "start_time": "2026-11-20 15:00:08",
        "end_time": "2026-11-20 15:01:08",
        "network": "65512",
        **changes,
    }


def a_call(**facts: Any) -> Call:
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
        "carrier": "vonage",
        "carrier_account_id": "acct_1",
        "status": CallStatus.QUEUED,
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
        "carrier_call_id": UUID,
    }
    return Call(**{**defaults, **facts})


def told(call: Call, reports: Iterable[Mapping[str, str]]) -> Call:
    for fields in reports:
        call = apply_event(call, to_call_event(fields, RECEIVED), received_at=RECEIVED).call
    return call


# ---- row by row -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "detail", "expected"),
    [
        ("started", None, CallStatus.INITIATED),
        ("ringing", None, CallStatus.RINGING),
        ("answered", None, CallStatus.IN_PROGRESS),
        ("completed", None, CallStatus.COMPLETED),
        ("busy", None, CallStatus.BUSY),
        ("timeout", None, CallStatus.NO_ANSWER),
        ("unanswered", None, CallStatus.NO_ANSWER),
        ("unanswered", "unavailable", CallStatus.NO_ANSWER),
        ("unanswered", "timeout", CallStatus.NO_ANSWER),
        ("cancelled", None, CallStatus.CANCELED),
        ("rejected", None, CallStatus.REJECTED),
        ("rejected", "declined", CallStatus.REJECTED),
        ("rejected", "restricted", CallStatus.REJECTED),
        ("rejected", "invalid_number", CallStatus.FAILED),
        ("rejected", "INVALID_NUMBER", CallStatus.FAILED),
        ("failed", None, CallStatus.FAILED),
        ("failed", "cannot_route", CallStatus.FAILED),
        ("failed", "number_out_of_service", CallStatus.FAILED),
        ("failed", "internal_error", CallStatus.FAILED),
        ("human", None, None),
        ("machine", None, None),
    ],
)
def test_every_row_of_the_state_map(status: str, detail: str | None, expected: CallStatus | None) -> None:
    event = to_call_event(webhook(status, 5, detail=detail, call_uuid=UUID), RECEIVED)
    assert event.status is expected
    assert (event.source, event.carrier_call_id, event.carrier_status) == ("callback", UUID, status)
    assert event.occurred_at == CREATED + timedelta(seconds=5)
    assert event.key == f"{UUID}:{status}:{at(5)}"
    assert event.is_final_record is False


def test_the_table_has_no_row_more() -> None:
    assert set(CALL_STATUSES) | set(VERDICTS) == {
        "started", "ringing", "answered", "completed", "busy", "timeout", "unanswered", "cancelled", "rejected",
        "failed", "human", "machine",
    }  # fmt: skip


def test_status_of_the_future_is_an_error_with_vonages_word() -> None:
    with pytest.raises(UnknownCallStatus) as raised:
        to_call_event(webhook("levitating"), RECEIVED)
    assert raised.value.status == "levitating"


@pytest.mark.parametrize(
    ("status", "sub_state", "expected"),
    [
        ("human", None, ("human", "human")),
        ("machine", None, ("machine", "machine")),
        ("machine", "beep_start", ("machine_beep", "machine/beep_start")),
        ("machine", "beep_timeout", ("machine", "machine/beep_timeout")),
        ("machine", "of_the_future", ("machine", "machine/of_the_future")),
        ("answered", None, (None, None)),
    ],
)
def test_verdicts_are_attributes(status: str, sub_state: str | None, expected: tuple[str | None, str | None]) -> None:
    event = to_call_event(webhook(status, sub_state=sub_state), RECEIVED)
    assert (event.answered_by, event.answered_by_raw) == expected


def test_verdict_is_about_its_call_uuid_whatever_else_it_names() -> None:
    other = "00000000-0000-0000-0000-000000000000"
    assert to_call_event(webhook("machine", uuid=None, call_uuid=UUID), RECEIVED).carrier_call_id == UUID
    assert to_call_event(webhook("machine", uuid=other, call_uuid=UUID), RECEIVED).carrier_call_id == UUID
    assert to_call_event(webhook("ringing", uuid=UUID, call_uuid=other), RECEIVED).carrier_call_id == UUID


def test_completed_brings_duration_and_price_in_euro() -> None:
    event = to_call_event(completed(), RECEIVED)
    assert event.duration_seconds == 60
    assert (event.carrier_cost, event.carrier_cost_currency) == ("0.00450000", "EUR")
    assert event.is_end_ambiguous is False
    assert event.occurred_at == CREATED + timedelta(seconds=68)


def test_end_is_when_the_call_ended_and_not_when_it_was_reported() -> None:
    fields = completed(68, timestamp=at(70))
    assert to_call_event(fields, RECEIVED).occurred_at == CREATED + timedelta(seconds=68)


def test_report_cannot_be_about_the_future() -> None:
    assert to_call_event(completed(), CREATED).occurred_at == CREATED


@pytest.mark.parametrize("fields", [completed(duration=0), completed(duration=0, price=None), webhook("completed")])
def test_completed_without_connected_time_leaves_open_whether_anybody_answered(fields: Mapping[str, str]) -> None:
    event = to_call_event(fields, RECEIVED)
    assert event.status is CallStatus.COMPLETED
    assert event.is_end_ambiguous is True


@pytest.mark.parametrize("status", ["busy", "timeout", "unanswered", "cancelled", "rejected", "failed", "answered"])
def test_no_other_status_is_ambiguous(status: str) -> None:
    assert to_call_event(webhook(status), RECEIVED).is_end_ambiguous is False


def test_facts_of_an_end_are_taken_from_ends_only() -> None:
    event = to_call_event(webhook("answered", duration="3", price="1.0", end_time=at(3)), RECEIVED)
    assert (event.duration_seconds, event.carrier_cost, event.carrier_cost_currency) == (None, None, None)
    assert event.occurred_at == CREATED


# ---- records --------------------------------------------------------------------------------------------------------


def test_record_of_an_ended_call_is_final() -> None:
    event = to_call_event(record_to_fields(record()), RECEIVED)
    assert (event.source, event.status, event.is_final_record) == ("reconciler", CallStatus.COMPLETED, True)
    assert (event.duration_seconds, event.carrier_cost, event.carrier_cost_currency) == (60, "23.40", "EUR")
    assert event.occurred_at == CREATED + timedelta(seconds=68)


def test_record_holds_no_phone_number() -> None:
    assert not any("555" in text for text in record_to_fields(record()).values())


@pytest.mark.parametrize("status", ["started", "ringing", "answered", "machine"])
def test_record_of_a_live_call_is_not_final_and_states_no_time(status: str) -> None:
    event = to_call_event(record_to_fields(record(status, duration=None, price=None, end_time=None)), RECEIVED)
    assert event.is_final_record is False
    assert event.occurred_at is None


def test_two_readings_are_one_report_until_the_price_comes() -> None:
    without = to_call_event(record_to_fields(record(price=None)), RECEIVED)
    again = to_call_event(record_to_fields(record(price=None)), RECEIVED)
    priced = to_call_event(record_to_fields(record()), RECEIVED)
    assert without.key == again.key != priced.key


def test_webhook_cannot_call_itself_a_record() -> None:
    assert to_call_event(webhook("completed", source="record"), RECEIVED).is_final_record is False


@pytest.mark.parametrize("broken", [{"uuid": "x"}, {"uuid": None}, {"status": None}, {"duration": "a minute"}])
def test_record_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(InvalidCallback):
        record_to_fields(record(**broken))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-01T12:00:00.000Z", datetime(2020, 1, 1, 12, tzinfo=UTC)),
        ("2020-01-01 12:00:00", datetime(2020, 1, 1, 12, tzinfo=UTC)),
        ("2020-01-01T14:00:00+02:00", datetime(2020, 1, 1, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", None),
        ("2020-13-01T12:00:00Z", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_times_in_both_of_vonages_forms(text: object, expected: datetime | None) -> None:
    assert parse_time(text) == expected


# ---- orders ---------------------------------------------------------------------------------------------------------

ANSWERED = [webhook("started", 0), webhook("ringing", 1), webhook("answered", 8), completed(68)]
BUSY = [webhook("started", 0), webhook("ringing", 1), webhook("busy", 4), completed(4, duration=0)]


def orders(reports: list[Mapping[str, str]]) -> Iterable[list[Mapping[str, str]]]:
    """Every order, with every single report delivered a second time at every place after its first."""
    for order in itertools.permutations(reports):
        yield list(order)
        yield [*order, *order]
        yield [report for report in order for _ in range(2)]
        for position, report in enumerate(order):
            for again in range(position + 1, len(order) + 1):
                yield [*order[:again], report, *order[again:]]


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize(
    ("reports", "status", "reason", "charge"),
    [
        (ANSWERED, CallStatus.COMPLETED, EndedReason.HANG_UP, 30_000),
        (BUSY, CallStatus.BUSY, EndedReason.BUSY, 0),
        ([*BUSY[:2], webhook("timeout", 4), BUSY[3]], CallStatus.NO_ANSWER, EndedReason.NO_ANSWER, 0),
        ([*BUSY[:2], webhook("unanswered", 4), BUSY[3]], CallStatus.NO_ANSWER, EndedReason.NO_ANSWER, 0),
        ([*BUSY[:2], webhook("cancelled", 4), BUSY[3]], CallStatus.CANCELED, EndedReason.CANCELED, 0),
        ([*BUSY[:2], webhook("failed", 4), BUSY[3]], CallStatus.FAILED, EndedReason.CARRIER_FAILED, 0),
        ([*BUSY[:2], webhook("rejected", 4, detail="declined")], CallStatus.REJECTED, EndedReason.DECLINED, 0),
    ],
    ids=["answered", "busy", "timeout", "unanswered", "cancelled", "failed", "rejected"],
)
def test_every_order_and_repetition_ends_in_the_same_call(
    reports: list[Mapping[str, str]], status: CallStatus, reason: EndedReason, charge: int, *, bound: bool
) -> None:
    call = a_call() if bound else a_call(carrier_call_id=None, status=CallStatus.UNCONFIRMED)
    expected = told(call, reports)
    assert (expected.status, expected.ended_reason, expected.carrier_call_id) == (status, reason, UUID)
    assert settlement_charge(expected) == charge
    for order in orders(reports):
        assert told(call, order) == expected


def test_call_that_was_answered_and_hung_up_at_once_is_completed_in_every_order() -> None:
    reports = [webhook("started", 0), webhook("ringing", 1), webhook("answered", 4), completed(4, duration=0)]
    for order in orders(reports):
        call = told(a_call(), order)
        assert (call.status, call.answer_in_doubt, settlement_charge(call)) == (CallStatus.COMPLETED, False, 0)


def test_lone_completed_without_connected_time_is_settled_by_the_record() -> None:
    ended = told(a_call(), [completed(4, duration=0)])
    assert ended.answer_in_doubt
    assert settlement_charge(ended) is None
    fields = record_to_fields(record("completed", duration="0", price="0"))
    settled = told(ended, [fields])
    assert (settled.status, settled.answer_in_doubt, settlement_charge(settled)) == (CallStatus.CANCELED, False, 0)
    assert told(ended, [record_to_fields(record("busy", duration="0"))]).status is CallStatus.BUSY
    assert told(settled, [fields]) == settled


def test_leg_of_a_transfer_is_foreign() -> None:
    event = to_call_event(webhook("completed", uuid="00000000-0000-0000-0000-000000000000", duration="9"), RECEIVED)
    assert apply_event(a_call(), event, received_at=RECEIVED).verdict is Verdict.FOREIGN


def test_verdict_is_remembered_in_every_order() -> None:
    for order in orders([webhook("answered", 8), webhook("machine", 9, uuid=None, call_uuid=UUID), completed(68)]):
        call = told(a_call(), order)
        assert (call.status, call.answered_by, call.answered_by_raw) == (CallStatus.COMPLETED, "machine", "machine")
