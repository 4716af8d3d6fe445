"""Call Control: one dial however often it is asked for, three conclusions, and the SDK as the oracle of requests."""

from __future__ import annotations

import json
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from telnyx import Telnyx

from dialplane.carriers.contract import CarrierApi, CarrierCredentials
from dialplane.carriers.telnyx.api import Route, TelnyxApi, open_api
from dialplane.carriers.telnyx.events import to_call_event
from dialplane.carriers.telnyx.instructions import SPEECH_LENGTH_MAX, speech
from dialplane.carriers.telnyx.rest import CODE_CAUSES, REASON_CAUSES
from dialplane.carriers.telnyx.webhooks import call_id_of
from dialplane.domain.carrier import DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus
from tests.fakes.scripted_http import Received, Reply, ScriptedServer, scripted_server
from tests.fakes.telnyx import CALL_CONTROL_ID, CALL_ID, CLIENT_STATE, CONNECTION_ID, NOW, PUBLIC_KEY

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
SAY = Instructions(engine="say", welcome_message="Hello", goodbye_message="Bye")
RELAY = Instructions(
    engine="relay",
    welcome_message="Hello",
    url="wss://relay.test/ws",
    voice="AWS.Polly.Joanna",
    language="en-US",
    parameters={"call_id": CALL_ID, "agenda": "ä"},
)
CONVERSATION = replace(
    RELAY,
    engine="conversation",
    url="wss://talks.example.test/live?call=a.telnyx.b.c.d",
    parameters={},
    is_welcome_interruptible=False,
    stt_config={"provider": "deepgram", "model": "nova-3", "hints": ["Okonkwo"]},
)
STREAM = Instructions(
    engine="stream", welcome_message="Hello", url="wss://media.test/", parameters={"call_id": CALL_ID}
)
DIAL = DialRequest(
    call_id=CALL_ID,
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/telnyx/org_1/acc_1/call_1",
    status_url="https://dialplane.test/status/telnyx/org_1/acc_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
    instructions=SAY,
)
LINES = Route()
SIP = Route("pbx.example.test:5061", "ada", "secret")
CALL: dict[str, Any] = {
    "record_type": "call",
    "call_control_id": CALL_CONTROL_ID,
    "call_leg_id": "2dc6fc34-f9e0-11ea-b68e-02420a0f7768",
    "call_session_id": "2dc1b3c8-f9e0-11ea-bc5a-02420a0f7768",
    "client_state": CLIENT_STATE,
    "is_alive": False,
}
ENDED = {**CALL, "call_duration": 60, "start_time": "2026-11-20T14:58:00.574Z", "end_time": "2026-11-20T14:59:30.574Z"}
PLACED = Reply(200, {"data": CALL})
OK = Reply(200, {"data": {"result": "ok"}})
ANSWER = Placed(CALL_CONTROL_ID)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def api(server: ScriptedServer) -> TelnyxApi:
    return opened(server)


def opened(server: ScriptedServer, *, timeout_seconds: float = 5.0, route: Route = LINES) -> TelnyxApi:
    return open_api(credentials(server.url), timeout_seconds=timeout_seconds, route=route)


def credentials(base_url: str) -> CarrierCredentials:
    secret = {"api_key": "KEY1", "public_key": PUBLIC_KEY, "connection_id": CONNECTION_ID, "api_base_url": base_url}
    return CarrierCredentials(secret)


def refused(status: int, code: object = None, text: str = "", pointer: str | None = None, **headers: str) -> Reply:
    error = {"code": code, "title": "Refused", "detail": text}
    if pointer:
        error["source"] = {"pointer": pointer}
    return Reply(status, {"errors": [error]}, headers)


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


