"""The simulated ElevenLabs as its customer sees it: the official SDK's requests, signed webhooks, every scenario."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import BadRequestError, UnprocessableEntityError
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sandbox.carriers import SimulatedCarriers
from sandbox.carriers.elevenlabs.secrets import make_secret
from sandbox.carriers.elevenlabs.webhooks import sign
from tests.sandbox.voice_application import Answer, Received, VoiceApplication, eventually, sdk_client

SECRET = make_secret("tests")
OTHER = make_secret("another")
TWILIO = {"twilio_account_sid": "AC" + "1" * 32, "twilio_auth_token": "auth-token"}
AGENT_NUMBER = "+15551230001"
CALLEE = "+15559876543"
KNOWN = {"agent_ids": "agent_1,agent_2", "phone_numbers": f"phnum_1={AGENT_NUMBER}"}


@pytest.fixture(scope="module")
def application() -> Iterator[VoiceApplication]:
    with VoiceApplication() as running:
        yield running


@pytest.fixture(scope="module")
def carriers(application: VoiceApplication) -> Iterator[SimulatedCarriers]:
    account = {**SECRET, **TWILIO, **KNOWN, "webhook_url": application.url("/after")}
    with SimulatedCarriers({"elevenlabs": [account, OTHER]}, speed=400, calls_per_second=1000) as running:
        yield running


class Customer:
    """Calls through the SDK and tells what became of it."""

    def __init__(self, carriers: SimulatedCarriers, application: VoiceApplication) -> None:
        self.carriers = carriers
        self.application = application
        self.client = sdk(carriers.url)
        self.twilio: Client = sdk_client(carriers.url, TWILIO["twilio_account_sid"], TWILIO["twilio_auth_token"])

    def call(self, to: str = CALLEE, **parameters: Any) -> Any:
        return self.client.conversational_ai.twilio.outbound_call(
            **{"agent_id": "agent_1", "agent_phone_number_id": "phnum_1", "to_number": to, **parameters}
        )

    def conversation(self, conversation_id: str) -> Any:
        return self.client.conversational_ai.conversations.get(conversation_id)

    def ended(self, conversation_id: str) -> Any:
        def conversation() -> Any:
            found = self.conversation(conversation_id)
            return found if found.status in ("done", "failed") else None

        return eventually(conversation)

    def until(self, conversation_id: str, status: str) -> None:
        eventually(lambda: self.conversation(conversation_id).status == status)

    def webhooks(self) -> list[Received]:
        """What arrived, once nothing more does."""

        def sent() -> list[Any]:
            entries = requests.get(f"{self.carriers.url}/_requests", timeout=5).json()
            return [entry["status"] for entry in entries if entry["direction"] == "out"]

        def quiet() -> bool:
            before = sent()
            time.sleep(0.05)
            return before == sent() and None not in before

        eventually(quiet)
        return self.application.at("/after")

    def report(self, conversation_id: str) -> tuple[str, dict[str, Any]]:
        """The one webhook of a conversation: its type and data."""
        self.ended(conversation_id)
        (received,) = self.webhooks()
        assert received.json["data"]["conversation_id"] == conversation_id
        return received.json["type"], received.json["data"]


def sdk(url: str, secret: dict[str, str] = SECRET, timeout: float = 10) -> ElevenLabs:
    return ElevenLabs(api_key=secret["api_key"], base_url=url, timeout=timeout)


@pytest.fixture
def customer(carriers: SimulatedCarriers, application: VoiceApplication) -> Customer:
    requests.post(f"{carriers.url}/_reset", timeout=5)
    application.clear()
    return Customer(carriers, application)


def test_a_call_becomes_a_conversation_whose_report_echoes_what_it_was_initiated_with(customer: Customer) -> None:
    reply = customer.call(
        conversation_initiation_client_data={
            "user_id": "call_1",
            "conversation_config_override": {
                "agent": {"first_message": "Hello {{name}}!", "prompt": {"prompt": "Be kind to {{name}}."}}
            },
            "dynamic_variables": {"call_id": "call_1", "name": "Ada", "count": 3, "is_new": True},
        }
    )
    assert (reply.success, reply.message) == (True, "Success")
    kind, data = customer.report(reply.conversation_id)
    assert kind == "post_call_transcription"
    assert (data["agent_id"], data["status"], data["user_id"]) == ("agent_1", "done", "call_1")
    assert data["transcript"][0] == {
        "role": "agent",
        "message": "Hello Ada!",
        "time_in_call_secs": 0,
        "interrupted": False,
    }
    assert {turn["role"] for turn in data["transcript"]} == {"agent", "user"}
    variables = data["conversation_initiation_client_data"]["dynamic_variables"]
    assert {"call_id": "call_1", "name": "Ada", "count": 3, "is_new": True}.items() <= variables.items()
    assert variables["system__call_sid"] == reply.call_sid
    assert data["conversation_initiation_client_data"]["user_id"] == "call_1"
    metadata = data["metadata"]
    assert (metadata["call_duration_secs"], metadata["cost"], metadata["cost_fiat"]) == (12, 133, 0.02)
    assert abs(metadata["start_time_unix_secs"] - time.time()) < 60
    phone_call = metadata["phone_call"]
    assert (phone_call["type"], phone_call["direction"], phone_call["call_sid"]) == (
        "twilio",
        "outbound",
        reply.call_sid,
    )
    assert (phone_call["agent_number"], phone_call["external_number"]) == (AGENT_NUMBER, CALLEE)


def test_every_webhook_is_signed_as_the_sdk_verifies_it(customer: Customer) -> None:
    customer.ended(customer.call().conversation_id)
    (received,) = customer.webhooks()
    header, body = received.headers["ElevenLabs-Signature"], received.body.decode()
    event = customer.client.webhooks.construct_event(body, header, SECRET["webhook_secret"])
    assert event["type"] == "post_call_transcription"
    assert abs(event["event_timestamp"] - time.time()) < 60
    for forged, secret in [(body + " ", SECRET["webhook_secret"]), (body, OTHER["webhook_secret"])]:
        with pytest.raises(BadRequestError):
            customer.client.webhooks.construct_event(forged, header, secret)


def test_the_signature_is_that_of_the_known_vector() -> None:
    body = b'{"type":"post_call_transcription","event_timestamp":1700000000,"data":{"conversation_id":"conv_1"}}'
    expected = "t=1700000000,v0=443aa6aad184163cc7842a5ae1b6a437addc1cba93c870d2a900ca86c60ef3c3"
    assert sign("wsec_test", body, 1_700_000_000) == expected


ENDS = [
    ("+15550100101", 12, "answered"),
    ("+15550100106", 12, "voicemail"),
    ("+15550100121", 600, "answered"),
    ("+15550100122", 2, "answered"),
    ("+15550100123", 12, "answered"),
    ("+15550100118", 12, "answered"),
    ("+15550100116", 12, "answered"),
    ("+15550100120", 12, "answered"),
]


@pytest.mark.parametrize(("number", "seconds", "result"), ENDS)
def test_an_answered_call_ends_with_one_transcription(
    customer: Customer, number: str, seconds: int, result: str
) -> None:
    conversation_id = customer.call(number).conversation_id
    reported, data = customer.report(conversation_id)
    assert (reported, data["status"]) == ("post_call_transcription", "done")
    assert data["metadata"]["call_duration_secs"] == seconds
    assert data["metadata"]["phone_call"]["call_result"] == result
    assert customer.conversation(conversation_id).metadata.call_duration_secs == seconds


FAILURES = [
    # the number, ElevenLabs' reason, Twilio's status and SIP code, the conversation's call_result
    ("+15550100102", "busy", ("busy", "486"), "busy"),
    ("+15550100103", "no-answer", ("no-answer", "487"), "no_answer"),
    ("+15550100104", "busy", ("busy", "603"), "busy"),
    ("+15550100105", "unknown", ("failed", "404"), "failed"),
]


@pytest.mark.parametrize(("number", "reason", "at_twilio", "result"), FAILURES)
def test_a_call_that_nobody_answers_is_reported_as_a_failure_that_names_neither_user_nor_variables(
    customer: Customer, number: str, reason: str, at_twilio: tuple[str, str], result: str
) -> None:
    reply = customer.call(
        number,
        conversation_initiation_client_data={"user_id": "call_1", "dynamic_variables": {"call_id": "call_1"}},
        telephony_call_config={"ringing_timeout_secs": 20},
    )
    kind, data = customer.report(reply.conversation_id)
    assert kind == "call_initiation_failure"
    assert data.keys() == {"agent_id", "conversation_id", "failure_reason", "metadata"}
    assert data["failure_reason"] == reason
    assert data["metadata"]["type"] == "twilio"
    body = data["metadata"]["body"]
    assert (body["CallSid"], body["To"]) == (reply.call_sid, number)
    assert (body["CallStatus"], body["SipResponseCode"]) == at_twilio
    conversation = customer.conversation(reply.conversation_id)
    assert (conversation.status, conversation.user_id) == ("failed", "call_1")
    assert (conversation.metadata.phone_call.call_result, conversation.metadata.call_duration_secs) == (result, 0)


def test_a_callee_rings_as_long_as_asked(customer: Customer) -> None:
    call_sid = customer.call("+15550100103", telephony_call_config={"ringing_timeout_secs": 30}).call_sid
    leg = eventually(lambda: next((c for c in customer.twilio.calls.list() if c.status == "no-answer"), None))
    assert leg.sid == call_sid
    assert 35 <= (leg.end_time - leg.date_created).total_seconds() <= 38


def test_a_report_may_come_twice_and_is_the_same_twice(customer: Customer) -> None:
    customer.ended(customer.call("+15550100115").conversation_id)
    first, second = customer.webhooks()
    assert first.body == second.body


@pytest.mark.parametrize("number", ["+15550100117", "+15550100119"])
def test_a_lost_report_leaves_the_conversation_to_be_asked_for(customer: Customer, number: str) -> None:
    conversation = customer.ended(customer.call(number).conversation_id)
    assert conversation.metadata.call_duration_secs == 12
    assert customer.webhooks() == []


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (503, 3), (429, 3), (403, 1), (404, 1)])
def test_a_report_is_sent_again_when_the_application_may_recover(
    customer: Customer, status: int, attempts: int
) -> None:
    customer.application.answers["/after"] = [Answer(status=status)]
    customer.ended(customer.call("+15550100102").conversation_id)
    eventually(lambda: len(customer.webhooks()) == attempts)
    assert len({received.body for received in customer.webhooks()}) == 1


def test_a_variable_that_nobody_gave_aborts_the_conversation(customer: Customer) -> None:
    override = {"agent": {"first_message": "Hello {{name}}!"}}
    reply = customer.call(conversation_initiation_client_data={"conversation_config_override": override})
    kind, data = customer.report(reply.conversation_id)
    assert (kind, data["status"], data["transcript"]) == ("post_call_transcription", "failed", [])
    assert "name" in data["metadata"]["error"]["reason"]


def test_the_leg_is_a_call_of_the_twilio_account_and_ending_it_there_ends_the_conversation(customer: Customer) -> None:
    reply = customer.call("+15550100121")
    customer.until(reply.conversation_id, "in-progress")
    leg = customer.twilio.calls(reply.call_sid).fetch()
    assert (leg.status, leg.to, leg._from) == ("in-progress", "+15550100121", AGENT_NUMBER)
    customer.twilio.calls(reply.call_sid).update(status="completed")
    conversation = customer.ended(reply.conversation_id)
    assert 0 < conversation.metadata.call_duration_secs < 600
    with pytest.raises(TwilioRestException):
        customer.twilio.calls(reply.call_sid).update(status="completed")


def test_ending_a_ringing_leg_is_a_failure_without_a_known_reason(customer: Customer) -> None:
    reply = customer.call("+15550100103", telephony_call_config={"ringing_timeout_secs": 300})
    eventually(lambda: customer.twilio.calls(reply.call_sid).fetch().status == "ringing")
    customer.twilio.calls(reply.call_sid).update(status="completed")
    kind, data = customer.report(reply.conversation_id)
    assert (kind, data["failure_reason"]) == ("call_initiation_failure", "unknown")
    assert data["metadata"]["body"]["CallStatus"] == "canceled"


def test_a_workspace_without_a_twilio_account_calls_over_one_that_nobody_can_reach(carriers: SimulatedCarriers) -> None:
    client = sdk(carriers.url, OTHER)
    reply = client.conversational_ai.twilio.outbound_call(agent_id="any", agent_phone_number_id="any", to_number=CALLEE)
    get = client.conversational_ai.conversations.get
    eventually(lambda: get(reply.conversation_id).status == "done")
    stranger = sdk_client(carriers.url, TWILIO["twilio_account_sid"], TWILIO["twilio_auth_token"])
    with pytest.raises(TwilioRestException):
        stranger.calls(reply.call_sid).fetch()


def test_the_webhook_address_is_the_workspaces_and_may_be_set(
    carriers: SimulatedCarriers, application: VoiceApplication, customer: Customer
) -> None:
    headers = {"xi-api-key": OTHER["api_key"]}
    url = f"{carriers.url}/_elevenlabs/webhook"
    assert requests.put(url, json={"url": application.url("/other")}, timeout=5).status_code == 401
    assert requests.put(url, json={"url": "nonsense"}, headers=headers, timeout=5).status_code == 422
    assert requests.put(url, json={"url": application.url("/other")}, headers=headers, timeout=5).status_code == 200
    requests.post(f"{carriers.url}/_reset", timeout=5)
    sdk(carriers.url, OTHER).conversational_ai.twilio.outbound_call(
        agent_id="any", agent_phone_number_id="any", to_number=CALLEE
    )
    (received,) = eventually(lambda: application.at("/other"))
    assert customer.application.at("/after") == []
    event = customer.client.webhooks.construct_event(
        received.body.decode(), received.headers["ElevenLabs-Signature"], OTHER["webhook_secret"]
    )
    assert event["data"]["status"] == "done"


def test_conversations_are_listed_newest_first_filtered_and_paged(customer: Customer) -> None:
    now = int(time.time())
    ids = [
        customer.call("+15550100102", conversation_initiation_client_data={"user_id": f"call_{n}"}).conversation_id
        for n in range(5)
    ]
    sid = customer.conversation(ids[1]).metadata.phone_call.call_sid
    conversations = customer.client.conversational_ai.conversations

    def listed(**filters: Any) -> list[str]:
        return [each.conversation_id for each in conversations.list(**filters).conversations]

    assert listed() == ids[::-1]
    assert listed(sort_direction="asc") == ids
    assert listed(user_id="call_3") == [ids[3]]
    assert listed(agent_id="agent_2") == []
    assert listed(dynamic_variable_params=[f"system__call_sid:eq:{sid}"]) == [ids[1]]
    assert listed(call_start_after_unix=now - 5, call_start_before_unix=now + 60) == ids[::-1]
    assert listed(call_start_after_unix=now + 60) == []
    seen, cursor = [], None
    while True:
        page = conversations.list(page_size=2, cursor=cursor)
        seen += [each.conversation_id for each in page.conversations]
        cursor = page.next_cursor
        if not page.has_more:
            break
    assert seen == ids[::-1]
    stranger = sdk(customer.carriers.url, OTHER).conversational_ai.conversations
    assert stranger.list().conversations == []
    with pytest.raises(ApiError) as refusal:
        stranger.get(ids[0])
    assert refusal.value.status_code == 404


@pytest.mark.parametrize("query", ["page_size=0", "page_size=101", "call_start_after_unix=today", "cursor=nobody"])
def test_a_bad_list_parameter_is_refused(customer: Customer, query: str) -> None:
    url = f"{customer.carriers.url}/v1/convai/conversations?{query}"
    reply = requests.get(url, headers={"xi-api-key": SECRET["api_key"]}, timeout=5)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"][0] == "query"


BAD_REQUESTS = [
    ({"to_number": "15559876543"}, "to_number"),
    ({"to_number": "+123"}, "to_number"),
    ({"to_number": "sip:someone@example.test"}, "to_number"),
    ({"agent_id": ""}, "agent_id"),
    ({"agent_phone_number_id": None}, "agent_phone_number_id"),
    ({"telephony_call_config": {"ringing_timeout_secs": "long"}}, "ringing_timeout_secs"),
    ({"conversation_initiation_client_data": []}, "conversation_initiation_client_data"),
    ({"conversation_initiation_client_data": {"user_id": 1}}, "user_id"),
    ({"conversation_initiation_client_data": {"dynamic_variables": {"a": {}}}}, "a"),
    ({"conversation_initiation_client_data": {"dynamic_variables": {"system__x": "1"}}}, "system__x"),
]


@pytest.mark.parametrize(("changes", "name"), BAD_REQUESTS)
def test_a_bad_parameter_is_named_as_fastapi_names_it(customer: Customer, changes: dict[str, Any], name: str) -> None:
    body = {"agent_id": "agent_1", "agent_phone_number_id": "phnum_1", "to_number": CALLEE, **changes}
    url = f"{customer.carriers.url}/v1/convai/twilio/outbound-call"
    reply = requests.post(url, json=body, headers={"xi-api-key": SECRET["api_key"]}, timeout=5)
    assert reply.status_code == 422
    assert reply.json()["detail"][0]["loc"][-1] == name
    assert customer.client.conversational_ai.conversations.list().conversations == []


def test_a_missing_field_is_what_the_sdk_knows_as_unprocessable(customer: Customer) -> None:
    with pytest.raises(UnprocessableEntityError) as refusal:
        customer.call("nobody")
    assert refusal.value.body["detail"][0]["loc"] == ["body", "to_number"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"agent_id": "agent_9"}, "agent_not_found"), ({"agent_phone_number_id": "phnum_9"}, "phone_number_not_found")],
)
def test_an_agent_or_number_that_is_not_there_is_not_found(
    customer: Customer, changes: dict[str, str], status: str
) -> None:
    with pytest.raises(ApiError) as refusal:
        customer.call(**changes)
    assert (refusal.value.status_code, refusal.value.body["detail"]["status"]) == (404, status)


def test_a_number_that_twilio_refuses_is_http_200_without_success(customer: Customer) -> None:
    reply = customer.call("+15550100107")
    assert (reply.success, reply.conversation_id, reply.call_sid) == (False, None, None)
    assert "21211" in reply.message


PLACINGS = [
    ("+15550100108", (ApiError, 429), 0),
    ("+15550100110", (ApiError, 500), 1),
    ("+15550100111", (ApiError, 500), 0),
    ("+15550100112", (httpx.TimeoutException, None), 1),
    ("+15550100113", (httpx.NetworkError, None), 0),
    ("+15550100114", (httpx.NetworkError, None), 1),
]


@pytest.mark.parametrize(("number", "failure", "placed"), PLACINGS)
def test_a_request_for_a_call_may_be_spoiled(
    customer: Customer, number: str, failure: tuple[type[Exception], int | None], placed: int
) -> None:
    impatient = sdk(customer.carriers.url, timeout=0.5)
    with pytest.raises(failure[0]) as refusal:
        impatient.conversational_ai.twilio.outbound_call(
            agent_id="agent_1", agent_phone_number_id="phnum_1", to_number=number, request_options={"max_retries": 0}
        )
    assert getattr(refusal.value, "status_code", None) == failure[1]
    assert len(customer.client.conversational_ai.conversations.list().conversations) == placed


def test_two_refusals_for_rate_then_the_call_is_placed(customer: Customer) -> None:
    for _ in range(2):
        with pytest.raises(ApiError):
            customer.call("+15550100109", request_options={"max_retries": 0})
    assert customer.ended(customer.call("+15550100109").conversation_id).status == "done"


@pytest.mark.parametrize("key", ["", "sk_wrong"])
def test_a_wrong_key_is_refused(customer: Customer, key: str) -> None:
    with pytest.raises(ApiError) as refusal:
        sdk(customer.carriers.url, {"api_key": key}).conversational_ai.conversations.list()
    assert (refusal.value.status_code, refusal.value.body["detail"]["status"]) == (401, "invalid_api_key")


def test_wrong_methods_and_paths_are_answered_in_elevenlabs_words(customer: Customer) -> None:
    for method, path, status in [("GET", "twilio/outbound-call", 405), ("GET", "nowhere", 404)]:
        url = f"{customer.carriers.url}/v1/convai/{path}"
        reply = requests.request(method, url, headers={"xi-api-key": SECRET["api_key"]}, timeout=5)
        assert (reply.status_code, "detail" in reply.json()) == (status, True)
