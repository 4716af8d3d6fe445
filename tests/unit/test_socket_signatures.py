"""Who opens a conversation's WebSocket: Twilio signs the handshake, Telnyx does not, and nobody else opens any."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from dialplane.carriers import registry
from dialplane.carriers.contract import CarrierCredentials, SignedRequest
from dialplane.carriers.registry import ENGINES
from dialplane.runtime.callback_urls import SocketAddress
from tests.fakes.telnyx import PUBLIC_KEY

TOKEN = "12345"
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TWILIO = CarrierCredentials({"account_sid": "AC" + "a" * 32, "auth_token": TOKEN})
TELNYX = CarrierCredentials({"api_key": "KEY1", "public_key": PUBLIC_KEY, "connection_id": "1"})
SECRETS = {"twilio": TWILIO, "sip-twilio": TWILIO, "telnyx": TELNYX, "sip-telnyx": TELNYX, "telnyx-texml": TELNYX}
URL = SocketAddress("org_1", "twilio", "acct_1", "call_1", "t0ken-_").url("wss://talk.example.test/live")


def is_authentic(carrier: str, url: str, *, credentials: CarrierCredentials | None = None, **headers: str) -> bool:
    request = SignedRequest(url, b"", {name.replace("_", "-"): value for name, value in headers.items()}, NOW)
    return registry.webhooks_of(carrier).is_authentic_socket(credentials or SECRETS[carrier], request)


def signature(url: str, parameters: dict[str, str] | None = None, token: str = TOKEN) -> str:
    return str(RequestValidator(token).compute_signature(url, parameters or {}))


def test_every_carrier_that_can_converse_says_whether_it_signs_its_handshakes() -> None:
    conversing = {carrier for carrier, engines in ENGINES.items() if "conversation" in engines}
    signing = {carrier for carrier in conversing if registry.webhooks_of(carrier).SOCKET_SIGNATURE_HEADER is not None}

    assert conversing == set(SECRETS)
    assert signing == {"twilio", "sip-twilio"}


@pytest.mark.parametrize("carrier", ["twilio", "sip-twilio"])
def test_the_published_vector_is_authentic(carrier: str) -> None:
    assert is_authentic(carrier, "wss://relay.example.test/ws", x_twilio_signature="/nTAVQaD7mv9xlWefjAggCHKuMw=")


@pytest.mark.parametrize(
    "signed",
    [
        signature(URL),
        # Twilio's server library reads the query string of a handshake as if it were a form.
        signature(URL.partition("?")[0], {"call": URL.partition("=")[2]}),
        signature(URL.replace("/live", ":443/live")),
        signature(URL.partition("?")[0].replace("/live", ":443/live"), {"call": URL.partition("=")[2]}),
    ],
    ids=["whole address", "query as form", "with port", "query as form, with port"],
)
def test_twilio_signs_the_address_in_one_of_the_spellings_that_it_is_known_to_use(signed: str) -> None:
    assert is_authentic("twilio", URL, x_twilio_signature=signed)


@pytest.mark.parametrize(
    "base", ["wss://talk.example.test:8443/live", "ws://127.0.0.1:8080/socket", "wss://talk.example.test"]
)
def test_an_address_is_signed_as_it_was_given_with_its_port_or_without(base: str) -> None:
    url = SocketAddress("org_1", "twilio", "acct_1", "call_1", "t0ken-_").url(base)
    assert is_authentic("twilio", url, x_twilio_signature=signature(url))
    without_port = url.replace(":8443", "").replace(":8080", "")
    assert is_authentic("twilio", url, x_twilio_signature=signature(without_port))


@pytest.mark.parametrize(
    "signed",
    [
        "",
        signature(URL, token="another"),
        signature(URL.replace("call_1", "call_2")),
        signature(URL.replace("t0ken-_", "t0ken-")),
        signature(URL.replace("wss", "https")),
        signature(URL.partition("?")[0]),
        signature(URL, {"call": URL.partition("=")[2]}),
        signature(f"{URL}&x=1"),
        "é" * 28,
    ],
)
def test_any_other_signature_is_refused(signed: str) -> None:
    assert not is_authentic("twilio", URL, x_twilio_signature=signed)


def test_a_handshake_without_signature_or_to_an_account_without_token_is_refused() -> None:
    assert not is_authentic("twilio", URL)
    assert not is_authentic("twilio", URL, X_Twilio_Signature=signature(URL))  # names arrive in lower case
    assert not is_authentic("twilio", URL, credentials=TELNYX, x_twilio_signature=signature(URL))


def test_every_changed_character_of_the_address_is_noticed() -> None:
    signed = signature(URL)
    for position in range(len("wss://"), len(URL)):
        changed = URL[:position] + ("x" if URL[position] != "x" else "y") + URL[position + 1 :]
        assert not is_authentic("twilio", changed, x_twilio_signature=signed), changed


@given(url=st.text(max_size=60), signed=st.text(max_size=40))
def test_no_handshake_raises_or_passes_by_chance(url: str, signed: str) -> None:
    assert is_authentic("twilio", url, x_twilio_signature=signed) is False


@pytest.mark.parametrize("carrier", ["telnyx", "telnyx-texml", "sip-telnyx"])
def test_telnyx_signs_no_handshake_but_no_other_carriers_account_can_be_named_beside_it(carrier: str) -> None:
    assert is_authentic(carrier, URL)
    assert not is_authentic(carrier, URL, credentials=TWILIO)


@pytest.mark.parametrize("carrier", ["vonage", "elevenlabs"])
def test_a_carrier_that_cannot_converse_opens_nothing(carrier: str) -> None:
    assert not is_authentic(carrier, URL, credentials=TELNYX, x_twilio_signature=signature(URL))
