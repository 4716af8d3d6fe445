"""The simulated Call Control as the official SDK, a bare HTTP client and the customer's webhooks see it."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import telnyx
from aiohttp import web
from telnyx import Telnyx
from telnyx.lib.webhook_verification import WebhookVerificationError
from telnyx.types import CallCostWebhookEvent, CallHangupWebhookEvent, CallInitiatedWebhookEvent
from telnyx.types.call_dial_response import Data as DialedCall

from sandbox.carriers import SimulatedCarriers
from sandbox.carriers.carrier import AccountError
from sandbox.carriers.clock import SimulatedClock
from sandbox.carriers.rate_limit import RateLimit
from sandbox.carriers.telnyx.commands import REMEMBERED_SECONDS, RecentCommands
from sandbox.carriers.telnyx.keys import Signer, fixed_signing_keys, new_signing_keys
from sandbox.carriers.telnyx.parameters import parse_speech
from tests.sandbox.telnyx_sdk import API_KEY, KEYS, sdk_client
from tests.sandbox.voice_application import Answer, Received, VoiceApplication, eventually

CONNECTION_ID = "1494404757140276705"
SECRET = {"api_key": API_KEY, "public_key": KEYS.public_key, "connection_id": CONNECTION_ID}
ACCOUNT = {**SECRET, "signing_key": KEYS.signing_key}
OTHER_KEYS = fixed_signing_keys(100)
OTHER_ACCOUNT = {"api_key": "KEY-other", "connection_id": "2", **vars(OTHER_KEYS)}
OWNED = "+15551234567"
CALLEE = "+15559876543"
STATE = base64.b64encode(b"call_01").decode()


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    with VoiceApplication() as running:
        yield running


@pytest.fixture(scope="module")
def carriers() -> Iterator[SimulatedCarriers]:
    accounts = {"telnyx": [ACCOUNT, OTHER_ACCOUNT]}
    owned_numbers = frozenset({OWNED})
    with SimulatedCarriers(accounts, speed=100, calls_per_second=1000, owned_numbers=owned_numbers) as running:
        yield running


class Caller:
    """Places calls through the SDK and tells what became of them."""

    def __init__(self, carriers: SimulatedCarriers, application: VoiceApplication) -> None:
        self.client: Telnyx = sdk_client(carriers.url)
        self.carriers = carriers
        self.application = application

    def dial(self, to: str = CALLEE, **parameters: Any) -> DialedCall:
        reply = self.client.calls.dial(
            **{
                "connection_id": CONNECTION_ID,
                "from_": OWNED,
                "to": to,
                "webhook_url": self.application.url("/events"),
                "client_state": STATE,
                **parameters,
            }
        )
        assert reply.data is not None
        return reply.data

    def webhooks(self) -> list[Received]:
        return self.application.at("/events")

    def read(self, webhook: Received) -> Any:
        """A webhook verified and read by the SDK."""
        return self.client.webhooks.unwrap(webhook.body.decode(), headers=webhook.headers)

    def events(self, last: str = "call.hangup", *, call: DialedCall | None = None) -> list[Any]:
        """The events that came, with the last one, in order of occurrence."""

        def so_far() -> list[Any]:
            read = [self.read(webhook).data for webhook in self.webhooks()]
            return [each for each in read if call is None or each.payload.call_control_id == call.call_control_id]

        eventually(lambda: any(each.event_type == last for each in so_far()))
        # Webhooks overtake one another: an earlier one may still be on its way.
        eventually(lambda: all(entry["status"] is not None or entry["error"] for entry in self.journal()))
        return sorted(so_far(), key=lambda event: event.occurred_at)

    def types(self, last: str = "call.hangup") -> list[str]:
        return [event.event_type for event in self.events(last)]

    def hangup(self) -> Any:
        return next(event.payload for event in self.events() if event.event_type == "call.hangup")

    def answered(self) -> None:
        eventually(lambda: "call.answered" in [each.json["data"]["event_type"] for each in self.webhooks()])

    def status(self, call: DialedCall) -> Any:
        return self.client.calls.retrieve_status(call.call_control_id).data

    def journal(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = requests.get(f"{self.carriers.url}/_requests", timeout=5).json()
        return entries

    def post(self, path: str, body: Any = None, key: str = API_KEY) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.post(f"{self.carriers.url}{path}", json=body, headers=headers, timeout=5)

    def calls_placed(self) -> int:
        events = self.client.call_events.list(filter={"name": "call.initiated"})
        return len(list(events))


@pytest.fixture
def caller(carriers: SimulatedCarriers, application: VoiceApplication) -> Caller:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    application.clear()
    return Caller(carriers, application)


def test_a_dialled_call_is_named_and_not_yet_alive(caller: Caller) -> None:
    call = caller.dial()
    assert (call.record_type, call.is_alive, call.client_state) == ("call", False, STATE)
    assert call.call_control_id.startswith("v3:")
    assert len({call.call_control_id, call.call_leg_id, call.call_session_id}) == 3
    (entry,) = [entry for entry in caller.journal() if entry["direction"] == "in"]
    assert (entry["carrier"], entry["call_id"], entry["status"]) == ("telnyx", call.call_control_id, 200)
    assert entry["headers"]["Authorization"] == "[redacted]"


def test_an_answered_call_tells_its_life_in_signed_events(caller: Caller) -> None:
    call = caller.dial(time_limit_secs=30)
    initiated, answered, hangup, cost = caller.events("call.cost")
    CallInitiatedWebhookEvent.model_validate({"data": initiated.model_dump()}, strict=False)
    CallHangupWebhookEvent.model_validate({"data": hangup.model_dump()}, strict=False)
    CallCostWebhookEvent.model_validate({"data": cost.model_dump()}, strict=False)
    assert [event.event_type for event in (initiated, answered, hangup, cost)] == [
        "call.initiated",
        "call.answered",
        "call.hangup",
        "call.cost",
    ]
    assert len({event.id for event in (initiated, answered, hangup, cost)}) == 4
    for event in (initiated, answered, hangup, cost):
        assert event.payload.call_control_id == call.call_control_id
        assert (event.payload.connection_id, event.payload.client_state) == (CONNECTION_ID, STATE)
    assert (initiated.payload.direction, answered.payload.state) == ("outgoing", "answered")
    assert (hangup.payload.from_, hangup.payload.to) == (OWNED, CALLEE)
    # Nobody commands anything, so the line stays silent until the time limit.
    assert (hangup.payload.hangup_cause, hangup.payload.sip_hangup_cause) == ("time_limit", "200")
    assert (cost.payload.billed_duration_secs, cost.payload.total_cost) == (30, "0.007000")
    status = caller.status(call)
    assert (status.is_alive, status.call_duration) == (False, 30)
    assert status.end_time is not None


def test_a_webhook_whose_body_was_changed_is_not_telnyxs(caller: Caller) -> None:
    caller.dial("+15550100102")
    caller.events()
    webhook = caller.webhooks()[0]
    for body, key in ((webhook.body.replace(b"outgoing", b"incoming"), None), (webhook.body, OTHER_KEYS.public_key)):
        with pytest.raises((ValueError, WebhookVerificationError), match="Signature verification failed"):
            caller.client.webhooks.unwrap(body.decode(), headers=webhook.headers, key=key)
    assert webhook.json["meta"] == {"attempt": 1, "delivered_to": caller.application.url("/events")}


OUTCOMES = [
    ("+15550100101", True, ("time_limit", "unknown", "200")),
    ("+15550100102", False, ("user_busy", "callee", "486")),
    ("+15550100103", False, ("timeout", "caller", "487")),
    ("+15550100104", False, ("call_rejected", "callee", "603")),
    ("+15550100105", False, ("not_found", "unknown", "404")),
    ("+15550100122", True, ("normal_clearing", "callee", "200")),
    ("+15550100123", True, ("time_limit", "unknown", "200")),
]


@pytest.mark.parametrize(("number", "answered", "end"), OUTCOMES)
def test_the_callee_decides_the_outcome(caller: Caller, number: str, answered: bool, end: tuple[str, ...]) -> None:
    call = caller.dial(number, timeout_secs=10, time_limit_secs=20)
    types = ["call.initiated", "call.answered", "call.hangup"] if answered else ["call.initiated", "call.hangup"]
    assert [kind for kind in caller.types() if kind != "call.cost"] == types
    hangup = caller.hangup()
    assert (hangup.hangup_cause, hangup.hangup_source, hangup.sip_hangup_cause) == end
    assert (caller.status(call).call_duration > 0) == answered


def test_a_call_that_stops_at_its_timeout_has_another_cause(caller: Caller) -> None:
    caller.dial("+15550100103", timeout_secs=5, retry_on_timeout=False)
    assert caller.hangup().hangup_cause == "no_answer"


def test_a_sip_destination_rings_by_the_number_in_it(caller: Caller) -> None:
    caller.dial("sip:+15550100102@pbx.example.test", sip_auth_username="dialplane", sip_auth_password="x")
    assert (caller.hangup().hangup_cause, caller.hangup().to) == ("user_busy", "sip:+15550100102@pbx.example.test")


DELIVERIES = [
    ("+15550100115", "initiated initiated answered answered hangup hangup cost cost"),
    ("+15550100116", "cost hangup answered initiated"),
    ("+15550100117", ""),
    ("+15550100118", "hangup cost"),
    ("+15550100119", "initiated answered"),
    ("+15550100120", "initiated hangup answered cost"),
]


@pytest.mark.parametrize(("number", "arriving"), DELIVERIES)
def test_the_scenario_decides_which_webhooks_arrive(caller: Caller, number: str, arriving: str) -> None:
    call = caller.dial(number, time_limit_secs=10)
    leg = {"leg_id": call.call_leg_id, "name": "call.cost"}
    eventually(lambda: list(caller.client.call_events.list(filter=leg)))
    expected = [f"call.{name}" for name in arriving.split()]
    eventually(lambda: len(caller.webhooks()) >= len(expected))
    eventually(lambda: all(entry["status"] is not None for entry in caller.journal()))
    arrived = [webhook.json["data"] for webhook in caller.webhooks()]
    assert sorted(event["event_type"] for event in arrived) == sorted(expected)
    if number == "+15550100116":
        assert [event["event_type"] for event in arrived] == expected
    if number == "+15550100120":
        types = [event["event_type"] for event in arrived]
        assert types.index("call.hangup") < types.index("call.answered")
    assert len({event["id"] for event in arrived}) == len(set(expected))


def test_a_webhook_is_repeated_until_it_is_taken(caller: Caller) -> None:
    caller.application.answers["/started"] = [Answer(status=500), Answer(status=404), Answer(status=204)]
    caller.dial(
        "+15550100102",
        webhook_urls={"call.initiated": [caller.application.url("/started")]},
        webhook_retries_policies={"call.initiated": {"retries_ms": [10, 20, 30]}},
    )
    eventually(lambda: len(caller.application.at("/started")) == 3)
    caller.events()
    time.sleep(0.05)
    attempts = caller.application.at("/started")
    assert [hook.json["meta"]["attempt"] for hook in attempts] == [1, 2, 3]
    assert len({caller.read(hook).data.id for hook in attempts}) == 1


def test_an_event_may_have_an_address_of_its_own(caller: Caller) -> None:
    caller.dial("+15550100102", webhook_urls={"call.hangup": [caller.application.url("/ended")]})
    eventually(lambda: caller.application.at("/ended"))
    assert [hook.json["data"]["event_type"] for hook in caller.webhooks()] == ["call.initiated"]


@pytest.mark.parametrize(
    ("mode", "number", "results"),
    [
        ("detect", "+15550100106", {"call.machine.detection.ended": "machine"}),
        ("detect", CALLEE, {"call.machine.detection.ended": "human"}),
        (
            "greeting_end",
            "+15550100106",
            {"call.machine.detection.ended": "machine", "call.machine.greeting.ended": "ended"},
        ),
        (
            "premium",
            "+15550100106",
            {
                "call.machine.premium.detection.ended": "machine",
                "call.machine.premium.greeting.ended": "beep_detected",
            },
        ),
        ("premium", CALLEE, {"call.machine.premium.detection.ended": "human_residence"}),
        ("disabled", "+15550100106", {}),
    ],
)
def test_machine_detection_reports_when_it_was_asked_for(
    caller: Caller, mode: Any, number: str, results: dict[str, str]
) -> None:
    caller.dial(number, time_limit_secs=15, answering_machine_detection=mode)
    events = caller.events()
    found = {event.event_type: event.payload.result for event in events if ".machine." in event.event_type}
    assert found == results


def test_the_same_command_places_one_call(caller: Caller) -> None:
    first = caller.dial(command_id="call_01")
    again = caller.dial(command_id="call_01")
    other = caller.dial(command_id="call_02")
    assert first.call_control_id == again.call_control_id != other.call_control_id
    eventually(lambda: caller.calls_placed() >= 2)
    assert caller.calls_placed() == 2


def test_a_command_is_forgotten_after_its_minute() -> None:
    now = [0.0]
    commands: RecentCommands[str] = RecentCommands(now=lambda: now[0])
    commands.remember("KEY", "a", "call")
    now[0] = REMEMBERED_SECONDS - 1
    assert commands.find("KEY", "a") == "call"
    assert commands.find("another", "a") is None
    now[0] = REMEMBERED_SECONDS
    assert commands.find("KEY", "a") is None


@pytest.mark.parametrize(
    ("number", "placed"),
    [
        ("+15550100110", True),
        ("+15550100111", False),
        ("+15550100113", False),
        ("+15550100114", True),
    ],
)
def test_a_lost_answer_may_hide_a_call_and_the_same_command_finds_it(caller: Caller, number: str, placed: bool) -> None:
    with pytest.raises((telnyx.InternalServerError, telnyx.APIConnectionError)):
        caller.dial(number, command_id="call_01")
    if placed:
        eventually(lambda: caller.calls_placed() == 1)
        assert caller.dial(number, command_id="call_01").call_control_id
        assert caller.calls_placed() == 1
    else:
        with pytest.raises((telnyx.InternalServerError, telnyx.APIConnectionError)):
            caller.dial(number, command_id="call_01")
        assert caller.calls_placed() == 0


def test_no_reply_may_hide_a_call(caller: Caller) -> None:
    impatient = sdk_client(caller.carriers.url, timeout=0.3)
    with pytest.raises(telnyx.APITimeoutError):
        impatient.calls.dial(connection_id=CONNECTION_ID, from_=OWNED, to="+15550100112", command_id="c")
    reply = impatient.calls.dial(connection_id=CONNECTION_ID, from_=OWNED, to="+15550100112", command_id="c")
    assert reply.data is not None
    assert caller.calls_placed() == 1


def test_a_refusal_of_the_number_or_the_rate_places_nothing(caller: Caller) -> None:
    with pytest.raises(telnyx.UnprocessableEntityError) as invalid:
        caller.dial("+15550100107")
    assert invalid.value.body["errors"][0]["code"] == "10002"
    with pytest.raises(telnyx.RateLimitError) as limited:
        caller.dial("+15550100108")
    assert limited.value.body["errors"][0]["code"] == "10011"
    for _ in range(2):
        with pytest.raises(telnyx.RateLimitError):
            caller.dial("+15550100109")
    assert caller.calls_placed() == 0
    assert caller.dial("+15550100109").call_control_id


def test_calls_beyond_the_accounts_rate_are_refused(application: VoiceApplication) -> None:
    with SimulatedCarriers({"telnyx": [ACCOUNT]}, speed=0.01, calls_per_second=2) as slow:
        client = sdk_client(slow.url)
        for _ in range(2):
            client.calls.dial(connection_id=CONNECTION_ID, from_=OWNED, to=CALLEE)
        with pytest.raises(telnyx.RateLimitError):
            client.calls.dial(connection_id=CONNECTION_ID, from_=OWNED, to=CALLEE)


def test_time_brings_back_what_the_rate_allows() -> None:
    async def live() -> list[bool]:
        limit = RateLimit(SimulatedClock(1000), per_second=1)
        answers = [limit.allows()]
        await asyncio.sleep(0.005)
        return [*answers, limit.allows(), limit.allows()]

    assert asyncio.run(live()) == [True, True, False]


GOOD = {"connection_id": CONNECTION_ID, "from": OWNED, "to": CALLEE}
BAD_DIALS = [
    ({"connection_id": None}, 422, "10004"),
    ({"connection_id": "2"}, 422, "10015"),
    ({"to": None}, 422, "10004"),
    ({"to": "15559876543"}, 422, "10016"),
    ({"to": "+1555"}, 422, "10016"),
    ({"to": "sip:pbx.example.test"}, 422, "10016"),
    ({"to": [CALLEE, CALLEE]}, 422, "10015"),
    ({"from": None}, 422, "10004"),
    ({"from": "5551234567"}, 422, "10016"),
    ({"from": "+15550000001"}, 403, "10010"),
    ({"timeout_secs": 4}, 422, "10015"),
    ({"timeout_secs": 601}, 422, "10015"),
    ({"timeout_secs": "30"}, 422, "10015"),
    ({"time_limit_secs": 14_401}, 422, "10015"),
    ({"client_state": "not base64!"}, 422, "10015"),
    ({"command_id": ""}, 422, "10015"),
    ({"webhook_url": "events"}, 422, "10003"),
    ({"webhook_url_method": "GET"}, 422, "10015"),
    ({"webhook_retries_policies": {"call.hangup": {"retries_ms": [60_001]}}}, 422, "10015"),
    ({"webhook_retries_policies": {"call.hangup": {"retries_ms": [1] * 6}}}, 422, "10015"),
    ({"webhook_urls": {"call.hangup": ["nope"]}}, 422, "10003"),
    ({"from_display_name": "Ünïcode"}, 422, "10015"),
    ({"send_digits_on_answer": "12E"}, 422, "10015"),
    ({"answering_machine_detection": "Enable"}, 422, "10015"),
    ({"stream_url": "https://example.test"}, 422, "10003"),
    ({"stream_track": "all"}, 422, "10015"),
    ({"conversation_relay_config": {"greeting": "Hello"}}, 422, "10003"),
    ({"conversation_relay_config": "wss://e.test"}, 422, "10015"),
    ({"conversation_relay_config": {"url": "wss://e.test", "interruptible": True}}, 422, "10015"),
    ({"conversation_relay_config": {"url": "wss://e.test", "dtmf_detection": "true"}}, 422, "10015"),
    ({"conversation_relay_config": {"url": "wss://e.test", "transcription_engine": "deepgram"}}, 422, "10015"),
    ({"conversation_relay_config": {"url": "wss://e.test", "custom_parameters": []}}, 422, "10015"),
    ({"conversation_relay_config": {"url": "wss://e.test", "voice": "ElevenLabs.x"}}, 422, "10015"),
    ({"audio_url": "https://e.test/a.mp3", "media_name": "a"}, 422, "10015"),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_DIALS)
def test_a_bad_dial_is_refused_in_telnyxs_envelope(
    caller: Caller, change: dict[str, Any], status: int, code: str
) -> None:
    body = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    reply = caller.post("/v2/calls", body)
    (error,) = reply.json()["errors"]
    assert (reply.status_code, error["code"]) == (status, code)
    assert error["title"]
    assert error["detail"]
    assert error["source"]["pointer"].split("/")[1] in change
    assert caller.calls_placed() == 0


def test_digits_may_follow_a_number_and_a_list_may_hold_one(caller: Caller) -> None:
    assert caller.dial("+15550100102,12").call_control_id
    assert caller.dial(["+15550100102"]).call_control_id  # type: ignore[arg-type]


def test_strangers_are_refused_and_see_nothing(caller: Caller) -> None:
    call = caller.dial()
    assert caller.post("/v2/calls", GOOD, key="KEY-wrong").status_code == 401
    assert requests.post(f"{caller.carriers.url}/v2/calls", json=GOOD, timeout=5).json()["errors"][0]["code"] == "10009"
    other = sdk_client(caller.carriers.url, "KEY-other")
    with pytest.raises(telnyx.NotFoundError):
        other.calls.retrieve_status(call.call_control_id)
    with pytest.raises(telnyx.UnprocessableEntityError):
        other.calls.actions.hangup(call.call_control_id)
    assert list(other.call_events.list()) == []


@pytest.mark.parametrize(("path", "body"), [("/v2/calls", "["), ("/v2/calls", "[]"), ("/v2/calls", '"x"')])
def test_a_body_that_is_no_object_is_refused(caller: Caller, path: str, body: str) -> None:
    headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    reply = requests.post(f"{caller.carriers.url}{path}", data=body, headers=headers, timeout=5)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, "10015")


def test_unknown_commands_calls_and_paths_have_telnyxs_envelope(caller: Caller) -> None:
    call = caller.dial()
    for path, code in (
        (f"/v2/calls/{call.call_control_id}/actions/dance", "10005"),
        ("/v2/calls/v3:unknown/actions/hangup", "90015"),
        ("/v2/faxes", "10005"),
    ):
        assert caller.post(path, {}).json()["errors"][0]["code"] == code, path


def test_a_call_is_alive_from_the_dial_to_the_end(caller: Caller) -> None:
    call = caller.dial()
    eventually(lambda: caller.status(call).is_alive)
    (active,) = caller.client.connections.list_active_calls(CONNECTION_ID)
    assert (active.call_control_id, active.client_state) == (call.call_control_id, STATE)
    caller.client.calls.actions.hangup(call.call_control_id)
    eventually(lambda: caller.status(call).end_time)
    assert not caller.status(call).is_alive
    assert list(caller.client.connections.list_active_calls(CONNECTION_ID)) == []


def test_hanging_up_an_answered_call_ends_it_normally(caller: Caller) -> None:
    call = caller.dial()
    caller.answered()
    reply = caller.client.calls.actions.hangup(call.call_control_id)
    assert reply.data is not None
    assert reply.data.result == "ok"
    assert (caller.hangup().hangup_cause, caller.hangup().hangup_source) == ("normal_clearing", "caller")


def test_hanging_up_a_ringing_call_cancels_it(caller: Caller) -> None:
    call = caller.dial("+15550100103", timeout_secs=600)
    eventually(caller.webhooks)
    time.sleep(0.05)  # five simulated seconds; it rings after one
    caller.client.calls.actions.hangup(call.call_control_id)
    assert caller.types() == ["call.initiated", "call.hangup"]
    assert caller.hangup().hangup_cause == "originator_cancel"


def test_hanging_up_before_it_rings_looks_like_an_ordinary_end(caller: Caller) -> None:
    call = caller.dial("+15550100123")
    caller.client.calls.actions.hangup(call.call_control_id)
    assert caller.types() == ["call.hangup"]
    assert (caller.hangup().hangup_cause, caller.hangup().hangup_source) == ("normal_clearing", "caller")


def test_an_ended_call_takes_no_commands(caller: Caller) -> None:
    call = caller.dial("+15550100102")
    caller.events()
    for command in (
        lambda: caller.client.calls.actions.hangup(call.call_control_id),
        lambda: caller.client.calls.actions.speak(call.call_control_id, payload="Hello", voice="female"),
        lambda: caller.client.calls.actions.transfer(call.call_control_id, to=CALLEE),
    ):
        with pytest.raises(telnyx.UnprocessableEntityError) as refusal:
            command()
        assert refusal.value.body["errors"][0]["code"] == "90018"
        assert refusal.value.body["errors"][0]["title"] == "Call has already ended"


def test_nothing_can_be_said_before_the_answer(caller: Caller) -> None:
    call = caller.dial("+15550100103", timeout_secs=600)
    for reply in (
        caller.post(f"/v2/calls/{call.call_control_id}/actions/speak", {"payload": "Hello", "voice": "female"}),
        caller.post(f"/v2/calls/{call.call_control_id}/actions/transfer", {"to": CALLEE}),
    ):
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "90034")


def test_what_is_said_starts_and_ends_once_per_command(caller: Caller) -> None:
    call = caller.dial()
    caller.answered()
    for _ in range(2):
        caller.client.calls.actions.speak(
            call.call_control_id,
            payload='<speak>Good morning.<break time="1s"/>Goodbye.</speak>',
            payload_type="ssml",
            voice="female",
            command_id="call_01:say",
            client_state=base64.b64encode(b"said").decode(),
        )
    events = caller.events("call.speak.ended")
    spoken = [event for event in events if event.event_type.startswith("call.speak")]
    assert [event.event_type for event in spoken] == ["call.speak.started", "call.speak.ended"]
    assert spoken[-1].payload.status == "completed"
    assert spoken[-1].payload.client_state == base64.b64encode(b"said").decode()
    assert not caller.status(call).end_time
    caller.client.calls.actions.hangup(call.call_control_id, command_id="call_01:bye")
    caller.events()
    # The repeated command is ignored rather than refused.
    assert caller.client.calls.actions.hangup(call.call_control_id, command_id="call_01:bye").data


def test_words_take_their_time() -> None:
    ssml = {"voice": "female", "payload_type": "ssml", "payload": '<speak>a b<break time="1.5s"/>c d e</speak>'}
    speech = parse_speech(ssml)
    assert (speech.text.split(), speech.pauses_seconds, speech.loops) == (["a", "b", "c", "d", "e"], 1.5, 1)


def test_a_speech_that_the_end_cuts_off_says_so(caller: Caller) -> None:
    call = caller.dial(time_limit_secs=30)
    caller.answered()
    caller.client.calls.actions.speak(call.call_control_id, payload="On and on", voice="female", loop="infinity")
    events = caller.events()
    (ended,) = [event for event in events if event.event_type == "call.speak.ended"]
    assert ended.payload.status == "call_hangup"


def test_a_transfer_connects_the_callee_with_somebody_else_until_either_hangs_up(caller: Caller) -> None:
    call = caller.dial()
    caller.answered()
    caller.client.calls.actions.transfer(call.call_control_id, to="+15550100101", from_=OWNED)
    eventually(lambda: sum(hook.json["data"]["event_type"] == "call.hangup" for hook in caller.webhooks()) == 2)
    mine, legs = caller.events(call=call), {event.payload.call_control_id for event in caller.events()}
    assert [event.event_type for event in mine][:4] == [
        "call.initiated",
        "call.answered",
        "call.bridged",
        "call.hangup",
    ]
    assert len(legs) == 2
    assert {event.payload.call_session_id for event in caller.events()} == {call.call_session_id}
    assert 11 <= caller.status(call).call_duration <= 300


def test_a_transfer_to_somebody_busy_leaves_the_call_as_it_was(caller: Caller) -> None:
    call = caller.dial()
    caller.answered()
    caller.client.calls.actions.transfer(call.call_control_id, to="+15550100102")
    busy = caller.hangup()
    assert (busy.hangup_cause, busy.call_control_id == call.call_control_id) == ("user_busy", False)
    assert caller.status(call).is_alive


def test_a_relay_gets_the_call_and_its_end_is_told(caller: Caller) -> None:
    frames: list[Any] = []

    async def converse(socket: web.WebSocketResponse) -> None:
        frames.append(await socket.receive_json())
        frames.append(await socket.receive_json())
        await socket.send_json({"type": "text", "token": "Hello!", "last": True})
        await socket.send_json({"type": "end"})

    caller.application.socket_handler = converse
    relay = {"url": caller.application.socket_url(), "custom_parameters": {"call_id": "call_01"}}
    call = caller.dial(conversation_relay_config=relay)
    events = caller.events()
    setup, prompt = frames
    assert (setup["type"], setup["callControlId"], setup["callStatus"]) == ("setup", call.call_control_id, "active")
    assert (setup["callLegId"], setup["callSessionId"]) == (call.call_leg_id, call.call_session_id)
    assert setup["customParameters"] == {"call_id": "call_01"}
    assert prompt["type"] == "prompt"
    assert "call.conversation.ended" in [event.event_type for event in events]
    # Nobody hangs up for the application: it is the callee who gives up on the silence.
    assert (caller.hangup().hangup_cause, caller.hangup().hangup_source) == ("normal_clearing", "callee")


def test_an_application_that_hangs_up_once_its_relay_is_over_is_faster_than_the_callee(
    application: VoiceApplication,
) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_json({"type": "end"})

    application.clear()
    application.socket_handler = leave
    with SimulatedCarriers({"telnyx": [ACCOUNT]}, speed=10) as slower:
        caller = Caller(slower, application)
        call = caller.dial(conversation_relay_config={"url": application.socket_url()})
        caller.events("call.conversation.ended")
        assert caller.status(call).is_alive, "Telnyx itself ends nothing"
        caller.client.calls.actions.hangup(call.call_control_id, command_id="once")
        caller.client.calls.actions.hangup(call.call_control_id, command_id="once")
        assert (caller.hangup().hangup_cause, caller.hangup().hangup_source) == ("normal_clearing", "caller")


def test_a_relay_may_say_all_that_is_documented(caller: Caller) -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive_json()
        await socket.send_json({"type": "end"})

    caller.application.socket_handler = leave
    relay: Any = {
        "url": caller.application.socket_url(),
        "greeting": "Hello.",
        "language": "en-US",
        "voice": "ElevenLabs.eleven_flash_v2_5.UgBBYS2sOqTuMpoF3BR0",
        "voice_settings": {"type": "elevenlabs", "api_key_ref": "eleven"},
        "dtmf_detection": True,
        "interruptible": "any",
        "interruptible_greeting": "none",
        "transcription_engine": "Deepgram",
        "transcription_engine_config": {"transcription_model": "deepgram/nova-3", "keyterms": ["Okonkwo"]},
    }
    caller.dial(conversation_relay_config=relay)
    assert "call.conversation.ended" in caller.types()
    assert caller.application.at("/socket") != []


def test_a_recording_is_told_of_by_the_leg_it_was_made_of_once_the_call_is_over(caller: Caller) -> None:
    call = caller.dial(time_limit_secs=20)
    caller.answered()
    for _ in range(2):
        caller.client.calls.actions.start_recording(
            call.call_control_id, channels="dual", format="mp3", command_id="record"
        )
    events = caller.events("call.cost")
    (saved,) = [event.payload for event in events if event.event_type == "call.recording.saved"]
    assert (saved.call_leg_id, saved.call_session_id) == (call.call_leg_id, call.call_session_id)
    assert (saved.channels, saved.client_state) == ("dual", STATE)
    assert saved.recording_urls.mp3.startswith("https://")
    assert 0 < (saved.recording_ended_at - saved.recording_started_at).total_seconds() <= 20
    (sent,) = [each.json for each in caller.webhooks() if b"recording.saved" in each.body]
    assert "call_control_id" not in sent["data"]["payload"], "Telnyx documents none"


def test_only_an_answered_call_is_recorded(caller: Caller) -> None:
    call = caller.dial("+15550100103")
    path = f"/v2/calls/{call.call_control_id}/actions/record_start"
    codes = [
        caller.post(path, body).json()["errors"][0]["code"]
        for body in ({"channels": "dual", "format": "mp3"}, {"channels": "dual"}, {"channels": "both", "format": "mp3"})
    ]
    assert codes == ["90034", "10004", "10015"]


def test_a_stream_gets_the_calls_state_and_audio(caller: Caller) -> None:
    frames: list[Any] = []

    async def listen(socket: web.WebSocketResponse) -> None:
        frames.extend([await socket.receive_json() for _ in range(3)])
        await socket.send_json({"event": "mark", "mark": {"name": "played"}})
        while frames[-1]["event"] != "mark":
            frames.append(await socket.receive_json())
        await socket.close()

    caller.application.socket_handler = listen
    call = caller.dial(stream_url=caller.application.socket_url(), stream_track="inbound_track")
    types = caller.types()
    connected, start, media = frames[:3]
    assert connected == {"event": "connected", "version": "1.0.0"}
    assert (start["start"]["call_control_id"], start["start"]["client_state"]) == (call.call_control_id, STATE)
    assert start["start"]["media_format"] == {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}
    assert (media["event"], media["media"]["track"], media["stream_id"]) == ("media", "inbound", start["stream_id"])
    assert [kind for kind in types if kind.startswith("streaming")] == ["streaming.started", "streaming.stopped"]


def test_a_socket_that_cannot_be_opened_is_told(caller: Caller) -> None:
    caller.dial(stream_url="ws://127.0.0.1:9/none")
    assert "streaming.failed" in caller.types()


def test_the_record_of_events_is_filtered_and_paged(caller: Caller) -> None:
    call = caller.dial(time_limit_secs=10)
    busy = caller.dial("+15550100102")
    eventually(lambda: len(list(caller.client.call_events.list(filter={"type": "webhook"}))) == 6)
    path = f"{caller.carriers.url}/v2/call_events"
    headers = {"Authorization": f"Bearer {API_KEY}"}

    def listed(**query: str) -> dict[str, Any]:
        page: dict[str, Any] = requests.get(path, params=query, headers=headers, timeout=5).json()
        return page

    about_one = listed(**{"filter[to]": CALLEE, "filter[from]": OWNED, "filter[connection_id]": CONNECTION_ID})
    assert {item["call_leg_id"] for item in about_one["data"]} == {call.call_leg_id}
    assert about_one["data"][0]["metadata"]["payload"]["client_state"] == STATE
    assert listed(**{"filter[leg_id]": busy.call_leg_id})["meta"]["total_results"] == 2
    page = listed(**{"page[size]": "4", "page[number]": "2"})
    assert (len(page["data"]), page["meta"]["total_pages"], page["meta"]["total_results"]) == (2, 2, 6)
    stamps = [item["event_timestamp"] for item in listed()["data"]]
    assert stamps == sorted(stamps)
    later = listed(**{"filter[occurred_at][gt]": stamps[2]})
    assert [item["event_timestamp"] for item in later["data"]] == stamps[3:]
    assert listed(**{"filter[occurred_at][gt]": "yesterday"})["errors"][0]["code"] == "10015"


def test_reset_forgets_calls_and_commands(caller: Caller) -> None:
    first = caller.dial(command_id="call_01")
    requests.post(f"{caller.carriers.url}/_reset", timeout=5)
    assert caller.calls_placed() == 0
    assert caller.dial(command_id="call_01").call_control_id != first.call_control_id


def test_signatures_equal_the_known_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.9)
    body = b'{"data":{"event_type":"call.hangup","id":"e1"}}'
    assert KEYS.public_key == "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    assert Signer(KEYS.signing_key).headers(body) == {
        "telnyx-timestamp": "1700000000",
        "telnyx-signature-ed25519": (
            "tqrYVGugmx09kDQLa+OMcn0dfvjDkUzYm0Z5rjbsW5e2+tw4GFlXl7b8TeR3ykQd9k5QkGsmTPYkNugYprpXDg=="
        ),
    }


def test_new_keys_are_new_and_match() -> None:
    one, two = new_signing_keys(), new_signing_keys()
    assert one != two
    assert Signer(one.signing_key).public_key == one.public_key


@pytest.mark.parametrize(
    "change",
    [{"public_key": OTHER_KEYS.public_key}, {"signing_key": "short"}, {"connection_id": ""}, {"signing_key": None}],
)
def test_accounts_that_cannot_be_served_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AccountError):
        SimulatedCarriers({"telnyx": [{**ACCOUNT, **change}]}).start()


def test_the_secret_as_the_application_keeps_it_makes_an_account() -> None:
    # What an application's secret may hold besides is nothing to the simulator.
    secret = {**SECRET, "api_base_url": "http://127.0.0.1:1", "sip_host": "pbx.example.test"}
    with SimulatedCarriers({"telnyx": [{**secret, "signing_key": KEYS.signing_key}]}) as carriers:
        reply = sdk_client(carriers.url).calls.dial(connection_id=CONNECTION_ID, from_=OWNED, to=CALLEE)
    assert json.loads(reply.to_json())["data"]["record_type"] == "call"
