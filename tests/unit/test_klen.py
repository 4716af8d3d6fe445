"""The Klen dialect: its body to a command, the words of its tables, its lists."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.dialects.contract import Reply
from dialplane.dialects.klen import answers, calls, requests
from dialplane.domain import errors
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import DialplaneError, FieldMissing, FieldsInvalid, PhoneNumberInvalid, ValueInvalid
from dialplane.domain.money import Money
from dialplane.domain.statuses import CallStatus
from dialplane.runtime.problems import status_of
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange
from tests.fakes.arrivals import ERRORS, KEY, an_arrival, bodies, outcome
from tests.unit.test_calls import a_call

BODY = {"phone_number": "+15551234567", "agent_id": 123}


def parse(body: dict[str, Any]) -> InitiateCall:
    return requests.parse(an_arrival(body))


def refused(error: DialplaneError) -> Reply:
    return answers.refused(error, status=status_of(error), request_id="request")


def refused_body(body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(DialplaneError) as caught:
        parse(body)
    reply = refused(caught.value)
    return reply.status, reply.document["error"]


def test_the_seeds_own_example() -> None:
    variables = {
        "customer_name": "John Doe",
        "appointment_time": "3:30 PM tomorrow",
        "custom_context": {"previous_purchase": "Premium Plan", "account_status": "Active"},
    }
    command = parse({**BODY, "contact_id": 456, "variables": variables})
    assert command == InitiateCall(
        dialect="klen",
        request_id="request",
        presented_key=KEY,
        destination=command.destination,
        caller_number=None,
        assistant_id=123,
        welcome_message=None,
        agenda=None,
        variables=variables,
        contact_id=456,
    )
    assert command.destination.e164 == "+15551234567"


@pytest.mark.parametrize(
    "text",
    [
        "+15551234567",
        "+1 555 123-4567",
        "+1 (555) 123.4567",
        "001 555 123 4567",
        " +1-555-123-4567 ",
    ],
)
def test_s1_02_a_number_may_be_written_for_people(text: str) -> None:
    assert parse({**BODY, "phone_number": text}).destination.e164 == "+15551234567"


@pytest.mark.parametrize("text", ["5551234567", "(555) 123-4567", "0555 123 4567", "011 1 555 123 4567", "00"])
def test_s1_02_a_number_without_its_country_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(PhoneNumberInvalid) as caught:
        parse({**BODY, "phone_number": text})
    assert "country" in caught.value.message


@pytest.mark.parametrize(
    "text", ["+1555", "+155512345678", "+1 555 FLOWERS", "++15551234567", "+15551234567 ext 5", "+44 (0)20 7946 0958"]
)
def test_s1_11_what_is_no_number_is_refused(text: str) -> None:
    assert refused_body({**BODY, "phone_number": text}) == (400, "invalid_phone_number")


@pytest.mark.parametrize("number", [15551234567, True, ["+15551234567"]])
def test_s1_11_so_is_a_number_of_another_type(number: Any) -> None:
    assert refused_body({**BODY, "phone_number": number}) == (400, "invalid_phone_number")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [(123, 123), ("123", 123), ("assistant_abc123", "assistant_abc123"), ("17a0cb75-fa09", "17a0cb75-fa09")],
)
def test_s1_03_an_agent_is_named_by_either_of_its_ids(sent: Any, meant: Any) -> None:
    assert parse({**BODY, "agent_id": sent}).assistant_id == meant


@pytest.mark.parametrize("agent_id", [0, -1, 2**63, True, 1.0, ["1"], "0", "x" * 201, "a\nb", "\ud800"])
def test_s1_03_what_can_be_no_id_is_refused(agent_id: Any) -> None:
    assert refused_body({**BODY, "agent_id": agent_id}) == (400, "validation_error")


@pytest.mark.parametrize("contact_id", ["456", 0, 1.5, True])
def test_s1_04_a_contact_is_an_integer(contact_id: Any) -> None:
    assert parse({**BODY, "contact_id": None}).contact_id is None
    assert refused_body({**BODY, "contact_id": contact_id}) == (400, "validation_error")


def test_s1_05_variables_that_no_text_could_use_are_refused() -> None:
    assert parse({**BODY, "variables": None}).variables == {}
    with pytest.raises(ValueInvalid):
        parse({**BODY, "variables": {"rate": 1.5}})
    with pytest.raises(FieldsInvalid):
        parse({**BODY, "variables": ["name"]})


@pytest.mark.parametrize("absent", [..., None, "", "  "])
def test_s1_09_a_missing_number_is_told_first(absent: Any) -> None:
    body = {"agent_id": absent, "phone_number": absent, "variables": 5}
    assert refused_body({name: value for name, value in body.items() if value is not ...}) == (
        400,
        "missing_phone_number",
    )


@pytest.mark.parametrize("absent", [..., None, "", "  "])
def test_s1_10_a_missing_agent_is_told_before_the_shape_of_the_number(absent: Any) -> None:
    body = {"phone_number": "nonsense", "agent_id": absent}
    assert refused_body({name: value for name, value in body.items() if value is not ...}) == (400, "missing_agent_id")


def test_a_typo_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(FieldsInvalid) as caught:
        parse({**BODY, "variable": {}})
    reply = refused(caught.value)
    assert (reply.status, reply.document["error"]) == (400, "validation_error")
    assert reply.document["message"].startswith('variable: Unknown field. Did you mean "variables"?')


@pytest.mark.parametrize(
    ("error", "status", "code", "words"),
    [
        (errors.JsonInvalid("Broken."), 400, "invalid_json", "Broken."),
        (FieldMissing("phone_number"), 400, "missing_phone_number", "Phone number is required"),
        (FieldMissing("agent_id"), 400, "missing_agent_id", "Agent ID is required"),
        (PhoneNumberInvalid("phone_number"), 400, "invalid_phone_number", "phone_number is not"),
        (errors.AuthenticationRequired(), 401, "authentication_required", "No API key"),
        (errors.KeyInvalid(), 401, "invalid_key", "The API key is invalid or inactive"),
        (errors.PermissionDenied("can_initiate_calls"), 403, "permission_denied", "The API key doesn't have"),
        (errors.DestinationOnDnc(), 403, "do_not_call", "The destination is on the do-not-call list"),
        (errors.AssistantForeign(7), 404, "agent_not_found", "AI agent not found or you do not have access"),
        (errors.AssistantNotFound("x"), 404, "agent_not_found", "AI agent not found or you do not have access"),
        (errors.CallerNumberMissing(), 404, "no_phone_number", "The agent does not have an assigned phone number"),
        (errors.NumberCannotDialOut("+1"), 404, "no_phone_number", "The agent does not have an assigned phone number"),
        (errors.RateLimitExceeded(60, "minute", retry_after_seconds=7), 429, "rate_limit_exceeded", "This API key"),
        (errors.CarrierRejected("Failed."), 500, "server_error", "Failed."),
        (errors.CarrierUnavailable("Away."), 500, "server_error", "Away."),
        (DialplaneError("Ours."), 500, "server_error", "Ours."),
        (errors.ServiceBusy(), 503, "service_busy", "Too many"),
        (errors.OrganizationSuspended(), 403, "organization_suspended", "This organization"),
        (errors.CallNotFound(), 404, "not_found", "No call"),
    ],
    ids=[
        "s1_08_invalid_json",
        "s1_09_missing_phone_number",
        "s1_10_missing_agent_id",
        "s1_11_invalid_phone_number",
        "s1_12_authentication_required",
        "s1_13_invalid_key",
        "s1_15_permission_denied",
        "s1_16_do_not_call",
        "s1_17_agent_not_found",
        "s1_17_agent_not_accessible",
        "s1_18_no_phone_number",
        "s1_18_number_cannot_dial_out",
        "s1_19_rate_limit_exceeded",
        "s1_20_carrier_rejected",
        "s1_20_carrier_unavailable",
        "s1_20_our_fault",
        "busy_keeps_its_own_word",
        "others_keep_their_own_word",
        "call_not_found",
    ],
)
def test_s1_08_to_s1_20_every_error_by_the_seeds_status_and_code(
    error: DialplaneError, status: int, code: str, words: str
) -> None:
    reply = refused(error)
    assert (reply.status, reply.document["error"], set(reply.document)) == (status, code, {"error", "message"})
    assert reply.document["message"].startswith(words)


def test_s1_14_too_little_money_is_told_with_the_balance_and_what_is_required() -> None:
    reply = refused(errors.InsufficientBalance(available=Money(90_000, "USD"), required=Money(300_000, "USD")))
    assert reply.status == 402
    assert reply.document == {
        "error": "insufficient_funds",
        "message": "Insufficient balance. Please add funds to continue making calls.",
        "balance": "0.090000",
        "required_rate": "0.300000",
        "currency": "USD",
    }


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_error_has_the_seeds_envelope(error: DialplaneError) -> None:
    document = json.loads(json.dumps(refused(error).document))
    assert document["error"].isidentifier()
    assert document["message"]


def test_s1_21_the_answer_to_an_accepted_call() -> None:
    call = a_call(CallStatus.DIALING, assistant_public_id="assistant_abc123", carrier_call_id=None)
    assert answers.placed(parse(BODY), call) == Reply(
        200,
        {
            "id": "call_1",
            "call_id": "call_1",
            "status": "queued",
            "type": "outbound",
            "phone_number": "+15559876543",
            "agent": {"id": 1, "name": "Somebody", "assistant_id": "assistant_abc123"},
            "created_at": "2026-11-20T15:00:00.000Z",
            "estimated_start": "2026-11-20T15:00:00.000Z",
        },
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, CallQuery(CallFilters(), limit=10, offset=0)),
        ({"page": "3", "limit": "25"}, CallQuery(CallFilters(), limit=25, offset=50)),
        ({"agent_id": "12"}, CallQuery(CallFilters(assistant_id=12), limit=10, offset=0)),
        ({"agent_id": "a12"}, CallQuery(CallFilters(assistant_public_id="a12"), limit=10, offset=0)),
        ({"status": "completed"}, CallQuery(CallFilters(statuses=frozenset({"completed"})), limit=10, offset=0)),
        ({"type": "outbound", "api_key": "x"}, CallQuery(CallFilters(), limit=10, offset=0)),
        ({"type": "inbound"}, CallQuery(CallFilters(statuses=frozenset()), limit=10, offset=0)),
        ({"status": "", "agent_id": " "}, CallQuery(CallFilters(), limit=10, offset=0)),
    ],
)
def test_s1_22_filters_and_pages(query: dict[str, str], expected: CallQuery) -> None:
    assert calls.parse_query(query) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "101"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "9" * 30}, "page"),
        ({"limit": "\u0661"}, "limit"),
        ({"status": "busy"}, "status"),
        ({"type": "web"}, "type"),
        ({"stauts": "completed"}, "stauts"),
        ({"agent_id": "x" * 201}, "agent_id"),
        ({"agent_id": "9" * 30}, "agent_id"),
    ],
)
def test_s1_22_a_parameter_that_cannot_be_meant_is_refused(query: dict[str, str], field: str) -> None:
    with pytest.raises(ValueInvalid) as caught:
        calls.parse_query(query)
    assert caught.value.details == {"field": field}


@pytest.mark.parametrize("status", CallStatus)
def test_s1_22_a_call_is_shown_by_the_word_that_it_is_found_by(status: CallStatus) -> None:
    word = calls.call_document(a_call(status))["status"]
    assert word in ("queued", "in-progress", "completed", "failed")
    assert status.value in (calls.parse_query({"status": word}).filters.statuses or ())


def test_s1_22_a_page() -> None:
    call = a_call(CallStatus.COMPLETED, assistant_public_id="a1", contact_id=7)
    document = calls.page_document(CallRange((call,), 42), calls.parse_query({"page": "2", "limit": "10"}))
    assert {name: value for name, value in document.items() if name != "calls"} == {
        "count": 42,
        "page": 2,
        "limit": 10,
        "pages": 5,
    }
    assert document["calls"] == [
        {
            "id": "call_1",
            "agent_id": "a1",
            "agent_name": "Somebody",
            "status": "completed",
            "type": "outbound",
            "phone_number": "+15559876543",
            "started_at": None,
            "ended_at": None,
            "duration_seconds": None,
            "summary": None,
            "recording_url": None,
            "contact": {"id": 7},
        }
    ]
    assert calls.page_document(CallRange((), 0), calls.parse_query({}))["pages"] == 0


def test_s1_23_a_single_call_says_what_was_set_aside_and_what_it_cost() -> None:
    open_call = calls.call_document(a_call())
    assert open_call["billing"] == {
        "status": "pending",
        "initial_charge": 0.3,
        "final_charge": None,
        "total_charge": None,
        "currency": "USD",
    }
    assert {"transcript", "summary", "recording_url", "contact", "team"} <= set(open_call)
    at = datetime(2026, 11, 20, 15, 1, tzinfo=UTC)
    settled = calls.call_document(
        a_call(CallStatus.COMPLETED, charge_micros=30_000, settled_at=at, answered_at=at, ended_at=at)
    )
    assert settled["billing"] == {
        "status": "billed",
        "initial_charge": 0.3,
        "final_charge": 0.03,
        "total_charge": 0.03,
        "currency": "USD",
    }
    assert (settled["started_at"], settled["ended_at"]) == ("2026-11-20T15:01:00.000Z",) * 2


@given(
    body=bodies(
        "variables",
        "contact_id",
        phone_number=st.sampled_from(["+15551234567", "00 1 555 123 4567"]),
        agent_id=st.integers(min_value=1, max_value=9),
    )
)
def test_any_body_is_a_command_or_an_error_in_the_seeds_envelope(body: dict[str, Any]) -> None:
    command = outcome(lambda: parse(body))
    if isinstance(command, DialplaneError):
        assert refused(command).status == 400
        json.dumps(refused(command).document)
    else:
        json.dumps(command.variables, ensure_ascii=False).encode()


@given(query=st.dictionaries(st.sampled_from(["agent_id", "status", "type", "page", "limit", "x"]), st.text()))
def test_any_query_is_a_query_or_an_error(query: dict[str, str]) -> None:
    found = outcome(lambda: calls.parse_query(query))
    assert isinstance(found, DialplaneError) or found.limit <= 100
