"""Conversations at the carriers: where the WebSocket is told, what follows its end, machines, recordings.

Through the real entry points, over every carrier that can converse, in its own words.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator

from dialplane.carriers.registry import ENGINES, TRAITS
from dialplane.domain.accounts import Assistant
from dialplane.domain.calls import Call
from dialplane.domain.carrier import DialRequest
from dialplane.dynamodb.conversations import ConversationStore
from dialplane.dynamodb.tables import call_key
from dialplane.usecases.serve_instructions import SERVED_MAX
from functions.conversation import app as conversation_app
from sandbox.demo_data import CALLER_NUMBERS, CARRIER_NUMBERS
from tests.fakes.carrier_callbacks import Leg, question
from tests.fakes.phones import METHOD_ARN, FakeSockets
from tests.fakes.telnyx import event as telnyx_event
from tests.fakes.world import BASE_URL, SOCKET_BASE_URL, Reply, World
from tests.functional.carried_calls import Customer, a_world_of_carriers
from tests.functional.expectations import unchanged

pytestmark = pytest.mark.usefixtures("forgotten_calls")

CONVERSING = sorted(carrier for carrier, engines in ENGINES.items() if "conversation" in engines)
FETCHING = [carrier for carrier in CONVERSING if TRAITS[carrier].fetches_instructions]
DIRECTED = [carrier for carrier in CONVERSING if carrier not in FETCHING]
_IDS = count(1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world_of_carriers() as made:
        for number, (on_machine, is_recorded) in enumerate(
            [("continue", False), ("hang_up", False), ("leave_message", True)]
        ):
            made.stack.provision.put_assistant(
                Assistant(
                    id=9100 + number,
                    organization_id=made.demo.organization_id,
                    name="Anna",
                    welcome_message="Hi, can you come on Monday?",
                    engine="conversation",
                    language="en-US",
                    machine_detection=True,
                    on_machine=on_machine,  # type: ignore[arg-type]
                    voicemail_message="Please call us back.",
                    is_recorded=is_recorded,
                )
            )
        yield made


ASSISTANTS = {"continue": 9100, "hang_up": 9101, "leave_message": 9102}


@dataclass(frozen=True)
class Talk:
    """A call with a conversation over one carrier, and the carrier's side of it."""

    customer: Customer
    leg: Leg

    @property
    def call(self) -> Call:
        return self.customer.world.call(self.leg.call_id)

    @property
    def dial(self) -> DialRequest:
        return next(request for request in self.customer.world.carrier.requests if request.call_id == self.leg.call_id)

    def asks(self, **form: str) -> Reply:
        """The carrier asks what to say; with a SessionStatus because a session is over."""
        body = urlencode({**dict(parse_qsl(question(self.leg).decode())), **form}).encode()
        return self.customer.posts(self.leg, body, kind="twiml")

    def told_address(self, **form: str) -> str | None:
        """The WebSocket's address in the document that it gets; None for a document that hangs up."""
        noun = relay(self.asks(**form))
        return noun.attrib["url"] if noun is not None else None

    def opens(self, url: str) -> bool:
        """The carrier opens the WebSocket, signed where it signs; whether it is let in."""
        world = self.customer.world
        secret = self.customer.secret
        signed = RequestValidator(secret.get("auth_token", "")).compute_signature(url, {})
        headers = {"X-Twilio-Signature": signed} if "auth_token" in secret else {}
        event = {
            "type": "REQUEST",
            "methodArn": METHOD_ARN,
            "headers": headers,
            "queryStringParameters": dict(parse_qsl(urlsplit(url).query)),
            "requestContext": {"connectionId": f"carried-{next(_IDS)}", "requestId": "r"},
        }
        endpoint = conversation_app.build(
            world.settings, world.aws, sockets=FakeSockets(), now=world.clock.now, monotonic=lambda: 0.0
        )
        (statement,) = endpoint.authorize(event)["policyDocument"]["Statement"]
        return bool(statement["Effect"] == "Allow")

    def tells(self, *bodies: bytes) -> None:
        """The carrier posts these reports in this order, and they are taken in."""
        self.customer.delivers(self.leg, bodies)

    def tasks(self) -> list[Mapping[str, Any]]:
        """What was put on the queue of conversations' tasks, which is empty afterwards."""
        world = self.customer.world
        sqs, url = world.session.client("sqs"), world.settings.text("CONVERSATION_TASKS_QUEUE_URL")
        found = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def talk(world: World, carrier: str, on_machine: str = "continue") -> Talk:
    """A call that was placed and is being answered."""
    customer = Customer(world, carrier)
    number = CALLER_NUMBERS[0] if carrier == "twilio" else CARRIER_NUMBERS[carrier]
    body = {
        "from_phone_number": number,
        "to_phone_number": f"+1555988{next(_IDS):04d}",
        "assistant_id": ASSISTANTS[on_machine],
    }
    assert world.initiate(body).status == 200
    call = world.last_call()
    return Talk(customer, customer.leg(call, call.carrier_call_id or ""))


