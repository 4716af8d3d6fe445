"""The REST client: the SDK's requests, exactly one POST per dial, only three conclusions from whatever comes back."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from requests.adapters import HTTPAdapter
from vonage_http_client import Auth, HttpClient
from vonage_voice import Voice
from vonage_voice.models import Connect, CreateCallRequest, ListCallsFilter, Phone, PhoneEndpoint, Talk, ToPhone

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.vonage import api as vonage_api
from dialplane.carriers.vonage.account import CREDENTIALS
from dialplane.carriers.vonage.api import REJECTION_CAUSES, VonageApi, open_api
from dialplane.carriers.vonage.events import to_call_event
from dialplane.domain.carrier import DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus
from tests.fakes.scripted_http import Received, Reply, ScriptedServer, scripted_server

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
APPLICATION_ID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"
UUID = "63f61863-4a51-4f6b-86e1-46edebcf9356"
DIAL = DialRequest(
    call_id="call_1",
    instructions=Instructions(engine="say", welcome_message="Hello."),
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/vonage/org_1/acc_1/call_1",
    status_url="https://dialplane.test/status/vonage/org_1/acc_1/call_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
)
CREATED = Reply(
    201,
    {"uuid": UUID, "status": "started", "direction": "outbound", "conversation_uuid": f"CON-{UUID}"},
)
CREATED_AT = datetime(2022, 11, 1, 1, 59, 13, tzinfo=UTC)


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def pem(kind: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return key().private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def api(server: ScriptedServer) -> VonageApi:
    return VonageApi(APPLICATION_ID, pem(), server.url)


def refusal(status: int, kind: str | None = None, invalid: Any = None, **headers: str) -> Reply:
    problem = {
        "type": kind and f"https://developer.vonage.com/api-errors#{kind}",
        "title": kind,
        "detail": f"about {kind}",
    }
    return Reply(status, {**problem, "invalid_parameters": invalid, "instance": "bf0ca0bf"}, headers)


def record(uuid: str = UUID, status: str = "completed", **changes: Any) -> dict[str, Any]:
    return {
        "_links": {"self": {"href": f"/calls/{uuid}"}},
        "uuid": uuid,
        "conversation_uuid": f"CON-{uuid}",
        "to": {"type": "phone", "number": "15559876543"},
        "from": {"type": "phone", "number": "15551234567"},
        "status": status,
        "direction": "outbound",
        "rate": "0.39",
        "price": "23.40",
        "duration": "60",
        "start_time": "2022-11-01 01:59:21",
        "end_time": "2022-11-01 02:00:21",
        "network": "65512",
        **changes,
    }


def live(uuid: str, status: str) -> dict[str, Any]:
    return record(uuid, status, rate=None, price=None, duration=None, start_time=None, end_time=None, network=None)


def page(*records: dict[str, Any], count: int | None = None, following: str | None = None) -> Reply:
    links = {"self": {"href": "/calls"}, **({"next": {"href": following}} if following else {})}
    total = len(records) if count is None else count
    content = {"count": total, "page_size": 100, "record_index": 0, "_embedded": {"calls": list(records)}}
    return Reply(200, {**content, "_links": links})


def uuid(digit: str) -> str:
    return "-".join(digit * length for length in (8, 4, 4, 4, 12))


# ---- what the SDK sends ---------------------------------------------------------------------------------------------


class ToServer(HTTPAdapter):
    """Brings the SDK's requests, always https to a host, to a server of this test."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        assert request.url is not None
        request.url = request.url.replace("https://api.nexmo.com", self.url)
        return super().send(request, **options)


@pytest.fixture
def sdk(server: ScriptedServer) -> Voice:
    client = HttpClient(Auth(application_id=APPLICATION_ID, private_key=pem()))
    client._session.mount("https://", ToServer(server.url))
    return Voice(client)


def claims_of(request: Received) -> dict[str, Any]:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    claims: dict[str, Any] = jwt.decode(token, key().public_key(), algorithms=["RS256"])
    return claims


def assert_sent_alike(ours: Received, theirs: Received) -> None:
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert bool(ours.body) == bool(theirs.body)
    if ours.body:
        assert ours.json == theirs.json
        assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    assert ours.headers["Accept"] == theirs.headers["Accept"]
    mine, his = claims_of(ours), claims_of(theirs)
    assert set(mine) == set(his) == {"application_id", "iat", "jti", "exp"}
    assert mine["application_id"] == his["application_id"]
    assert mine["exp"] - mine["iat"] == his["exp"] - his["iat"] == 15 * 60
    assert abs(mine["iat"] - time.time()) < 60
    assert mine["jti"] != his["jti"]


