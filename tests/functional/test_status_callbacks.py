"""POST /status/…: what carriers report, and what others would like us to believe."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.retries import AwsError
from dialplane.carriers.twilio.events import UnknownCallStatus
from dialplane.domain.calls import Call
from dialplane.runtime.http import HttpRequest
from functions.status import webhook
from tests.fakes.world import ACCOUNT_SID, ANSWERED_CALL, World
from tests.functional.expectations import SEED2, a_caller, everything, stored_call, unchanged

pytestmark = pytest.mark.usefixtures("forgotten_calls")

LIVES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "completed": (ANSWERED_CALL, {"status": "completed", "ended_reason": "hang_up", "charge": "0.060000"}),
    "busy": (("initiated", "ringing", "busy"), {"status": "busy", "ended_reason": "busy", "charge": "0.000000"}),
    "no-answer": (
        ("initiated", "ringing", "no-answer"),
        {"status": "no_answer", "ended_reason": "no_answer", "charge": "0.000000"},
    ),
    "failed": (("initiated", "failed"), {"status": "failed", "ended_reason": "carrier_failed", "charge": "0.000000"}),
    "canceled": (("initiated", "canceled"), {"status": "canceled", "ended_reason": "canceled", "charge": "0.000000"}),
}


def a_call(world: World) -> Call:
    assert world.initiate(SEED2).status == 200
    return world.last_call()


def verdicts(world: World, call: Call) -> list[str]:
    events = world.manage("GET /calls/{call_id}/events", f"/calls/{call.id}/events").json["events"]
    return [event["verdict"] for event in events if event["type"] == "carrier_event"]


def outcome(world: World, call: Call) -> dict[str, Any]:
    document = world.get_call(call.id).json
    return {
        "status": document["status"],
        "ended_reason": document["ended_reason"],
        "charge": document["charge"]["amount"],
    }


# ---- every life of a call, with its twins ---------------------------------------------------------------------------


@pytest.mark.parametrize("life", LIVES)
def test_a_call_ends_as_its_callbacks_say(world: World, life: str) -> None:
    statuses, expected = LIVES[life]
    call = a_call(world)
    world.live_through(call, *statuses)
    assert outcome(world, call) == expected
    assert verdicts(world, call) == ["accepted"] * len(statuses)
    assert world.differences() == []


@pytest.mark.parametrize("life", LIVES)
def test_the_duplicate_twin_every_callback_thrice_changes_nothing_more(world: World, life: str) -> None:
    statuses, expected = LIVES[life]
    call = a_call(world)
    for sequence, status in enumerate(statuses):
        for _ in range(3):
            assert world.callback(call, world.form(status, sequence)).status == 204
    world.drain()
    assert outcome(world, call) == expected
    assert sorted(verdicts(world, call)) == ["accepted"] * len(statuses) + ["duplicate"] * 2 * len(statuses)
    assert world.differences() == []


@pytest.mark.parametrize("life", [name for name in LIVES if name != "completed"])
def test_the_out_of_order_twin_any_order_ends_the_same(world: World, life: str) -> None:
    statuses, expected = LIVES[life]
    for order in itertools.permutations(enumerate(statuses)):
        call = a_call(world)
        for sequence, status in order:
            world.callback(call, world.form(status, sequence))
        world.drain()
        assert outcome(world, call) == expected
    assert world.differences() == []


@pytest.mark.parametrize("life", LIVES)
def test_the_last_callback_alone_is_enough(world: World, life: str) -> None:
    statuses, expected = LIVES[life]
    call = a_call(world)
    world.live_through(call, statuses[-1])
    assert outcome(world, call) == expected


def test_an_earlier_state_after_a_later_one_is_stale(world: World) -> None:
    call = a_call(world)
    world.callback(call, world.form("completed", 3))
    world.callback(call, world.form("ringing", 1))
    world.drain()
    assert verdicts(world, call) == ["accepted", "stale"]


def test_a_second_ending_is_kept_as_conflicting_and_moves_no_money(world: World) -> None:
    call = a_call(world)
    world.live_through(call, *ANSWERED_CALL)
    before, wallet = world.get_call(call.id).json, world.wallet()
    world.clock.sleep(1)
    world.live_through(call, "failed")
    assert verdicts(world, call)[-1] == "conflicting"
    assert (world.get_call(call.id).json, world.wallet()) == (before, wallet)


def test_a_declined_call_is_told_by_its_sip_code(world: World) -> None:
    call = a_call(world)
    world.live_through(call, "initiated", "busy", SipResponseCode="603")
    assert world.get_call(call.id).json["ended_reason"] == "declined"


def test_a_callback_that_is_faster_than_the_dials_own_answer_binds_the_call(world: World) -> None:
    def before_the_answer(request: Any, carrier_call_id: str) -> None:
        call = world.last_call()
        world.callback(call, world.form("initiated", 0), carrier_call_id=carrier_call_id)
        world.drain()

    world.carrier.on_create = before_the_answer
    call = a_call(world)
    assert (call.status, call.carrier_call_id) == ("initiated", f"CA{len(world.carrier.requests):032x}")


def test_a_whole_call_that_is_faster_than_the_dials_own_answer_is_settled_once(world: World) -> None:
    def before_the_answer(request: Any, carrier_call_id: str) -> None:
        for sequence, status in enumerate(ANSWERED_CALL):
            world.callback(world.last_call(), world.form(status, sequence), carrier_call_id=carrier_call_id)
        world.drain()

    world.carrier.on_create = before_the_answer
    call = a_call(world)
    assert outcome(world, call) == LIVES["completed"][1]
    assert world.differences() == []


# ---- forged, replayed, truncated ------------------------------------------------------------------------------------


def assert_refused(world: World, call: Call, form: Mapping[str, str] | None = None, **how: Any) -> None:
    with unchanged(world):
        reply = world.callback(call, form or world.form("completed", 3), **how)
        world.drain()
    assert (reply.status, reply.body) == (403, "Invalid webhook signature")


@pytest.mark.parametrize("signature", [None, "", "x", "A" * 28, "A" * 28 + "=", "é", "\x00"], ids=ascii)
def test_a_callback_without_a_right_signature_is_403(world: World, signature: str | None) -> None:
    assert_refused(world, a_call(world), signature=signature)


def test_a_callback_signed_with_another_token_is_403(world: World) -> None:
    assert_refused(world, a_call(world), token="54321")


def test_a_callback_whose_body_was_changed_is_403(world: World) -> None:
    call = a_call(world)
    genuine = world._carrier_event("status", call, world.form("no-answer", 2))
    signature = genuine["headers"]["x-twilio-signature"]
    assert_refused(world, call, world.form("completed", 2, duration=9_999), signature=signature)


def test_a_callback_cut_short_anywhere_is_403(world: World) -> None:
    call = a_call(world)
    fields = {"CallSid": call.carrier_call_id, "AccountSid": ACCOUNT_SID, "From": call.caller_number}
    fields |= {"To": call.destination, **world.form("completed", 3)}
    raw = urlencode({name: str(value) for name, value in fields.items()}).encode()
    with unchanged(world):
        # The whole one would pass: its last cut that leaves it whole is not in the range.
        for length in range(len(raw)):
            assert world.callback(call, world.form("completed", 3), body=raw[:length]).status == 403
    assert world.callback(call, world.form("completed", 3), body=raw).status == 204
    world.drain()


def test_a_signature_is_good_for_one_call_only(world: World) -> None:
    victim, own = a_call(world), a_call(world)
    form = world.form("completed", 3)
    signature = world._carrier_event("status", own, form)["headers"]["x-twilio-signature"]
    assert_refused(world, victim, form, signature=signature)


def test_a_signature_for_the_instructions_is_none_for_the_status(world: World) -> None:
    call = a_call(world)
    form = world.form("completed", 3)
    assert_refused(
        world, call, form, signature=world._carrier_event("twiml", call, form)["headers"]["x-twilio-signature"]
    )


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "text/plain", "multipart/form-data", "application/xml", "x" * 10_000]
)
def test_another_content_type_than_twilios_is_403(world: World, content_type: str) -> None:
    assert_refused(world, a_call(world), content_type=content_type)


def test_a_content_type_with_a_charset_is_twilios(world: World) -> None:
    call = a_call(world)
    content_type = "application/x-www-form-urlencoded; charset=UTF-8"
    assert world.callback(call, world.form("ringing", 1), content_type=content_type).status == 204
    world.drain()


def test_a_body_over_64_kb_is_403(world: World) -> None:
    assert_refused(world, a_call(world), {**world.form("completed", 3), "Padding": "x" * 70_000})


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{}", b"[" * 60_000, b"a=" * 5_000, b"&" * 60_000, b"%00=%00"])
def test_a_body_of_anything_is_403(world: World, body: bytes) -> None:
    assert_refused(world, a_call(world), body=body)


def test_a_genuine_callback_sent_again_is_taken_once_and_kept_as_a_duplicate(world: World) -> None:
    call = a_call(world)
    world.live_through(call, *ANSWERED_CALL)
    before, wallet = world.get_call(call.id).json, world.wallet()
    world.clock.sleep(86_400)
    world.live_through(call, *ANSWERED_CALL)
    assert (world.get_call(call.id).json, world.wallet()) == (before, wallet)
    assert verdicts(world, call) == ["accepted"] * 4 + ["duplicate"] * 4


@pytest.mark.parametrize(
    "form",
    [
        {"CallStatus": ""},
        {"CallStatus": "completed", "CallDuration": "-1"},
        {"CallStatus": "completed", "CallDuration": "1e9"},
        {"CallStatus": "completed", "CallDuration": "9" * 10},
        {"CallStatus": "completed", "CallDuration": "٦١"},
        {"CallStatus": "completed", "CallSid": "CA1"},
        {"CallStatus": "completed", "CallSi": "d"},
        {"CallStatus": "completed", "CallDuration6": "1"},
        {"CallStatus": "completed", "a b": "c"},
    ],
    ids=str,
)
def test_an_authentic_form_that_is_no_report_is_400_and_leaves_no_trace(world: World, form: dict[str, str]) -> None:
    call = a_call(world)
    with unchanged(world):
        assert world.callback(call, form).status == 400
        world.drain()


# ---- other tenants, other accounts, other calls ---------------------------------------------------------------------


def test_the_account_of_another_organization_cannot_speak_of_this_organizations_call(world: World) -> None:
    """Both accounts have the same token here, so the signature is right and only the path is not."""
    call = a_call(world)
    other_id, key = a_caller(world, number="+15550100920")
    world.initiate({"assistant_id": 1, "to_phone_number": "+15559876543"}, key=key)
    other = stored_call(world, other_id, list(world.carrier.call_ids)[-1])
    right = {"organization_id": call.organization_id, "account_id": call.carrier_account_id}
    theirs: dict[str, Any] = {"organization_id": other.organization_id, "account_id": other.carrier_account_id}
    for how in (
        {**right, "organization_id": theirs["organization_id"]},
        {**right, "account_id": theirs["account_id"]},
    ):
        assert_refused(world, call, **how)
    before = everything(world)
    assert world.callback(call, world.form("completed", 3), **theirs).status == 204  # they may speak of their own calls
    world.drain()
    assert everything(world) == before  # and they have no such call


def test_another_account_of_the_same_organization_is_foreign_to_the_call(world: World) -> None:
    call = a_call(world)
    provision = world.stack.provision
    secret = {"account_sid": ACCOUNT_SID, "auth_token": "12345"}
    other = provision.create_carrier_account(call.organization_id, carrier="twilio", name="Other", secret=secret)
    before, wallet = world.get_call(call.id).json, world.wallet()
    assert world.callback(call, world.form("completed", 3), account_id=other.id).status == 204
    world.drain()
    assert verdicts(world, call) == ["foreign"]
    assert (world.get_call(call.id).json, world.wallet()) == (before, wallet)


def test_another_account_sid_than_the_accounts_own_is_403(world: World) -> None:
    assert_refused(world, a_call(world), {**world.form("completed", 3), "AccountSid": "AC" + "b" * 32})


def test_another_carrier_call_than_the_bound_one_is_kept_as_foreign_and_never_applied(world: World) -> None:
    call = a_call(world)
    before, wallet = world.get_call(call.id).json, world.wallet()
    world.callback(call, world.form("completed", 3), carrier_call_id="CA" + "f" * 32)
    world.drain()
    assert verdicts(world, call) == ["foreign"]
    assert (world.get_call(call.id).json, world.wallet()) == (before, wallet)
    world.live_through(call, *ANSWERED_CALL)
    assert outcome(world, call) == LIVES["completed"][1]


@pytest.mark.parametrize("call_id", ["call_01J00000000000000000000000", "x", "-"])
def test_a_report_about_no_call_is_taken_and_dropped(world: World, call_id: str) -> None:
    unknown = dataclasses.replace(a_call(world), id=call_id)
    before = everything(world)
    assert world.callback(unknown, world.form("completed", 3)).status == 204
    world.drain()
    assert everything(world) == before


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"carrier": "telnyx"},
        {"carrier": "twilio/../x"},
        {"organization_id": ""},
        {"organization_id": "x" * 65},
        {"organization_id": "ORG#1"},
        {"carrier_account_id": "../secret"},
        {"carrier_account_id": "unknown"},
        {"call_id": "a b"},
        {"call_id": "\ud800"},
    ],
    ids=ascii,
)
def test_a_path_that_was_never_given_out_is_403(world: World, parameters: dict[str, str]) -> None:
    call = a_call(world)
    event = world._carrier_event("status", call, world.form("completed", 3))
    event["pathParameters"] = {**event["pathParameters"], **parameters} if parameters else None
    endpoint = webhook.build(world.settings, world.aws, now=world.clock.now)
    with unchanged(world):
        assert endpoint.respond(HttpRequest.from_event(event)).status == 403


# ---- durable or 5xx -------------------------------------------------------------------------------------------------


class FailingAws(BotoAwsClient):
    """The client of a world, one of whose services is down."""

    def __init__(self, inner: BotoAwsClient, service: str) -> None:
        self._inner, self._down = inner, service

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if service == self._down:
            raise AwsError(service=service, operation=operation, code="ServiceUnavailable", http_status=503)
        return self._inner.call(service, operation, params)


@pytest.mark.parametrize("service", ["sqs", "secretsmanager"])
def test_a_callback_that_cannot_be_made_durable_is_answered_5xx_so_that_it_comes_again(
    world: World, service: str
) -> None:
    call = a_call(world)
    with unchanged(world), world.running_on(FailingAws(world.aws, service)):
        reply = world.callback(call, world.form("completed", 3))
    assert reply.status == 500
    assert reply.json["code"] == "internal_error"
    world.live_through(call, *ANSWERED_CALL)
    assert outcome(world, call) == LIVES["completed"][1]


def test_an_answer_of_2xx_means_that_the_report_is_on_the_queue(world: World) -> None:
    call = a_call(world)
    names = {"QueueUrl": world.queue_url, "AttributeNames": ["ApproximateNumberOfMessages"]}
    assert world.callback(call, world.form("ringing", 1)).status == 204
    attributes = world.aws.call("sqs", "GetQueueAttributes", names)["Attributes"]
    assert int(attributes["ApproximateNumberOfMessages"]) == 1
    world.drain()


def test_no_phone_number_travels_through_the_queue(world: World) -> None:
    call = a_call(world)
    world.callback(call, world.form("ringing", 1))
    received = world.session.client("sqs").receive_message(QueueUrl=world.queue_url, VisibilityTimeout=0)
    (message,) = received["Messages"]
    for number in (call.destination, call.caller_number, "9876543"):
        assert number not in message["Body"]
    world.drain()


def test_a_status_of_the_future_goes_to_the_dead_letter_queue_and_changes_nothing(world: World) -> None:
    call = a_call(world)
    before = world.get_call(call.id).json
    assert world.callback(call, world.form("teleported", 1)).status == 204
    with pytest.raises(UnknownCallStatus, match="teleported"):
        world.drain()
    assert world.get_call(call.id).json == before
    world.session.client("sqs").purge_queue(QueueUrl=world.queue_url)