def relay(reply: Reply) -> ElementTree.Element | None:
    assert reply.status == 200
    document = ElementTree.fromstring(reply.body)  # noqa: S314 - our own document
    if (noun := document.find("Connect/ConversationRelay")) is None:
        assert [element.tag for element in document] == ["Hangup"]
    return noun


# ---- where the WebSocket is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", FETCHING)
def test_who_fetches_instructions_is_told_an_address_that_opens_once(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    reply = call.asks()
    noun = relay(reply)
    assert noun is not None
    url = noun.attrib["url"]
    ids = (world.demo.organization_id, carrier, call.customer.account_id, call.leg.call_id)
    assert url.startswith(f"{SOCKET_BASE_URL}?call={'.'.join(ids)}.")
    assert noun.attrib["welcomeGreetingInterruptible"] == "none", "a disclosure is heard to its end"
    assert noun.attrib["dtmfDetection"] == "true"
    connect = ElementTree.fromstring(reply.body)[0]  # noqa: S314 - our own document
    assert connect.attrib["action"] == call.customer.address(call.leg.call_id, "twiml").url(BASE_URL)
    assert call.opens(url)
    assert not call.opens(url)


@pytest.mark.parametrize("carrier", DIRECTED)
def test_who_is_told_with_the_dial_gets_the_same(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    token = call.call.socket_token
    ids = (world.demo.organization_id, carrier, call.customer.account_id, call.leg.call_id, token or "")
    url = call.dial.instructions.url
    assert url == f"{SOCKET_BASE_URL}?call={'.'.join(ids)}"
    assert call.opens(url)
    assert not call.opens(url)


@pytest.mark.parametrize("carrier", FETCHING)
def test_no_address_goes_with_the_dial_of_who_fetches_it(world: World, carrier: str) -> None:
    assert talk(world, carrier).dial.instructions.url is None


@pytest.mark.parametrize("carrier", CONVERSING)
def test_an_address_names_the_account_that_may_open_it(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    url = call.told_address() if carrier in FETCHING else call.dial.instructions.url
    assert url is not None
    twilio, telnyx = ("twilio", "telnyx") if carrier != "twilio" else ("sip-twilio", "telnyx")
    other_account = world.demo.carrier_accounts[twilio if "telnyx" in carrier else telnyx]
    foreign = [
        url.replace(call.customer.account_id, other_account),
        url.replace(f".{carrier}.", ".telnyx." if "twilio" in carrier else ".twilio."),
        url.replace(f".{carrier}.", ".vonage."),
        url[:-1] + ("x" if url[-1] != "x" else "y"),
    ]
    assert not any(call.opens(each) for each in foreign)
    assert call.opens(url), "the token is still there"


# ---- after a session ------------------------------------------------------------------------------------------------


FAILED = {"SessionId": "VX1", "SessionStatus": "failed", "SessionDuration": "3", "ErrorCode": "64105"}


@pytest.mark.parametrize("carrier", FETCHING)
def test_a_conversation_that_broke_off_is_resumed_without_a_greeting_and_by_a_new_address(
    world: World, carrier: str
) -> None:
    call = talk(world, carrier)
    first = call.told_address()
    assert first is not None
    assert call.opens(first)
    again = relay(call.asks(**FAILED))
    assert again is not None
    assert "welcomeGreeting" not in again.attrib
    assert again.attrib["url"] != first
    assert not call.opens(first)
    assert call.opens(again.attrib["url"])


@pytest.mark.parametrize("carrier", FETCHING)
def test_a_conversation_that_never_began_is_greeted_when_it_does(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    assert call.told_address() is not None
    again = relay(call.asks(**FAILED))
    assert again is not None
    assert again.attrib["welcomeGreeting"]


@pytest.mark.parametrize("carrier", FETCHING)
def test_what_breaks_off_again_and_again_is_given_up(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    url = call.told_address()
    for _ in range(SERVED_MAX - 1):
        assert url is not None
        assert call.opens(url)
        url = call.told_address(**FAILED)
    assert url is not None
    assert call.opens(url)
    with unchanged(world):
        assert call.told_address(**FAILED) is None
    assert call.call.instructions_served_count == SERVED_MAX


@pytest.mark.parametrize("carrier", FETCHING)
@pytest.mark.parametrize("status", ["completed", "ended", "brand-new"])
def test_after_a_session_that_ended_well_the_call_ends(world: World, carrier: str, status: str) -> None:
    call = talk(world, carrier)
    url = call.told_address()
    assert url is not None
    assert call.opens(url)
    with unchanged(world):
        for _ in range(2):
            assert call.told_address(SessionId="VX1", SessionStatus=status, HandoffData='{"a": "b"}') is None


def test_a_carrier_that_does_not_say_how_its_session_ended_never_begins_again(world: World) -> None:
    """TeXML documents no field of this request: nobody may be greeted anew after every goodbye."""
    call = talk(world, "telnyx-texml")
    url = call.told_address()
    assert url is not None
    assert call.opens(url)
    with unchanged(world):
        assert call.told_address() is None


@pytest.mark.parametrize("carrier", FETCHING)
def test_the_duplicate_twin_a_failure_that_is_told_twice_leaves_one_address(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    url = call.told_address()
    assert url is not None
    assert call.opens(url)
    first, second = call.told_address(**FAILED), call.told_address(**FAILED)
    assert first is not None
    assert second is not None
    assert not call.opens(first)
    assert call.opens(second)


@pytest.mark.parametrize("carrier", FETCHING)
def test_the_out_of_order_twin_a_failure_after_the_end_resumes_nothing(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    url = call.told_address()
    assert url is not None
    assert call.opens(url)
    call.customer.reports(call.leg, "answered")
    with unchanged(world):
        assert call.told_address(**FAILED) is None


@pytest.mark.parametrize("carrier", FETCHING)
def test_a_conversation_that_we_have_ended_is_not_resumed(world: World, carrier: str) -> None:
    call = talk(world, carrier)
    url = call.told_address()
    assert url is not None
    assert call.opens(url)
    world.session.client("dynamodb").update_item(
        TableName=world.tables.calls,
        Key=call_key(world.demo.organization_id, call.leg.call_id).attributes,
        UpdateExpression="SET conversation_end = :end",
        ExpressionAttributeValues={":end": {"S": "opt_out"}},
    )
    with unchanged(world):
        assert call.told_address(**FAILED) is None


@pytest.mark.parametrize("carrier", DIRECTED)
@pytest.mark.parametrize("reason", ["ended", "customer_disconnect", "call_hangup"])
def test_telnyx_ends_no_call_by_itself_so_we_do_after_every_session(world: World, carrier: str, reason: str) -> None:
    call = talk(world, carrier)
    world.carrier.commands.clear()
    ended = report(call, "call.conversation.ended", reason=reason, conversation_id="conv-1")
    call.tells(report(call, "call.answered"), ended)
    hang_up = {"hang_up": call.leg.carrier_call_id, "command_id": f"{call.leg.call_id}:hang-up"}
    assert world.carrier.commands == [hang_up]
    call.tells(ended)
    assert world.carrier.commands == [hang_up] * 2, "under the same name it is carried out once"


def report(call: Talk, event_type: str, **payload: Any) -> bytes:
    """A webhook of Telnyx's about a call."""
    about = {
        "call_control_id": call.leg.carrier_call_id,
        "client_state": base64.b64encode(call.leg.call_id.encode()).decode(),
        "connection_id": call.customer.secret["connection_id"],
        "direction": "outgoing",
    }
    event_id = str(uuid5(NAMESPACE_URL, f"{event_type}/{call.leg.call_id}/{payload.get('result', '')}"))
    at = call.customer.world.clock.now().isoformat().replace("+00:00", "Z")
    return telnyx_event(event_type, event_id=event_id, at=at, **{**about, **payload})


# ---- machines -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", CONVERSING)
@pytest.mark.parametrize("on_machine", ASSISTANTS)
def test_a_carrier_is_told_what_is_to_be_done_about_machines(world: World, carrier: str, on_machine: str) -> None:
    dial = talk(world, carrier, on_machine).dial
    assert (dial.machine_detection, dial.on_machine) == (True, on_machine)


def verdict(call: Talk, word: str) -> bytes:
    """What the carrier reports of who answered: ``human``, ``machine`` or the ``beep`` at the end of its greeting."""
    carrier = call.customer.carrier
    if carrier in DIRECTED:
        event_type, result = {
            "human": ("call.machine.detection.ended", "human"),
            "machine": ("call.machine.detection.ended", "machine"),
            "beep": ("call.machine.greeting.ended", "beep_detected"),
        }[word]
        return report(call, event_type, result=result)
    raw = {"human": "human", "machine": "machine_start", "beep": "machine_end_beep"}[word]
    form = {
        "AccountSid": call.customer.secret["account_sid"],
        "AnsweredBy": raw,
        "CallSid": call.leg.carrier_call_id,
        "MachineDetectionDuration": "4000",
    }
    return urlencode(form).encode()


def task(call: Talk, answered_by: str) -> dict[str, str]:
    ids = {"organization_id": call.customer.world.demo.organization_id, "call_id": call.leg.call_id}
    return {"kind": "machine", **ids, "answered_by": answered_by}


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_machine_becomes_a_task_of_the_conversation_and_so_does_the_end_of_its_greeting(
    world: World, carrier: str
) -> None:
    call = talk(world, carrier, "leave_message")
    call.tells(verdict(call, "machine"))
    assert call.tasks() == [task(call, "machine")]
    call.tells(verdict(call, "beep"))
    assert call.tasks() == [task(call, "machine_beep")]
    assert (call.call.answered_by, call.call.status) == ("machine_beep", call.call.status)
    assert not call.call.status.is_terminal


@pytest.mark.parametrize("carrier", CONVERSING)
def test_the_duplicate_twin_a_verdict_that_comes_twice_is_the_same_task_and_counts_once(
    world: World, carrier: str
) -> None:
    call = talk(world, carrier, "hang_up")
    call.tells(*[verdict(call, "machine")] * 2)
    assert call.tasks() == [task(call, "machine")] * 2
    assert call.customer.verdicts(call.call) == ["accepted", "duplicate"]


@pytest.mark.parametrize("carrier", CONVERSING)
def test_the_out_of_order_twin_a_verdict_after_the_end_is_kept_and_no_task(world: World, carrier: str) -> None:
    call = talk(world, carrier, "hang_up")
    call.customer.reports(call.leg, "answered")
    call.tells(verdict(call, "machine"))
    assert call.tasks() == []
    assert (call.call.answered_by, call.call.status) == ("machine", "completed")
    assert world.differences() == []


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_human_is_no_task(world: World, carrier: str) -> None:
    call = talk(world, carrier, "hang_up")
    call.tells(verdict(call, "human"))
    assert call.tasks() == []
    assert call.call.answered_by == "human"


def test_a_machine_on_a_call_without_conversation_is_no_task(world: World) -> None:
    customer = Customer(world, "twilio")
    placed, leg = customer.dials()
    call = Talk(customer, leg)
    call.tells(verdict(call, "machine"))
    assert (call.tasks(), customer.stored(placed).answered_by) == ([], "machine")


# ---- recordings -----------------------------------------------------------------------------------------------------


def saved(call: Talk) -> bytes:
    carrier = call.customer.carrier
    if carrier in DIRECTED:
        # As documented, it names neither the recording nor the call, but for its leg.
        document = json.loads(report(call, "call.recording.saved"))
        del document["data"]["payload"]["call_control_id"]
        return json.dumps(document).encode()
    account_sid = call.customer.secret["account_sid"]
    sid = "RE" + "d" * 32 if "twilio" in carrier else "35094891-3290-4142-b2c2-b2eda57534cf"
    form = {
        "AccountSid": account_sid,
        "CallSid": call.leg.carrier_call_id,
        "RecordingSid": sid,
        "RecordingStatus": "completed",
        "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{account_sid}/Recordings/{sid}",
        "RecordingDuration": "12",
    }
    return urlencode(form).encode()


@pytest.mark.parametrize("carrier", CONVERSING)
def test_a_recording_is_noted_on_its_call_even_after_the_end_and_once(world: World, carrier: str) -> None:
    call = talk(world, carrier, "leave_message")
    call.customer.reports(call.leg, "answered")
    charged = call.call.charge_micros
    call.tells(*[saved(call)] * 2)
    after = call.call
    assert after.recording_id is not None
    assert after.recording_id in (after.recording_url or "")
    assert (after.status, after.charge_micros) == ("completed", charged)
    assert call.customer.verdicts(after)[-2:] == ["accepted", "duplicate"]


def test_nothing_of_the_conversation_is_opened_by_what_carriers_report(world: World) -> None:
    call = talk(world, "twilio")
    call.tells(verdict(call, "machine"), saved(call))
    call.tasks()
    assert ConversationStore(world.aws, world.tables).get(world.demo.organization_id, call.leg.call_id) is None
