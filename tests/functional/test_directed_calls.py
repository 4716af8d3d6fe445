"""Calls that speak by command: once on the answer, over when all is said, and never a long silence."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import unquote

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from dialplane.carriers.telnyx.events import call_resource_to_fields
from dialplane.domain.calls import Call
from dialplane.domain.carrier import CarrierCall, Unknown
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.instructions import Engine
from dialplane.domain.statuses import CallStatus
from dialplane.dynamodb.answers import AnswerStore
from dialplane.runtime.http import HttpRequest
from functions.status import webhook, worker
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server
from tests.fakes.telnyx import CONNECTION_ID, PUBLIC_KEY, event, sign
from tests.fakes.world import World
from tests.functional.expectations import a_key, an_assistant, an_organization, stored_call

pytestmark = pytest.mark.usefixtures("forgotten_calls")

NUMBERS = count(1_000)
OK = Reply(200, {"data": {"result": "ok"}})
OVER = Reply(422, {"errors": [{"code": "90018", "title": "Call has already ended"}]})
REFUSED = Reply(422, {"errors": [{"code": "10015", "title": "Bad Request", "source": {"pointer": "/voice"}}]})
LOST = Reply(status=0)


@pytest.fixture
def telnyx() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@dataclass(frozen=True)
class Customer:
    """An organization whose calls go over Telnyx Call Control, and one call of it."""

    world: World
    organization_id: str
    account_id: str
    carrier: str
    call_id: str

    @property
    def call(self) -> Call:
        """The call as it is stored."""
        return stored_call(self.world, self.organization_id, self.call_id)

    def reports(self, event_type: str, *, answer: int = 204, **payload: Any) -> None:
        """Telnyx posts a webhook about the call; with 204 it is on the queue afterwards."""
        now = self.world.clock.now()
        common = {
            "call_control_id": self.call.carrier_call_id,
            "client_state": b64encode(self.call_id.encode()).decode(),
            "direction": "outgoing",
        }
        at = payload.pop("at", now.isoformat().replace("+00:00", "Z"))
        body = event(
            event_type,
            at=at,
            event_id=f"{self.call_id}-{event_type}".replace(".", "-").replace("_", "-"),
            **{**common, **payload},
        )
        timestamp = str(int(now.timestamp()))
        path = {
            "carrier": self.carrier,
            "organization_id": self.organization_id,
            "carrier_account_id": self.account_id,
            "call_id": self.call_id,
        }
        headers = {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": sign(body, timestamp)}
        endpoint = webhook.build(self.world.settings, self.world.aws, now=self.world.clock.now)
        request = HttpRequest("POST", "/", headers, {}, path, body, "request")
        assert endpoint.respond(request).status == answer

    def delivery(self) -> SQSRecord:
        """The one queued message; delivering it again is delivering this record again."""
        sqs = self.world.session.client("sqs")
        (message,) = sqs.receive_message(QueueUrl=self.world.queue_url)["Messages"]
        sqs.delete_message(QueueUrl=self.world.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return SQSRecord({"messageId": message["MessageId"], "body": message["Body"]})

    def deliver(self, record: SQSRecord) -> str:
        """Let the worker have a message."""
        return worker.apply_record(record, worker.build(self.world.settings, self.world.aws, now=self.world.clock.now))


def a_customer(world: World, server: ScriptedServer, *, carrier: str = "telnyx", engine: Engine = "say") -> Customer:
    organization = an_organization(world)
    secret = {
        "api_key": "KEY1",
        "public_key": PUBLIC_KEY,
        "connection_id": CONNECTION_ID,
        "api_base_url": server.url,
        **({"sip_host": "pbx.example.test"} if carrier == "sip-telnyx" else {}),
    }
    provision = world.stack.provision
    account = provision.create_carrier_account(organization.id, carrier=carrier, name="Account", secret=secret)
    url = None if engine == "say" else "wss://engine.example.test/ws"
    an_assistant(world, organization.id, engine=engine, engine_url=url, goodbye_message="Bye.")
    provision.put_number(organization.id, f"+1555011{next(NUMBERS)}", account, assistant_id=1)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    assert world.initiate(body, key=a_key(world, organization.id)).status in (200, 202)
    return Customer(world, organization.id, account.id, carrier, list(world.carrier.call_ids)[-1])


def commands(server: ScriptedServer) -> list[str]:
    """The last part of each request's path: what Telnyx was asked to do."""
    return [request.path.rsplit("/", 1)[1] for request in server.received]