@pytest.mark.parametrize("machine_detection", [False, True])
def test_dial_is_what_vonages_sdk_sends(
    api: VonageApi, sdk: Voice, server: ScriptedServer, *, machine_detection: bool
) -> None:
    server.script = [CREATED, CREATED]
    assert api.create_call(replace(DIAL, machine_detection=machine_detection)) == Placed(UUID)
    placed = sdk.create_call(
        CreateCallRequest(
            to=[ToPhone(number="15559876543")],
            from_=Phone(number="15551234567"),
            answer_url=[DIAL.instructions_url],
            answer_method="POST",
            event_url=[DIAL.status_url],
            event_method="POST",
            ringing_timer=30,
            length_timer=600,
            machine_detection="continue" if machine_detection else None,
        )
    )
    assert placed.uuid == UUID
    assert_sent_alike(*server.received)


def test_fetch_is_what_vonages_sdk_sends_and_reads(api: VonageApi, sdk: Voice, server: ScriptedServer) -> None:
    server.script = [Reply(fields=record()), Reply(fields=record())]
    call = api.fetch_call(UUID)
    theirs = sdk.get_call(UUID)
    assert call is not None
    assert (call.carrier_call_id, call.fields["status"], call.fields["duration"], call.fields["price"]) == (
        theirs.uuid,
        theirs.status,
        theirs.duration,
        theirs.price,
    )
    assert_sent_alike(*server.received)


def test_hang_up_is_what_vonages_sdk_sends(api: VonageApi, sdk: Voice, server: ScriptedServer) -> None:
    server.script = [Reply(204, raw=b""), Reply(204, raw=b"")]
    api.end_call(UUID)
    sdk.hangup(UUID)
    assert_sent_alike(*server.received)


def test_transfer_is_what_vonages_sdk_sends(api: VonageApi, sdk: Voice, server: ScriptedServer) -> None:
    server.script = [Reply(204, raw=b""), Reply(204, raw=b"")]
    api.transfer_call(
        UUID, destination="+15550001111", caller_number="+15551234567", message="One moment.", status_url=STATUS_URL
    )
    endpoint = PhoneEndpoint(number="15550001111")
    sdk.transfer_call_ncco(UUID, [Talk(text="One moment."), Connect(endpoint=[endpoint], from_="15551234567")])
    assert_sent_alike(*server.received)


def test_list_asks_in_the_words_of_vonages_sdk(api: VonageApi, sdk: Voice, server: ScriptedServer) -> None:
    server.script = [page() for _ in range(5)]
    api.list_calls(destination="+15559876543", caller_number="+15551234567", created_after=CREATED_AT)
    ours = list(server.received)
    filters: list[dict[str, Any]] = [{"status": status} for status in ("started", "ringing", "answered", "machine")]
    filters.append({"date_start": "2022-11-01T01:59:13Z", "date_end": "2022-11-01T04:06:13Z"})
    for mine, wanted in zip(ours, filters, strict=True):
        server.script = [page()]
        sdk.list_calls(ListCallsFilter(page_size=100, order="asc", **wanted))
        theirs = server.received[-1]
        assert parse_qs(urlsplit(mine.path).query) == parse_qs(urlsplit(theirs.path).query)
        assert urlsplit(mine.path).path == urlsplit(theirs.path).path == "/v1/calls"


# ---- tokens and credentials -----------------------------------------------------------------------------------------


def test_no_token_is_sent_twice(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [CREATED, Reply(fields=record()), Reply(fields=record()), Reply(204, raw=b"")]
    api.create_call(DIAL)
    api.fetch_call(UUID)
    api.fetch_call(UUID)
    api.end_call(UUID)
    assert len({claims_of(request)["jti"] for request in server.received}) == 4


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_both_forms_of_an_rsa_key_are_taken(server: ScriptedServer, kind: serialization.PrivateFormat) -> None:
    server.script = [CREATED]
    assert VonageApi(APPLICATION_ID, f"\n{pem(kind)}\n", server.url).create_call(DIAL) == Placed(UUID)
    claims_of(server.received[0])


def test_key_is_read_once(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    api = VonageApi(APPLICATION_ID, pem(), server.url)
    monkeypatch.setattr(serialization, "load_pem_private_key", None)
    server.script = [CREATED, CREATED]
    assert [api.create_call(DIAL) for _ in range(2)] == [Placed(UUID)] * 2


def elliptic_key() -> str:
    kind, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, kind, no_password).decode()


def key_with_a_password() -> str:
    kind, password = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"password")
    return key().private_bytes(serialization.Encoding.PEM, kind, password).decode()


