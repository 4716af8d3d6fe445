"""ElevenLabs' REST client: exactly one POST per dial, three conclusions, and calls that only Twilio can end."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.types import (
    AgentConfigOverrideInput,
    ConversationConfigClientOverrideInput,
    ConversationInitiationClientDataRequestInput,
    PromptAgentApiModelOverrideInput,
    TelephonyCallConfigInput,
)

from dialplane.carriers.contract import CarrierCredentials
from dialplane.carriers.elevenlabs.api import ElevenLabsApi, open_api
from dialplane.carriers.elevenlabs.events import to_call_event
from dialplane.domain.carrier import DialRequest, Placed, Rejected, RejectionCause, Unknown
from dialplane.domain.errors import CarrierUnavailable, ControlUnsupported
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus
from tests.fakes.elevenlabs import (
    CALL_ID,
    CALL_SID,
    CONVERSATION_ID,
    ENDED,
    RECEIVED,
    STARTED,
    a_conversation,
)
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

STATUS_URL = "https://dialplane.test/status/carrier/org_1/acc_1/call_1"
ACCOUNT_SID = "AC" + "a" * 32
CONVERSATIONS = "/v1/convai/conversations"
INSTRUCTIONS = Instructions(
    engine="agent",
    welcome_message="Hi, I'm calling because I'd like to book a table.",
    prompt="You simulate a customer. Büro geschlossen?",
    agent_id="agent_1",
    parameters={"call_id": CALL_ID, "flow_id": "7"},
)
DIAL = DialRequest(
    call_id=CALL_ID,
    destination="+15559876543",
    caller_number="+15551234567",
    instructions_url="https://dialplane.test/twiml/elevenlabs/org_1/acct_1/call_1",
    status_url="https://dialplane.test/status/elevenlabs/org_1/acct_1",
    ring_timeout_seconds=30,
    time_limit_seconds=600,
    instructions=INSTRUCTIONS,
    carrier_number_id="phnum_1",
)
ANSWER = {"success": True, "message": "Success", "conversation_id": CONVERSATION_ID, "callSid": CALL_SID}
CREATED = Reply(200, ANSWER)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def api(server: ScriptedServer) -> ElevenLabsApi:
    return open_api(CarrierCredentials({"api_key": "xi_test", "api_base_url": server.url}), timeout_seconds=5.0)


@pytest.fixture
def api_with_twilio(server: ScriptedServer) -> ElevenLabsApi:
    secret = {
        "api_key": "xi_test",
        "api_base_url": server.url,
        "twilio_account_sid": ACCOUNT_SID,
        "twilio_auth_token": "token",
        "twilio_api_base_url": server.url,
    }
    return open_api(CarrierCredentials(secret), timeout_seconds=5.0)


def a_summary(conversation_id: str = CONVERSATION_ID, **changes: Any) -> dict[str, Any]:
    """An item of the list: it has no numbers, no call at Twilio, and not why a call failed."""
    return {
        "agent_id": "agent_1",
        "conversation_id": conversation_id,
        "start_time_unix_secs": int(STARTED.timestamp()),
        "call_duration_secs": 22,
        "message_count": 4,
        "status": "done",
        "call_successful": "success",
        "direction": "outbound",
        **changes,
    }


# ---- dialling -------------------------------------------------------------------------------------------------------


def sent_by_the_sdk(server: ScriptedServer, instructions: Instructions) -> Any:
    overrides: dict[str, Any] = {}
    if instructions.prompt:
        overrides["prompt"] = PromptAgentApiModelOverrideInput(prompt=instructions.prompt)
    if instructions.welcome_message:
        overrides["first_message"] = instructions.welcome_message
    if instructions.language:
        overrides["language"] = instructions.language
    config = ConversationConfigClientOverrideInput(agent=AgentConfigOverrideInput(**overrides)) if overrides else None
    server.script = [CREATED]
    ElevenLabs(api_key="xi_test", base_url=server.url).conversational_ai.twilio.outbound_call(
        agent_id="agent_1",
        agent_phone_number_id="phnum_1",
        to_number=DIAL.destination,
        conversation_initiation_client_data=ConversationInitiationClientDataRequestInput(
            **({"conversation_config_override": config} if config else {}),
            user_id=CALL_ID,
            dynamic_variables=dict(instructions.parameters),
        ),
        telephony_call_config=TelephonyCallConfigInput(ringing_timeout_secs=30),
    )
    return server.received.pop()


@pytest.mark.parametrize(
    "instructions",
    [
        INSTRUCTIONS,
        replace(INSTRUCTIONS, language="de"),
        replace(INSTRUCTIONS, prompt=None),
        replace(INSTRUCTIONS, welcome_message="", prompt=None),
    ],
)
def test_s4_11_a_dial_is_what_elevenlabs_sdk_would_send(
    api: ElevenLabsApi, server: ScriptedServer, instructions: Instructions
) -> None:
    theirs = sent_by_the_sdk(server, instructions)
    server.script = [CREATED]
    assert isinstance(api.create_call(replace(DIAL, instructions=instructions)), Placed)
    ours = server.received[0]
    assert ours.json == theirs.json
    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("POST", "/v1/convai/twilio/outbound-call")
    for name in ("xi-api-key", "Content-Type"):
        assert ours.headers[name] == theirs.headers[name]


def test_s4_11_prompt_and_first_message_ride_in_the_dial(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [CREATED]
    api.create_call(DIAL)
    client_data = server.received[0].json["conversation_initiation_client_data"]
    assert client_data["conversation_config_override"] == {
        "agent": {"prompt": {"prompt": INSTRUCTIONS.prompt}, "first_message": INSTRUCTIONS.welcome_message}
    }
    assert (client_data["user_id"], client_data["dynamic_variables"]["call_id"]) == (CALL_ID, CALL_ID)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (ANSWER, CONVERSATION_ID),
        ({**ANSWER, "conversation_id": None}, CALL_SID),
        ({"success": True, "conversationId": CONVERSATION_ID, "call_sid": CALL_SID}, CONVERSATION_ID),
        ({"success": True, "call_sid": CALL_SID, "cost": 0.1}, CALL_SID),
    ],
)
def test_s4_14_the_answer_is_kept_as_it_is(
    api: ElevenLabsApi, server: ScriptedServer, answer: dict[str, Any], name: str
) -> None:
    server.script = [Reply(200, answer)]
    assert api.create_call(DIAL) == Placed(name, reply=answer)


def test_s4_17_success_false_without_an_id_is_a_refusal(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [
        Reply(200, {"success": False, "message": "No such number", "conversation_id": None, "callSid": None})
    ]
    assert api.create_call(DIAL) == Rejected("other", "200", "No such number")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {**ANSWER, "success": False}),
        Reply(200, {**ANSWER, "success": False, "conversation_id": None}),
        Reply(200, {"success": True, "message": "Success"}),
        Reply(200, {**ANSWER, "success": "true"}),
        Reply(200, {"conversation_id": CONVERSATION_ID}),
        Reply(200, {}),
        Reply(200, [1]),
        Reply(200, raw=b"{"),
        Reply(201, ANSWER),
        Reply(302, headers={"Location": "/elsewhere"}),
        Reply(408),
        Reply(500, {"detail": "oops"}),
        Reply(503, raw=b"<html>"),
        Reply(status=0),
        Reply(200, ANSWER, {"Content-Length": "9999"}, then_close=True),
    ],
)
def test_an_answer_that_proves_nothing_is_unknown_and_never_asked_again(
    api: ElevenLabsApi, server: ScriptedServer, reply: Reply
) -> None:
    server.script = [reply, CREATED]
    assert isinstance(api.create_call(DIAL), Unknown)
    assert len(server.received) == 1


def test_a_timeout_after_the_request_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = ElevenLabsApi("xi", f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2)
        assert isinstance(api.create_call(DIAL), Unknown)


def test_s4_10_a_refused_connection_proves_that_nothing_was_placed_and_says_why() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = ElevenLabsApi("xi", f"http://127.0.0.1:{port}").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert re.fullmatch(r"\[Errno \d+\] Connection refused", outcome.message)


def test_s4_10_an_unknown_host_proves_that_nothing_was_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = ElevenLabsApi("xi", "https://host.invalid").create_call(DIAL)
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert "Name or service not known" in outcome.message


TO_NUMBER = [{"loc": ["body", "to_number"], "msg": "not a phone number", "type": "value_error"}]
NUMBER_ID = [{"loc": ["body", "agent_phone_number_id"], "msg": "unknown", "type": "value_error"}, "and more"]


@pytest.mark.parametrize(
    ("reply", "cause", "message"),
    [
        (Reply(400, {"detail": "Agent is disabled"}), "other", "Agent is disabled"),
        (Reply(400, {"detail": {"status": "invalid", "message": "Bad agent"}}), "other", "Bad agent"),
        (Reply(400, {"detail": {"status": "invalid"}}), "other", "invalid"),
        (Reply(400, {"detail": {"why": 1}}), "other", '{"why": 1}'),
        (Reply(400, {"error": "no detail"}), "other", "no detail"),
        (Reply(400, {"detail": None, "error": "no detail"}), "other", "no detail"),
        (Reply(400, {}), "other", "Bad Request"),
        (Reply(404, raw=b"<html>"), "other", "Not Found"),
        (
            Reply(401, {"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}),
            "credentials",
            "Invalid API key",
        ),
        (Reply(403, {"detail": "Missing permission"}), "credentials", "Missing permission"),
        (Reply(422, {"detail": TO_NUMBER}), "invalid_destination", "to_number: not a phone number"),
        (Reply(422, {"detail": NUMBER_ID}), "other", "agent_phone_number_id: unknown; and more"),
        (Reply(429, {"detail": "Slow down"}), "rate_limited", "Slow down"),
    ],
)
def test_s4_09_a_refusal_has_elevenlabs_own_status_and_detail(
    api: ElevenLabsApi, server: ScriptedServer, reply: Reply, cause: RejectionCause, message: str
) -> None:
    server.script = [reply, CREATED]
    assert api.create_call(DIAL) == Rejected(cause, str(reply.status), message)
    assert len(server.received) == 1


def test_a_refusal_that_says_when_to_come_back_is_heard(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [Reply(429, {"detail": "Slow down"}, {"Retry-After": "3"})]
    assert api.create_call(DIAL) == Rejected("rate_limited", "429", "Slow down", retry_after_seconds=3.0)


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        (replace(DIAL, instructions=replace(INSTRUCTIONS, agent_id=None)), "agent_id"),
        (replace(DIAL, carrier_number_id=None), "carrier_number_id"),
    ],
)
def test_without_an_agent_or_a_number_nothing_is_sent(
    api: ElevenLabsApi, server: ScriptedServer, request_: DialRequest, missing: str
) -> None:
    outcome = api.create_call(request_)
    assert isinstance(outcome, Rejected)
    assert missing in outcome.message
    assert server.received == []


# ---- reading --------------------------------------------------------------------------------------------------------


def test_a_fetched_conversation_is_in_the_words_of_a_webhook(api: ElevenLabsApi, server: ScriptedServer) -> None:
    body = json.dumps(a_conversation(cost_fiat=0.1)).replace("0.1,", "0.10000000000000001,")
    server.script = [Reply(raw=body.encode())]
    call = api.fetch_call(CONVERSATION_ID)
    assert call is not None
    assert (call.carrier_call_id, call.ended_at) == (CONVERSATION_ID, ENDED)
    assert call.created_at == STARTED - timedelta(minutes=10), "it may have started with the answer"
    event = to_call_event(call.fields, RECEIVED)
    assert (event.status, event.duration_seconds, event.is_final_record) == (CallStatus.COMPLETED, 22, True)
    assert (event.other_carrier_call_id, event.carrier_cost) == (CALL_SID, "0.10000000000000001")
    assert server.received[0].path == f"{CONVERSATIONS}/{CONVERSATION_ID}"
    assert server.received[0].headers["xi-api-key"] == "xi_test"


def test_a_conversation_that_lasts_has_no_end(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [Reply(fields=a_conversation("in-progress"))]
    call = api.fetch_call(CONVERSATION_ID)
    assert call is not None
    assert call.ended_at is None
    assert to_call_event(call.fields, RECEIVED).occurred_at == STARTED


def test_an_absent_conversation_is_none(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [Reply(404, {"detail": {"status": "not_found"}})]
    assert api.fetch_call("conv_a/b") is None
    assert server.received[0].path == f"{CONVERSATIONS}/conv_a%2Fb"


def test_a_call_known_by_its_name_at_twilio_is_found_by_it(api: ElevenLabsApi, server: ScriptedServer) -> None:
    other = {**a_conversation(phone_call={"call_sid": "CA" + "9" * 32}), "conversation_id": "conv_other"}
    server.script = [
        Reply(fields={"conversations": [a_summary("conv_other"), a_summary()], "has_more": False}),
        Reply(fields=other),
        Reply(fields=a_conversation()),
    ]
    call = api.fetch_call(CALL_SID)
    assert call is not None
    assert call.carrier_call_id == CONVERSATION_ID
    asked = parse_qs(urlsplit(server.received[0].path).query)
    assert asked["dynamic_variable_params"] == [f"system__call_sid:eq:{CALL_SID}"]


def test_a_call_unknown_by_its_name_at_twilio_is_none(api: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [Reply(fields={"conversations": [], "has_more": False})]
    assert api.fetch_call(CALL_SID) is None


def listed(api: ElevenLabsApi) -> list[str]:
    calls = api.list_calls(
        destination="+15559876543", caller_number="+15551234567", created_after=STARTED + timedelta(milliseconds=900)
    )
    return [call.carrier_call_id for call in calls]


def test_the_list_follows_every_page_and_keeps_outbound_and_recent_calls(
    api: ElevenLabsApi, server: ScriptedServer
) -> None:
    early = int(STARTED.timestamp()) - 1
    first = [a_summary("conv_1"), a_summary("conv_2", direction="inbound"), a_summary("conv_3", direction=None)]
    second = [a_summary("conv_4", start_time_unix_secs=early), a_summary("conv_5", start_time_unix_secs=0)]
    server.script = [
        Reply(fields={"conversations": first, "has_more": True, "next_cursor": "c+1"}),
        Reply(fields={"conversations": second, "has_more": False, "next_cursor": None}),
    ]
    assert listed(api) == ["conv_1", "conv_3", "conv_5"]
    asked = [parse_qs(urlsplit(request.path).query) for request in server.received]
    assert asked[0] == {"call_start_after_unix": [str(early)], "page_size": ["100"]}
    assert asked[1] == {**asked[0], "cursor": ["c+1"]}


def test_the_list_asks_what_elevenlabs_sdk_would_ask(api: ElevenLabsApi, server: ScriptedServer) -> None:
    page = Reply(fields={"conversations": [], "has_more": False, "next_cursor": None})
    server.script = [page, page]
    listed(api)
    ElevenLabs(api_key="xi_test", base_url=server.url).conversational_ai.conversations.list(
        call_start_after_unix=int(STARTED.timestamp()) - 1, page_size=100
    )
    ours, theirs = (urlsplit(request.path) for request in server.received)
    assert (ours.path, parse_qs(ours.query)) == (theirs.path, parse_qs(theirs.query))


def test_a_call_that_failed_is_bound_by_the_list_and_judged_by_its_whole_record(
    api: ElevenLabsApi, server: ScriptedServer
) -> None:
    failed = a_summary(status="failed", call_duration_secs=0)
    server.script = [Reply(fields={"conversations": [failed], "has_more": False})]
    call = api.list_calls(destination="+1", caller_number="+2", created_after=STARTED)[0]
    assert to_call_event(call.fields, RECEIVED).status is CallStatus.INITIATED


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(500)],
        [Reply(401, {"detail": "no"})],
        [Reply(404)],
        [Reply(raw=b"{")],
        [Reply(fields={"conversations": None})],
        [Reply(fields={"conversations": [{"agent_id": "a"}]})],
        [Reply(fields={"conversations": [], "has_more": True})],
        [Reply(status=0)],
        [Reply(fields={"conversations": [], "has_more": True, "next_cursor": "again"})] * 25,
    ],
)
def test_an_incomplete_list_is_an_error_because_absence_is_taken_for_proof(
    api: ElevenLabsApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    with pytest.raises(CarrierUnavailable) as raised:
        listed(api)
    assert server.script == []
    assert "5559876543" not in str(raised.value)


def not_ours(status: str) -> dict[str, Any]:
    given = {"dynamic_variables": {"system__call_sid": CALL_SID}}
    return {**a_conversation(status), "user_id": None, "conversation_initiation_client_data": given}


@pytest.mark.parametrize(
    ("reply", "texts"),
    [
        (Reply(fields=a_conversation("initiated")), [f"user_id/{CALL_ID}"]),
        (Reply(fields={**a_conversation(), "user_id": None}), [f"user_id/{CALL_ID}"]),
        (Reply(fields=not_ours("done")), [f"conversation/{CONVERSATION_ID}"]),
        (Reply(fields=not_ours("initiated")), []),
        (Reply(404), []),
    ],
)
def test_a_conversation_is_recognized_by_our_id_and_certainly_foreign_only_when_it_has_ended_without(
    api: ElevenLabsApi, server: ScriptedServer, reply: Reply, texts: list[str]
) -> None:
    server.script = [reply]
    assert api.requested_urls(CONVERSATION_ID) == texts
    assert all(text.endswith(f"/{CALL_ID}") for text in texts if CALL_ID in text)


@pytest.mark.parametrize("given", [None, {}, {"dynamic_variables": None}, {"dynamic_variables": {}}])
def test_a_conversation_that_kept_nothing_of_what_was_given_along_is_nobodys_and_therefore_no_proof(
    api: ElevenLabsApi, server: ScriptedServer, given: object
) -> None:
    """An agent with zero retention keeps no personal data: its conversation with us looks like anybody's."""
    redacted = {**a_conversation(), "user_id": None, "conversation_initiation_client_data": given}
    server.script = [Reply(fields=redacted), Reply(fields={**redacted, "status": "in-progress"})]
    with pytest.raises(CarrierUnavailable):
        api.requested_urls(CONVERSATION_ID)
    assert api.requested_urls(CONVERSATION_ID) == []


