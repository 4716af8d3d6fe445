"""POST /twiml/…: what the carrier is told when the callee answers. The callee never hears an error."""

from __future__ import annotations

import dataclasses
from typing import Any
from xml.etree import ElementTree

import pytest

from dialplane.domain.calls import Call
from dialplane.runtime.http import HttpRequest
from functions.twiml import app as twiml_app
from tests.fakes.world import ACCOUNT_SID, ANSWERED_CALL, Reply, World
from tests.functional.expectations import SEED2, a_caller, stored_call, unchanged
from tests.functional.test_status_callbacks import FailingAws

pytestmark = pytest.mark.usefixtures("forgotten_calls")

VERBS = {"Response", "Say", "Pause", "Hangup", "Connect", "Stream", "ConversationRelay", "Parameter"}


def a_call(world: World, **changes: Any) -> Call:
    assert world.initiate({**SEED2, **changes}).status == 200
    return world.last_call()


def twiml(reply: Reply) -> ElementTree.Element:
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/xml")
    document = ElementTree.fromstring(reply.body)  # noqa: S314 - our own document
    assert {element.tag for element in document.iter()} <= VERBS
    return document


def assert_hangs_up(reply: Reply) -> None:
    assert [(element.tag, element.attrib) for element in twiml(reply)] == [("Hangup", {})]


# ---- engines --------------------------------------------------------------------------------------------------------


def test_say_speaks_the_welcome_and_the_goodbye_and_hangs_up(world: World) -> None:
    document = twiml(world.fetch_instructions(a_call(world, agenda="secret agenda")))
    assert [element.tag for element in document] == ["Say", "Pause", "Say", "Hangup"]
    assert document[0].text == "Hello there, this is Example Dental with a reminder for you."
    assert document[0].attrib == {"language": "en-US"}
    assert document[2].text == "Thank you, and goodbye."
    assert "secret agenda" not in ElementTree.tostring(document, encoding="unicode")


@pytest.mark.parametrize(("engine", "noun"), [("relay", "ConversationRelay"), ("stream", "Stream")])
def test_relay_and_stream_hand_the_call_to_the_media_server(world: World, engine: Any, noun: str) -> None:
    number = {"relay": "+15550100930", "stream": "+15550100931"}[engine]
    organization_id, key = a_caller(world, engine=engine, number=number)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543", "welcome_message": "Hi <b>&\"'"}
    world.initiate(body, key=key)
    call = stored_call(world, organization_id, list(world.carrier.call_ids)[-1])
    ((element,),) = twiml(world.fetch_instructions(call))
    assert element.tag == noun
    assert element.attrib["url"] == "wss://media.example.test/calls"
    assert element.attrib.get("welcomeGreeting") == ("Hi <b>&\"'" if engine == "relay" else None)
    assert {each.attrib["name"]: each.attrib["value"] for each in element}["call_id"] == call.id


@pytest.mark.parametrize(
    "text",
    [
        "</Say><Dial>+19005551234</Dial><Say>",
        "<Redirect>https://evil.example</Redirect>",
        "]]><Play>https://evil.example</Play>",
        '"/><Hangup/>',
        "&lt;Dial&gt; &amp; &#0;",
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
        "\t\r\n emoji \U0001f600 and \u2028",
    ],
)
def test_nothing_a_customer_writes_becomes_a_verb(world: World, text: str) -> None:
    call = a_call(world, welcome_message="{{text}}", agenda=text, variables={"text": text})
    document = twiml(world.fetch_instructions(call))
    assert [element.tag for element in document] == ["Say", "Pause", "Say", "Hangup"]
    assert (document[0].text or "").split() == text.split()


# ---- what an answered call becomes ----------------------------------------------------------------------------------


def test_the_request_proves_the_answer_and_binds_the_call(world: World) -> None:
    call = a_call(world)
    world.fetch_instructions(call)
    document = world.get_call(call.id).json
    assert (document["status"], document["answered_at"]) == ("in_progress", "2026-11-20T15:00:00.000Z")


def test_asked_again_the_answer_is_the_same_and_the_first_time_stands(world: World) -> None:
    call = a_call(world)
    first = world.fetch_instructions(call)
    answered_at = world.call(call.id).answered_at
    world.clock.sleep(10)
    assert world.fetch_instructions(call).body == first.body
    assert world.call(call.id).answered_at == answered_at


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("human", "human"), ("machine_start", "machine"), ("machine_end_beep", "machine_beep"), ("alien", "unknown")],
)
def test_who_answered_is_kept(world: World, raw: str, shown: str) -> None:
    call = a_call(world)
    world.fetch_instructions(call, {"AnsweredBy": raw})
    assert world.get_call(call.id).json["answered_by"] == shown
    assert world.call(call.id).answered_by_raw == raw


