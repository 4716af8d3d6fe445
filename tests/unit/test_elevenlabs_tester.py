"""The tester's dialect: contexts and calls to sessions and commands, the order and the texts of its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.dialects.contract import Reply
from dialplane.dialects.elevenlabs_tester import answers, requests
from dialplane.domain import errors
from dialplane.domain.admission import InitiateCall
from dialplane.domain.assistants import CHANGEABLE
from dialplane.domain.calls import Call
from dialplane.domain.errors import DialplaneError, FieldMissing
from dialplane.domain.sessions import Session
from dialplane.domain.statuses import CallStatus
from dialplane.domain.templates import PROMPT_LENGTH_MAX, render
from dialplane.runtime.problems import status_of
from tests.fakes.arrivals import ERRORS, an_arrival, bodies, outcome
from tests.unit.test_calls import a_call

BODY = {
    "to_number": "+15551234567",
    "business_description": "We are Pizza Palace.",
    "scenario": "order a large pepperoni pizza",
}
SESSION = Session("We are a tech support helpdesk.", "report a login issue")
NO_DESCRIPTION = "Provide a business description first."
NO_NUMBER = "Phone number must be in E.164 format, for example +15551234567."


def parse(body: dict[str, Any], session: Session | None = None) -> InitiateCall:
    return requests.parse(an_arrival(body, session))


def refused(error: DialplaneError) -> Reply:
    return answers.refused(error, status=status_of(error), request_id="request")


def refused_body(body: dict[str, Any], session: Session | None = None) -> tuple[int, Any]:
    with pytest.raises(DialplaneError) as caught:
        parse(body, session)
    reply = refused(caught.value)
    return reply.status, reply.document["error"]


def spoken(command: InitiateCall) -> tuple[str, str]:
    """The first message and the prompt as the call would have them."""
    assert command.welcome_message is not None
    assert set(command.override) <= CHANGEABLE
    return (
        render(command.welcome_message, command.variables, field="welcome_message"),
        render(command.override["prompt"], command.variables, field="prompt", length_max=PROMPT_LENGTH_MAX),
    )


def test_the_seeds_own_example() -> None:
    command = parse(BODY)
    assert (command.dialect, command.destination.e164) == ("elevenlabs_tester", "+15551234567")
    assert (command.uses_default_assistant, command.assistant_id, command.caller_number) == (True, None, None)


@pytest.mark.parametrize("text", ["+15551234567", " +442071234567\n", "+81312345678"])
def test_s4_01_a_number_is_stripped(text: str) -> None:
    assert parse({**BODY, "to_number": text}).destination.e164 == text.strip()


@pytest.mark.parametrize(
    "number",
    [
        ...,
        None,
        "",
        "5551234567",
        "+0551234567",
        "+1555",
        "+155512345678901234",
        "+1 5551234567",
        "+1555123456\u0667",
        "+4402071234567",
        15551234567,
        ["+15551234567"],
    ],
)
def test_s4_07_everything_else_is_told_in_the_seeds_words(number: Any) -> None:
    body = {name: value for name, value in {**BODY, "to_number": number}.items() if value is not ...}
    assert refused_body(body) == (400, NO_NUMBER)


@pytest.mark.parametrize("description", [..., None, "", " \n"])
def test_s4_06_a_missing_description_is_told_before_anything_else(description: Any) -> None:
    body = {"to_number": "nonsense", "scenario": 5, "unknown": 1, "business_description": description}
    body = {name: value for name, value in body.items() if value is not ...}
    assert refused_body(body) == (400, NO_DESCRIPTION)


@pytest.mark.parametrize("description", [..., None, "", " "])
def test_s4_02_a_description_of_the_session_is_as_good(description: Any) -> None:
    body = {"to_number": "+15551234567", "business_description": description}
    command = parse({name: value for name, value in body.items() if value is not ...}, SESSION)
    assert command.variables["business_description"] == "We are a tech support helpdesk."
    assert refused_body({"to_number": "x"}, SESSION) == (400, NO_NUMBER)


def test_s4_02_the_requests_own_goes_before_it() -> None:
    assert parse(BODY, SESSION).variables["business_description"] == "We are Pizza Palace."


@pytest.mark.parametrize(
    ("sent", "session", "used"),
    [
        ("order a pizza", SESSION, "order a pizza"),
        (" order a pizza. ", None, "order a pizza."),
        (None, SESSION, "report a login issue"),
        ("", SESSION, "report a login issue"),
        ("...", SESSION, "report a login issue"),
        (
            None,
            None,
            "check availability, complete a typical customer task, and avoid speaking to a human if possible",
        ),
    ],
)
def test_s4_03_the_scenario_is_the_requests_the_sessions_or_the_default(
    sent: str | None, session: Session | None, used: str
) -> None:
    assert parse({**BODY, "scenario": sent}, session).variables["scenario"] == used


def test_s4_04_a_context_is_a_description_and_a_scenario() -> None:
    body = {"description": " We are a tech support helpdesk. ", "scenario": "report a login issue"}
    assert requests.parse_context(body) == SESSION
    assert requests.parse_context({"description": "x"}) == Session("x", requests.DEFAULT_SCENARIO)


@pytest.mark.parametrize("body", [{}, {"description": None}, {"description": " ", "scenario": 5}])
def test_s4_04_a_context_without_a_description_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(FieldMissing) as caught:
        requests.parse_context(body)
    assert refused(caught.value) == Reply(400, {"error": "No description provided"})


@pytest.mark.parametrize(
    "change",
    [
        {"business_description": "x" * 8_193},
        {"scenario": "x" * 1_025},
        {"scenario": "a\x00b"},
        {"scenario": 5},
        {"business_description": ["x"]},
        {"senario": "x"},
    ],
)
def test_texts_that_are_too_long_or_no_texts_are_refused(change: dict[str, Any]) -> None:
    status, text = refused_body({**BODY, **change})
    assert status == 400
    assert text.startswith(next(iter(change)))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.SetupMissing(["carrier account", "agent", "caller number"]),
            "ELEVENLABS_API_KEY, ELEVENLABS_AGENT_ID, ELEVENLABS_AGENT_PHONE_NUMBER_ID",
        ),
        (errors.SetupMissing(["caller number", "agent"]), "ELEVENLABS_AGENT_ID, ELEVENLABS_AGENT_PHONE_NUMBER_ID"),
    ],
)
def test_s4_08_what_is_not_set_up_is_told_by_the_seeds_names_in_its_order(error: DialplaneError, text: str) -> None:
    assert refused(error) == Reply(500, {"error": f"Missing required environment variables: {text}"})


@pytest.mark.parametrize(
    ("kind", "carrier", "code", "message", "text"),
    [
        (errors.CarrierRejected, "elevenlabs", "403", "Invalid API key", "ElevenLabs API error (403): Invalid API key"),
        (errors.DestinationRefused, "elevenlabs", "422", "bad", "ElevenLabs API error (422): bad"),
        (errors.CarrierUnavailable, "elevenlabs", "429", "busy", "ElevenLabs API error (429): busy"),
        (errors.CarrierRejected, "twilio", "21212", "bad", "Twilio API error (21212): bad"),
        (errors.CarrierRejected, "telnyx-texml", "10015", "bad", "Telnyx Texml API error (10015): bad"),
        (errors.CarrierRejected, "elevenlabs", "403", "", "ElevenLabs API error (403): Ours."),
    ],
)
def test_s4_09_what_the_carrier_answered_is_passed_on(
    kind: type[errors.CarrierFailure], carrier: str, code: str, message: str, text: str
) -> None:
    error = kind("Ours.", carrier=carrier, cause="rate_limited", carrier_code=code, carrier_message=message)
    assert refused(error) == Reply(502, {"error": text})


@pytest.mark.parametrize(
    ("cause", "code", "message", "text"),
    [
        ("unreachable", "NewConnectionError", "refused", "Could not reach ElevenLabs: refused"),
        ("rate_limited", "dial_window_over", "Over.", "Could not reach ElevenLabs: Over."),
        ("rate_limited", "carrier_rate_reached", "No slot.", "Could not reach ElevenLabs: No slot."),
        ("other", "", "", "Could not reach ElevenLabs: Ours."),
    ],
)
def test_s4_10_a_carrier_that_did_not_answer_could_not_be_reached(
    cause: str, code: str, message: str, text: str
) -> None:
    error = errors.CarrierUnavailable(
        "Ours.", carrier="elevenlabs", cause=cause, carrier_code=code, carrier_message=message
    )
    assert refused(error) == Reply(502, {"error": text})


def test_s4_10_what_no_carrier_was_asked_for_is_told_in_our_words() -> None:
    assert refused(errors.CarrierUnavailable("No credentials.")) == Reply(502, {"error": "No credentials."})


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_every_error_is_one_text(error: DialplaneError) -> None:
    document = json.loads(json.dumps(refused(error).document))
    assert list(document) == ["error"]
    assert document["error"]


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ("order a pizza", "Hi, I'm calling because I'd like to order a pizza."),
        ("order a pizza...", "Hi, I'm calling because I'd like to order a pizza."),
        ("order 2.5 pizzas. ", "Hi, I'm calling because I'd like to order 2.5 pizzas."),
    ],
)
def test_s4_12_the_first_message_ends_in_one_full_stop(scenario: str, message: str) -> None:
    assert spoken(parse({**BODY, "scenario": scenario}))[0] == message


def test_s4_13_the_prompt_word_for_word() -> None:
    assert spoken(parse({**BODY, "scenario": "order a pizza."}))[1] == (
        "You are simulating a real customer contacting the business below. The other side is the company, an "
        "operator, or an IVR. Stay in character as the caller/customer, try to complete the task, and avoid "
        "escalating to a human unless the flow requires it.\n"
        "\n"
        "Business description:\n"
        "We are Pizza Palace.\n"
        "\n"
        "Caller goal:\n"
        "order a pizza.\n"
        "\n"
        "Speak naturally, ask one thing at a time, and keep each response concise."
    )


def test_s4_13_what_the_client_writes_is_never_read_as_a_template() -> None:
    message, prompt = spoken(parse({**BODY, "business_description": "{{scenario}} {{", "scenario": "say {{ x }}"}))
    assert message.endswith("say {{ x }}.")
    assert "Business description:\n{{scenario}} {{\n" in prompt
    assert "Caller goal:\nsay {{ x }}\n" in prompt


def test_the_longest_texts_fit_into_the_prompt() -> None:
    body = {**BODY, "business_description": "x" * 8_192, "scenario": "x" * 1_024}
    assert spoken(parse(body))[0].endswith("x.")


def placed(reply: dict[str, Any] | None, **facts: Any) -> Reply:
    call: Call = a_call(
        **{
            "carrier": "elevenlabs",
            "carrier_call_id": "conv_1",
            "variables_json": json.dumps(parse(BODY).variables),
            "carrier_reply_json": json.dumps(reply) if reply is not None else None,
            **facts,
        }
    )
    return answers.placed(parse(BODY), call)


def test_s4_14_success_has_the_carriers_reply_as_it_was() -> None:
    raw = {"status": "ringing", "call_sid": "CA1", "conversation_id": "conv_abc", "more": [1]}
    assert placed(raw) == Reply(
        200,
        {
            "ok": True,
            "status": "ringing",
            "message": "Call initiated.",
            "to_number": "+15559876543",
            "scenario": "order a large pepperoni pizza",
            "call_sid": "CA1",
            "conversation_id": "conv_abc",
            "raw": raw,
        },
    )


@pytest.mark.parametrize(
    ("raw", "call_sid", "conversation_id"),
    [
        ({"callSid": "CA1", "conversationId": "c"}, "CA1", "c"),
        ({"call_sid": None, "callSid": "CA1"}, "CA1", None),
        ({"call_sid": 5}, None, None),
        ({}, None, None),
        (None, None, None),
        (["no object"], None, None),
    ],
)
def test_s4_14_ids_are_taken_by_either_spelling_or_are_null(
    raw: Any, call_sid: str | None, conversation_id: str | None
) -> None:
    document = placed(raw).document
    assert (document["call_sid"], document["conversation_id"]) == (call_sid, conversation_id)


def test_s4_14_another_carriers_call_has_its_id_for_a_call_sid() -> None:
    document = placed(None, carrier="twilio", carrier_call_id="CA1").document
    assert (document["call_sid"], document["conversation_id"], document["raw"]) == ("CA1", None, {})


def test_s4_15_the_status_is_initiated_by_default() -> None:
    raw = {"success": True, "message": "ok", "conversation_id": "c", "callSid": "CA1"}
    assert placed(raw).document["status"] == "initiated"


@pytest.mark.parametrize("carrier", ["elevenlabs", "twilio"])
def test_a_call_whose_placement_is_unknown_is_not_told_as_success(carrier: str) -> None:
    reply = placed(None, carrier=carrier, carrier_call_id=None, status=CallStatus.UNCONFIRMED)
    assert reply.status == 202
    assert {name: reply.document[name] for name in ("ok", "status", "call_sid", "conversation_id", "call_id")} == {
        "ok": True,
        "status": "unknown",
        "call_sid": None,
        "conversation_id": None,
        "call_id": "call_1",
    }


@given(
    body=bodies("business_description", "scenario", to_number=st.just("+15551234567")),
    session=st.none() | st.just(SESSION),
)
def test_any_body_is_a_command_that_can_be_spoken_or_an_error(body: dict[str, Any], session: Session | None) -> None:
    command = outcome(lambda: parse(body, session))
    if isinstance(command, DialplaneError):
        assert refused(command).status == 400
        json.dumps(refused(command).document)
    else:
        "".join(spoken(command)).encode()


@given(body=bodies("scenario", description=st.just("x")))
def test_any_context_is_a_session_or_an_error(body: dict[str, Any]) -> None:
    session = outcome(lambda: requests.parse_context(body))
    if isinstance(session, DialplaneError):
        assert refused(session).status == 400
    else:
        f"{session.description}{session.scenario}".encode()
