"""The simulated Vonage as its customer sees it: the official SDK's requests, signed webhooks, NCCOs, every scenario."""

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from aiohttp import web
from requests.adapters import HTTPAdapter
from vonage import Auth, HttpClientOptions, Vonage
from vonage_http_client.errors import (
    AuthenticationError,
    HttpRequestError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)
from vonage_voice.models import CreateCallRequest, ListCallsFilter, Talk

from sandbox.carriers import SimulatedCarriers
from sandbox.carriers.vonage.secrets import make_secret
from tests.sandbox.voice_application import Answer, Received, VoiceApplication, eventually

SECRET = make_secret("tests")
OTHER = make_secret("another")
CALLER = "15551234567"
CALLEE = "15559876543"
SAY = [{"action": "talk", "text": "Good morning, this is a reminder of your appointment."}]
LONG = [{"action": "wait", "timeout": 600}]
ENDED = ("completed", "busy", "failed", "timeout", "unanswered", "rejected", "cancelled")


class PlainHttp(HTTPAdapter):
    """The SDK knows no other scheme than https; this is all that is changed about it."""

    def send(self, request: Any, **options: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


def sdk_client(url: str, secret: dict[str, str] = SECRET, timeout: int | None = None) -> Vonage:
    auth = Auth(application_id=secret["application_id"], private_key=secret["private_key"])
    client = Vonage(auth, HttpClientOptions(api_host=url.removeprefix("http://"), timeout=timeout))
    client.http_client._session.mount("https://", PlainHttp())
    return client


def token(secret: dict[str, str] = SECRET, algorithm: str = "RS256", key: str | None = None, **claims: Any) -> str:
    now = int(time.time())
    standard = {"application_id": secret["application_id"], "iat": now, "exp": now + 60, "jti": str(time.time_ns())}
    kept = {name: value for name, value in {**standard, **claims}.items() if value is not None}
    return jwt.encode(kept, secret["private_key"] if key is None else key, algorithm=algorithm)


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    with VoiceApplication() as running:
        yield running


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    with SimulatedCarriers({"vonage": [SECRET, OTHER]}, speed=400, calls_per_second=1000) as running:
        yield running


class Caller:
    """Places calls through the SDK and tells what became of them."""

    def __init__(self, carriers: SimulatedCarriers, application: VoiceApplication) -> None:
        self.carriers = carriers
        self.application = application
        self.client = sdk_client(carriers.url)

    def place(self, answer: Any = SAY, to: str = CALLEE, **parameters: Any) -> str:
        """Call with an answer URL that answers this, or with the `ncco` given."""
        self.application.answers["/answer"] = [Answer(body=json.dumps(answer), content_type="application/json")]
        fetched = {"answer_url": [self.application.url("/answer")], "answer_method": "POST"}
        request = CreateCallRequest(
            **{
                "to": [{"type": "phone", "number": to}],
                "from_": {"type": "phone", "number": CALLER},
                "event_url": [self.application.url("/events")],
                **({} if "ncco" in parameters else fetched),
                **parameters,
            }
        )
        uuid: str = self.client.voice.create_call(request).uuid
        return uuid

    def ended(self, uuid: str) -> Any:
        def call() -> Any:
            time.sleep(0.02)
            fetched = self.client.voice.get_call(uuid)
            return fetched if fetched.status in ENDED else None

        return eventually(call)

    def until(self, uuid: str, status: str) -> None:
        eventually(lambda: self.client.voice.get_call(uuid).status == status)

    def events(self, uuid: str) -> list[dict[str, Any]]:
        """What was reported of a leg, in the order of what happened; settled first."""
        self.settled()
        bodies = [received.json for received in self.application.at("/events")]
        return sorted(
            (body for body in bodies if uuid in (body.get("uuid"), body.get("call_uuid"))),
            key=lambda body: str(body["timestamp"]),
        )

    def events_with_reason(self, uuid: str) -> list[dict[str, Any]]:
        return [event for event in self.events(uuid) if "reason" in event]

    def statuses(self, uuid: str) -> list[str]:
        return [body["status"] for body in self.events(uuid)]

    def arrived(self) -> list[str]:
        self.settled()
        return [received.json["status"] for received in self.application.at("/events")]

    def settled(self) -> None:
        """Wait until nothing was sent for a while, and everything that was sent had its reply."""

        def sent() -> list[Any]:
            entries = requests.get(f"{self.carriers.url}/_requests", timeout=5).json()
            return [(entry["status"], entry["error"]) for entry in entries if entry["direction"] == "out"]

        def quiet() -> bool:
            before = sent()
            time.sleep(0.02)
            return before == sent() and all(status or error for status, error in before)

        eventually(quiet)


@pytest.fixture
def caller(carriers: SimulatedCarriers, application: VoiceApplication) -> Caller:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    application.clear()
    return Caller(carriers, application)


def test_an_answered_call_asks_for_its_ncco_and_reports_every_step(caller: Caller) -> None:
    uuid = caller.place()
    call = caller.ended(uuid)
    assert caller.statuses(uuid) == ["started", "ringing", "answered", "completed"]
    answer = caller.application.at("/answer")[0].json
    assert answer == {"from": CALLER, "to": CALLEE, "uuid": uuid, "conversation_uuid": call.conversation_uuid}
    answered, completed = caller.events(uuid)[-2:]
    assert (answered["start_time"], answered["rate"], answered["network"]) == (None, None, None)
    assert {name: completed[name] for name in ("from", "to", "direction", "duration", "price", "rate", "network")} == {
        "from": CALLER,
        "to": CALLEE,
        "direction": "outbound",
        "duration": call.duration,
        "price": call.price,
        "rate": call.rate,
        "network": "310260",
    }
    assert 3 <= int(call.duration) <= 7
    assert float(call.price) == pytest.approx(float(call.rate) * int(call.duration) / 60, rel=1e-4)
    assert (completed["start_time"], completed["end_time"]) == (call.start_time, call.end_time)


def claims_of(received: Received) -> dict[str, Any]:
    scheme, _, text = received.headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    claims: dict[str, Any] = jwt.decode(text, SECRET["signature_secret"], algorithms=["HS256"])
    return claims


def test_every_webhook_is_signed_over_its_body_as_pyjwt_and_the_sdk_verify_it(caller: Caller) -> None:
    caller.ended(caller.place())
    caller.settled()
    received = caller.application.received
    assert {request.path for request in received} == {"/answer", "/events"}
    for request in received:
        claims = claims_of(request)
        assert claims["payload_hash"] == hashlib.sha256(request.body).hexdigest()
        assert (claims["iss"], claims["api_key"]) == ("Vonage", SECRET["api_key"])
        assert claims["application_id"] == SECRET["application_id"]
        assert abs(claims["iat"] - time.time()) < 60
        text = request.headers["Authorization"].removeprefix("Bearer ")
        assert caller.client.voice.verify_signature(text, SECRET["signature_secret"])
        assert not caller.client.voice.verify_signature(text, OTHER["signature_secret"])
    assert len({claims_of(request)["jti"] for request in received}) == len(received)


def test_webhooks_by_get_carry_their_fields_in_the_query_and_no_hash(caller: Caller) -> None:
    uuid = caller.place(answer_method="GET", event_method="GET", to="15550100102")
    caller.ended(uuid)
    caller.settled()
    started = next(request for request in caller.application.at("/events") if "status=started" in request.url)
    assert f"uuid={uuid}" in started.url
    assert "payload_hash" not in claims_of(started)


OUTCOMES = [
    ("15550100101", "completed", ["started", "ringing", "answered", "completed"], None),
    ("15550100102", "busy", ["started", "busy", "completed"], None),
    ("15550100103", "timeout", ["started", "ringing", "timeout", "completed"], None),
    ("15550100104", "rejected", ["started", "ringing", "rejected"], "declined"),
    ("15550100105", "failed", ["started", "failed", "completed"], "number_out_of_service"),
    ("15550100106", "completed", ["started", "ringing", "answered", "completed"], None),
    ("15550100121", "completed", ["started", "ringing", "answered", "completed"], None),
    ("15550100122", "completed", ["started", "ringing", "answered", "completed"], None),
    ("15550100123", "completed", ["started", "ringing", "answered", "completed"], None),
]


@pytest.mark.parametrize(("number", "status", "reported", "detail"), OUTCOMES)
def test_the_callee_decides_the_outcome_and_failures_are_followed_by_completed_except_rejected(
    caller: Caller, number: str, status: str, reported: list[str], detail: str | None
) -> None:
    uuid = caller.place(to=number, ringing_timer=10)
    call = caller.ended(uuid)
    assert call.status == status
    events = caller.events(uuid)
    assert sorted(event["status"] for event in events) == sorted(reported)
    assert [event.get("detail") for event in events if event["status"] == status] == [detail]
    answered = "answered" in reported
    assert (call.duration != "0") == answered
    assert len(caller.application.at("/answer")) == answered
    if not answered:
        assert (call.price, call.start_time, call.network) == ("0", None, None)


def test_a_network_that_stops_ringing_by_itself_leaves_the_call_unanswered(caller: Caller) -> None:
    uuid = caller.place(to="15550100103", ringing_timer=120)
    assert caller.ended(uuid).status == "unanswered"
    assert [event.get("detail") for event in caller.events(uuid) if event["status"] == "unanswered"] == ["timeout"]


def test_the_callee_may_hang_up_early(caller: Caller) -> None:
    assert int(caller.ended(caller.place(LONG, to="15550100122")).duration) in (2, 3, 4)


def test_the_length_timer_caps_the_call(caller: Caller) -> None:
    assert caller.ended(caller.place(LONG, length_timer=30)).duration == "30"


DELIVERIES = [
    ("15550100115", ["answered", "answered", "completed", "completed", "ringing", "ringing", "started", "started"]),
    ("15550100117", []),
    ("15550100118", ["completed"]),
    ("15550100119", ["answered", "ringing", "started"]),
]


@pytest.mark.parametrize(("number", "arrived"), DELIVERIES)
def test_events_may_be_doubled_or_lost(caller: Caller, number: str, arrived: list[str]) -> None:
    caller.ended(caller.place(to=number))
    assert sorted(caller.arrived()) == arrived
    assert len(caller.application.at("/answer")) == 1


def test_an_event_that_comes_twice_says_the_same_twice_with_a_token_of_its_own(caller: Caller) -> None:
    caller.ended(caller.place(to="15550100115"))
    caller.settled()
    twice = [request for request in caller.application.at("/events") if request.json["status"] == "completed"]
    assert twice[0].body == twice[1].body
    assert claims_of(twice[0])["jti"] != claims_of(twice[1])["jti"]


def test_events_may_arrive_last_first(caller: Caller) -> None:
    caller.ended(caller.place(to="15550100116"))
    assert caller.arrived() == ["completed", "answered", "ringing", "started"]


def test_the_end_may_overtake_ringing(caller: Caller) -> None:
    caller.ended(caller.place(to="15550100120"))
    arrived = caller.arrived()
    assert arrived[-2:] == ["completed", "ringing"]


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_webhook_that_is_answered_with_429_503_or_504_is_sent_a_second_time(caller: Caller, status: int) -> None:
    caller.application.answers["/events"] = [Answer(status=status)]
    uuid = caller.place(to="15550100102")
    caller.ended(uuid)
    caller.settled()
    busy = [request for request in caller.application.at("/events") if request.json["status"] == "busy"]
    assert len(busy) == 2
    assert busy[0].body == busy[1].body


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_webhook_that_is_answered_otherwise_is_not_sent_again(caller: Caller, status: int) -> None:
    caller.application.answers["/events"] = [Answer(status=status)]
    uuid = caller.place(to="15550100102")
    caller.ended(uuid)
    assert caller.arrived().count("busy") == 1


DETECTIONS = [
    (CALLEE, {"machine_detection": "continue"}, ["human"], 600),
    ("15550100106", {"machine_detection": "continue"}, ["machine"], 600),
    ("15550100106", {"machine_detection": "hangup"}, ["machine"], 199),
    ("15550100106", {"advanced_machine_detection": {"behavior": "hangup", "mode": "detect"}}, ["machine"], 199),
    ("15550100106", {"advanced_machine_detection": {"mode": "detect_beep"}}, ["machine", "machine"], 600),
    ("15550100106", {}, [], 600),
]


@pytest.mark.parametrize(("number", "asked", "verdicts", "at_most"), DETECTIONS)
def test_who_answered_is_reported_when_asked_for_under_the_name_call_uuid(
    caller: Caller, number: str, asked: dict[str, Any], verdicts: list[str], at_most: int
) -> None:
    # Given with the request: fetching it would take a sped-up callee's patience.
    uuid = caller.place(to=number, ncco=[Talk(text='<speak><break time="200s"/></speak>')], **asked)
    assert int(caller.ended(uuid).duration) <= at_most
    detections = [event for event in caller.events(uuid) if "call_uuid" in event]
    assert [event["status"] for event in detections] == verdicts
    assert all("uuid" not in event for event in detections)
    assert [event["sub_state"] for event in detections if "sub_state" in event] == ["beep_start"][: len(verdicts) - 1]


def test_hanging_up_an_answered_call_completes_it(caller: Caller) -> None:
    uuid = caller.place(LONG)
    caller.until(uuid, "answered")
    caller.client.voice.hangup(uuid)
    call = caller.client.voice.get_call(uuid)
    assert call.status == "completed"
    assert 0 < int(call.duration) < 600


def test_hanging_up_a_ringing_call_cancels_it_and_completed_follows(caller: Caller) -> None:
    uuid = caller.place(to="15550100103", ringing_timer=120)
    caller.until(uuid, "ringing")
    caller.client.voice.hangup(uuid)
    assert caller.client.voice.get_call(uuid).status == "cancelled"
    assert sorted(caller.statuses(uuid)) == sorted(["started", "ringing", "cancelled", "completed"])


def test_what_has_ended_or_never_was_cannot_be_hung_up(caller: Caller) -> None:
    uuid = caller.place(to="15550100102")
    caller.ended(uuid)
    for name in (uuid, "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(NotFoundError):
            caller.client.voice.hangup(name)


def test_muting_and_playing_are_accepted_for_a_call_in_progress(caller: Caller) -> None:
    uuid, voice = caller.place(LONG), caller.client.voice
    caller.until(uuid, "answered")
    voice.mute(uuid)
    voice.unmute(uuid)
    assert voice.play_tts_into_call(uuid, {"text": "Hello"}).message == "Talk started"
    assert voice.stop_tts(uuid).message == "Talk stopped"
    assert voice.play_dtmf_into_call(uuid, "1234").uuid == uuid


def test_a_call_is_transferred_to_another_ncco_and_says_so(caller: Caller) -> None:
    uuid = caller.place(LONG)
    caller.until(uuid, "answered")
    caller.client.voice.transfer_call_ncco(uuid, [Talk(text="Goodbye")])
    assert int(caller.ended(uuid).duration) < 600
    assert "transfer" in caller.statuses(uuid)


def test_a_call_is_transferred_to_an_answer_url_that_is_fetched_by_get(caller: Caller) -> None:
    uuid = caller.place(LONG)
    caller.until(uuid, "answered")
    caller.application.answers["/next"] = [Answer(body=json.dumps(SAY), content_type="application/json")]
    caller.client.voice.transfer_call_answer_url(uuid, caller.application.url("/next"))
    caller.ended(uuid)
    assert [request.method for request in caller.application.at("/next")] == ["GET"]


def test_a_ringing_call_cannot_be_transferred(caller: Caller) -> None:
    uuid = caller.place(to="15550100103", ringing_timer=120)
    caller.until(uuid, "ringing")
    with pytest.raises(HttpRequestError) as refusal:
        caller.client.voice.transfer_call_ncco(uuid, [Talk(text="Goodbye")])
    assert refusal.value.response.status_code == 400


@pytest.mark.parametrize(
    ("number", "reported"),
    [
        ("15557654321", ["started", "ringing", "answered", "completed"]),
        ("15550100102", ["started", "busy", "completed"]),
        ("15550100104", ["started", "ringing", "rejected"]),
    ],
)
def test_connecting_with_a_phone_is_a_leg_of_its_own_in_the_same_conversation(
    caller: Caller, number: str, reported: list[str]
) -> None:
    uuid = caller.place([{"action": "connect", "from": CALLER, "endpoint": [{"type": "phone", "number": number}]}])
    call = caller.ended(uuid)
    caller.settled()
    calls, _ = caller.client.voice.list_calls(ListCallsFilter(conversation_uuid=call.conversation_uuid))
    other = next(each for each in calls if each.uuid != uuid)
    assert (other.to.number, other.from_.number) == (number, CALLER)
    assert sorted(caller.statuses(other.uuid)) == sorted(reported)
    assert sorted(caller.statuses(uuid)) == sorted(["started", "ringing", "answered", "completed"])


def test_a_call_that_is_ended_takes_the_leg_it_is_connected_with_along(caller: Caller) -> None:
    uuid = caller.place([{"action": "connect", "endpoint": [{"type": "phone", "number": "15550100121"}]}])
    eventually(lambda: len(caller.client.voice.list_calls(ListCallsFilter(status="answered"))[0]) == 2)
    caller.client.voice.hangup(uuid)
    assert {call.status for call in caller.client.voice.list_calls()[0]} == {"completed"}


def connect_socket(application: VoiceApplication) -> list[dict[str, Any]]:
    endpoint = {
        "type": "websocket",
        "uri": application.socket_url(),
        "content-type": "audio/l16;rate=16000",
        "headers": {"call_id": "call_1"},
    }
    return [{"action": "connect", "endpoint": [endpoint]}]


def test_connecting_with_a_websocket_says_its_headers_first_and_sends_audio_until_the_callee_hangs_up(
    caller: Caller,
) -> None:
    frames: list[Any] = []

    async def application(socket: web.WebSocketResponse) -> None:
        frames.extend([message.data async for message in socket])

    caller.application.socket_handler = application
    uuid = caller.place(connect_socket(caller.application))
    assert int(caller.ended(uuid).duration) in range(12, 18)
    assert json.loads(frames[0]) == {
        "event": "websocket:connected",
        "content-type": "audio/l16;rate=16000",
        "call_id": "call_1",
    }
    assert {len(frame) for frame in frames[1:]} == {6400}
    # The socket's leg is reported like any other, to the same address: its uuid and `to` tell it from the call.
    caller.settled()
    bodies = [received.json for received in caller.application.at("/events")]
    legs = {body["to"] for body in bodies if body["uuid"] != uuid}
    assert legs == {caller.application.socket_url()}


def test_an_application_that_closes_the_websocket_gets_the_call_back(caller: Caller) -> None:
    async def application(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.send_json({"action": "notify", "payload": {"n": 1}})
        while "websocket:notify" not in str((await socket.receive()).data):
            await asyncio.sleep(0)
        await socket.close()

    caller.application.socket_handler = application
    uuid = caller.place([*connect_socket(caller.application), {"action": "wait", "timeout": 30}])
    assert int(caller.ended(uuid).duration) in range(30, 42)
    assert "disconnected" in caller.arrived()


def test_a_websocket_that_cannot_be_opened_fails_alone(caller: Caller) -> None:
    ncco = connect_socket(caller.application)
    ncco[0]["endpoint"][0]["uri"] = "ws://127.0.0.1:1/socket"
    uuid = caller.place([*ncco, *SAY])
    assert caller.ended(uuid).status == "completed"
    assert "failed" in caller.arrived()
    assert "failed" not in caller.statuses(uuid)


def test_input_is_reported_and_an_ncco_in_the_answer_takes_over(caller: Caller) -> None:
    caller.application.answers["/input"] = [Answer(body=json.dumps(SAY), content_type="application/json")]
    ask = {"action": "input", "type": ["dtmf", "speech"], "eventUrl": [caller.application.url("/input")]}
    assert int(caller.ended(caller.place([ask, *LONG])).duration) < 60
    body = caller.application.at("/input")[0].json
    assert body["dtmf"] == {"digits": None, "timed_out": True}
    assert body["speech"] == {"timeout_reason": "start_timeout", "results": []}


def test_record_notify_stream_and_conversation_are_followed(caller: Caller) -> None:
    ncco = [
        {"action": "record", "eventUrl": [caller.application.url("/record")]},
        {"action": "notify", "payload": {"step": 1}, "eventUrl": [caller.application.url("/notify")]},
        {"action": "stream", "streamUrl": ["https://example.test/a.mp3"], "loop": 2},
        {"action": "conversation", "name": "room"},
    ]
    assert int(caller.ended(caller.place(ncco)).duration) in range(22, 32)
    caller.settled()
    assert caller.application.at("/notify")[0].json["payload"] == {"step": 1}
    assert "recording_url" in caller.application.at("/record")[0].json


def test_ssml_pauses_take_their_time(caller: Caller) -> None:
    uuid = caller.place([{"action": "talk", "text": '<speak>Hello <break time="40s"/> goodbye</speak>'}])
    assert int(caller.ended(uuid).duration) in range(41, 46)


def test_an_ncco_that_is_none_is_reported_and_ends_the_call(caller: Caller) -> None:
    uuid = caller.place({"not": "a list"})
    assert caller.ended(uuid).status == "completed"
    assert [event["reason"] for event in caller.events_with_reason(uuid)] == ["an NCCO is a list of actions"]


def test_an_answer_url_that_fails_is_reported_and_ends_the_call(caller: Caller) -> None:
    caller.application.answers["/broken"] = [Answer(status=503)]
    uuid = caller.place(answer_url=[caller.application.url("/broken")])
    assert caller.ended(uuid).status == "completed"
    assert len(caller.application.at("/broken")) == 2
    assert [event["reason"] for event in caller.events_with_reason(uuid)] == ["the answer URL gave 503"]


def test_calls_are_listed_by_status_date_and_conversation_and_paged(caller: Caller) -> None:
    voice = caller.client.voice
    busy, answered = caller.place(to="15550100102"), caller.place()
    caller.ended(busy)
    conversation = caller.ended(answered).conversation_uuid

    def listed(**filters: Any) -> list[str]:
        return [call.uuid for call in voice.list_calls(ListCallsFilter(**filters))[0]]

    assert listed() == [busy, answered]
    assert listed(order="desc") == [answered, busy]
    assert listed(status="busy") == [busy]
    assert listed(conversation_uuid=conversation) == [answered]
    assert listed(date_start="2020-01-01T00:00:00Z", date_end="2100-01-01T00:00:00Z") == [busy, answered]
    assert listed(date_start="2100-01-01T00:00:00Z") == []
    first, following = voice.list_calls(ListCallsFilter(page_size=1))
    assert ([call.uuid for call in first], following) == ([busy], 1)
    last, none = voice.list_calls(ListCallsFilter(page_size=1, record_index=1))
    assert ([call.uuid for call in last], none) == ([answered], None)


def test_another_applications_calls_are_not_found(caller: Caller) -> None:
    uuid = caller.place()
    stranger = sdk_client(caller.carriers.url, OTHER)
    assert stranger.voice.list_calls()[0] == []
    with pytest.raises(NotFoundError):
        stranger.voice.get_call(uuid)


def mislabelled_token() -> str:
    """A good signature under a header that names another algorithm."""
    header, claims, _ = token().split(".")
    named = jwt.utils.base64url_encode(b'{"alg":"none","typ":"JWT"}').decode()
    key = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    signature = key.sign(f"{named}.{claims}".encode(), key.prepare_key(SECRET["private_key"]))
    assert header != named
    return f"{named}.{claims}.{jwt.utils.base64url_encode(signature).decode()}"


REFUSED_TOKENS = {
    "mislabelled": mislabelled_token(),
    "none": "",
    "not a token": "a.b.c",
    "none at all": token(algorithm="none", key=""),
    "signed with HS256": token(algorithm="HS256", key=SECRET["signature_secret"]),
    "another application's key": token(key=OTHER["private_key"]),
    "unknown application": token(application_id="nobody"),
    "expired": token(iat=int(time.time()) - 100, exp=int(time.time()) - 10),
    "from the future": token(iat=int(time.time()) + 86_400, exp=int(time.time()) + 86_500),  # the suite takes long
    "too long a life": token(exp=int(time.time()) + 200_000),
    "no jti": token(jti=None),
    "no iat": token(iat=None),
    "old, with the default life": token(iat=int(time.time()) - 1000, exp=None),
}


@pytest.mark.parametrize("why", REFUSED_TOKENS)
def test_a_token_that_is_not_the_applications_is_refused_with_a_problem_document(caller: Caller, why: str) -> None:
    reply = requests.get(
        f"{caller.carriers.url}/v1/calls", headers={"Authorization": f"Bearer {REFUSED_TOKENS[why]}"}, timeout=5
    )
    assert (reply.status_code, reply.headers["Content-Type"].split(";")[0]) == (401, "application/problem+json")
    assert {"type", "title", "detail", "instance"} <= reply.json().keys()


def test_a_token_is_used_once(caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    replies = [requests.get(f"{caller.carriers.url}/v1/calls", headers=headers, timeout=5) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 401]


BAD_REQUESTS = [
    ({"to": []}, "to"),
    ({"to": [{"type": "phone", "number": "+15559876543"}]}, "to.number"),
    ({"to": [{"type": "phone", "number": "123"}]}, "to.number"),
    ({"to": [{"type": "app", "user": "me"}]}, "to.type"),
    ({"from": None}, "from"),
    ({"from": {"type": "phone", "number": "abc"}}, "from.number"),
    ({"random_from_number": True}, "from"),
    ({"ncco": SAY}, "answer_url"),
    ({"answer_url": None}, "answer_url"),
    ({"answer_url": ["/relative"]}, "answer_url"),
    ({"event_url": "http://127.0.0.1/"}, "event_url"),
    ({"event_method": "PUT"}, "event_method"),
    ({"length_timer": 7201}, "length_timer"),
    ({"ringing_timer": 121}, "ringing_timer"),
    ({"ringing_timer": "60"}, "ringing_timer"),
    ({"machine_detection": "maybe"}, "machine_detection"),
    ({"advanced_machine_detection": {"beep_timeout": 5}}, "beep_timeout"),
    ({"answer_url": ..., "ncco": [{"action": "dance"}]}, "ncco"),
    ({"answer_url": ..., "ncco": [{"action": "talk", "text": "x" * 1501}]}, "ncco"),
]


@pytest.mark.parametrize(("changes", "name"), BAD_REQUESTS)
def test_a_bad_parameter_is_named(caller: Caller, changes: dict[str, Any], name: str) -> None:
    body = {
        "to": [{"type": "phone", "number": CALLEE}],
        "from": {"type": "phone", "number": CALLER},
        "answer_url": [caller.application.url("/answer")],
        **changes,
    }
    body = {key: value for key, value in body.items() if value is not ...}
    reply = requests.post(
        f"{caller.carriers.url}/v1/calls", json=body, headers={"Authorization": f"Bearer {token()}"}, timeout=5
    )
    assert reply.status_code == 400
    assert [each["name"] for each in reply.json()["invalid_parameters"]] == [name]
    assert caller.client.voice.list_calls()[0] == []


PLACINGS = [
    ("15550100107", HttpRequestError, 0),
    ("15550100108", RateLimitedError, 0),
    ("15550100110", ServerError, 1),
    ("15550100111", ServerError, 0),
    ("15550100113", requests.exceptions.ConnectionError, 0),
    ("15550100114", requests.exceptions.ConnectionError, 1),
]


@pytest.mark.parametrize(("number", "error", "placed"), PLACINGS)
def test_a_request_for_a_call_may_be_spoiled(caller: Caller, number: str, error: type[Exception], placed: int) -> None:
    caller.client = sdk_client(caller.carriers.url)
    caller.client.http_client._session.mount("https://", PlainHttp(max_retries=0))
    with pytest.raises(error):
        caller.place(to=number)
    assert len(caller.client.voice.list_calls()[0]) == placed


def test_no_reply_may_come_of_a_call_that_is_placed(caller: Caller) -> None:
    patient, caller.client = caller.client, sdk_client(caller.carriers.url, timeout=1)
    caller.client.http_client._session.mount("https://", PlainHttp(max_retries=0))
    with pytest.raises(requests.exceptions.RequestException):
        caller.place(to="15550100112")
    assert len(patient.voice.list_calls()[0]) == 1


def test_two_refusals_for_rate_then_the_call_is_placed(caller: Caller) -> None:
    for _ in range(2):
        with pytest.raises(RateLimitedError):
            caller.place(to="15550100109")
    assert caller.ended(caller.place(to="15550100109")).status == "completed"


def test_calls_beyond_three_per_second_are_refused(application: VoiceApplication) -> None:
    with SimulatedCarriers({"vonage": [SECRET]}, speed=0.01) as slow:
        caller = Caller(slow, application)
        for _ in range(3):
            caller.place()
        with pytest.raises(RateLimitedError):
            caller.place()


def test_without_accounts_every_request_is_refused() -> None:
    with SimulatedCarriers({}) as empty, pytest.raises(AuthenticationError):
        sdk_client(empty.url).voice.list_calls()


def test_wrong_methods_and_paths_are_answered_in_vonages_words(caller: Caller) -> None:
    for method, path, status in [("PATCH", "/v1/calls", 405), ("GET", "/v1/calls/a/b/c", 404)]:
        headers = {"Authorization": f"Bearer {token()}"}
        reply = requests.request(method, f"{caller.carriers.url}{path}", headers=headers, timeout=5)
        assert (reply.status_code, reply.headers["Content-Type"].split(";")[0]) == (status, "application/problem+json")


def test_the_same_name_makes_the_same_secret() -> None:
    assert make_secret("tests") == SECRET
    assert make_secret("another")["private_key"] != SECRET["private_key"]
