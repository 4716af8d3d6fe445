"""The REST client: exactly one POST per dial, and only three conclusions from whatever comes back."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.twilio.api import REJECTION_CAUSES, Route, TwilioApi, open_api
from dialplane.domain.carrier import DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
ACCOUNT_SID = "AC" + "a" * 32
CALL_SID = "CA" + "b" * 32
CALLS_PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"
DIAL = DialRequest(
    call_id="call_1",
    instructions=Instructions(engine="say", welcome_message="Hello."),
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/twilio/org_1/acc_1/call_1",
    status_url="https://dialplane.test/status/twilio/org_1/acc_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
)
CREATED = Reply(201, {"sid": CALL_SID, "account_sid": ACCOUNT_SID, "status": "queued"})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def api(server: ScriptedServer) -> TwilioApi:
    return TwilioApi(ACCOUNT_SID, "token", server.url)


def refusal(status: int, code: int | None = None, **headers: str) -> Reply:
    return Reply(status, {"code": code, "message": f"about {code}", "status": status}, headers)


def resource(sid: str = CALL_SID, created: str = "Tue, 01 Nov 2022 01:59:13 +0000", **changes: Any) -> dict[str, Any]:
    return {"sid": sid, "account_sid": ACCOUNT_SID, "status": "queued", "date_created": created, **changes}


class CapturingHttpClient(HttpClient):  # type: ignore[misc] # the SDK is not typed
    """Takes the SDK's request as ``requests`` would send it, and answers that the call was created."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("test"), is_async=False)
        self.prepared: requests.PreparedRequest | None = None

    def request(self, method: str, url: str, **options: Any) -> Response:
        sent = {name: options.get(name) for name in ("params", "data", "headers", "auth")}
        self.prepared = requests.Request(method, url, **sent).prepare()
        return Response(201, "{}")


TRUNK = Route(byoc_trunk_sid="BY" + "c" * 32)
SIP = Route(sip_host="pbx.example.com:5061", sip_username="user", sip_password="a b&c")


@pytest.mark.parametrize("machine_detection", [False, True])
@pytest.mark.parametrize(
    ("route", "to", "extra"),
    [
        (Route(), DIAL.destination, {}),
        (TRUNK, DIAL.destination, {"byoc": TRUNK.byoc_trunk_sid}),
        (Route(sip_host="pbx.example.com"), f"sip:{DIAL.destination}@pbx.example.com", {}),
        (
            SIP,
            f"sip:{DIAL.destination}@pbx.example.com:5061",
            {"sip_auth_username": "user", "sip_auth_password": "a b&c"},
        ),
    ],
    ids=["direct", "trunk", "sip", "sip with password"],
)
def test_dial_is_what_twilios_sdk_would_send(
    server: ScriptedServer, route: Route, to: str, extra: dict[str, str], *, machine_detection: bool
) -> None:
    capture = CapturingHttpClient()
    options = {"machine_detection": "Enable"} if machine_detection else {}
    Client(ACCOUNT_SID, "token", http_client=capture).calls.create(
        to=to,
        from_=DIAL.caller_number,
        url=DIAL.instructions_url,
        method="POST",
        status_callback=DIAL.status_url,
        status_callback_method="POST",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        timeout=DIAL.ring_timeout_seconds,
        time_limit=DIAL.time_limit_seconds,
        **options,
        **extra,
    )
    server.script = [CREATED]
    api = TwilioApi(ACCOUNT_SID, "token", server.url, route=route)
    assert api.create_call(replace(DIAL, machine_detection=machine_detection)) == Placed(CALL_SID)
    ours, theirs = server.received[0], capture.prepared
    assert theirs is not None
    assert ours.body.decode() == theirs.body
    assert (ours.method, ours.path) == (theirs.method, theirs.path_url)
    for name in ("Authorization", "Content-Type", "Accept", "Content-Length"):
        assert ours.headers[name] == theirs.headers[name]