@pytest.mark.parametrize(
    "made", [elliptic_key, key_with_a_password, lambda: "secret-text", lambda: pem()[:-200], lambda: "é"]
)
def test_key_that_cannot_sign_is_named_without_showing_it(made: Any) -> None:
    text = made()
    with pytest.raises(ValueError, match="private_key") as raised:
        VonageApi(APPLICATION_ID, text)
    assert text not in str(raised.value)
    assert raised.value.__suppress_context__


def test_api_of_an_account_needs_its_application_and_key(server: ScriptedServer) -> None:
    secret = {"application_id": APPLICATION_ID, "private_key": pem(), "api_base_url": server.url}
    server.script = [CREATED]
    assert open_api(CarrierCredentials(secret), timeout_seconds=2).create_call(DIAL) == Placed(UUID)
    for missing in ("application_id", "private_key"):
        with pytest.raises(ValueError, match=missing):
            open_api(CarrierCredentials({**secret, missing: ""}), timeout_seconds=2)


def test_address_of_the_api_may_have_a_path(server: ScriptedServer) -> None:
    server.script = [CREATED]
    assert VonageApi(APPLICATION_ID, pem(), f"{server.url}/vonage").create_call(DIAL) == Placed(UUID)
    assert server.received[0].path == "/vonage/v1/calls"


def test_secret_is_described_by_patterns_that_real_values_match() -> None:
    values = {
        "application_id": APPLICATION_ID,
        "private_key": pem(),
        "api_key": "abcd1234",
        "signature_secret": "0123456789abcdef0123456789abcdef",
        "api_base_url": "https://api-eu.vonage.com",
    }
    assert [credential.name for credential in CREDENTIALS] == list(values)
    for credential in CREDENTIALS:
        assert re.fullmatch(credential.pattern, values[credential.name])
        assert not re.fullmatch(credential.pattern, "é")
        assert credential.is_required is (credential.name != "api_base_url")
    (private_key,) = (credential for credential in CREDENTIALS if credential.name == "private_key")
    assert re.fullmatch(private_key.pattern, pem(serialization.PrivateFormat.TraditionalOpenSSL))
    assert not re.fullmatch(private_key.pattern, "private.key")


def test_module_loads_without_cryptography() -> None:
    script = (
        "import sys, dialplane.carriers.vonage.api as api, dialplane.carriers.vonage.instructions; "
        "print([name for name in ('cryptography', 'jwt', 'vonage', 'twilio') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# ---- create ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ring", "ringing_timer"), [(30, 30), (0, 1), (1, 1), (120, 120), (121, 120), (600, 120)])
@pytest.mark.parametrize(("limit", "length_timer"), [(600, 600), (0, 1), (1, 1), (7200, 7200), (7201, 7200)])
def test_limits_are_kept_within_vonages(  # noqa: PLR0917
    api: VonageApi, server: ScriptedServer, ring: int, ringing_timer: int, limit: int, length_timer: int
) -> None:
    server.script = [CREATED]
    api.create_call(replace(DIAL, ring_timeout_seconds=ring, time_limit_seconds=limit))
    sent = server.received[0].json
    assert (sent["ringing_timer"], sent["length_timer"]) == (ringing_timer, length_timer)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=0),
        Reply(500, raw=b""),
        Reply(502, raw=b"<html>"),
        refusal(503, "internal-error"),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(408),
        Reply(201, raw=b"{"),
        Reply(201, raw=b""),
        Reply(201, {}),
        Reply(201, {"uuid": "u1", "status": "started"}),
        Reply(201, {"call_uuid": UUID, "status": "started"}),
        Reply(201, [1]),
        Reply(202, CREATED.fields),
        Reply(204, raw=b""),
        Reply(201, CREATED.fields, {"Content-Length": "9999"}, then_close=True),
    ],
)
def test_answer_that_proves_nothing_is_unknown_and_never_asked_again(
    api: VonageApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, CREATED]
    assert isinstance(api.create_call(DIAL), Unknown)
    assert len(server.received) == 1


