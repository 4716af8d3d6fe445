"""TeXML's API: exactly one POST per dial, and the SDK as the oracle of requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from telnyx import Telnyx

from dialplane.carriers.contract import CarrierApi, CarrierCredentials
from dialplane.carriers.telnyx_texml.api import TelnyxTexmlApi, open_api
from dialplane.carriers.telnyx_texml.events import to_call_event
from dialplane.domain.carrier import DialRequest, Placed, Rejected, Unknown
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus
from tests.fakes.scripted_http import Received, Reply, ScriptedServer, scripted_server
from tests.fakes.telnyx import CALL_CONTROL_ID, NOW, PUBLIC_KEY
from tests.unit.test_telnyx_api import refused
from tests.unit.test_telnyx_texml_webhooks import ACCOUNT_SID, RESOURCE

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
CALLS_PATH = f"/v2/texml/Accounts/{ACCOUNT_SID}/Calls"
DIAL = DialRequest(
    call_id="call_1",
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/telnyx-texml/org_1/acc_1/call_1",
    status_url="https://dialplane.test/status/telnyx-texml/org_1/acc_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
    instructions=Instructions(engine="say", welcome_message="Hello"),
)
QUEUED = {"from": "+15551234567", "to": "+15559876543", "status": "queued"}
PLACED = Reply(200, {**QUEUED, "sid": CALL_CONTROL_ID})
ANSWER = Placed(CALL_CONTROL_ID)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def api(server: ScriptedServer) -> TelnyxTexmlApi:
    return opened(server.url)


def opened(base_url: str, timeout_seconds: float = 5.0) -> TelnyxTexmlApi:
    return open_api(credentials(api_base_url=base_url), timeout_seconds=timeout_seconds)


def credentials(**changes: str) -> CarrierCredentials:
    secret = {"api_key": "KEY1", "public_key": PUBLIC_KEY, "account_sid": ACCOUNT_SID, "application_sid": "129"}
    return CarrierCredentials({**secret, **changes})


def theirs(server: ScriptedServer, ask: Callable[[Telnyx], Any], reply: Reply) -> Received:
    """The request that Telnyx's own SDK sends."""
    server.script = [reply]
    ask(Telnyx(api_key="KEY1", base_url=f"{server.url}/v2", max_retries=0))
    return server.received.pop()


def assert_same_request(ours: Received, expected: Received) -> None:
    assert (ours.method, ours.path) == (expected.method, expected.path)
    for name in ("Authorization", "Accept", "Content-Type"):
        assert ours.headers[name] == expected.headers[name]
    assert (json.loads(ours.body) if ours.body else None) == (json.loads(expected.body) if expected.body else None)


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        ({"machine_detection": True}, {"MachineDetection": "Enable"}),
        ({"ring_timeout_seconds": 1, "time_limit_seconds": 1}, {"Timeout": 5, "TimeLimit": 30}),
        ({"ring_timeout_seconds": 600, "time_limit_seconds": 86_400}, {"Timeout": 120, "TimeLimit": 14_400}),
    ],
)
def test_a_dial_is_what_telnyxs_sdk_would_send(
    api: TelnyxTexmlApi, server: ScriptedServer, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    body = {
        "ApplicationSid": "129",
        "To": "+15559876543",
        "From": "+15551234567",
        "Url": DIAL.instructions_url,
        "UrlMethod": "POST",
        "StatusCallback": DIAL.status_url,
        "StatusCallbackMethod": "POST",
        "StatusCallbackEvent": "initiated ringing answered completed",
        "Timeout": 30,
        "TimeLimit": 600,
        **options,
    }
    expected = theirs(
        server,
        lambda sdk: sdk.texml.accounts.calls.calls(ACCOUNT_SID, body=body),
        PLACED,  # type: ignore[arg-type]
    )
    server.script = [PLACED]
    assert api.create_call(replace(DIAL, **changes)) == ANSWER
    assert_same_request(server.received[0], expected)


@pytest.mark.parametrize("name", ["sid", "call_sid"])
def test_the_call_is_named_by_either_of_two_fields(api: TelnyxTexmlApi, server: ScriptedServer, name: str) -> None:
    server.script = [Reply(201, {**QUEUED, name: CALL_CONTROL_ID})]
    assert api.create_call(DIAL) == ANSWER


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, QUEUED),
        Reply(200, {**QUEUED, "sid": ""}),
        Reply(200, {**QUEUED, "sid": "a b"}),
        Reply(200, {**QUEUED, "sid": 7}),
        Reply(200, raw=b"{"),
        Reply(200, [1]),
        Reply(202, {"sid": CALL_CONTROL_ID}),
        Reply(status=0),
        Reply(500, raw=b""),
        refused(503, "10007"),
        refused(408, "10008"),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(200, PLACED.fields, {"Content-Length": "9999"}, then_close=True),
    ],
)
def test_an_answer_that_names_no_call_is_unknown_and_never_asked_again(
    api: TelnyxTexmlApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, PLACED]
    assert isinstance(api.create_call(DIAL), Unknown)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (refused(401, "10009"), Rejected("credentials", "10009", "Refused")),
        (refused(403, "10010", "Country D13"), Rejected("destination_not_permitted", "10010", "Refused: Country D13")),
        (refused(422, "10016", "", "/To"), Rejected("invalid_destination", "10016", "Refused")),
        (refused(422, "10004", "", "/ApplicationSid"), Rejected("other", "10004", "Refused")),
        (refused(429, "10011", **{"Retry-After": "2"}), Rejected("rate_limited", "10011", "Refused", 2.0)),
        (refused(404, "10005"), Rejected("other", "10005", "Refused")),
    ],
)
def test_client_errors_are_certain_rejections(
    api: TelnyxTexmlApi, server: ScriptedServer, reply: Reply, outcome: Rejected
) -> None:
    server.script = [reply, PLACED]
    assert api.create_call(DIAL) == outcome
    assert len(server.received) == 1


