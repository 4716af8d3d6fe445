"""The Burki dialect: its two bodies to one command, its words for success and errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.dialects.burki import answers, requests
from dialplane.dialects.contract import Arrival, Reply
from dialplane.domain.accounts import PresentedKey
from dialplane.domain.admission import InitiateCall
from dialplane.domain.errors import (
    CallNotFound,
    DialplaneError,
    FieldMissing,
    FieldsInvalid,
    PhoneNumberInvalid,
    ValueInvalid,
)
from tests.unit.test_calls import a_call

KEY = PresentedKey("org_1", "key", "secret")
SEED2 = {"from_phone_number": "+15551234567", "to_phone_number": "+15559876543"}
SEED0 = {"assistant_id": 123, "to_phone_number": "+15559876543"}


def parse(body: dict[str, Any]) -> InitiateCall:
    return requests.parse(Arrival(body, presented_key=KEY, request_id="request"))


def test_the_newer_body() -> None:
    command = parse({**SEED2, "assistant_id": 456, "agenda": "x", "variables": {"a": 1}})
    assert command.caller_number is not None
    assert (command.caller_number.e164, command.destination.e164) == ("+15551234567", "+15559876543")
    assert (command.assistant_id, command.agenda, command.variables) == (456, "x", {"a": 1})
    assert (command.dialect, command.request_id, command.presented_key) == ("burki", "request", KEY)


@pytest.mark.parametrize("from_phone_number", [None, ...])
def test_the_older_body(from_phone_number: Any) -> None:
    body = SEED0 if from_phone_number is ... else {**SEED0, "from_phone_number": from_phone_number}
    command = parse(body)
    assert (command.caller_number, command.assistant_id, command.variables) == (None, 123, {})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "from_phone_number"),
        ({**SEED0, "from_phone_number": ""}, "from_phone_number"),
        ({"from_phone_number": "", "to_phone_number": ""}, "from_phone_number"),
        ({"to_phone_number": "nonsense"}, "from_phone_number"),
        ({"from_phone_number": "nonsense"}, "to_phone_number"),
        ({"assistant_id": 1}, "to_phone_number"),
    ],
)
def test_a_missing_field_is_told_before_the_shape_of_the_others(body: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldMissing) as caught:
        parse(body)
    assert caught.value.message == f"{field} is required"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from_phone_number": "x", "to_phone_number": "y"}, "from_phone_number"),
        ({"to_phone_number": "+15559876543\n"}, "to_phone_number"),
    ],
)
def test_a_malformed_number_is_told_with_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(PhoneNumberInvalid) as caught:
        parse({**SEED2, **change})
    assert caught.value.field == field


@pytest.mark.parametrize("field", ["welcome_message", "agenda"])
def test_texts_are_checked_here_and_filled_later(field: str) -> None:
    assert getattr(parse({**SEED2, field: "Hello {{name}}"}), field) == "Hello {{name}}"
    with pytest.raises(ValueInvalid):
        parse({**SEED2, field: "a\x00b"})


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({**SEED2, "assistant_id": "1"}, {"assistant_id": "int_type"}),
        ({**SEED2, "assistant_id": True}, {"assistant_id": "int_type"}),
        ({**SEED2, "assistant_id": 1.0}, {"assistant_id": "int_type"}),
        ({**SEED2, "assistant_id": 0}, {"assistant_id": "greater_than_equal"}),
        ({**SEED2, "assistant_id": 2**63}, {"assistant_id": "less_than_equal"}),
        ({"to_phone_number": 1, "agenda": []}, {"to_phone_number": "string_type", "agenda": "string_type"}),
        ({**SEED2, "x": 1, "y": 2}, {"x": "extra_forbidden", "y": "extra_forbidden"}),
    ],
)
def test_every_wrong_field_is_listed_as_fastapi_lists_it(body: dict[str, Any], kinds: dict[str, str]) -> None:
    with pytest.raises(FieldsInvalid) as caught:
        parse(body)
    assert {str(entry["loc"][1]): entry["type"] for entry in caught.value.errors} == kinds
    for entry in caught.value.errors:
        assert set(entry) == {"type", "loc", "msg", "input"}
        assert entry["loc"][0] == "body"
        assert entry["input"] == body[str(entry["loc"][1])]


@given(name=st.text(min_size=1, max_size=30))
def test_any_unknown_field_is_refused(name: str) -> None:
    if name not in requests.InitiateCallRequest.model_fields:
        with pytest.raises(FieldsInvalid):
            parse({**SEED2, name: 1})


def test_success_is_exactly_the_seeds() -> None:
    expected = Reply(200, {"message": "Call initiated successfully", "call_sid": "CA1"})
    assert answers.placed(parse(SEED2), a_call()) == expected


def test_a_call_whose_placement_is_unknown_is_not_told_as_success() -> None:
    expected = Reply(202, {"status": "unknown", "call_id": "call_1"})
    assert answers.placed(parse(SEED2), a_call(carrier_call_id=None)) == expected


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (PhoneNumberInvalid("to"), "Invalid phone number format. Use E.164 format (e.g., +1234567890)"),
        (FieldsInvalid([{"type": "t", "loc": ["body"], "msg": "m", "input": 1}]), [{"type": "t"}]),
        (FieldMissing("to_phone_number"), None),
        (CallNotFound(), None),
    ],
)
def test_the_seeds_words_where_it_has_its_own(error: DialplaneError, detail: Any) -> None:
    found = answers.detail(error)
    assert ([{"type": entry["type"]} for entry in found] if isinstance(found, list) else found) == detail
