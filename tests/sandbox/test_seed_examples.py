"""Each seed's own example requests at the front door: answered byte for byte as its page shows, ids and times apart."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.ids import new_id
from sandbox.demo_data import AGENT_ID, AGENT_NUMBER_ID, ASSISTANT_PUBLIC_ID
from tests.fakes.sandbox_client import Answer, SandboxClient

SEED0 = {
    "assistant_id": 123,
    "to_phone_number": "+15559876543",
    "welcome_message": "Hello {{name}}, this is a reminder about your appointment tomorrow at {{time}}.",
    "agenda": "Remind {{name}} about their upcoming {{appointment_type}} appointment.",
    "variables": {"name": "John Doe", "time": "10 AM", "appointment_type": "dental"},
}
SEED2_BASIC = {"from_phone_number": "+15551234567", "to_phone_number": "+15559876543"}
SEED2_CUSTOM = {**SEED2_BASIC, **{name: SEED0[name] for name in ("welcome_message", "agenda", "variables")}}
SEED2_OVERRIDE = {
    **SEED2_BASIC,
    "assistant_id": 456,
    "welcome_message": "Hi there! I'm calling about your recent inquiry.",
}
# Its page shows no body of its own: the documented fields, with the names that it suggests for variables.
SEED1 = {
    "phone_number": "+15551234567",
    "agent_id": 123,
    "contact_id": 42,
    "variables": {
        "customer_name": "John Doe",
        "company": "Acme",
        "appointment_time": "10 AM",
        "appointment_type": "dental",
    },
}
SEED3 = {"destination": "+31612345678", "assistant_id": ASSISTANT_PUBLIC_ID}
SEED4 = {
    "to_number": "+15551234567",
    "business_description": (
        "We are Pizza Palace, a pizza restaurant that takes orders and handles delivery inquiries."
    ),
    "scenario": "order a large pepperoni pizza for delivery to 123 Main St",
}
SEED4_CONTEXT = {"description": "We are a tech support helpdesk.", "scenario": "report a login issue"}
SEED4_WITH_CONTEXT = {"to_number": "+15551234567"}


def exactly(answer: Answer, status: int, pattern: str, **values: str) -> dict[str, str]:
    """The answer is this text with something of the right form in each ``<name>``; returns what that is."""
    forms = {
        "sid": "CA[0-9a-f]{32}",
        "conversation": "conv_[0-9a-f]{32}",
        "call": "call_[0-9A-HJKMNP-TV-Z]{26}",
        "time": r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z",
    }
    expression, seen = "", set()
    for part in re.split("(<[a-z]+>)", pattern):
        name = part[1:-1]
        if part.startswith("<") and name in forms:
            expression += f"(?P={name})" if name in seen else f"(?P<{name}>{forms[name]})"
            seen.add(name)
        else:
            expression += re.escape(part)
    matched = re.fullmatch(expression, answer.body.decode())
    assert answer.status == status, answer.body
    assert matched, answer.body.decode()
    assert answer.headers["content-type"] == "application/json"
    return matched.groupdict()


@pytest.mark.parametrize("body", [SEED0, SEED2_BASIC, SEED2_CUSTOM, SEED2_OVERRIDE], ids=",".join)
def test_s0_12_and_s2_10_the_answer_is_a_message_and_the_carriers_id(
    sandbox_client: SandboxClient, body: dict[str, Any]
) -> None:
    answer = sandbox_client.request("POST", "/calls/initiate", body)
    found = exactly(answer, 200, '{"message":"Call initiated successfully","call_sid":"<sid>"}')
    call = sandbox_client.call(found["sid"])
    assert (call["to"], call["from"]) == ("+15559876543", "+15551234567")
    assert call["assistant_id"] == body.get("assistant_id", 123)
    if "variables" in body:
        assert call["welcome_message"] == "Hello John Doe, this is a reminder about your appointment tomorrow at 10 AM."
        assert call["agenda"] == "Remind John Doe about their upcoming dental appointment."


def test_s1_21_the_answer_is_the_queued_call_with_its_agent(sandbox_client: SandboxClient) -> None:
    answer = sandbox_client.request("POST", "/calls", SEED1)
    found = exactly(
        answer,
        200,
        '{"id":"<call>","call_id":"<call>","status":"queued","type":"outbound","phone_number":"+15551234567",'
        f'"agent":{{"id":123,"name":"Appointment reminder","assistant_id":"{ASSISTANT_PUBLIC_ID}"}},'
        '"created_at":"<time>","estimated_start":"<time>"}',
    )
    call = sandbox_client.call(found["call"])
    assert (call["to"], call["assistant_id"], call["contact_id"]) == ("+15551234567", 123, 42)


def test_s1_3_an_agent_may_be_named_by_its_public_id(sandbox_client: SandboxClient) -> None:
    answer = sandbox_client.request("POST", "/calls", {**SEED1, "agent_id": ASSISTANT_PUBLIC_ID})
    assert (answer.status, answer.json["agent"]["id"]) == (200, 123)


def test_s3_11_the_curl_example_is_answered_with_a_dialing_call(sandbox_client: SandboxClient) -> None:
    answer = sandbox_client.request("POST", "/calls/outbound", SEED3)
    found = exactly(answer, 200, '{"success":true,"call_id":"<call>","status":"dialing"}')
    call = sandbox_client.call(found["call"])
    assert (call["to"], call["assistant_id"]) == ("+31612345678", 123)


def test_s3_12_the_error_is_the_pages_own(sandbox_client: SandboxClient) -> None:
    answer = sandbox_client.request("POST", "/calls/outbound", SEED3, key="dp_org_unknown_key")
    assert answer.status == 401
    assert answer.json["error"] == "Invalid API key"
    assert isinstance(answer.json["message"], str)


def _sent_to_elevenlabs(sandbox_client: SandboxClient, conversation_id: str) -> Any:
    (entry,) = [
        entry
        for entry in sandbox_client.carrier("/_requests")
        if entry["path"] == "/v1/convai/twilio/outbound-call" and entry["call_id"] == conversation_id
    ]
    return entry["json"]


def _assert_called_as_the_seed_says(sent: Any, *, description: str, scenario: str) -> None:
    assert (sent["agent_id"], sent["agent_phone_number_id"]) == (AGENT_ID, AGENT_NUMBER_ID)
    assert sent["to_number"] == "+15551234567"
    override = sent["conversation_initiation_client_data"]["conversation_config_override"]
    assert override["agent"] == {
        "prompt": {
            "prompt": (
                "You are simulating a real customer contacting the business below. The other side is the company, an "
                "operator, or an IVR. Stay in character as the caller/customer, try to complete the task, and avoid "
                f"escalating to a human unless the flow requires it.\n\nBusiness description:\n{description}\n\n"
                f"Caller goal:\n{scenario}\n\n"
                "Speak naturally, ask one thing at a time, and keep each response concise."
            )
        },
        "first_message": f"Hi, I'm calling because I'd like to {scenario}.",
    }


def _initiated(scenario: str) -> str:
    return (
        '{"ok":true,"status":"initiated","message":"Call initiated.","to_number":"+15551234567",'
        f'"scenario":"{scenario}","call_sid":"<sid>","conversation_id":"<conversation>",'
        '"raw":{"success":true,"message":"Success","conversation_id":"<conversation>","callSid":"<sid>"}}'
    )


def test_s4_14_the_first_example_calls_over_elevenlabs(sandbox_client: SandboxClient) -> None:
    answer = sandbox_client.request("POST", "/api/call", SEED4)
    found = exactly(answer, 200, _initiated(SEED4["scenario"]))
    _assert_called_as_the_seed_says(
        _sent_to_elevenlabs(sandbox_client, found["conversation"]),
        description=SEED4["business_description"],
        scenario=SEED4["scenario"],
    )


def test_s4_4_the_second_example_takes_its_words_from_the_context(sandbox_client: SandboxClient) -> None:
    stored = sandbox_client.request("POST", "/api/context", SEED4_CONTEXT)
    exactly(stored, 200, '{"ok":true,"scenario":"report a login issue"}')
    cookie = stored.headers["set-cookie"].partition(";")[0]
    answer = sandbox_client.request("POST", "/api/call", SEED4_WITH_CONTEXT, headers={"Cookie": cookie})
    found = exactly(answer, 200, _initiated(SEED4_CONTEXT["scenario"]))
    _assert_called_as_the_seed_says(
        _sent_to_elevenlabs(sandbox_client, found["conversation"]),
        description=SEED4_CONTEXT["description"],
        scenario=SEED4_CONTEXT["scenario"],
    )


def test_s4_6_and_s4_7_its_errors_are_the_pages_own(sandbox_client: SandboxClient) -> None:
    # Another customer, which has stored no context.
    key = sandbox_client.state.second_api_key
    nothing = sandbox_client.request("POST", "/api/call", {"to_number": "5551234567"}, key=key)
    exactly(nothing, 400, '{"error":"Provide a business description first."}')
    number = sandbox_client.request("POST", "/api/call", {**SEED4, "to_number": "5551234567"}, key=key)
    exactly(number, 400, '{"error":"Phone number must be in E.164 format, for example +15551234567."}')


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"to_phone_number": "+15559876543"}, 400, "from_phone_number is required"),
        (
            {**SEED2_BASIC, "from_phone_number": "+15557654321"},
            403,
            "Unauthorized: phone number +15557654321 does not belong to your organization",
        ),
        (
            {**SEED2_BASIC, "from_phone_number": "+15551234569"},
            404,
            "No assistant found for phone number +15551234569",
        ),
    ],
)
def test_s2_11_to_s2_16_the_details_of_its_errors_are_the_pages_own(
    sandbox_client: SandboxClient, body: dict[str, Any], status: int, detail: str
) -> None:
    answer = sandbox_client.request("POST", "/calls/initiate", body)
    assert (answer.status, answer.json["detail"]) == (status, detail)


def test_s2_14_without_money_the_detail_is_the_pages_own(sandbox_client: SandboxClient) -> None:
    provision, number = sandbox_client.stack.provision, SEED2_BASIC["from_phone_number"]
    organization = provision.create_organization(Organization(id=new_id("org"), name="Penniless"))
    provision.put_assistant(Assistant(1, organization.id, "Poor", "Hello.", caller_number=number))
    secret = {
        **sandbox_client.state.carrier_secrets["twilio"],
        "api_base_url": sandbox_client.state.carrier_url,
    }
    account = provision.create_carrier_account(organization.id, carrier="twilio", name="Main", secret=secret)
    provision.put_number(organization.id, number, account, assistant_id=1)
    key = provision.create_key(organization.id, name="Test").text
    answer = sandbox_client.request("POST", "/calls/initiate", SEED2_BASIC, key=key)
    detail = "Insufficient balance. Please add funds to continue making calls."
    assert (answer.status, answer.json["detail"].startswith(detail)) == (402, True), answer.body
