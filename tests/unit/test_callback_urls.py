"""The addresses carriers call back: written and read in one place, and nothing personal in them."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.runtime.callback_urls import INSTRUCTIONS, STATUS, CallbackAddress, callback_urls
from tests.unit.test_calls import a_call

PARAMETERS = {"carrier": "twilio", "organization_id": "org_1", "carrier_account_id": "acct_1", "call_id": "call_1"}
BASE = "https://calls.example.test"


def test_a_call_has_two_addresses_without_query_or_fragment() -> None:
    instructions, status = callback_urls(BASE, a_call())
    assert instructions == f"{BASE}/twiml/twilio/org_1/acct_1/call_1"
    assert status == f"{BASE}/status/twilio/org_1/acct_1/call_1"
    for url in (instructions, status):
        parts = urlsplit(url)
        assert (parts.query, parts.fragment) == ("", "")


def test_nothing_of_the_people_is_in_an_address() -> None:
    call = a_call()
    for url in callback_urls(BASE, call):
        for personal in (call.destination, call.caller_number, call.assistant_name, call.destination[1:]):
            assert personal not in url


@pytest.mark.parametrize("kind", [INSTRUCTIONS, STATUS])
def test_what_is_written_is_what_is_read(kind: str) -> None:
    address = CallbackAddress.from_path(kind, PARAMETERS)
    assert address is not None
    assert address.url(BASE) == f"{BASE}/{kind}/twilio/org_1/acct_1/call_1"


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize(
    "segment",
    ["", " ", "a b", "a/b", "..", "a.b", "a#b", "a%2F", "a\n", "x" * 65, "\u00e9", "\ud800", "\u0661"],
    ids=ascii,
)
def test_a_segment_that_is_no_identifier_is_no_address(name: str, segment: str) -> None:
    assert CallbackAddress.from_path(STATUS, {**PARAMETERS, name: segment}) is None


def test_an_accounts_address_is_a_calls_without_the_call() -> None:
    parameters = {name: value for name, value in PARAMETERS.items() if name != "call_id"}
    address = CallbackAddress.from_path(STATUS, parameters)
    assert address is not None
    assert address.call_id is None
    assert address.url(BASE) == f"{BASE}/status/twilio/org_1/acct_1"


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name != "call_id"])
def test_a_missing_segment_is_no_address(name: str) -> None:
    assert CallbackAddress.from_path(STATUS, {key: value for key, value in PARAMETERS.items() if key != name}) is None


@given(segments=st.tuples(*[st.text(max_size=70)] * 4))
def test_any_segments_make_an_address_of_one_path_or_none(segments: tuple[str, ...]) -> None:
    address = CallbackAddress.from_path(STATUS, dict(zip(PARAMETERS, segments, strict=True)))
    if address is not None:
        assert address.url(BASE).removeprefix(BASE).split("/") == ["", "status", *segments]