def test_timeout_after_the_request_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert isinstance(VonageApi(APPLICATION_ID, pem(), address, timeout_seconds=0.2).create_call(DIAL), Unknown)


def test_refused_connection_proves_that_nothing_was_placed() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = VonageApi(APPLICATION_ID, pem(), f"http://127.0.0.1:{port}").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_unknown_host_proves_that_nothing_was_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = VonageApi(APPLICATION_ID, pem(), "https://host.invalid").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_failed_tls_handshake_proves_that_nothing_was_placed(server: ScriptedServer) -> None:
    outcome = VonageApi(APPLICATION_ID, pem(), server.url.replace("http", "https")).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


def test_a_name_that_is_found_too_late_is_not_dialled(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def slow_lookup(*args: Any, **kwargs: Any) -> Any:
        threading.Event().wait(0.4)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)
    outcome = VonageApi(APPLICATION_ID, pem(), server.url, timeout_seconds=0.3).create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


@pytest.mark.parametrize(("kind", "cause"), REJECTION_CAUSES.items())
def test_every_known_error_has_its_cause(
    api: VonageApi, server: ScriptedServer, kind: str, cause: RejectionCause
) -> None:
    server.script = [refusal(403, kind)]
    assert api.create_call(DIAL) == Rejected(cause=cause, code=kind, message=f"about {kind}")
    assert cause in get_args(RejectionCause)


TO = [{"name": "to[0].number", "reason": "is not a number"}]
FROM = [{"name": "from", "reason": "is not yours"}]


@pytest.mark.parametrize(
    ("status", "kind", "invalid", "cause"),
    [
        (400, "invalid-params", TO, "invalid_destination"),
        (422, "invalid-params", TO, "invalid_destination"),
        (403, "forbidden", TO, "destination_not_permitted"),
        (400, "invalid-params", FROM, "caller_number_not_owned"),
        (403, "forbidden", FROM, "caller_number_not_owned"),
        (400, "invalid-params", {"to.0.number": "bad"}, "invalid_destination"),
        (400, "invalid-params", ["from"], "caller_number_not_owned"),
        (400, "invalid-params", [{"name": "total"}, 7, {"name": 7}], "other"),
        (400, "invalid-params", "to", "other"),
        (402, "low-balance", None, "other"),
        (429, "throttled", TO, "rate_limited"),
    ],
)
def test_cause_of_a_refusal_is_in_the_fields_it_names(  # noqa: PLR0917
    api: VonageApi, server: ScriptedServer, status: int, kind: str, invalid: Any, cause: RejectionCause
) -> None:
    server.script = [refusal(status, kind, invalid)]
    assert api.create_call(DIAL) == Rejected(cause, kind, f"about {kind}")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (refusal(429, "slow", **{"Retry-After": "2"}), Rejected("rate_limited", "slow", "about slow", 2.0)),
        (refusal(429, "slow", **{"Retry-After": "soon"}), Rejected("rate_limited", "slow", "about slow")),
        (Reply(429, raw=b"slow down"), Rejected("rate_limited", "HTTP429", "")),
        (Reply(401, raw=b""), Rejected("credentials", "HTTP401", "")),
        (Reply(401, {"type": "NO", "error_title": "No entry"}), Rejected("credentials", "NO", "No entry")),
        (Reply(403, raw=b"<html>"), Rejected("credentials", "HTTP403", "")),
        (Reply(400, {"type": 400, "title": "Bad Request"}), Rejected("other", "400", "Bad Request")),
        (Reply(404, {"type": ["x"], "title": ["x"]}), Rejected("other", "HTTP404", "")),
        (Reply(410, raw=b"[1]"), Rejected("other", "HTTP410", "")),
    ],
)
def test_other_client_errors_are_certain_rejections(
    api: VonageApi, server: ScriptedServer, reply: Reply, outcome: Rejected
) -> None:
    server.script = [reply]
    assert api.create_call(DIAL) == outcome
    assert len(server.received) == 1


