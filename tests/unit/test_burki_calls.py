"""The Burki dialect's list of calls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.dialects.burki import calls
from dialplane.domain.errors import DialplaneError, PhoneNumberInvalid, ValueInvalid
from dialplane.domain.statuses import CallStatus
from dialplane.usecases.browse_calls import CallFilters, CallQuery, CallRange
from tests.fakes.arrivals import outcome
from tests.unit.test_calls import a_call


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {}),
        ({"status": "completed"}, {"statuses": frozenset({"completed"})}),
        ({"assistant_id": "123"}, {"assistant_id": 123}),
        ({"customer_phone": "+15559876543"}, {"destination": "+15559876543"}),
        ({"customer_phone": " 15559876543"}, {"destination": "+15559876543"}),
        ({"call_sid": "CA1"}, {"carrier_call_id": "CA1"}),
        ({"assistant_name": "support"}, {"assistant_name": "support"}),
        ({"date_from": "2024-01-01T00:00:00Z"}, {"created_after": datetime(2024, 1, 1, tzinfo=UTC)}),
        ({"date_to": "2024-01-01"}, {"created_before": datetime(2024, 1, 2, tzinfo=UTC)}),
        ({"min_duration": "0", "max_duration": "60"}, {"duration_seconds_min": 0, "duration_seconds_max": 60}),
    ],
)
def test_s2_32_filters(query: dict[str, str], expected: dict[str, Any]) -> None:
    assert calls.parse_query(query) == CallQuery(CallFilters(**expected), limit=100, offset=0)


def test_s2_32_a_range_of_up_to_a_thousand() -> None:
    assert calls.parse_query({"skip": "50", "limit": "1000"}) == CallQuery(CallFilters(), limit=1_000, offset=50)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"skip": "-1"}, "skip"),
        ({"status": "busy"}, "status"),
        ({"assistant_id": "a1"}, "assistant_id"),
        ({"call_sid": "x" * 201}, "call_sid"),
        ({"assistant_name": "a\nb"}, "assistant_name"),
        ({"date_from": "soon"}, "date_from"),
        ({"max_duration": "1.5"}, "max_duration"),
        ({"offset": "1"}, "offset"),
    ],
)
def test_s2_32_a_parameter_that_cannot_be_meant_is_refused(query: dict[str, str], field: str) -> None:
    with pytest.raises(ValueInvalid) as caught:
        calls.parse_query(query)
    assert caught.value.details == {"field": field}


def test_s2_32_a_customers_number_is_whole() -> None:
    with pytest.raises(PhoneNumberInvalid):
        calls.parse_query({"customer_phone": "555"})


@pytest.mark.parametrize("status", CallStatus)
def test_s2_32_a_call_is_shown_by_the_word_that_it_is_found_by(status: CallStatus) -> None:
    word = calls.call_document(a_call(status))["status"]
    assert word in ("ongoing", "completed", "failed")
    assert status.value in (calls.parse_query({"status": word}).filters.statuses or ())


def test_s2_32_a_range_with_costs() -> None:
    at = datetime(2026, 11, 20, 15, 3, tzinfo=UTC)
    call = a_call(
        CallStatus.COMPLETED, charge_micros=50_000, duration_seconds=90, ended_at=at, variables_json='{"a":1}'
    )
    document = calls.page_document(CallRange((call,), 42), calls.parse_query({"skip": "10", "limit": "1"}))
    assert document == {
        "items": [
            {
                "id": "call_1",
                "call_sid": "CA1",
                "assistant_id": 1,
                "assistant_name": "Somebody",
                "flow_name": None,
                "from_phone_number": "+15551234567",
                "to_phone_number": "+15559876543",
                "customer_phone_number": "+15559876543",
                "status": "completed",
                "started_at": "2026-11-20T15:00:00.000Z",
                "ended_at": "2026-11-20T15:03:00.000Z",
                "duration": 90,
                "call_meta": {"a": 1},
                "total_cost": 0.05,
                "llm_cost": None,
                "tts_cost": None,
                "stt_cost": None,
                "telephony_cost": 0.05,
                "cost_currency": "USD",
            }
        ],
        "total": 42,
        "skip": 10,
        "limit": 1,
    }
    assert calls.call_document(a_call())["total_cost"] is None


@given(query=st.dictionaries(st.sampled_from(["skip", "limit", "status", "customer_phone", "date_to", "x"]), st.text()))
def test_any_query_is_a_query_or_an_error(query: dict[str, str]) -> None:
    found = outcome(lambda: calls.parse_query(query))
    assert isinstance(found, DialplaneError) or found.limit <= 1_000
