"""Calls to a SIP host of the customer's: Telnyx's words, and the host that the account names."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from telnyx import Telnyx

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.registry import check_credentials
from dialplane.carriers.sip_telnyx import events, webhooks
from dialplane.carriers.sip_telnyx.api import open_api
from dialplane.carriers.telnyx import events as telnyx_events
from dialplane.carriers.telnyx import webhooks as telnyx_webhooks
from dialplane.carriers.telnyx.api import TelnyxApi
from dialplane.domain.carrier import DialRequest, Placed
from dialplane.domain.errors import ValueInvalid
from dialplane.domain.instructions import Instructions
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
CALL = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
HOST = {"sip_host": "pbx.example.com:5060", "sip_username": "dialplane", "sip_password": "secret"}
OPEN_HOST = {"sip_host": "pbx.example.com"}
DIAL = DialRequest(
    call_id="call_1",
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/sip-telnyx/org_1/acct_1/call_1",
    status_url="https://dialplane.test/status/sip-telnyx/org_1/acct_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
    instructions=Instructions(engine="say", welcome_message="Hello."),
)
CREATED = Reply(200, {"data": {"record_type": "call", "call_control_id": CALL, "is_alive": False}})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


def secret(route: dict[str, str], url: str = "http://127.0.0.1:1") -> dict[str, str]:
    return {"api_key": "KEY1", "public_key": "A" * 43 + "=", "connection_id": "1684", "api_base_url": url, **route}


def open_route(server: ScriptedServer, route: dict[str, str]) -> TelnyxApi:
    return open_api(CarrierCredentials(secret(route, server.url)), timeout_seconds=5.0)


@pytest.mark.parametrize(
    ("route", "options"),
    [
        (OPEN_HOST, {"to": "sip:+15559876543@pbx.example.com"}),
        (
            HOST,
            {
                "to": "sip:+15559876543@pbx.example.com:5060",
                "sip_auth_username": "dialplane",
                "sip_auth_password": "secret",
            },
        ),
    ],
)
def test_a_dial_names_the_route_as_telnyx_sdk_does(
    server: ScriptedServer, route: dict[str, str], options: dict[str, str]
) -> None:
    server.script = [CREATED, CREATED]
    assert open_route(server, route).create_call(DIAL) == Placed(CALL)
    Telnyx(api_key="KEY1", base_url=f"{server.url}/v2").calls.dial(
        connection_id="1684",
        from_=DIAL.caller_number,
        **options,  # type: ignore[arg-type]
    )
    ours, theirs = server.received
    assert theirs.json.items() <= ours.json.items()
    assert ours.path == theirs.path
    assert [name for name in ours.json if name.startswith("sip_")] == [name for name in options if name != "to"]


def test_calls_are_looked_for_under_the_address_that_was_dialled(server: ScriptedServer) -> None:
    server.script = [Reply(fields={"data": [], "meta": {"total_pages": 1}})]
    calls = open_route(server, HOST).list_calls(
        destination="+15559876543", caller_number="+15551234567", created_after=datetime(2022, 11, 1, tzinfo=UTC)
    )
    assert calls == []
    assert parse_qs(urlsplit(server.received[0].path).query)["filter[to]"] == ["sip:+15559876543@pbx.example.com:5060"]


def test_a_transfer_takes_the_same_route(server: ScriptedServer) -> None:
    server.script = [Reply(200, {"data": {"result": "ok"}})]
    open_route(server, HOST).transfer_call(
        CALL, destination="+15550001111", caller_number="+15551234567", message=None, status_url=STATUS_URL
    )
    sent = server.received[0].json
    assert (sent["to"], sent["sip_auth_username"]) == ("sip:+15550001111@pbx.example.com:5060", "dialplane")


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({}, "sip_host"),
        ({**OPEN_HOST, "sip_username": "u"}, "go together"),
        ({**OPEN_HOST, "sip_password": "p"}, "go together"),
        ({"sip_host": "user@pbx.example.com"}, "sip_host"),
    ],
)
def test_an_account_that_names_no_route_is_refused(route: dict[str, str], message: str) -> None:
    with pytest.raises(ValueInvalid, match=message):
        check_credentials("sip-telnyx", secret(route))


@pytest.mark.parametrize("route", [HOST, OPEN_HOST])
def test_an_account_with_a_route_is_taken(route: dict[str, str]) -> None:
    check_credentials("sip-telnyx", secret(route))


@pytest.mark.parametrize(("ours", "telnyx"), [(webhooks, telnyx_webhooks), (events, telnyx_events)])
def test_callbacks_and_events_are_telnyx(ours: ModuleType, telnyx: ModuleType) -> None:
    assert all(getattr(ours, name) is getattr(telnyx, name) for name in ours.__all__)