@pytest.mark.parametrize("carrier", ["telnyx", "sip-telnyx"])
def test_the_words_are_said_once_on_the_answer_and_the_call_ends_when_they_are_over(
    world: World, telnyx: ScriptedServer, carrier: str
) -> None:
    customer = a_customer(world, telnyx, carrier=carrier)
    telnyx.script = [OK, OK]
    customer.reports("call.initiated")
    world.drain()
    assert telnyx.received == []
    customer.reports("call.answered")
    world.drain()
    (spoken,) = telnyx.received
    assert unquote(spoken.path) == f"/v2/calls/{customer.call.carrier_call_id}/actions/speak"
    assert spoken.json["payload"] == '<speak>Good morning.<break time="1s"/>Bye.</speak>'
    assert spoken.json["command_id"] == f"{customer.call_id}:speak"
    assert customer.call.instructions_served_at is not None
    customer.reports("call.speak.ended", status="completed")
    world.drain()
    assert commands(telnyx) == ["speak", "hangup"]
    assert telnyx.received[1].json == {"command_id": f"{customer.call_id}:hang-up"}
    customer.reports("call.hangup", hangup_cause="normal_clearing", hangup_source="caller")
    customer.reports(
        "call.cost", status="success", billed_duration_secs=60, total_cost="0.01", cost_parts=[{"currency": "USD"}]
    )
    world.drain()
    assert (customer.call.status, customer.call.duration_seconds) == (CallStatus.COMPLETED, 60)
    assert customer.call.settled_at is not None
    assert commands(telnyx) == ["speak", "hangup"]


@pytest.mark.parametrize("cause", ["user_busy", "timeout", "normal_clearing"])
def test_a_transferred_call_ends_with_the_leg_that_was_to_take_it_over(
    world: World, telnyx: ScriptedServer, cause: str
) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OK] * 2
    customer.reports("call.answered")
    world.drain()
    leg = {
        "call_control_id": "v3:theirs",
        "client_state": b64encode(f"transferred-from/{customer.call.carrier_call_id}".encode()).decode(),
    }
    customer.reports("call.initiated", **leg)
    world.drain()
    assert commands(telnyx) == ["speak"]
    customer.reports("call.hangup", hangup_cause=cause, **leg)
    world.drain()
    assert commands(telnyx) == ["speak", "hangup"]
    assert unquote(telnyx.received[1].path) == f"/v2/calls/{customer.call.carrier_call_id}/actions/hangup"
    assert customer.call.status is CallStatus.IN_PROGRESS, "its own end is yet to be reported"


@pytest.mark.parametrize("event_type", ["call.initiated", "call.answered"])
def test_a_call_that_was_given_up_and_rings_after_all_is_hung_up(
    world: World, telnyx: ScriptedServer, event_type: str
) -> None:
    world.carrier.outcomes.append(Unknown(reason="ReadTimeout"))
    customer = a_customer(world, telnyx)
    for _ in range(2):
        world.clock.sleep(600)
        world.reconcile()
    assert (customer.call.ended_reason, customer.call.carrier_call_id) == ("not_placed", None)
    telnyx.script = [OK]
    customer.reports(event_type, call_control_id="v3:late")
    world.drain()
    assert commands(telnyx) == ["hangup"]
    assert (customer.call.status, customer.call.charge_micros) == (CallStatus.FAILED, 0)
    customer.reports("call.hangup", hangup_cause="normal_clearing", call_control_id="v3:late")
    world.drain()
    assert commands(telnyx) == ["hangup"]


def test_the_duplicate_twin_says_nothing_twice(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OK] * 3
    for _ in range(3):
        customer.reports("call.answered")
        world.drain()
    assert commands(telnyx) == ["speak"]
    world.clock.sleep(120)  # long after Telnyx has forgotten the command
    customer.reports("call.answered")
    world.drain()
    assert commands(telnyx) == ["speak"]
    for _ in range(2):
        customer.reports("call.speak.ended", status="completed")
        world.drain()
    ids = [request.json["command_id"] for request in telnyx.received]
    assert ids == [f"{customer.call_id}:speak"] + [f"{customer.call_id}:hang-up"] * 2


