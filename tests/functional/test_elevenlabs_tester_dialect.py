"""The numbered contract of ``POST /api/call`` and ``POST /api/context``, seed 4: one test for each line.

Over ElevenLabs' own adapter and HTTP, with a server that answers what each test says. Sessions in all their variants
are in ``test_tester_sessions``, the order of the errors in ``test_dialect_gates``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dialplane.carriers.registry import open_carrier
from dialplane.runtime import dialing
from sandbox.demo_data import AGENT_ASSISTANT_ID, AGENT_ID, AGENT_NUMBER_ID, CARRIER_NUMBERS
from tests.fakes import scripted_http
from tests.fakes.scripted_http import ScriptedServer, scripted_server
from tests.fakes.world import TWILIO_SECRET, Reply, World, a_world
from tests.functional.dialects import TESTER, Customer, a_customer
from tests.functional.expectations import a_key, put_back, unchanged

# The vendor's own example, and what ElevenLabs really answers (S4.15).
SEED4 = {
    "to_number": "+15551234567",
    "business_description": "We are Pizza Palace, a pizza restaurant that takes orders and handles delivery inquiries.",
    "scenario": "order a large pepperoni pizza for delivery to 123 Main St",
}
RAW = {"success": True, "message": "Success", "conversation_id": "conv_1", "callSid": "CA" + "7" * 32}
API_KEY = "xi-canary"
NO_DESCRIPTION = "Provide a business description first."
NO_NUMBER = "Phone number must be in E.164 format, for example +15551234567."
DEFAULT_SCENARIO = "check availability, complete a typical customer task, and avoid speaking to a human if possible"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The demo organization with an ElevenLabs account, whose agent is its default assistant."""
    elevenlabs = {"api_key": API_KEY, "webhook_secret": "wsec_test"}
    with a_world(secrets={"twilio": TWILIO_SECRET, "elevenlabs": elevenlabs}) as made:
        yield made


@pytest.fixture(autouse=True)
def _unspoilt(world: World) -> Iterator[None]:
    """Every test begins with the organization as it was made."""
    with put_back(world):
        yield


