"""Requests answered after the commit: the dial comes from a queue, once, within its window, with the same money."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.aws.client import AwsError
from dialplane.domain.calls import DIAL_WINDOW, QUEUE_WINDOW, Call
from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import CarrierUnavailable
from dialplane.domain.statuses import CallStatus, DialOutcome
from dialplane.runtime import dialing
from functions.initiate import dial
from tests.fakes.moto_dynamodb import Crash, FaultInjector
from tests.fakes.world import World
from tests.functional.expectations import stored_call

KLEN = {"phone_number": "+15559876543", "agent_id": 123}


def asked(world: World, **how: Any) -> Call:
    """A call that is committed and whose dial is on the queue."""
    reply = world.post("/calls", KLEN, **how)
    assert (reply.status, reply.json["status"]) == (200, "queued"), reply.body
    return world.call(reply.json["call_id"])


@pytest.fixture(autouse=True)
def _empty_queue(world: World) -> None:
    sqs = world.session.client("sqs")
    while messages := sqs.receive_message(QueueUrl=world.dials_queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=world.dials_queue_url, ReceiptHandle=message["ReceiptHandle"])


def dials_of(world: World, call: Call) -> int:
    return sum(request.call_id == call.id for request in world.carrier.requests)


def test_the_answer_does_not_wait_for_the_carrier_and_the_money_is_held(world: World) -> None:
    held = world.wallet()["held"]
    call = asked(world)
    assert (call.status, dials_of(world, call)) == (CallStatus.DIALING, 0)
    assert world.wallet()["held"] != held
    world.dial_queued()
    placed = world.call(call.id)
    assert (placed.dial_outcome, dials_of(world, call)) == (DialOutcome.PLACED, 1)
    assert placed.carrier_call_id


def test_a_message_that_is_delivered_twice_dials_once(world: World) -> None:
    call = asked(world)
    message = json.dumps({"organization_id": call.organization_id, "call_id": call.id})
    world.session.client("sqs").send_message(QueueUrl=world.dials_queue_url, MessageBody=message)
    assert world.dial_queued() == 2
    assert dials_of(world, call) == 1


def test_two_deliveries_at_the_same_moment_dial_once(world: World) -> None:
    call = asked(world)
    use_case = dial.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
    world.carrier.on_create = lambda request, _: use_case.dial_queued(call.organization_id, call.id) and None
    world.dial_queued()
    assert dials_of(world, call) == 1


def test_a_dial_whose_worker_died_after_the_claim_is_never_repeated(world: World) -> None:
    call = asked(world)
    world.carrier.outcomes.append(SystemExit())
    use_case = dial.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
    with pytest.raises(SystemExit):
        use_case.dial_queued(call.organization_id, call.id)
    world.dial_queued()
    assert dials_of(world, call) == 1
    assert world.call(call.id).status is CallStatus.DIALING, "what became of it is the reconciler's to find out"


@pytest.mark.parametrize("seconds", [11, 59])
def test_a_message_that_waits_within_its_minute_is_dialled_in_a_window_of_its_own(world: World, seconds: int) -> None:
    call = asked(world)
    world.clock.sleep(seconds)
    world.dial_queued()
    placed = world.call(call.id)
    assert (dials_of(world, call), placed.dial_outcome) == (1, DialOutcome.PLACED)
    assert placed.dial_deadline == world.clock.now() + DIAL_WINDOW


def test_a_message_that_comes_too_late_dials_nobody_and_gives_back_the_hold(world: World) -> None:
    available = world.wallet()["available"]
    call = asked(world)
    assert call.dial_deadline == call.created_at + QUEUE_WINDOW
    world.clock.sleep((call.dial_deadline - world.clock.now()).total_seconds())
    world.dial_queued()
    ended = world.call(call.id)
    assert (dials_of(world, call), ended.status, ended.dial_error) == (
        0,
        CallStatus.FAILED,
        "rate_limited:dial_window_over",
    )
    assert world.wallet()["available"] == available
    assert world.differences() == []


def test_a_refusal_ends_the_call_and_gives_back_the_hold(world: World) -> None:
    available = world.wallet()["available"]
    call = asked(world)
    world.carrier.outcomes.append(Rejected(cause="invalid_destination", code="21211", message="no number"))
    world.dial_queued()
    ended = world.call(call.id)
    assert (ended.status, ended.dial_error, ended.is_open) == (CallStatus.FAILED, "invalid_destination:21211", False)
    assert world.wallet()["available"] == available


def test_an_unknown_outcome_keeps_the_hold_and_is_never_dialled_again(world: World) -> None:
    call = asked(world)
    world.carrier.outcomes.append(Unknown(reason="ReadTimeout"))
    world.dial_queued()
    assert world.call(call.id).status is CallStatus.UNCONFIRMED
    use_case = dial.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
    assert use_case.dial_queued(call.organization_id, call.id) is None
    assert dials_of(world, call) == 1


def test_an_account_that_lost_its_credentials_meanwhile_ends_the_call(world: World) -> None:
    available = world.wallet()["available"]
    call = asked(world)

    def closed(*_: object, **__: object) -> None:
        raise CarrierUnavailable("The carrier account has no credentials.")

    with patch.object(dialing, "open_carrier", closed):
        world.dial_queued()
    ended = world.call(call.id)
    assert (ended.status, ended.dial_error, dials_of(world, call)) == (CallStatus.FAILED, "credentials:account", 0)
    assert world.wallet()["available"] == available


@pytest.mark.parametrize("is_delivered", [False, True], ids=["lost", "delivered all the same"])
def test_a_queue_that_does_not_answer_leaves_the_dial_to_the_request(
    world: World, monkeypatch: pytest.MonkeyPatch, is_delivered: bool
) -> None:
    send = world.aws.call

    def call_aws(service: str, operation: str, params: Any) -> Any:
        if operation == "SendMessage":
            if is_delivered:
                send(service, operation, params)
            raise AwsError("TimeoutError", "no answer")
        return send(service, operation, params)

    with monkeypatch.context() as patched:
        patched.setattr(type(world.aws), "call", lambda self, *args: call_aws(*args))
        call = asked(world)
    world.dial_queued()
    assert dials_of(world, call) == 1
    assert world.call(call.id).dial_outcome is DialOutcome.PLACED


@pytest.mark.parametrize("is_platforms", [False, True], ids=["organization", "platform"])
def test_a_number_that_was_listed_meanwhile_is_not_dialled_and_the_list_does_not_wait_for_the_queue(
    world: World, is_platforms: bool
) -> None:
    available = world.wallet()["available"]
    call = asked(world)
    began = world.clock.now()
    if is_platforms:
        world.stack.dnc.destinations.add_dnc_entry(
            None, DncEntry(number=call.destination, reason="asked", source="api", added_at=began)
        )
    else:
        assert world.manage("PUT /dnc/{number}", f"/dnc/{call.destination}", body={}).status == 200
    assert world.clock.now() == began, "nobody has claimed the dial, and nobody can any more"
    for _ in range(2):
        world.dial_queued()
    ended = world.call(call.id)
    assert (dials_of(world, call), ended.dial_error) == (0, "destination_not_permitted:do_not_call")
    assert (ended.is_open, world.wallet()["available"]) == (False, available)
    world.stack.dnc.destinations.remove_dnc_entry(None if is_platforms else call.organization_id, call.destination)


def test_a_listing_waits_for_a_dial_that_was_claimed(world: World) -> None:
    call = asked(world)
    acknowledged: list[datetime] = []

    def listed(request: Any, _: str) -> None:
        began = world.clock.now()
        assert world.manage("PUT /dnc/{number}", f"/dnc/{call.destination}", body={}).status == 200
        acknowledged.append(world.clock.now())
        assert world.clock.now() - began >= DIAL_WINDOW - timedelta(seconds=1)

    world.carrier.on_create = listed
    world.dial_queued()
    assert (dials_of(world, call), len(acknowledged)) == (1, 1)
    world.manage("DELETE /dnc/{number}", f"/dnc/{call.destination}")


def test_a_replay_says_the_same_whatever_became_of_the_call(world: World) -> None:
    key = {"idempotency-key": "the-same"}
    call = asked(world, headers=key)
    early = world.post("/calls", KLEN, headers=key)
    world.carrier.outcomes.append(Rejected(cause="other", code="1", message=""))
    world.dial_queued()
    late = world.post("/calls", KLEN, headers=key)
    assert early.json == late.json
    assert (early.status, late.status, early.json["call_id"]) == (200, 200, call.id)
    assert late.headers["idempotent-replayed"] == "true"
    assert dials_of(world, call) == 1


def test_a_worker_that_dies_at_any_point_dials_at_most_once_however_often_it_is_tried_again(world: World) -> None:
    crashed = 0
    for point in range(40):
        call = asked(world)
        injector = FaultInjector(crash_at=point)
        aws = world.injected(injector)
        use_case = dial.build(world.settings, aws, now=world.clock.now, sleep=world.clock.sleep)
        try:
            use_case.dial_queued(call.organization_id, call.id)
        except Crash:
            crashed += 1
        for _ in range(2):
            world.dial_queued()
        assert dials_of(world, call) <= 1, f"crash at point {point}"
        if injector.points <= point:
            break
    assert crashed >= 6, "the read, the claim and the record have two points each"


def test_a_claim_whose_answer_was_lost_is_still_ours(world: World) -> None:
    lost = 0
    for seed in range(12):
        call = asked(world)
        injector = FaultInjector(seed=seed, lost_reply_probability=0.3)
        aws = world.injected(injector, sleep=lambda _: None)
        use_case = dial.build(world.settings, aws, now=world.clock.now, sleep=world.clock.sleep)
        use_case.dial_queued(call.organization_id, call.id)
        assert dials_of(world, call) == 1, f"seed {seed}"
        lost += injector.lost_replies
    assert lost > 6


def test_a_message_of_another_organization_reaches_no_call(world: World) -> None:
    call = asked(world)
    use_case = dial.build(world.settings, world.aws, now=world.clock.now, sleep=world.clock.sleep)
    assert use_case.dial_queued(world.demo.second_organization_id, call.id) is None
    assert stored_call(world, call.organization_id, call.id).dial_claim is None