# ---- ending ---------------------------------------------------------------------------------------------------------


def test_s4_18_elevenlabs_itself_ends_no_call(api: ElevenLabsApi, server: ScriptedServer) -> None:
    with pytest.raises(ControlUnsupported, match="twilio_account_sid"):
        api.end_call(CONVERSATION_ID)
    assert server.received == []


def test_s4_18_a_call_is_ended_at_twilio(api_with_twilio: ElevenLabsApi, server: ScriptedServer) -> None:
    server.script = [Reply(fields=a_conversation("in-progress")), Reply(200, {"sid": CALL_SID})]
    api_with_twilio.end_call(CONVERSATION_ID)
    assert server.received[1].path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{CALL_SID}.json"
    assert server.received[1].body == b"Status=completed"


def test_a_call_known_by_its_name_at_twilio_is_ended_by_it(
    api_with_twilio: ElevenLabsApi, server: ScriptedServer
) -> None:
    server.script = [Reply(200, {"sid": CALL_SID})]
    api_with_twilio.end_call(CALL_SID)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", ["done", "failed", "processing"])
def test_ending_a_call_that_has_ended_succeeds(
    api_with_twilio: ElevenLabsApi, server: ScriptedServer, status: str
) -> None:
    server.script = [Reply(fields=a_conversation(status))]
    api_with_twilio.end_call(CONVERSATION_ID)
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(404)],
        [Reply(500)],
        [Reply(fields=a_conversation("initiated", phone_call=None))],
        [Reply(fields=a_conversation("in-progress", phone_call={"type": "sip_trunking", "call_sid": "x/../y"}))],
        [Reply(fields=a_conversation("in-progress")), Reply(500)],
    ],
)
def test_a_call_that_could_not_be_ended_is_an_error(
    api_with_twilio: ElevenLabsApi, server: ScriptedServer, replies: list[Reply]
) -> None:
    server.script = list(replies)
    with pytest.raises(CarrierUnavailable):
        api_with_twilio.end_call(CONVERSATION_ID)
    assert server.script == []


def test_no_call_is_transferred(api_with_twilio: ElevenLabsApi, server: ScriptedServer) -> None:
    with pytest.raises(ControlUnsupported):
        api_with_twilio.transfer_call(
            CALL_SID, destination="+1", caller_number="+2", message=None, status_url=STATUS_URL
        )
    assert server.received == []


@pytest.mark.parametrize(
    ("secret", "missing"),
    [
        ({"webhook_secret": "w"}, "api_key"),
        ({"api_key": "xi", "twilio_account_sid": ACCOUNT_SID}, "twilio_auth_token"),
        ({"api_key": "xi", "twilio_auth_token": "token"}, "twilio_account_sid"),
    ],
)
def test_a_secret_that_lacks_something_opens_nothing(secret: dict[str, str], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        open_api(CarrierCredentials(secret), timeout_seconds=1.0)