@pytest.fixture
def elevenlabs(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """ElevenLabs, as far as one request goes."""
    monkeypatch.setattr(dialing, "open_carrier", open_carrier)
    with scripted_server() as server:
        point_account_to(world, server.url)
        yield server


def point_account_to(world: World, url: str) -> None:
    secret = {"api_key": API_KEY, "webhook_secret": "wsec_test", "api_base_url": url}
    account_id = world.demo.carrier_accounts["elevenlabs"]
    world.stack.provision.secrets.put(world.demo.organization_id, account_id, secret)


def ask(world: World, body: Any = None, **how: Any) -> Reply:
    return TESTER.send(world, SEED4 if body is None else body, **how)


def answers(server: ScriptedServer, status: int, fields: Any) -> None:
    server.script = [scripted_http.Reply(status, fields)]


def refused(world: World, body: Any, status: int, text: str, **how: Any) -> None:
    with unchanged(world):
        assert TESTER.assert_refused(ask(world, body, **how), status, text) == {"error": text}


# ---- the request ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["+15551234567", " +15551234567\n", "\t+15551234567 "])
def test_s4_01_the_number_is_stripped(world: World, text: str) -> None:
    assert ask(world, {**SEED4, "to_number": text}).json["to_number"] == "+15551234567"


@pytest.mark.parametrize("absent", [None, "", " \n", ...])
def test_s4_02_the_description_may_come_from_the_session(world: World, absent: Any) -> None:
    body = {name: value for name, value in {**SEED4, "business_description": absent}.items() if value is not ...}
    refused(world, body, 400, NO_DESCRIPTION)
    assert world.post("/api/context", {"description": "We are a tech support helpdesk."}).status == 200
    assert ask(world, body).status == 200
    assert "\nWe are a tech support helpdesk.\n" in prompt_of(world)


def prompt_of(world: World) -> str:
    return str(world.carrier.requests[-1].instructions.prompt)


def test_s4_02_the_requests_own_description_goes_before_the_sessions(world: World) -> None:
    world.post("/api/context", {"description": "We are a tech support helpdesk."})
    ask(world)
    assert "Pizza Palace" in prompt_of(world)
    assert "helpdesk" not in prompt_of(world)


def test_s4_03_the_scenario_is_the_requests_else_the_sessions_else_the_default(world: World) -> None:
    body = {"to_number": "+15551234567", "business_description": "x"}
    assert ask(world, body).json["scenario"] == DEFAULT_SCENARIO
    world.post("/api/context", {"description": "x", "scenario": "report a login issue"})
    assert ask(world, body).json["scenario"] == "report a login issue"
    assert ask(world, {**body, "scenario": "order a pizza."}).json["scenario"] == "order a pizza."
    world.post("/api/context", {"description": "x"})
    assert ask(world, body).json["scenario"] == DEFAULT_SCENARIO


def test_s4_04_a_context_is_stored_and_answered_with_its_scenario(world: World) -> None:
    context = {"description": "We are a tech support helpdesk.", "scenario": "report a login issue"}
    reply = world.post("/api/context", context)
    assert (reply.status, reply.json) == (200, {"ok": True, "scenario": "report a login issue"})
    assert ask(world, {"to_number": "+15551234567"}).json["scenario"] == "report a login issue"


@pytest.mark.parametrize(
    "body", [{}, {"description": None}, {"description": ""}, {"description": " \n", "scenario": "x"}]
)
def test_s4_04_a_context_without_a_description_is_400(world: World, body: dict[str, Any]) -> None:
    with unchanged(world):
        reply = world.post("/api/context", body)
    assert (reply.status, reply.json) == (400, {"error": "No description provided"})
    assert "set-cookie" not in reply.headers


# ---- errors ---------------------------------------------------------------------------------------------------------


def test_s4_06_a_missing_description_is_told_before_the_number(world: World) -> None:
    for body in ({}, {"to_number": "x"}, {"to_number": 5, "scenario": 5}, {"to_number": "+15551234567"}):
        refused(world, body, 400, NO_DESCRIPTION)


@pytest.mark.parametrize(
    "number",
    [
        *(None, "", " ", "5551234567", "15551234567", "+0551234567", "+1555", "+1555123456", "+155512345678901234"),
        *("+1 555 123 4567", "+1555123456\u0667", "++15551234567", "sip:ada@example.test", 15551234567, ["+1"], True),
        "+999123456789",
    ],
)
def test_s4_07_what_is_no_number_is_told_in_the_seeds_words(world: World, number: Any) -> None:
    refused(world, {**SEED4, "to_number": number}, 400, NO_NUMBER)


def test_s4_08_what_is_not_set_up_is_named_by_the_seeds_variables_in_their_order(world: World) -> None:
    provision, organization_id = world.stack.provision, world.demo.organization_id

    def missing(*names: str) -> None:
        refused(world, SEED4, 500, f"Missing required environment variables: {', '.join(names)}")

    account = provision.carrier_account(organization_id, world.demo.carrier_accounts["elevenlabs"])
    provision.put_number(organization_id, CARRIER_NUMBERS["elevenlabs"], account)
    missing("ELEVENLABS_AGENT_PHONE_NUMBER_ID")
    agent = next(each for each in provision.entities(organization_id) if getattr(each, "id", 0) == AGENT_ASSISTANT_ID)
    provision.accounts.put(
        type(agent)(id=agent.id, organization_id=organization_id, name="x", welcome_message="", engine="agent")
    )
    missing("ELEVENLABS_API_KEY", "ELEVENLABS_AGENT_ID", "ELEVENLABS_AGENT_PHONE_NUMBER_ID")
    provision.update_organization(organization_id, default_assistant_id=None)
    missing("ELEVENLABS_API_KEY", "ELEVENLABS_AGENT_ID", "ELEVENLABS_AGENT_PHONE_NUMBER_ID")


def test_s4_08_an_account_whose_key_is_gone_is_missing_its_key(world: World) -> None:
    account_id = world.demo.carrier_accounts["elevenlabs"]
    secret_id = f"dialplane/carriers/{world.demo.organization_id}/{account_id}"
    secrets = world.session.client("secretsmanager")
    kept = secrets.get_secret_value(SecretId=secret_id)["SecretString"]
    secrets.delete_secret(SecretId=secret_id, ForceDeleteWithoutRecovery=True)
    refused(world, SEED4, 500, "Missing required environment variables: ELEVENLABS_API_KEY")
    secrets.create_secret(Name=secret_id, SecretString=kept)


@pytest.mark.parametrize(
    ("status", "fields", "detail"),
    [
        (403, {"detail": "Invalid API key"}, "Invalid API key"),
        (401, {"detail": {"status": "invalid_api_key", "message": "Invalid API key"}}, "Invalid API key"),
        (422, {"error": "agent_id is unknown"}, "agent_id is unknown"),
        (404, {}, "Not Found"),
        (400, "no object", "Bad Request"),
    ],
)
def test_s4_09_what_elevenlabs_refuses_is_502_with_its_status_and_its_detail(
    world: World, elevenlabs: ScriptedServer, status: int, fields: Any, detail: str
) -> None:
    answers(elevenlabs, status, fields)
    before = world.wallet()
    reply = ask(world)
    assert (reply.status, reply.json) == (502, {"error": f"ElevenLabs API error ({status}): {detail}"})
    assert world.wallet() == before
    assert API_KEY not in reply.body


def test_s4_10_what_cannot_be_reached_is_502_with_the_reason(world: World, elevenlabs: ScriptedServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_account_to(world, f"http://127.0.0.1:{port}")
    before = world.wallet()
    reply = ask(world)
    assert reply.status == 502
    assert reply.json["error"].startswith("Could not reach ElevenLabs: ")
    assert world.wallet() == before


@pytest.mark.parametrize("status", [0, 500, 503])
def test_s4_10_an_answer_that_proves_nothing_is_202_for_the_telephone_may_be_ringing(
    world: World, elevenlabs: ScriptedServer, status: int
) -> None:
    """The seed reports a failure, and a client that tries again rings a second time (S4.18)."""
    answers(elevenlabs, status, {"detail": "x"})
    reply = ask(world)
    assert (reply.status, reply.json["status"]) == (202, "unknown")
    assert reply.json["call_id"] in reply.headers["location"]
    assert len(elevenlabs.received) == 1


# ---- the outgoing request -------------------------------------------------------------------------------------------


def test_s4_05_the_account_the_agent_and_its_number_are_the_organizations(
    world: World, elevenlabs: ScriptedServer
) -> None:
    point_account_to(world, f"{elevenlabs.url}/eu")
    answers(elevenlabs, 200, RAW)
    assert ask(world).status == 200
    (request,) = elevenlabs.received
    assert request.path == "/eu/v1/convai/twilio/outbound-call"
    assert request.headers["xi-api-key"] == API_KEY
    assert (request.json["agent_id"], request.json["agent_phone_number_id"]) == (AGENT_ID, AGENT_NUMBER_ID)


def test_s4_11_the_request_to_elevenlabs_is_the_seeds(world: World, elevenlabs: ScriptedServer) -> None:
    answers(elevenlabs, 200, RAW)
    ask(world)
    (request,) = elevenlabs.received
    assert (request.method, request.path) == ("POST", "/v1/convai/twilio/outbound-call")
    assert request.headers["content-type"] == "application/json"
    assert request.json["to_number"] == "+15551234567"
    client_data = request.json["conversation_initiation_client_data"]
    agent = client_data["conversation_config_override"]["agent"]
    assert set(agent) == {"prompt", "first_message"}
    assert set(agent["prompt"]) == {"prompt"}


@pytest.mark.parametrize(
    ("scenario", "first_message"),
    [
        ("order a pizza", "Hi, I'm calling because I'd like to order a pizza."),
        ("order a pizza.", "Hi, I'm calling because I'd like to order a pizza."),
        ("order a pizza...", "Hi, I'm calling because I'd like to order a pizza."),
        ("order {{a}} pizza", "Hi, I'm calling because I'd like to order {{a}} pizza."),
    ],
)
def test_s4_12_the_first_message_says_the_scenario_with_one_full_stop(
    world: World, elevenlabs: ScriptedServer, scenario: str, first_message: str
) -> None:
    answers(elevenlabs, 200, RAW)
    assert ask(world, {**SEED4, "scenario": scenario}).json["scenario"] == scenario
    assert agent_of(elevenlabs)["first_message"] == first_message


def agent_of(server: ScriptedServer) -> dict[str, Any]:
    client_data = server.received[-1].json["conversation_initiation_client_data"]
    agent: dict[str, Any] = client_data["conversation_config_override"]["agent"]
    return agent


def test_s4_13_the_prompt_is_the_seeds_word_for_word(world: World, elevenlabs: ScriptedServer) -> None:
    answers(elevenlabs, 200, RAW)
    ask(world)
    assert agent_of(elevenlabs)["prompt"]["prompt"] == (
        "You are simulating a real customer contacting the business below. The other side is the company, an operator, "
        "or an IVR. Stay in character as the caller/customer, try to complete the task, and avoid escalating to a "
        "human unless the flow requires it."
        f"\n\nBusiness description:\n{SEED4['business_description']}"
        f"\n\nCaller goal:\n{SEED4['scenario']}"
        "\n\nSpeak naturally, ask one thing at a time, and keep each response concise."
    )


def test_s4_13_what_a_client_writes_is_never_read_as_a_template(world: World, elevenlabs: ScriptedServer) -> None:
    answers(elevenlabs, 200, RAW)
    texts = {
        "business_description": "{{scenario}} {{ secret | default: 'x' }} {{",
        "scenario": "say {{business_description}}",
    }
    assert ask(world, {**SEED4, **texts}).status == 200
    prompt = agent_of(elevenlabs)["prompt"]["prompt"]
    assert f"Business description:\n{texts['business_description']}\n" in prompt
    assert f"Caller goal:\n{texts['scenario']}\n" in prompt


# ---- the answer -----------------------------------------------------------------------------------------------------


def test_s4_14_success_has_exactly_the_seeds_members_and_the_reply_as_it_was(
    world: World, elevenlabs: ScriptedServer
) -> None:
    answers(elevenlabs, 200, {**RAW, "more": {"a": [1, 2.5, None]}})
    reply = ask(world)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {
        "ok": True,
        "status": "initiated",
        "message": "Call initiated.",
        "to_number": "+15551234567",
        "scenario": "order a large pepperoni pizza for delivery to 123 Main St",
        "call_sid": "CA" + "7" * 32,
        "conversation_id": "conv_1",
        "raw": {**RAW, "more": {"a": [1, 2.5, None]}},
    }


@pytest.mark.parametrize(
    ("ids", "call_sid", "conversation_id"),
    [
        ({"call_sid": "CA1", "conversationId": "c"}, "CA1", "c"),
        ({"callSid": "CA1", "conversation_id": "c"}, "CA1", "c"),
        ({"conversation_id": "c"}, None, "c"),
        ({"conversation_id": "c", "callSid": None}, None, "c"),
        ({"callSid": "CA1"}, "CA1", None),
    ],
)
def test_s4_14_ids_are_taken_in_either_spelling_else_null(
    world: World, elevenlabs: ScriptedServer, ids: dict[str, Any], call_sid: str | None, conversation_id: str | None
) -> None:
    answers(elevenlabs, 200, {"success": True, "message": "Success", **ids})
    reply = ask(world)
    assert reply.status == 200, reply.body
    assert (reply.json["call_sid"], reply.json["conversation_id"]) == (call_sid, conversation_id)


@pytest.mark.parametrize(
    ("sent", "shown"), [({}, "initiated"), ({"status": "queued"}, "queued"), ({"status": 5}, "initiated")]
)
def test_s4_15_the_status_is_elevenlabs_own_else_initiated(
    world: World, elevenlabs: ScriptedServer, sent: dict[str, Any], shown: str
) -> None:
    answers(elevenlabs, 200, {**RAW, **sent})
    assert ask(world).json["status"] == shown


def test_s4_17_success_false_is_no_success(world: World, elevenlabs: ScriptedServer) -> None:
    """The seed takes any 200 for one; here it is a refusal, and the money comes back."""
    answers(elevenlabs, 200, {"success": False, "message": "The number is not verified."})
    before = world.wallet()
    reply = ask(world)
    assert (reply.status, reply.json) == (502, {"error": "ElevenLabs API error (200): The number is not verified."})
    assert world.wallet() == before


def test_s4_18_the_same_request_with_a_key_rings_once(world: World, elevenlabs: ScriptedServer) -> None:
    answers(elevenlabs, 200, RAW)
    replies = [ask(world, headers={"idempotency-key": "once"}) for _ in range(3)]
    assert len({reply.body for reply in replies}) == 1
    assert len(elevenlabs.received) == 1


def test_the_default_assistant_may_speak_over_another_carrier(world: World) -> None:
    customer: Customer = a_customer(world, "+12125550110")
    reply = ask(world, key=customer.key)
    assert (reply.status, reply.json["raw"], reply.json["conversation_id"]) == (200, {}, None)
    assert reply.json["call_sid"].startswith("CA")


def test_a_key_without_the_permission_keeps_no_context(world: World) -> None:
    key = a_key(world, world.demo.organization_id, "can_read_calls")
    with unchanged(world):
        reply = world.post("/api/context", {"description": "x"}, key=key)
        TESTER.assert_refused(reply, 403, "The API key doesn't have the required permission")
        TESTER.assert_refused(world.post("/api/context", {"description": "x"}, key=None), 401, "No API key was sent.")
        TESTER.assert_refused(world.post("/api/context", {}, key=key), 403, "The API key doesn't have")