def test_before_the_dials_own_answer_the_request_binds_the_call(world: World) -> None:
    replies: list[Reply] = []
    world.carrier.on_create = lambda request, carrier_call_id: replies.append(
        world.fetch_instructions(world.last_call(), carrier_call_id=carrier_call_id)
    )
    call = a_call(world)
    assert twiml(replies[0])[0].tag == "Say"
    assert (call.status, call.carrier_call_id) == ("in_progress", f"CA{len(world.carrier.requests):032x}")


def test_the_out_of_order_twin_a_late_ringing_does_not_take_the_answer_back(world: World) -> None:
    call = a_call(world)
    world.fetch_instructions(call)
    world.live_through(call, "initiated", "ringing")
    assert world.get_call(call.id).json["status"] == "in_progress"


# ---- who is told to hang up -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call_id", ["call_01J00000000000000000000000", "x", "CALL", "-_-"])
def test_an_unknown_call_is_told_to_hang_up(world: World, call_id: str) -> None:
    unknown = dataclasses.replace(a_call(world), id=call_id)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(unknown))


@pytest.mark.parametrize("ending", ["completed", "busy", "no-answer", "failed", "canceled"])
def test_an_ended_call_is_told_to_hang_up(world: World, ending: str) -> None:
    call = a_call(world)
    world.live_through(call, ending)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call))


def test_a_second_carrier_call_for_one_call_is_told_to_hang_up(world: World) -> None:
    call = a_call(world)
    world.fetch_instructions(call)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call, carrier_call_id="CA" + "f" * 32))
    assert twiml(world.fetch_instructions(call))[0].tag == "Say"


def test_a_call_of_another_organization_is_told_to_hang_up(world: World) -> None:
    call = a_call(world)
    other_id, key = a_caller(world, number="+15550100932")
    world.initiate({"assistant_id": 1, "to_phone_number": "+15559876543"}, key=key)
    other = stored_call(world, other_id, list(world.carrier.call_ids)[-1])
    theirs: dict[str, Any] = {"organization_id": other_id, "account_id": other.carrier_account_id}
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call, **theirs))


def test_another_account_of_the_same_organization_is_told_to_hang_up(world: World) -> None:
    call = a_call(world)
    secret = {"account_sid": ACCOUNT_SID, "auth_token": "12345"}
    provision = world.stack.provision
    other = provision.create_carrier_account(call.organization_id, carrier="twilio", name="Other", secret=secret)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call, account_id=other.id))


@pytest.mark.parametrize(
    "form",
    [{"AccountSid": "AC" + "b" * 32}, {"CallSid": "x"}, {"CallSid": ""}, {"CallStatus": ""}, {"CallSidX": "1"}],
    ids=str,
)
def test_an_authentic_request_that_makes_no_sense_is_told_to_hang_up(world: World, form: dict[str, str]) -> None:
    call = a_call(world)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call, form))


@pytest.mark.parametrize("service", ["dynamodb", "secretsmanager"])
def test_when_aws_fails_the_callee_hears_a_hang_up_and_no_error(world: World, service: str) -> None:
    call = a_call(world)
    with unchanged(world), world.running_on(FailingAws(world.aws, service)):
        assert_hangs_up(world.fetch_instructions(call))
    assert twiml(world.fetch_instructions(call))[0].tag == "Say"


# ---- who is not answered at all -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"signature": None},
        {"signature": "x"},
        {"token": "54321"},
        {"body": b"CallSid=CA1"},
        {"body": b""},
        {"body": b"\xff"},
        {"content_type": "application/json"},
        {"content_type": ""},
        {"organization_id": "org_unknown"},
        {"account_id": "acct_unknown"},
        {"account_id": "../x"},
    ],
    ids=str,
)
def test_a_stranger_is_403_and_learns_nothing_of_the_call(world: World, how: dict[str, Any]) -> None:
    call = a_call(world)
    with unchanged(world):
        reply = world.fetch_instructions(call, **how)
    assert (reply.status, reply.body) == (403, "Invalid webhook signature")


@pytest.mark.parametrize("call_id", ["", "a b", "x" * 65, "é", "\ud800", "a/b", "<x>"], ids=ascii)
def test_a_path_that_was_never_given_out_is_never_a_5xx(world: World, call_id: str) -> None:
    call = a_call(world)
    event = world._carrier_event("twiml", call, {"CallStatus": "in-progress"})
    event["pathParameters"] = {**event["pathParameters"], "call_id": call_id}
    endpoint = twiml_app.build(world.settings, world.aws, now=world.clock.now)
    with unchanged(world):
        assert endpoint.respond(HttpRequest.from_event(event)).status == 403


def test_a_call_that_ended_before_it_was_fetched_settles_as_usual(world: World) -> None:
    call = a_call(world)
    world.live_through(call, *ANSWERED_CALL)
    with unchanged(world):
        assert_hangs_up(world.fetch_instructions(call))
    assert world.differences() == []