def test_each_dial_has_a_connection_of_its_own(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [CREATED, CREATED]
    assert [api.create_call(DIAL) for _ in range(2)] == [Placed(UUID)] * 2
    assert server.connections == 2


def test_dials_from_many_threads_do_not_mix(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [CREATED] * 16
    outcomes: list[object] = []
    threads = [threading.Thread(target=lambda: outcomes.append(api.create_call(DIAL))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Placed(UUID)] * 16
    assert len({claims_of(request)["jti"] for request in server.received}) == 16


# ---- records --------------------------------------------------------------------------------------------------------


def test_fetched_call_is_in_the_words_of_a_webhook_and_final(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [Reply(fields=record())]
    call = api.fetch_call(UUID)
    assert call is not None
    assert call.ended_at == datetime(2022, 11, 1, 2, 0, 21, tzinfo=UTC)
    event = to_call_event(call.fields, datetime.now(UTC))
    assert (event.status, event.duration_seconds, event.is_final_record) == (CallStatus.COMPLETED, 60, True)
    assert not any("555" in text for text in call.fields.values())


def test_absent_call_is_none(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [refusal(404, "not-found")]
    assert api.fetch_call(UUID) is None


def test_a_call_was_made_before_it_started_and_at_most_as_long_as_a_phone_rings(
    api: VonageApi, server: ScriptedServer
) -> None:
    server.script = [Reply(fields=record()), Reply(fields=live(UUID, "ringing"))]
    ended, ringing = api.fetch_call(UUID), api.fetch_call(UUID)
    assert ended is not None
    assert ended.created_at == datetime(2022, 11, 1, 1, 57, 21, tzinfo=UTC)
    assert ringing is not None
    assert (ringing.created_at, ringing.ended_at) == (None, None)


def test_call_that_nobody_answered_has_ended_though_its_record_has_no_times(
    api: VonageApi, server: ScriptedServer
) -> None:
    started = record(status="busy", end_time=None)
    server.script = [Reply(fields=started), Reply(fields=live(UUID, "busy")), *[page()] * 4, page(live(UUID, "busy"))]
    known, unknown = api.fetch_call(UUID), api.fetch_call(UUID)
    assert known is not None
    assert known.ended_at == datetime(2022, 11, 1, 2, 1, 21, tzinfo=UTC)
    assert unknown is not None
    assert unknown.ended_at is None
    (listed,) = api.list_calls(destination="+15559876543", caller_number="+15551234567", created_after=CREATED_AT)
    assert listed.ended_at == CREATED_AT + timedelta(seconds=120)


def test_list_has_live_calls_and_ended_ones_between_the_two_numbers_only(
    api: VonageApi, server: ScriptedServer
) -> None:
    one, two, three, four = (uuid(digit) for digit in "1234")
    others = [
        record(uuid("5"), to={"type": "phone", "number": "15559876544"}),
        record(uuid("6"), **{"from": {"type": "phone", "number": "15559876543"}}),
        record(uuid("7"), to={"type": "websocket", "uri": "wss://media.test"}),
        record(uuid("8"), to=None),
        record(uuid("9"), start_time="2022-11-01 01:59:12"),
    ]
    server.script = [
        page(live(one, "started")),
        page(live(one, "ringing")),
        page(live(two, "answered"), *others),
        page(),
        page(
            record(two),
            record(three, to=[{"type": "phone", "number": "+15559876543"}]),
            record(four, start_time="2022-11-01T01:59:13.000Z"),
            *others,
        ),
    ]
    calls = api.list_calls(
        destination="+15559876543",
        caller_number="+15551234567",
        created_after=CREATED_AT + timedelta(milliseconds=900),
    )
    assert [(call.carrier_call_id, call.fields["status"]) for call in calls] == [
        (one, "ringing"),  # what was said last
        (two, "completed"),
        (three, "completed"),
        (four, "completed"),
    ]


def list_ended(api: VonageApi, server: ScriptedServer, *replies: Reply) -> list[str]:
    server.script = [*[page()] * 4, *replies]
    calls = api.list_calls(destination="+15559876543", caller_number="+15551234567", created_after=CREATED_AT)
    assert server.script == []
    return [call.carrier_call_id for call in calls]


def test_list_follows_links_to_every_page(api: VonageApi, server: ScriptedServer) -> None:
    following = "/calls?page_size=100&record_index=1&order=asc"  # without the version, as Vonage shows them
    replies = [page(record(uuid("1")), count=1, following=following), page(record(uuid("2")), count=2)]
    assert list_ended(api, server, *replies) == [uuid("1"), uuid("2")]
    assert server.received[-1].path == "/v1/calls?page_size=100&record_index=1&order=asc"


def test_list_counts_to_the_next_page_where_no_link_is(api: VonageApi, server: ScriptedServer) -> None:
    replies = [page(record(uuid("1")), record(uuid("2")), count=3), page(record(uuid("3")), count=3)]
    assert list_ended(api, server, *replies) == [uuid("1"), uuid("2"), uuid("3")]
    assert parse_qs(urlsplit(server.received[-1].path).query)["record_index"] == ["2"]


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [Reply(401, raw=b"")],
        [refusal(404, "not-found")],
        [refusal(429, "throttled")],
        [Reply(raw=b"{")],
        [Reply(fields={})],
        [Reply(fields={"count": 0, "_embedded": None})],
        [Reply(fields={"count": 0, "_embedded": {"calls": None}})],
        [Reply(fields={"_embedded": {"calls": []}})],
        [page(record(uuid="x"))],
        [page(count=2)],
        [page(record(), count=3), page(count=3)],
        [Reply(status=0)],
        [page(record(), following="/calls?record_index=1")] * 3,
    ],
)
def test_incomplete_list_is_an_error_because_absence_is_taken_for_proof(
    api: VonageApi, server: ScriptedServer, replies: list[Reply], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vonage_api, "_PAGES_MAX", 3)
    with pytest.raises(CarrierUnavailable):
        list_ended(api, server, *replies)
    assert server.script == []


def test_books_of_vonage_hold_no_text_of_ours(api: VonageApi, server: ScriptedServer) -> None:
    assert list(api.requested_urls(UUID)) == []
    assert server.received == []


# ---- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(204, raw=b"")],
        [Reply(200, {"message": "ok"})],
        [refusal(404, "not-found")],
        [refusal(400, "invalid-params"), Reply(fields=record())],
        [refusal(409, "conflict"), Reply(fields=record(status="busy"))],
        [refusal(400, "invalid-params"), refusal(404, "not-found")],
    ],
)
def test_ending_a_call_succeeds_also_when_it_has_ended(
    api: VonageApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    api.end_call(UUID)
    first = server.received[0]
    assert (first.method, first.path, first.json) == ("PUT", f"/v1/calls/{UUID}", {"action": "hangup"})
    assert server.script == []


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [Reply(401, raw=b"")],
        [Reply(429)],
        [Reply(302, headers={"Location": "/elsewhere"})],
        [Reply(status=0)],
        [refusal(400, "invalid-params"), Reply(fields=live(UUID, "answered"))],
        [refusal(400, "invalid-params"), Reply(500)],
    ],
)
def test_call_that_could_not_be_commanded_is_an_error(
    api: VonageApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = [*replies, *replies]
    with pytest.raises(CarrierUnavailable):
        api.end_call(UUID)
    with pytest.raises(CarrierUnavailable):
        api.transfer_call(
            UUID, destination="+15550001111", caller_number="+15551234567", message=None, status_url=STATUS_URL
        )
    assert server.script == []


@pytest.mark.parametrize(
    "replies", [[refusal(404, "not-found")], [refusal(400, "invalid-params"), Reply(fields=record())]]
)
def test_call_that_has_ended_is_not_transferred(api: VonageApi, server: ScriptedServer, replies: list[Reply]) -> None:
    server.script = list(replies)
    with pytest.raises(CallNotInProgress):
        api.transfer_call(
            UUID, destination="+15550001111", caller_number="+15551234567", message="One moment.", status_url=STATUS_URL
        )


def test_transfer_without_a_message_connects_at_once(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [Reply(204, raw=b"")]
    api.transfer_call(
        UUID, destination="+15550001111", caller_number="+15551234567", message=None, status_url=STATUS_URL
    )
    ncco = server.received[0].json["destination"]["ncco"]
    assert [action["action"] for action in ncco] == ["connect"]


def test_carrier_call_id_cannot_leave_its_place_in_the_path(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [refusal(404, "not-found")]
    assert api.fetch_call("../x?y=z") is None
    assert server.received[0].path == "/v1/calls/..%2Fx%3Fy%3Dz"


def test_error_shows_no_phone_number_and_no_key(api: VonageApi, server: ScriptedServer) -> None:
    server.script = [Reply(status=0)]
    with pytest.raises(CarrierUnavailable) as raised:
        api.list_calls(destination="+15559876543", caller_number="+2", created_after=CREATED_AT)
    assert "5559876543" not in str(raised.value)
    assert json.dumps(pem())[1:40] not in str(raised.value)
