"""Query strings: unknown names are refused, and a value is read as what it is or refused by its name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dialplane.domain.errors import PhoneNumberInvalid, ValueInvalid
from dialplane.domain.parameters import check_names, integer, number, time, to_time


def test_unknown_names_are_refused_with_those_that_are_known() -> None:
    check_names({"limit": ""}, "limit", "cursor")
    with pytest.raises(ValueInvalid, match=r"^Unknown query parameters: a, b\. Known: limit, cursor\.$") as raised:
        check_names({"limit": "1", "b": "", "a": ""}, "limit", "cursor")
    assert raised.value.details["field"] == "a"
    with pytest.raises(ValueInvalid, match=r"^Unknown query parameters: limit\. There are none\.$"):
        check_names({"limit": "1"})


@pytest.mark.parametrize("read", [number, time, lambda query, name: integer(query, name, lowest=1, highest=9)])
def test_what_is_not_there_is_none(read: object) -> None:
    assert callable(read)
    assert read({"other": "1"}, "name") is None


@pytest.mark.parametrize("text", ["1", "42", "100", "042"])
def test_a_whole_number_within_its_bounds(text: str) -> None:
    assert integer({"n": text}, "n", lowest=1, highest=100) == int(text)


@pytest.mark.parametrize("text", ["", " ", "0", "101", "0001", "-1", "+1", "1.0", "1e1", " 1", "٣", "²", "9" * 5000])
def test_any_other_text_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueInvalid, match=r"^n must be a whole number from 1 to 100\.$") as raised:
        integer({"n": text}, "n", lowest=1, highest=100)
    assert raised.value.details["field"] == "n"


def test_a_number_that_lost_its_plus_to_the_query_string_is_still_meant() -> None:
    assert number({"from": " 15551234567"}, "from") == number({"from": "+15551234567"}, "from") == "+15551234567"
    with pytest.raises(PhoneNumberInvalid):
        number({"from": "1 5551234567"}, "from")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T09:00:00Z",
        "2026-11-20T10:00:00+01:00",
        "2026-11-20T10:00:00 01:00",
        "2026-11-20T04:00:00-05:00",
    ],
)
def test_a_time_is_read_in_utc(text: str) -> None:
    assert time({"at": text}, "at") == datetime(2026, 11, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-11-20", "2026-11-20T09:00:00", "2026-13-20T09:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_a_text_without_a_time_and_its_offset_is_refused(text: str) -> None:
    assert to_time(text) is None
    with pytest.raises(ValueInvalid, match=r"^at must be a time with its offset, such as ") as raised:
        time({"at": text}, "at")
    assert raised.value.details["field"] == "at"
