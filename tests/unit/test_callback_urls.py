"""The addresses carriers call back: written and read in one place, and nothing personal in them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.ids import new_socket_token
from dialplane.runtime.callback_urls import (
    INSTRUCTIONS,
    SOCKET_PARAMETER,
    STATUS,
    CallbackAddress,
    SocketAddress,
    callback_urls,
    socket_url,
)
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


SOCKET_BASE = "wss://talk.example.test/live"
SEGMENTS = ("org_1", "twilio", "acct_1", "call_1", "t0ken-_")


def test_a_socket_has_one_address_that_is_read_as_it_was_written() -> None:
    url = SocketAddress(*SEGMENTS).url(SOCKET_BASE)

    assert url == f"{SOCKET_BASE}?call=org_1.twilio.acct_1.call_1.t0ken-_"
    # Nothing in it is encoded, so that nobody on the way can write it otherwise than it was signed.
    assert SocketAddress.from_query(dict(parse_qsl(urlsplit(url).query))) == SocketAddress(*SEGMENTS)


def test_a_calls_socket_bears_its_token_and_nothing_of_the_people() -> None:
    call = replace(a_call(), socket_token=new_socket_token())

    url = socket_url(SOCKET_BASE, call)

    assert SocketAddress.from_query(dict(parse_qsl(urlsplit(url).query))) == SocketAddress(
        call.organization_id, call.carrier, call.carrier_account_id, call.id, call.socket_token or ""
    )
    for personal in (call.destination, call.caller_number, call.assistant_name, call.destination[1:]):
        assert personal not in url


def test_a_call_without_a_token_has_no_socket() -> None:
    with pytest.raises(ValueError, match="no token"):
        socket_url(SOCKET_BASE, a_call())


def test_no_two_tokens_are_the_same_and_none_is_shown() -> None:
    first, second = new_socket_token(), new_socket_token()

    assert first != second
    assert len(first) == 32
    assert first not in repr(SocketAddress("org_1", "twilio", "acct_1", "call_1", first))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "....",
        "org_1.twilio.acct_1.call_1",
        "org_1.twilio.acct_1.call_1.",
        ".twilio.acct_1.call_1.token",
        "org_1.twilio.acct_1.call_1.token.more",
        "org_1.twilio.acct_1.call_1.to ken",
        "org_1.twilio.acct_1.call_1.token\n",
        "org_1.twilio.acct_1.call_1.token%2E",
        "org_1/twilio.acct_1.x.call_1.token",
        "org_1.twilio.acct_1.call_1." + "x" * 65,
        "org_1.twilio.acct_1.call_1.\u0661",
        "org_1.twilio.acct_1.call_1.\ud800",
        "." * 100_000,
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_a_parameter_of_another_form_is_no_socket(text: str) -> None:
    assert SocketAddress.from_query({SOCKET_PARAMETER: text}) is None


def test_only_its_own_parameter_names_a_socket() -> None:
    assert SocketAddress.from_query({}) is None
    assert SocketAddress.from_query({"Call": ".".join(SEGMENTS)}) is None
    assert SocketAddress.from_query({SOCKET_PARAMETER: ".".join(SEGMENTS), "x": "1"}) == SocketAddress(*SEGMENTS)


@given(text=st.one_of(st.text(max_size=400), st.lists(st.text(max_size=70)).map(".".join)))
def test_any_text_makes_a_socket_that_is_written_back_or_none(text: str) -> None:
    address = SocketAddress.from_query({SOCKET_PARAMETER: text})
    if address is not None:
        assert address.url(SOCKET_BASE) == f"{SOCKET_BASE}?call={text}"