def test_the_out_of_order_twin_commands_nothing_of_a_call_that_is_over(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    for event_type, payload in (
        ("call.hangup", {"hangup_cause": "user_busy"}),
        ("call.speak.ended", {"status": "call_hangup"}),
        ("call.answered", {}),
        ("call.initiated", {}),
    ):
        customer.reports(event_type, **payload)
        world.drain()
    assert telnyx.received == []
    assert customer.call.status is CallStatus.BUSY


def test_a_message_that_is_delivered_again_repeats_the_same_command_only_until_it_is_known_to_be_taken(
    world: World, telnyx: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = a_customer(world, telnyx)
    customer.reports("call.answered")
    record = customer.delivery()
    telnyx.script = [OK, OK]

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(AnswerStore, "answer", crash)
        with pytest.raises(RuntimeError):
            customer.deliver(record)
    assert customer.deliver(record) == "duplicate"
    assert customer.deliver(record) == "duplicate"
    first, second = telnyx.received
    assert first.body == second.body


def test_a_lost_answer_is_asked_for_again_under_the_same_name(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [LOST, OK]
    customer.reports("call.answered")
    world.drain()
    first, second = telnyx.received
    assert first.body == second.body
    assert customer.call.instructions_served_at is not None


@pytest.mark.parametrize("failure", [REFUSED, Reply(500), LOST])
def test_a_call_that_cannot_be_spoken_to_is_ended(world: World, telnyx: ScriptedServer, failure: Reply) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [failure, failure, OK]
    customer.reports("call.answered")
    world.drain()
    assert commands(telnyx) == ["speak", "speak", "hangup"]
    assert customer.call.status is CallStatus.IN_PROGRESS


def test_a_call_that_cannot_be_ended_either_is_tried_again_with_its_message(
    world: World, telnyx: ScriptedServer
) -> None:
    customer = a_customer(world, telnyx)
    customer.reports("call.answered")
    record = customer.delivery()
    telnyx.script = [LOST] * 4
    with pytest.raises(CarrierUnavailable):
        customer.deliver(record)
    assert commands(telnyx) == ["speak", "speak", "hangup", "hangup"]
    telnyx.script = [OK]
    customer.deliver(record)
    assert commands(telnyx)[4:] == ["speak"]


def test_who_has_waited_too_long_is_not_spoken_to_any_more(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    customer.reports("call.answered")
    record = customer.delivery()
    world.clock.sleep(31)
    telnyx.script = [OK]
    customer.deliver(record)
    assert commands(telnyx) == ["hangup"]


def test_a_call_that_is_over_by_then_needs_nothing(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OVER]
    customer.reports("call.answered")
    world.drain()
    assert commands(telnyx) == ["speak"]
    assert customer.call.instructions_served_at is None


def test_a_hang_up_that_fails_leaves_its_message_to_be_delivered_again(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OK]
    customer.reports("call.answered")
    world.drain()
    customer.reports("call.speak.ended", status="completed")
    record = customer.delivery()
    telnyx.script = [LOST, LOST]
    with pytest.raises(CarrierUnavailable):
        customer.deliver(record)
    telnyx.script = [OVER]
    customer.deliver(record)
    assert commands(telnyx) == ["speak", "hangup", "hangup", "hangup"]


def test_the_end_of_the_words_before_a_transfer_does_not_end_the_call(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OK]
    customer.reports("call.answered")
    customer.reports("call.speak.ended", client_state=b64encode(b"transfer").decode())
    world.drain()
    assert commands(telnyx) == ["speak"]


@pytest.mark.parametrize("engine", ["relay", "stream"])
def test_calls_that_were_told_with_the_dial_need_no_command_and_no_secret(
    world: World, telnyx: ScriptedServer, engine: Engine
) -> None:
    customer = a_customer(world, telnyx, engine=engine)
    customer.reports("call.answered")
    record = customer.delivery()
    world.stack.provision.secrets.put(customer.organization_id, customer.account_id, {"unusable": "x"})
    assert customer.deliver(record) == "accepted"
    assert telnyx.received == []


def test_an_account_without_a_secret_leaves_the_message_to_be_delivered_again(
    world: World, telnyx: ScriptedServer
) -> None:
    customer = a_customer(world, telnyx)
    customer.reports("call.answered")
    record = customer.delivery()
    world.session.client("secretsmanager").delete_secret(
        SecretId=f"dialplane/carriers/{customer.organization_id}/{customer.account_id}", ForceDeleteWithoutRecovery=True
    )
    with pytest.raises(CarrierUnavailable):
        customer.deliver(record)
    assert customer.call.status is CallStatus.IN_PROGRESS


def test_a_report_signed_for_another_call_is_refused_at_this_ones_address(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    state = b64encode(b"call_01J00000000000000000000000").decode()
    customer.reports("call.answered", client_state=state, answer=403)
    world.drain()
    assert customer.call.status is CallStatus.QUEUED


# ---- engines that were connected with the dial ----------------------------------------------------------------------

ENGINE_GONE = [
    ("relay", "call.conversation.ended"),
    ("relay", "call.conversation.start_failed"),
    ("stream", "streaming.stopped"),
    ("stream", "streaming.failed"),
]


@pytest.mark.parametrize("carrier", ["telnyx", "sip-telnyx"])
@pytest.mark.parametrize(("engine", "gone"), ENGINE_GONE)
def test_a_call_ends_with_its_engine_instead_of_in_silence(
    world: World, telnyx: ScriptedServer, carrier: str, engine: Engine, gone: str
) -> None:
    customer = a_customer(world, telnyx, carrier=carrier, engine=engine)
    telnyx.script = [OK]
    for event_type in ("call.initiated", "call.answered", gone):
        customer.reports(event_type)
        world.drain()
    assert commands(telnyx) == ["hangup"]
    assert telnyx.received[0].json == {"command_id": f"{customer.call_id}:hang-up"}
    assert customer.call.status is CallStatus.IN_PROGRESS, "ended by Telnyx's word and not by our command"


@pytest.mark.parametrize(("engine", "gone"), ENGINE_GONE)
def test_the_duplicate_twin_hangs_up_under_the_same_name(
    world: World, telnyx: ScriptedServer, engine: Engine, gone: str
) -> None:
    customer = a_customer(world, telnyx, engine=engine)
    customer.reports("call.answered")
    world.drain()
    telnyx.script = [OK, OVER]
    for _ in range(2):
        customer.reports(gone)
        world.drain()
    assert [request.json for request in telnyx.received] == [{"command_id": f"{customer.call_id}:hang-up"}] * 2


@pytest.mark.parametrize(("engine", "gone"), ENGINE_GONE)
def test_the_out_of_order_twin_hangs_up_before_the_answer_and_never_after_the_end(
    world: World, telnyx: ScriptedServer, engine: Engine, gone: str
) -> None:
    early, late = a_customer(world, telnyx, engine=engine), a_customer(world, telnyx, engine=engine)
    telnyx.script = [OK]
    early.reports(gone)
    early.reports("call.answered")
    world.drain()
    assert commands(telnyx) == ["hangup"]
    late.reports("call.answered")
    late.reports("call.hangup", hangup_cause="normal_clearing", hangup_source="callee")
    late.reports(gone)
    world.drain()
    assert commands(telnyx) == ["hangup"]
    assert late.call.status is CallStatus.COMPLETED


@pytest.mark.parametrize(("engine", "gone"), ENGINE_GONE)
def test_an_engine_that_a_transfer_put_an_end_to_does_not_end_the_call(
    world: World, telnyx: ScriptedServer, engine: Engine, gone: str
) -> None:
    customer = a_customer(world, telnyx, engine=engine)
    customer.reports("call.answered")
    customer.reports(gone, client_state=b64encode(b"transfer").decode())
    world.drain()
    assert telnyx.received == []


def test_an_engine_of_another_carrier_call_ends_nothing(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx, engine="relay")
    customer.reports("call.answered")
    customer.reports("call.conversation.ended", call_control_id="v3:another")
    world.drain()
    assert telnyx.received == []


def test_a_hang_up_after_an_engine_that_is_not_taken_comes_again_with_its_message(
    world: World, telnyx: ScriptedServer
) -> None:
    customer = a_customer(world, telnyx, engine="relay")
    customer.reports("call.answered")
    world.drain()
    customer.reports("call.conversation.ended")
    record = customer.delivery()
    telnyx.script = [LOST, Reply(500)]
    with pytest.raises(CarrierUnavailable):
        customer.deliver(record)
    telnyx.script = [OK]
    assert customer.deliver(record) == "duplicate"
    assert commands(telnyx) == ["hangup"] * 3


def _books_say_it_lasts(customer: Customer) -> None:
    call_id = customer.call.carrier_call_id
    assert call_id is not None
    fields = call_resource_to_fields({"call_control_id": call_id, "is_alive": True})
    customer.world.carrier.records[call_id] = CarrierCall(call_id, customer.call.created_at, fields)


def test_a_call_whose_answer_was_never_reported_is_ended_once_it_cannot_be_ringing_any_more(
    world: World, telnyx: ScriptedServer
) -> None:
    customer = a_customer(world, telnyx)
    _books_say_it_lasts(customer)
    world.clock.sleep(45)  # the first check is due later, and it may still ring
    world.reconcile()
    world.drain()
    assert commands(telnyx) == []
    telnyx.script = [OK] * 3
    for _ in range(2):
        world.clock.sleep(120)
        world.reconcile()
        world.drain()
    assert set(commands(telnyx)) == {"hangup"}
    assert {request.json["command_id"] for request in telnyx.received} == {f"{customer.call_id}:hang-up"}


@pytest.mark.parametrize("engine", ["relay", "stream"])
def test_a_conversation_that_lasts_is_not_taken_for_silence(
    world: World, telnyx: ScriptedServer, engine: Engine
) -> None:
    customer = a_customer(world, telnyx, engine=engine)
    _books_say_it_lasts(customer)
    world.clock.sleep(120)
    world.reconcile()
    world.drain()
    assert commands(telnyx) == []


def test_a_call_that_was_spoken_to_is_not_taken_for_silence(world: World, telnyx: ScriptedServer) -> None:
    customer = a_customer(world, telnyx)
    telnyx.script = [OK]
    customer.reports("call.answered")
    world.drain()
    _books_say_it_lasts(customer)
    world.clock.sleep(120)
    world.reconcile()
    world.drain()
    assert commands(telnyx) == ["speak"]