RELAY_FIELDS = {
    "url": "wss://relay.test/ws",
    "greeting": "Hello",
    "voice": "AWS.Polly.Joanna",
    "language": "en-US",
    "custom_parameters": {"call_id": CALL_ID, "agenda": "ä"},
}
CONVERSATION_FIELDS = {
    "url": "wss://talks.example.test/live?call=a.telnyx.b.c.d",
    "greeting": "Hello",
    "voice": "AWS.Polly.Joanna",
    "language": "en-US",
    "dtmf_detection": True,
    "interruptible": "any",
    "interruptible_greeting": "none",
    "transcription_engine": "Deepgram",
    "transcription_engine_config": {"transcription_model": "deepgram/nova-3", "keyterms": ["Okonkwo"]},
}
STREAM_FIELDS = {
    "stream_url": "wss://media.test/",
    "stream_track": "inbound_track",
    "stream_bidirectional_mode": "rtp",
}


@pytest.mark.parametrize(
    ("request_changes", "route", "options"),
    [
        ({}, Route(), {}),
        ({"machine_detection": True}, Route(), {"answering_machine_detection": "detect"}),
        ({"instructions": RELAY}, Route(), {"conversation_relay_config": RELAY_FIELDS}),
        ({"instructions": CONVERSATION}, Route(), {"conversation_relay_config": CONVERSATION_FIELDS}),
        ({"instructions": STREAM}, Route(), STREAM_FIELDS),
        (
            {},
            SIP,
            {
                "to": "sip:+15559876543@pbx.example.test:5061",
                "sip_auth_username": "ada",
                "sip_auth_password": "secret",
            },
        ),
        ({}, Route("pbx.example.test"), {"to": "sip:+15559876543@pbx.example.test"}),
        (
            {"ring_timeout_seconds": 1, "time_limit_seconds": 20_000},
            Route(),
            {"timeout_secs": 5, "time_limit_secs": 14_400},
        ),
        ({"ring_timeout_seconds": 601}, Route(), {"timeout_secs": 600}),
    ],
)
def test_a_dial_is_what_telnyxs_sdk_would_send(
    server: ScriptedServer, request_changes: dict[str, Any], route: Route, options: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {
        "connection_id": CONNECTION_ID,
        "from_": "+15551234567",
        "to": "+15559876543",
        "command_id": CALL_ID,
        "client_state": b64encode(CALL_ID.encode()).decode(),
        "webhook_url": DIAL.status_url,
        "webhook_url_method": "POST",
        "timeout_secs": 30,
        "retry_on_timeout": False,
        "time_limit_secs": 600,
        **options,
    }
    expected = theirs(server, lambda sdk: sdk.calls.dial(**fields), PLACED)
    server.script = [PLACED]
    assert opened(server, route=route).create_call(replace(DIAL, **request_changes)) == ANSWER
    assert_same_request(server.received[0], expected)


LOST = [
    Reply(status=0),
    Reply(500, raw=b""),
    Reply(502, raw=b"<html>"),
    refused(503, "10007"),
    refused(408, "10008"),
    Reply(302, headers={"Location": "/elsewhere"}),
    Reply(200, raw=b"{"),
    Reply(200, raw=b""),
    Reply(200, {}),
    Reply(200, {"data": None}),
    Reply(200, {"data": {**CALL, "call_control_id": None}}),
    Reply(200, {"data": {**CALL, "call_control_id": "a b"}}),
    Reply(202, {"data": CALL}),
    Reply(200, [1]),
    Reply(200, {"data": CALL}, {"Content-Length": "9999"}, then_close=True),
]


@pytest.mark.parametrize("reply", LOST)
def test_a_lost_answer_is_asked_for_once_more_with_the_same_command(
    api: TelnyxApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, PLACED]
    assert api.create_call(DIAL) == ANSWER
    first, second = server.received
    assert first.body == second.body
    assert first.json["command_id"] == CALL_ID


@pytest.mark.parametrize("second", [*LOST, refused(422, "10015"), refused(429, "10011"), refused(401, "10009")])
def test_after_a_repetition_only_its_success_is_believed(api: TelnyxApi, server: ScriptedServer, second: Reply) -> None:
    server.script = [Reply(status=0), second, PLACED]
    assert isinstance(api.create_call(DIAL), Unknown)
    assert len(server.received) == 2


def test_nothing_is_repeated_beyond_the_time_for_the_dial() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = open_api(credentials(f"http://127.0.0.1:{silent.getsockname()[1]}"), timeout_seconds=0.4)
        started = time.monotonic()
        assert isinstance(api.create_call(DIAL), Unknown)
        assert time.monotonic() - started < 2
        silent.settimeout(0)
        for _ in range(2):
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_slow_first_answer_leaves_time_for_the_second(server: ScriptedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:
        api = open_api(credentials(f"http://127.0.0.1:{slow.getsockname()[1]}"), timeout_seconds=1.0)

        def answer_the_second() -> None:
            first, _ = slow.accept()
            second, _ = slow.accept()
            body = json.dumps({"data": CALL}).encode()
            second.recv(65536)
            second.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            second.close()
            first.close()

        thread = threading.Thread(target=answer_the_second)
        thread.start()
        assert api.create_call(DIAL) == ANSWER
        thread.join()


def unreachable() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_refused_connection_proves_that_nothing_was_placed() -> None:
    outcome = open_api(credentials(unreachable()), timeout_seconds=1.0).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_a_second_connection_that_fails_proves_nothing(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    api = opened(server)
    dials = iter([Unknown("lost"), Rejected("unreachable", "NewConnectionError", "refused")])
    monkeypatch.setattr(api._http, "dial", lambda *_, **__: next(dials))
    assert api.create_call(DIAL) == Unknown("lost")


def test_a_failed_tls_handshake_proves_that_nothing_was_placed(server: ScriptedServer) -> None:
    api = open_api(credentials(server.url.replace("http", "https")), timeout_seconds=1.0)
    outcome = api.create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


def test_a_name_that_is_found_too_late_is_not_dialled(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def slow_lookup(*args: Any, **kwargs: Any) -> Any:
        threading.Event().wait(0.4)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)
    outcome = opened(server, timeout_seconds=0.3).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


@pytest.mark.parametrize(("reason", "cause"), REASON_CAUSES.items())
def test_every_known_reason_has_its_cause(
    api: TelnyxApi, server: ScriptedServer, reason: str, cause: RejectionCause
) -> None:
    server.script = [refused(403, "10010", f"Because of something {reason}. Because of something.")]
    outcome = api.create_call(DIAL)
    assert outcome == Rejected(cause, "10010", f"Refused: Because of something {reason}. Because of something.")
    assert cause in get_args(RejectionCause)
    assert len(server.received) == 1


@pytest.mark.parametrize(("code", "cause"), CODE_CAUSES.items())
def test_every_known_code_has_its_cause(
    api: TelnyxApi, server: ScriptedServer, code: str, cause: RejectionCause
) -> None:
    server.script = [refused(400, code)]
    assert api.create_call(DIAL) == Rejected(cause, code, "Refused")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (refused(401, "10009"), Rejected("credentials", "10009", "Refused")),
        (Reply(401, raw=b""), Rejected("credentials", "HTTP401", "")),
        (refused(403, "10010", "No profile D38"), Rejected("credentials", "10010", "Refused: No profile D38")),
        (Reply(403, raw=b"<html>"), Rejected("credentials", "HTTP403", "")),
        (refused(422, "10002", "", "/to"), Rejected("invalid_destination", "10002", "Refused")),
        (refused(422, "10016", "", "/from"), Rejected("caller_number_not_owned", "10016", "Refused")),
        (refused(422, 10015, "", "/to"), Rejected("invalid_destination", "10015", "Refused")),
        (refused(422, "10015", "", "/connection_id"), Rejected("other", "10015", "Refused")),
        (refused(422, "10002"), Rejected("other", "10002", "Refused")),
        (refused(422, "99999"), Rejected("other", "99999", "Refused")),
        (refused(404, "10005"), Rejected("other", "10005", "Refused")),
        (refused(429, "10011", **{"Retry-After": "2"}), Rejected("rate_limited", "10011", "Refused", 2.0)),
        (Reply(429, raw=b"slow down"), Rejected("rate_limited", "HTTP429", "")),
        (Reply(422, {"errors": []}), Rejected("other", "HTTP422", "")),
        (Reply(422, {"errors": ["x"]}), Rejected("other", "HTTP422", "")),
    ],
)
def test_client_errors_are_certain_rejections_and_not_repeated(
    api: TelnyxApi, server: ScriptedServer, reply: Reply, outcome: Rejected
) -> None:
    server.script = [reply, PLACED]
    assert api.create_call(DIAL) == outcome
    assert len(server.received) == 1


def test_an_engine_without_words_is_an_error_before_anything_is_sent(api: TelnyxApi, server: ScriptedServer) -> None:
    for instructions in (
        Instructions(engine="agent", welcome_message=""),
        Instructions(engine="relay", welcome_message=""),
        Instructions(engine="conversation", welcome_message=""),
    ):
        with pytest.raises(ValueError, match=instructions.engine):
            api.create_call(replace(DIAL, instructions=instructions))
    assert server.received == []


def test_each_dial_has_a_connection_of_its_own(api: TelnyxApi, server: ScriptedServer) -> None:
    server.script = [PLACED, PLACED]
    assert [api.create_call(DIAL) for _ in range(2)] == [ANSWER] * 2
    assert server.connections == 2


def test_a_base_url_may_have_a_path(server: ScriptedServer) -> None:
    api = open_api(credentials(f"{server.url}/eu/telnyx"), timeout_seconds=5.0)
    server.script = [PLACED, OK]
    assert api.create_call(DIAL) == ANSWER
    api.end_call(CALL_CONTROL_ID)
    assert [request.path.startswith("/eu/telnyx/v2/calls") for request in server.received] == [True, True]


@pytest.mark.parametrize("missing", ["api_key", "connection_id"])
def test_a_secret_that_lacks_something_is_named(missing: str) -> None:
    secret = {"api_key": "KEY1", "public_key": PUBLIC_KEY, "connection_id": "1", missing: ""}
    with pytest.raises(ValueError, match=missing):
        open_api(CarrierCredentials(secret), timeout_seconds=1.0)


def test_the_api_is_what_the_contract_asks_for(api: TelnyxApi) -> None:
    carrier_api: CarrierApi = api
    assert carrier_api is api


def test_fetching_is_what_telnyxs_sdk_would_ask(api: TelnyxApi, server: ScriptedServer) -> None:
    expected = theirs(server, lambda sdk: sdk.calls.retrieve_status(CALL_CONTROL_ID), Reply(200, {"data": ENDED}))
    server.script = [Reply(200, {"data": ENDED})]
    call = api.fetch_call(CALL_CONTROL_ID)
    assert (server.received[0].method, server.received[0].path) == (expected.method, expected.path)
    assert call is not None
    assert call.carrier_call_id == CALL_CONTROL_ID
    assert (call.created_at, call.ended_at) == (
        datetime(2026, 11, 20, 14, 58, 0, 574000, tzinfo=UTC),
        datetime(2026, 11, 20, 14, 59, 30, 574000, tzinfo=UTC),
    )
    record = to_call_event(call.fields, NOW)
    assert (record.status, record.duration_seconds, record.is_final_record) == (CallStatus.COMPLETED, 60, True)


def test_a_call_just_dialled_has_not_ended_though_it_is_not_alive(api: TelnyxApi, server: ScriptedServer) -> None:
    server.script = [Reply(200, {"data": CALL})]
    call = api.fetch_call(CALL_CONTROL_ID)
    assert call is not None
    assert call.ended_at is None
    assert to_call_event(call.fields, NOW).status is CallStatus.INITIATED


@pytest.mark.parametrize("reply", [refused(404, "10005"), Reply(404, raw=b""), refused(422, "90015")])
def test_an_absent_call_is_none(api: TelnyxApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply, reply]
    assert api.fetch_call(CALL_CONTROL_ID) is None
    assert api.requested_urls(CALL_CONTROL_ID) == []


BROKEN = [
    Reply(500),
    refused(401, "10009"),
    refused(429, "10011"),
    Reply(raw=b"{"),
    Reply(200, {"data": []}),
    Reply(200, {"data": {**CALL, "call_control_id": "v3:other"}}),
    Reply(status=0),
]


@pytest.mark.parametrize("reply", BROKEN)
def test_a_call_that_cannot_be_read_is_an_error(api: TelnyxApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(CarrierUnavailable):
        api.fetch_call(CALL_CONTROL_ID)


@pytest.mark.parametrize(
    ("state", "urls"),
    [
        (CLIENT_STATE, [f"client_state/{CALL_ID}"]),
        ("aGF2ZSBhIG5pY2UgZGF5ID1d", ["client_state/aGF2ZSBhIG5pY2UgZGF5ID1d"]),
        ("", []),
        (None, []),
    ],
)
def test_a_call_is_recognized_by_the_state_that_its_dial_gave_it(
    api: TelnyxApi, server: ScriptedServer, state: str | None, urls: list[str]
) -> None:
    server.script = [Reply(200, {"data": {**CALL, "client_state": state}})]
    found = api.requested_urls(CALL_CONTROL_ID)
    assert found == urls
    assert any(url.endswith(f"/{CALL_ID}") for url in found) is (state == CLIENT_STATE)


def recorded(control_id: str | None, leg: str = "leg-1", at: str = "2026-11-20T14:58:00.1Z") -> dict[str, Any]:
    raw = {"data": {"payload": {"call_control_id": control_id, "to": "+15559876543"}}}
    return {
        "record_type": "call_event",
        "call_leg_id": leg,
        "call_session_id": "session",
        "event_timestamp": at,
        "name": "call.initiated",
        "type": "webhook",
        "metadata": {"events": [raw]},
    }


def page(*events: dict[str, Any], number: int = 1, total: int = 1) -> Reply:
    meta = {"total_pages": total, "total_results": len(events), "page_number": number, "page_size": 250}
    return Reply(200, {"data": list(events), "meta": meta})


LIST = {
    "destination": "+15559876543",
    "caller_number": "+15551234567",
    "created_after": datetime(2026, 11, 20, 14, 57, 59, 900_000, tzinfo=UTC),
}


def test_calls_are_found_in_the_record_of_events_as_telnyxs_sdk_would_ask(
    api: TelnyxApi, server: ScriptedServer
) -> None:
    asked = {
        "connection_id": CONNECTION_ID,
        "from": "+15551234567",
        "occurred_at": {"gte": "2026-11-20T14:57:59+00:00"},
        "product": "call_control",
        "to": "+15559876543",
        "type": "webhook",
    }
    expected = theirs(
        server,
        lambda sdk: sdk.call_events.list(filter=asked, page_number=1, page_size=250),
        page(),  # type: ignore[arg-type]
    )
    other = {**ENDED, "call_control_id": "v3:other"}
    server.script = [
        page(
            recorded(CALL_CONTROL_ID, at="2026-11-20T14:58:09Z"),
            recorded("v3:other", "leg-2", "2026-11-20T14:58:01Z"),
            total=2,
        ),
        page(recorded(CALL_CONTROL_ID), number=2, total=2),
        Reply(200, {"data": CALL}),
        Reply(200, {"data": other}),
    ]
    ours, theirs_too = api.list_calls(**LIST)  # type: ignore[arg-type]
    assert sorted(_query(server.received[0])) == sorted(_query(expected))
    assert "page%5Bnumber%5D=2" in server.received[1].path
    assert (ours.carrier_call_id, ours.created_at) == (
        CALL_CONTROL_ID,
        datetime(2026, 11, 20, 14, 58, 0, 100_000, tzinfo=UTC),
    )
    assert (theirs_too.carrier_call_id, theirs_too.ended_at is not None) == ("v3:other", True)
    assert server.script == []


def _query(request: Received) -> list[str]:
    path, _, query = request.path.partition("?")
    assert path == "/v2/call_events"
    return query.replace("[", "%5B").replace("]", "%5D").replace(":", "%3A").split("&")


def test_a_call_over_a_sip_host_is_looked_for_under_its_sip_address(server: ScriptedServer) -> None:
    server.script = [page()]
    assert list(opened(server, route=SIP).list_calls(**LIST)) == []  # type: ignore[arg-type]
    assert "filter%5Bto%5D=sip%3A%2B15559876543%40pbx.example.test%3A5061" in server.received[0].path


def test_a_call_that_telnyx_has_forgotten_is_still_known_to_have_been_dialled(
    api: TelnyxApi, server: ScriptedServer
) -> None:
    server.script = [page(recorded(CALL_CONTROL_ID)), refused(404, "10005")]
    (call,) = api.list_calls(**LIST)  # type: ignore[arg-type]
    assert to_call_event(call.fields, NOW).status is CallStatus.INITIATED


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [refused(401, "10009")],
        [Reply(raw=b"{")],
        [Reply(200, {"data": None, "meta": {"total_pages": 1}})],
        [Reply(200, {"data": []})],
        [Reply(200, {"data": [], "meta": {"total_pages": "1"}})],
        [Reply(status=0)],
        [page(recorded(None))],
        [page(recorded("a b"))],
        [page({**recorded(CALL_CONTROL_ID), "metadata": {}})],
        [page(total=99)] * 20,
        [page(recorded(CALL_CONTROL_ID)), Reply(500)],
    ],
)
def test_an_incomplete_list_is_an_error_because_absence_is_taken_for_proof(
    api: TelnyxApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    with pytest.raises(CarrierUnavailable) as raised:
        api.list_calls(**LIST)  # type: ignore[arg-type]
    assert server.script == []
    assert "5559876543" not in str(raised.value)
    assert "KEY1" not in str(raised.value)


def test_hanging_up_is_what_telnyxs_sdk_would_send(api: TelnyxApi, server: ScriptedServer) -> None:
    for options in ({}, {"command_id": "call_1:hangup"}):
        expected = theirs(server, lambda sdk, options=options: sdk.calls.actions.hangup(CALL_CONTROL_ID, **options), OK)
        server.script = [OK]
        api.hang_up(CALL_CONTROL_ID, **options)
        assert_same_request(server.received.pop(), expected)


def test_speaking_is_what_telnyxs_sdk_would_send(api: TelnyxApi, server: ScriptedServer) -> None:
    words = '<speak>Tom &amp; &lt;Ann&gt;<break time="1s"/>Bye</speak>'
    expected = theirs(
        server,
        lambda sdk: sdk.calls.actions.speak(
            CALL_CONTROL_ID,
            payload=words,
            payload_type="ssml",
            voice="female",
            language="en-US",
            command_id="call_1:speak",
        ),
        OK,
    )
    server.script = [OK]
    api.speak(CALL_CONTROL_ID, replace(SAY, welcome_message="Tom & <Ann>\x00"), command_id="call_1:speak")
    assert_same_request(server.received[0], expected)


@pytest.mark.parametrize(("route", "to"), [(Route(), "+15550001111"), (SIP, "sip:+15550001111@pbx.example.test:5061")])
def test_transferring_is_what_telnyxs_sdk_would_send(server: ScriptedServer, route: Route, to: str) -> None:
    options = {"sip_auth_username": "ada", "sip_auth_password": "secret"} if route is SIP else {}
    expected = theirs(
        server,
        lambda sdk: sdk.calls.actions.transfer(
            CALL_CONTROL_ID,
            to=to,
            from_="+15551234567",
            client_state="dHJhbnNmZXI=",
            target_leg_client_state=b64encode(f"transferred-from/{CALL_CONTROL_ID}".encode()).decode(),
            webhook_url=STATUS_URL,
            webhook_url_method="POST",
            **options,  # type: ignore[arg-type]
        ),
        OK,
    )
    server.script = [OK, OK]
    opened(server, route=route).transfer_call(
        CALL_CONTROL_ID,
        destination="+15550001111",
        caller_number="+15551234567",
        message="One moment",
        status_url=STATUS_URL,
    )
    transferred, spoken = server.received
    assert spoken.path.endswith("/actions/speak")
    assert spoken.json["payload"] == "<speak>One moment</speak>"
    # Neither the end of these words nor that of an engine's connection may end the call from here on.
    assert [call_id_of(each.json["client_state"]) for each in server.received] == [None, None]
    assert_same_request(transferred, expected)


def test_words_that_are_not_taken_do_not_make_a_transfer_one_that_failed(
    api: TelnyxApi, server: ScriptedServer
) -> None:
    server.script = [OK, Reply(500)]
    api.transfer_call(
        CALL_CONTROL_ID, destination="+15550001111", caller_number="+1", message="Hello", status_url=STATUS_URL
    )
    assert len(server.received) == 2


def test_a_transfer_that_is_refused_leaves_the_call_its_state(api: TelnyxApi, server: ScriptedServer) -> None:
    """With another one nobody would end the call: neither the end of its words nor that of its engine would be its."""
    server.script = [refused(422, "10015")] * 2
    with pytest.raises(CarrierUnavailable):
        api.transfer_call(
            CALL_CONTROL_ID, destination="+15550001111", caller_number="+1", message="Hello", status_url=STATUS_URL
        )
    (transfer,) = server.received
    assert transfer.path.endswith("/actions/transfer")


def test_without_a_message_nothing_is_said(api: TelnyxApi, server: ScriptedServer) -> None:
    server.script = [OK]
    api.transfer_call(
        CALL_CONTROL_ID, destination="+15550001111", caller_number="+15551234567", message=None, status_url=STATUS_URL
    )
    assert server.script == []
    assert len(server.received) == 1


GONE = [refused(422, "90018"), refused(404, "10005"), refused(422, "90015")]


@pytest.mark.parametrize("reply", [OK, *GONE])
def test_ending_a_call_succeeds_also_when_it_has_ended(api: TelnyxApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply]
    api.end_call(CALL_CONTROL_ID)
    assert server.received[0].json == {}


@pytest.mark.parametrize("reply", GONE)
def test_a_call_that_is_over_can_be_told_nothing(api: TelnyxApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply, reply, reply]
    with pytest.raises(CallNotInProgress):
        api.speak(CALL_CONTROL_ID, SAY, command_id="c")
    for message in (None, "Hello"):
        with pytest.raises(CallNotInProgress):
            api.transfer_call(
                CALL_CONTROL_ID, destination="+15550001111", caller_number="+1", message=message, status_url=STATUS_URL
            )


@pytest.mark.parametrize("reply", [Reply(500), refused(401, "10009"), refused(422, "90034"), Reply(status=0)])
def test_a_command_that_was_not_taken_is_an_error(api: TelnyxApi, server: ScriptedServer, reply: Reply) -> None:
    server.script = [reply] * 3
    for command in (
        lambda: api.end_call(CALL_CONTROL_ID),
        lambda: api.speak(CALL_CONTROL_ID, SAY, command_id="c"),
        lambda: api.transfer_call(
            CALL_CONTROL_ID, destination="+1", caller_number="+1", message=None, status_url=STATUS_URL
        ),
    ):
        with pytest.raises(CarrierUnavailable):
            command()


@pytest.mark.parametrize("welcome", ["", "Hi", "&" * 4_096, "x" * 4_096, "<ä>" * 1_365])
@pytest.mark.parametrize("goodbye", [None, "", "Bye", "&" * 4_096, "y" * 4_096])
def test_a_speech_is_whole_markup_and_never_longer_than_one_command_can_say(welcome: str, goodbye: str | None) -> None:
    from xml.etree import ElementTree  # noqa: PLC0415

    payload = speech(Instructions(engine="say", welcome_message=welcome, goodbye_message=goodbye))["payload"]
    assert len(payload) <= SPEECH_LENGTH_MAX
    assert ElementTree.fromstring(payload).tag == "speak"  # noqa: S314 - our own
    assert ("<break" in payload) is bool(goodbye)
    assert (len(payload) > SPEECH_LENGTH_MAX - 8) is (len(welcome) + len(goodbye or "") > SPEECH_LENGTH_MAX)
