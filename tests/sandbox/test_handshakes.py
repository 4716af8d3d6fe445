"""Who gets no WebSocket from the deployed system: API Gateway asks our authorizer, through the front door."""

from __future__ import annotations

import base64

import pytest
import urllib3
from twilio.request_validator import RequestValidator

from dialplane.runtime.callback_urls import SocketAddress
from tests.fakes.sandbox_client import SandboxClient

CALL_ID = "call_01JD0000000000000000NON001"


def shake_hands(url: str, *, signature: str | None = None) -> int:
    """Ask to open a WebSocket; the status of the answer, which is 101 when it is open."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
        **({"X-Twilio-Signature": signature} if signature is not None else {}),
    }
    http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(30))
    return int(http.request("GET", url.replace("ws", "http", 1), headers=headers, preload_content=False).status)


@pytest.fixture
def address(sandbox_client: SandboxClient) -> str:
    """The address of a call that does not exist, of an account that does."""
    state = sandbox_client.state
    ids = (state.organization_id, "twilio", state.carrier_accounts["twilio"], CALL_ID)
    return SocketAddress(*ids, "a-token-that-nobody-gave").url(state.outputs["PublicSocketUrl"])


def sign(client: SandboxClient, address: str) -> str:
    """Twilio's signature over an address."""
    token = client.state.carrier_secrets["twilio"]["auth_token"]
    return str(RequestValidator(token).compute_signature(address, {}))


def test_who_names_no_call_is_turned_away_before_any_function_runs(sandbox_client: SandboxClient) -> None:
    url = sandbox_client.state.outputs["PublicSocketUrl"]
    assert [shake_hands(url), shake_hands(f"{url}?call="), shake_hands(f"{url}?other=1")] == [401, 401, 401]


def test_a_forged_handshake_is_refused(sandbox_client: SandboxClient, address: str) -> None:
    other = address.replace(CALL_ID, CALL_ID.replace("NON", "NUN"))
    forged = [None, "", "c2lnbmVk", sign(sandbox_client, other)]
    assert [shake_hands(address, signature=signature) for signature in forged] == [403] * 4


def test_a_token_that_nobody_gave_is_refused_though_the_carrier_has_signed(
    sandbox_client: SandboxClient, address: str
) -> None:
    assert shake_hands(address, signature=sign(sandbox_client, address)) == 403


@pytest.mark.parametrize("call", ["none", "a.b.c.d", "a.b.c.d.e.f", "a.b.c.d.%2e", "....", "x" * 4000])
def test_an_address_that_is_none_of_ours_is_refused(sandbox_client: SandboxClient, call: str) -> None:
    url = sandbox_client.state.outputs["PublicSocketUrl"]
    assert shake_hands(f"{url}?call={call}", signature="c2lnbmVk") == 403
