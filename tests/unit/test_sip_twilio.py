"""Calls over a trunk or a SIP host of the customer's: Twilio's words, and the one route that the account names."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.registry import check_credentials
from dialplane.carriers.sip_twilio import events, instructions, webhooks
from dialplane.carriers.sip_twilio.api import open_api
from dialplane.carriers.twilio import events as twilio_events
from dialplane.carriers.twilio import instructions as twilio_instructions
from dialplane.carriers.twilio import webhooks as twilio_webhooks
from dialplane.carriers.twilio.api import TwilioApi
from dialplane.domain.carrier import DialRequest, Placed
from dialplane.domain.errors import ValueInvalid
from dialplane.domain.instructions import Instructions
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
ACCOUNT_SID = "AC" + "a" * 32
CALL_SID = "CA" + "b" * 32
TRUNK_SID = "BY" + "c" * 32
TRUNK = {"byoc_trunk_sid": TRUNK_SID}
HOST = {"sip_host": "pbx.example.com:5061;transport=tls", "sip_username": "dialplane", "sip_password": "secret"}
OPEN_HOST = {"sip_host": "pbx.example.com"}
CREATED_AFTER = datetime(2022, 11, 1, tzinfo=UTC)
CREATED = Reply(201, {"sid": CALL_SID, "account_sid": ACCOUNT_SID, "status": "queued"})
DIAL = DialRequest(
    call_id="call_1",
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/sip-twilio/org_1/acct_1/call_1",
    status_url="https://dialplane.test/status/sip-twilio/org_1/acct_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
    instructions=Instructions(engine="say", welcome_message="Hello."),
    machine_detection=True,
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


def secret(route: dict[str, str], url: str = "http://127.0.0.1:1") -> dict[str, str]:
    return {"account_sid": ACCOUNT_SID, "auth_token": "token", "api_base_url": url, **route}


def open_route(server: ScriptedServer, route: dict[str, str]) -> TwilioApi:
    return open_api(CarrierCredentials(secret(route, server.url)), timeout_seconds=5.0)


class CapturingHttpClient(HttpClient):  # type: ignore[misc] # the SDK is not typed
    """Takes the SDK's request as ``requests`` would send it, and answers that the call was created."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("test"), is_async=False)
        self.body: object = None

    def request(self, method: str, url: str, **options: Any) -> Response:
        self.body = requests.Request(method, url, data=options["data"]).prepare().body
        return Response(201, "{}")


@pytest.mark.parametrize(
    ("route", "options"),
    [
        (TRUNK, {"to": "+15559876543", "byoc": TRUNK_SID}),
        (
            HOST,
            {
                "to": "sip:+15559876543@pbx.example.com:5061;transport=tls",
                "sip_auth_username": "dialplane",
                "sip_auth_password": "secret",
            },
        ),
        (OPEN_HOST, {"to": "sip:+15559876543@pbx.example.com"}),
    ],
)
def test_a_dial_is_what_twilios_sdk_would_send(
    server: ScriptedServer, route: dict[str, str], options: dict[str, str]
) -> None:
    capture = CapturingHttpClient()
    Client(ACCOUNT_SID, "token", http_client=capture).calls.create(
        from_=DIAL.caller_number,
        url=DIAL.instructions_url,
        method="POST",
        status_callback=DIAL.status_url,
        status_callback_method="POST",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=30,
        time_limit=600,
        machine_detection="Enable",
        **options,
    )
    server.script = [CREATED]
    assert open_route(server, route).create_call(DIAL) == Placed(CALL_SID)
    assert server.received[0].body.decode() == capture.body


@pytest.mark.parametrize(
    ("route", "addresses"),
    [
        (TRUNK, ["+15559876543"]),
        (OPEN_HOST, ["sip:+15559876543@pbx.example.com"]),
        (HOST, ["sip:+15559876543@pbx.example.com:5061;transport=tls", "sip:+15559876543@pbx.example.com:5061"]),
    ],
)
def test_calls_are_found_under_every_address_that_twilio_may_keep(
    server: ScriptedServer, route: dict[str, str], addresses: list[str]
) -> None:
    page = {"calls": [{"sid": CALL_SID, "account_sid": ACCOUNT_SID, "status": "queued"}], "next_page_uri": None}
    server.script = [Reply(fields=page) for _ in addresses]
    calls = open_route(server, route).list_calls(
        destination="+15559876543", caller_number="+15551234567", created_after=CREATED_AFTER
    )
    assert [call.carrier_call_id for call in calls] == [CALL_SID]
    asked = [parse_qs(urlsplit(request.path).query) for request in server.received]
    assert [query["To"] for query in asked] == [[address] for address in addresses]
    assert {query["From"][0] for query in asked} == {"+15551234567"}


@pytest.mark.parametrize(
    ("route", "verb"),
    [
        (TRUNK, f'<Number byoc="{TRUNK_SID}">+15550001111</Number>'),
        (
            HOST,
            '<Sip password="secret" username="dialplane">sip:+15550001111@pbx.example.com:5061;transport=tls</Sip>',
        ),
    ],
)
def test_a_transfer_takes_the_same_route(server: ScriptedServer, route: dict[str, str], verb: str) -> None:
    server.script = [Reply(200, {"sid": CALL_SID})]
    open_route(server, route).transfer_call(
        CALL_SID, destination="+15550001111", caller_number="+15551234567", message=None, status_url=STATUS_URL
    )
    twiml = parse_qs(server.received[0].body.decode())["Twiml"][0]
    assert f'<Dial callerId="+15551234567">{verb}</Dial>' in twiml


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({}, "exactly one of byoc_trunk_sid"),
        ({**TRUNK, **OPEN_HOST}, "exactly one of byoc_trunk_sid"),
        ({**TRUNK, "sip_username": "u", "sip_password": "p"}, "with sip_host"),
        ({**OPEN_HOST, "sip_username": "u"}, "go together"),
        ({**OPEN_HOST, "sip_password": "p"}, "go together"),
    ],
)
def test_an_account_names_exactly_one_route(route: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_api(CarrierCredentials(secret(route)), timeout_seconds=1.0)
    with pytest.raises(ValueInvalid, match=message):
        check_credentials("sip-twilio", secret(route))


@pytest.mark.parametrize("route", [TRUNK, HOST, OPEN_HOST])
def test_an_account_with_one_route_is_taken(route: dict[str, str]) -> None:
    check_credentials("sip-twilio", secret(route))


@pytest.mark.parametrize(
    "host",
    ["sip:pbx.example.com", "user@pbx.example.com", "pbx.example.com;transport=ws", "pbx.example.com?X-A=1", "a b"],
)
def test_a_host_is_a_host_and_smuggles_nothing_into_the_address(host: str) -> None:
    with pytest.raises(ValueInvalid, match="sip_host"):
        check_credentials("sip-twilio", secret({"sip_host": host}))


@pytest.mark.parametrize(
    ("ours", "twilios"),
    [(webhooks, twilio_webhooks), (events, twilio_events), (instructions, twilio_instructions)],
)
def test_callbacks_events_and_instructions_are_twilios(ours: ModuleType, twilios: ModuleType) -> None:
    assert all(getattr(ours, name) is getattr(twilios, name) for name in ours.__all__)