def test_the_account_is_opened_with_its_credentials_at_its_own_address(server: ScriptedServer) -> None:
    secret = {"account_sid": ACCOUNT_SID, "auth_token": "token", "api_base_url": server.url}
    server.script = [CREATED]
    api = open_api(CarrierCredentials(secret), timeout_seconds=1.0, route=TRUNK)
    assert api.create_call(DIAL) == Placed(CALL_SID)
    assert server.received[0].headers["Authorization"].startswith("Basic ")
    assert dict(parse_qsl(server.received[0].body.decode()))["Byoc"] == TRUNK.byoc_trunk_sid
    for name in ("account_sid", "auth_token"):
        with pytest.raises(ValueError, match=f"no {name}"):
            open_api(CarrierCredentials({**secret, name: ""}), timeout_seconds=1.0)


def test_a_route_does_not_show_its_password() -> None:
    assert "a b&c" not in repr(SIP)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=0),
        Reply(500, raw=b""),
        Reply(502, raw=b"<html>"),
        Reply(503, {"code": 20500}),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(408),
        Reply(400, {"code": 21204}),
        Reply(201, raw=b"{"),
        Reply(201, raw=b""),
        Reply(201, {}),
        Reply(201, {"sid": "CA1"}),
        Reply(201, [1]),
        Reply(202, CREATED.fields),
        Reply(201, CREATED.fields, {"Content-Length": "9999"}, then_close=True),
    ],
)
def test_answer_that_proves_nothing_is_unknown_and_never_asked_again(
    api: TwilioApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, CREATED]
    assert isinstance(api.create_call(DIAL), Unknown)
    assert len(server.received) == 1


def test_timeout_after_the_request_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = TwilioApi(ACCOUNT_SID, "token", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        assert isinstance(api.create_call(DIAL), Unknown)


def test_refused_connection_proves_that_nothing_was_placed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = TwilioApi(ACCOUNT_SID, "token", f"http://127.0.0.1:{port}").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_unknown_host_proves_that_nothing_was_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = TwilioApi(ACCOUNT_SID, "token", "https://host.invalid").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_failed_tls_handshake_proves_that_nothing_was_placed(server: ScriptedServer) -> None:
    outcome = TwilioApi(ACCOUNT_SID, "token", server.url.replace("http", "https")).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


@pytest.mark.parametrize(("code", "cause"), REJECTION_CAUSES.items())
def test_every_known_error_code_has_its_cause(
    api: TwilioApi, server: ScriptedServer, code: int, cause: RejectionCause
) -> None:
    server.script = [refusal(400, code)]
    assert api.create_call(DIAL) == Rejected(cause=cause, code=str(code), message=f"about {code}")
    assert cause in get_args(RejectionCause)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (refusal(429, 20429, **{"Retry-After": "2"}), Rejected("rate_limited", "20429", "about 20429", 2.0)),
        (Reply(429, raw=b"slow down"), Rejected("rate_limited", "HTTP429", "")),
        (refusal(429, 20429, **{"Retry-After": "soon"}), Rejected("rate_limited", "20429", "about 20429")),
        (Reply(401, raw=b""), Rejected("credentials", "HTTP401", "")),
        (refusal(400, 99999), Rejected("other", "99999", "about 99999")),
        (Reply(403, raw=b"<html>"), Rejected("other", "HTTP403", "")),
    ],
)
def test_other_client_errors_are_certain_rejections(
    api: TwilioApi, server: ScriptedServer, reply: Reply, outcome: Rejected
) -> None:
    server.script = [reply]
    assert api.create_call(DIAL) == outcome
    assert len(server.received) == 1