def test_a_refused_connection_proves_that_nothing_was_placed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    outcome = opened(url).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_a_timeout_after_the_request_is_unknown_and_never_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert isinstance(opened(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2).create_call(DIAL), Unknown)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


@pytest.mark.parametrize("missing", ["api_key", "account_sid", "application_sid"])
def test_a_secret_that_lacks_something_is_named(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        open_api(credentials(**{missing: ""}), timeout_seconds=1.0)


def test_the_api_is_what_the_contract_asks_for(api: TelnyxTexmlApi) -> None:
    carrier_api: CarrierApi = api
    assert carrier_api is api


def test_fetching_is_what_telnyxs_sdk_would_ask(api: TelnyxTexmlApi, server: ScriptedServer) -> None:
    expected = theirs(
        server,
        lambda sdk: sdk.texml.accounts.calls.retrieve(CALL_CONTROL_ID, account_sid=ACCOUNT_SID),
        Reply(200, RESOURCE),
    )
    server.script = [Reply(200, RESOURCE)]
    call = api.fetch_call(CALL_CONTROL_ID)
    assert_same_request(server.received[0], expected)
    assert call is not None
    assert (call.carrier_call_id, call.created_at) == (CALL_CONTROL_ID, datetime(2026, 11, 20, 14, 58, tzinfo=UTC))
    assert call.ended_at == datetime(2026, 11, 20, 14, 59, 30, tzinfo=UTC)
    assert to_call_event(call.fields, NOW).status is CallStatus.COMPLETED


def test_an_absent_call_is_none(api: TelnyxTexmlApi, server: ScriptedServer) -> None:
    server.script = [refused(404, "10005"), Reply(404, raw=b"")]
    assert [api.fetch_call(CALL_CONTROL_ID) for _ in range(2)] == [None, None]


@pytest.mark.parametrize("reply", [Reply(500), refused(401, "10009"), Reply(raw=b"{"), Reply(200, {}), Reply(status=0)])
def test_a_call_that_cannot_be_read_is_an_error(api: TelnyxTexmlApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(CarrierUnavailable):
        api.fetch_call(CALL_CONTROL_ID)


LIST: dict[str, Any] = {
    "destination": "+15559876543",
    "caller_number": "+15551234567",
    "created_after": datetime(2026, 11, 20, 14, 58, 0, 900_000, tzinfo=UTC),
}


def test_a_list_follows_every_page_and_leaves_out_older_calls(api: TelnyxTexmlApi, server: ScriptedServer) -> None:
    expected = theirs(
        server,
        lambda sdk: sdk.texml.accounts.calls.retrieve_calls(
            ACCOUNT_SID, to="+15559876543", from_="+15551234567", page_size=100
        ),
        Reply(200, {"calls": []}),
    )
    next_path = f"{CALLS_PATH}.json?Page=1&PageSize=100&PageToken=x"
    older = {**RESOURCE, "sid": "v3:older", "date_created": "Fri, 20 Nov 2026 14:57:59 +0000"}
    undated = {**RESOURCE, "sid": "v3:undated", "date_created": None, "start_time": None}
    started = {**RESOURCE, "sid": "v3:started", "date_created": None, "start_time": "2026-11-20T14:57:00Z"}
    server.script = [
        Reply(200, {"calls": [RESOURCE, older, started], "next_page_uri": next_path}),
        Reply(200, {"calls": [undated], "next_page_uri": None}),
    ]
    calls = api.list_calls(**LIST)
    assert [call.carrier_call_id for call in calls] == [CALL_CONTROL_ID, "v3:undated"]
    assert_same_request(server.received[0], expected)
    assert server.received[1].path == next_path


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [refused(401, "10009")],
        [refused(404, "10005")],
        [Reply(raw=b"{")],
        [Reply(200, {"calls": None})],
        [Reply(200, {"calls": [{"sid": "x"}]})],
        [Reply(status=0)],
        [Reply(200, {"calls": [], "next_page_uri": f"{CALLS_PATH}?Page=9"})] * 25,
    ],
)
def test_an_incomplete_list_is_an_error_because_absence_is_taken_for_proof(
    api: TelnyxTexmlApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    with pytest.raises(CarrierUnavailable) as raised:
        api.list_calls(**LIST)
    assert server.script == []
    assert "5559876543" not in str(raised.value)


@pytest.mark.parametrize("next_page", ["https://evil.test/", "/v2/texml/Accounts/other/Calls?Page=1", "/v2/whoami"])
def test_a_next_page_outside_the_account_is_not_asked_for(
    api: TelnyxTexmlApi, server: ScriptedServer, next_page: str
) -> None:
    server.script = [Reply(200, {"calls": [], "next_page_uri": next_page}), Reply(200, {"calls": []})]
    with pytest.raises(CarrierUnavailable):
        api.list_calls(**LIST)
    assert len(server.received) == 1


def test_the_books_show_nothing_that_was_given_to_a_call(api: TelnyxTexmlApi) -> None:
    assert api.requested_urls(CALL_CONTROL_ID) == []


def test_ending_is_what_telnyxs_sdk_would_send(api: TelnyxTexmlApi, server: ScriptedServer) -> None:
    expected = theirs(
        server,
        lambda sdk: sdk.texml.accounts.calls.update(CALL_CONTROL_ID, account_sid=ACCOUNT_SID, status="completed"),
        Reply(200, RESOURCE),
    )
    server.script = [Reply(200, RESOURCE)]
    api.end_call(CALL_CONTROL_ID)
    assert_same_request(server.received[0], expected)


def test_a_transfer_replaces_the_document(api: TelnyxTexmlApi, server: ScriptedServer) -> None:
    server.script = [Reply(200, RESOURCE)]
    api.transfer_call(
        CALL_CONTROL_ID,
        destination="+15550001111",
        caller_number="+15551234567",
        message="One moment",
        status_url=STATUS_URL,
    )
    ours = server.received.pop()
    document = ours.json["Texml"]
    expected = theirs(
        server,
        lambda sdk: sdk.texml.accounts.calls.update(CALL_CONTROL_ID, account_sid=ACCOUNT_SID, texml=document),
        Reply(200, RESOURCE),
    )
    assert_same_request(ours, expected)
    assert "<Say>One moment</Say>" in document
    assert '<Dial callerId="+15551234567"><Number>+15550001111</Number></Dial>' in document


GONE = [refused(404, "10005"), refused(422, "90018")]


@pytest.mark.parametrize("reply", GONE)
def test_a_call_that_is_over_needs_no_end_and_takes_no_transfer(
    api: TelnyxTexmlApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, reply]
    api.end_call(CALL_CONTROL_ID)
    with pytest.raises(CallNotInProgress):
        api.transfer_call(
            CALL_CONTROL_ID, destination="+15550001111", caller_number="+1", message=None, status_url=STATUS_URL
        )


@pytest.mark.parametrize("reply", [Reply(500), refused(401, "10009"), Reply(status=0)])
def test_a_request_that_was_not_taken_is_an_error(api: TelnyxTexmlApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply, reply]
    with pytest.raises(CarrierUnavailable):
        api.end_call(CALL_CONTROL_ID)
    with pytest.raises(CarrierUnavailable):
        api.transfer_call(
            CALL_CONTROL_ID, destination="+15550001111", caller_number="+1", message=None, status_url=STATUS_URL
        )