def test_each_dial_has_a_connection_of_its_own(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [CREATED, CREATED]
    assert [api.create_call(DIAL) for _ in range(2)] == [Placed(CALL_SID)] * 2
    assert server.connections == 2


def test_dials_from_many_threads_do_not_mix(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [CREATED] * 16
    outcomes: list[object] = []
    threads = [threading.Thread(target=lambda: outcomes.append(api.create_call(DIAL))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Placed(CALL_SID)] * 16


def test_fetched_call_is_in_the_words_of_a_callback(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [Reply(fields=resource(status="completed", duration="61"))]
    call = api.fetch_call(CALL_SID)
    assert call is not None
    assert (call.carrier_call_id, call.fields["CallStatus"], call.fields["CallDuration"]) == (
        CALL_SID,
        "completed",
        "61",
    )
    assert call.created_at == datetime(2022, 11, 1, 1, 59, 13, tzinfo=UTC)
    assert server.received[0].path == f"{CALLS_PATH}/{CALL_SID}.json"


def test_absent_call_is_none(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [refusal(404, 20404)]
    assert api.fetch_call(CALL_SID) is None


def test_list_follows_every_page_and_keeps_queued_and_recent_calls(api: TwilioApi, server: ScriptedServer) -> None:
    sids = ["CA" + digit * 32 for digit in "1234"]
    old = resource(sids[2], created="Tue, 01 Nov 2022 01:59:12 +0000", start_time=None)
    next_path = f"{CALLS_PATH}.json?Page=1&PageToken=x"
    server.script = [
        Reply(fields={"calls": [resource(sids[0]), resource(sids[1], start_time=None)], "next_page_uri": next_path}),
        Reply(fields={"calls": [old, resource(sids[3], created="")], "next_page_uri": None}),
    ]
    calls = api.list_calls(
        destination="+15559876543",
        caller_number="+15551234567",
        created_after=datetime(2022, 11, 1, 1, 59, 13, 900_000, tzinfo=UTC),
    )
    assert [call.carrier_call_id for call in calls] == [sids[0], sids[1], sids[3]]
    assert server.received[0].path == f"{CALLS_PATH}.json?To=%2B15559876543&From=%2B15551234567&PageSize=200"
    assert server.received[1].path == next_path


def test_calls_over_a_sip_host_are_listed_by_their_sip_address(server: ScriptedServer) -> None:
    server.script = [Reply(fields={"calls": [], "next_page_uri": None})]
    api = TwilioApi(ACCOUNT_SID, "token", server.url, route=Route(sip_host="pbx.example.com"))
    api.list_calls(destination="+1", caller_number="+2", created_after=datetime(2022, 11, 1, tzinfo=UTC))
    assert server.received[0].path == f"{CALLS_PATH}.json?To=sip%3A%2B1%40pbx.example.com&From=%2B2&PageSize=200"


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [refusal(401, 20003)],
        [refusal(404, 20404)],
        [refusal(429, 20429)],
        [Reply(raw=b"{")],
        [Reply(fields={"calls": None})],
        [Reply(fields={"calls": [{"sid": "x"}]})],
        [Reply(fields={"calls": [], "next_page_uri": "https://evil.test/"})],
        [Reply(status=0)],
        [Reply(fields={"calls": [], "next_page_uri": f"{CALLS_PATH}.json?Page=9"})] * 25,
    ],
)
def test_incomplete_list_is_an_error_because_absence_is_taken_for_proof(
    api: TwilioApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    with pytest.raises(CarrierUnavailable):
        api.list_calls(destination="+1", caller_number="+2", created_after=datetime(2022, 11, 1, tzinfo=UTC))
    assert server.script == []


def test_requested_urls_are_those_given_and_those_fetched_but_not_the_apis_own(
    api: TwilioApi, server: ScriptedServer
) -> None:
    given = {"url": DIAL.instructions_url, "status_callback": DIAL.status_url}
    create = {"request": {"url": f"https://api.twilio.com{CALLS_PATH}.json", "parameters": given}}
    fetch = {"request": {"url": DIAL.instructions_url, "parameters": {"call_sid": CALL_SID}}}
    server.script = [Reply(fields={"events": [create, fetch, {"request": None}, {}], "next_page_uri": None})]
    assert api.requested_urls(CALL_SID) == [DIAL.instructions_url, DIAL.status_url]
    assert server.received[0].path == f"{CALLS_PATH}/{CALL_SID}/Events.json?PageSize=200"


def test_record_that_does_not_exist_yet_is_empty(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [refusal(404, 20404)]
    assert api.requested_urls(CALL_SID) == []


@pytest.mark.parametrize("reply", [Reply(200, resource()), refusal(404, 20404), refusal(400, 21220)])
def test_ending_a_call_succeeds_also_when_it_has_ended(api: TwilioApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    api.end_call(CALL_SID)
    assert (server.received[0].method, server.received[0].body) == ("POST", b"Status=completed")


def transfer_form(server: ScriptedServer) -> dict[str, str]:
    return dict(parse_qsl(server.received[0].body.decode()))


@pytest.mark.parametrize(
    ("route", "noun", "address", "attributes"),
    [
        (Route(), "number", "+15550100200", {}),
        (TRUNK, "number", "+15550100200", {"byoc": TRUNK.byoc_trunk_sid}),
        (SIP, "sip", "sip:+15550100200@pbx.example.com:5061", {"username": "user", "password": "a b&c"}),
    ],
    ids=["direct", "trunk", "sip"],
)
def test_a_call_is_transferred_over_its_accounts_route_after_the_message(
    server: ScriptedServer, route: Route, noun: str, address: str, attributes: dict[str, str]
) -> None:
    server.script = [Reply(200, resource(status="in-progress"))]
    TwilioApi(ACCOUNT_SID, "token", server.url, route=route).transfer_call(
        CALL_SID,
        destination="+15550100200",
        caller_number="+15551234567",
        message="One moment <please>",
        status_url=STATUS_URL,
    )
    expected = VoiceResponse()
    expected.say("One moment <please>")
    getattr(expected.dial(caller_id="+15551234567"), noun)(address, **attributes)
    assert (server.received[0].method, server.received[0].path) == ("POST", f"{CALLS_PATH}/{CALL_SID}.json")
    assert transfer_form(server) == {"Twiml": str(expected)}


@pytest.mark.parametrize("message", [None, ""])
def test_a_transfer_without_a_message_says_nothing(api: TwilioApi, server: ScriptedServer, message: str | None) -> None:
    server.script = [Reply(200, resource(status="in-progress"))]
    api.transfer_call(
        CALL_SID, destination="+15550100200", caller_number="+15551234567", message=message, status_url=STATUS_URL
    )
    assert "<Say" not in transfer_form(server)["Twiml"]


@pytest.mark.parametrize("reply", [refusal(404, 20404), refusal(400, 21220)])
def test_a_call_that_is_over_cannot_be_transferred(api: TwilioApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(CallNotInProgress):
        api.transfer_call(
            CALL_SID, destination="+15550100200", caller_number="+15551234567", message=None, status_url=STATUS_URL
        )


@pytest.mark.parametrize("reply", [Reply(500), refusal(401, 20003), refusal(400, 12100), Reply(status=0)])
def test_a_transfer_that_failed_is_an_error_and_not_repeated(
    api: TwilioApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply]
    with pytest.raises(CarrierUnavailable):
        api.transfer_call(
            CALL_SID, destination="+15550100200", caller_number="+15551234567", message=None, status_url=STATUS_URL
        )
    assert len(server.received) == 1


@pytest.mark.parametrize("reply", [Reply(500), refusal(401, 20003), Reply(status=0)])
def test_call_that_could_not_be_ended_is_an_error(api: TwilioApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(CarrierUnavailable):
        api.end_call(CALL_SID)


def test_error_shows_no_phone_number_and_no_token(api: TwilioApi, server: ScriptedServer) -> None:
    server.script = [Reply(status=0)]
    with pytest.raises(CarrierUnavailable) as raised:
        api.list_calls(destination="+15559876543", caller_number="+2", created_after=datetime(2022, 11, 1, tzinfo=UTC))
    assert "5559876543" not in str(raised.value)
    assert "token" not in str(raised.value)


def test_a_name_that_is_found_too_late_is_not_dialled(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def slow_lookup(*args: Any, **kwargs: Any) -> Any:
        threading.Event().wait(0.4)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)
    outcome = TwilioApi(ACCOUNT_SID, "token", server.url, timeout_seconds=0.3).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []
