"""POST /calls/{id}/control and POST /calls/{id}/terminate: what a call under way can be told, by whom, how often."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pytest

from dialplane.domain.accounts import CarrierAccount
from dialplane.domain.calls import Call
from dialplane.domain.dnc import DncEntry
from dialplane.domain.errors import CallNotInProgress, CarrierUnavailable, ControlUnsupported
from dialplane.domain.ids import new_id
from dialplane.domain.statuses import CallStatus
from dialplane.dynamodb.calls import call_item
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.usecases.control_call import CARRIER_TIMEOUT
from functions.manage import app as manage_app
from tests.fakes import event_world
from tests.fakes.world import Reply, World
from tests.functional.expectations import (
    a_key,
    an_organization,
    assert_problem,
    everything,
    stored_call,
    unchanged,
)

SENT = {"success": True, "message": "Command sent successfully"}
COLLEAGUE = "+15550150777"
END = {"type": "end-call"}
TRANSFER = {"type": "transfer", "destination": COLLEAGUE}
REALTIME = json.dumps({"llm_config": {"provider": "xai_realtime"}})


def a_call(world: World, status: CallStatus = CallStatus.IN_PROGRESS, **facts: Any) -> Call:
    """A call of the demo organization that its carrier has, in this state."""
    (ringing,) = (call for call in event_world.calls() if call.id == event_world.RINGING_CALL_ID)
    call_id = new_id("call")
    (account,) = (
        each for each in world.stack.provision.entities(world.demo.organization_id) if isinstance(each, CarrierAccount)
    )
    facts = {
        "carrier_account_id": account.id,
        "carrier_call_id": f"CA{call_id.lower()}",
        "created_at": world.clock.now(),
        **facts,
    }
    call = replace(ringing, id=call_id, organization_id=world.demo.organization_id, status=status, **facts)
    item = {"TableName": world.tables.calls, "Item": call_item(call)}
    world.aws.call("dynamodb", "PutItem", item)
    world.carrier.commands.clear()
    world.clock.sleep(61)  # a new minute for each call
    return call


def control(world: World, call_id: str, body: Any, **how: Any) -> Reply:
    return world.manage("POST /calls/{call_id}/control", f"/calls/{call_id}/control", body=body, **how)


def terminate(world: World, call_id: str, **how: Any) -> Reply:
    return world.manage("POST /calls/{call_id}/terminate", f"/calls/{call_id}/terminate", **how)


def told(world: World, call_id: str) -> list[dict[str, Any]]:
    """The commands in the timeline of a call."""
    reply = world.manage("GET /calls/{call_id}/events", f"/calls/{call_id}/events")
    return [event for event in reply.json["events"] if event["type"] == "control_command"]


# ---- what is done ---------------------------------------------------------------------------------------------------


def test_s3_19_end_call_hangs_up_and_answers_in_the_seeds_two_fields(world: World) -> None:
    call = a_call(world)
    reply = control(world, call.id, END)
    assert (reply.status, reply.json) == (200, SENT)
    assert "x-command-reliability" not in reply.headers
    assert world.carrier.commands == [{"end": call.carrier_call_id}]


def test_s3_20_transfer_connects_the_callee_with_the_destination(world: World) -> None:
    call = a_call(world)
    reply = control(world, call.id, {**TRANSFER, "message": "One moment, please."})
    assert (reply.status, reply.json) == (200, SENT)
    sent = {
        "transfer": call.carrier_call_id,
        "to": COLLEAGUE,
        "caller_number": call.caller_number,
        "message": "One moment, please.",
    }
    assert world.carrier.commands == [sent]


def test_the_two_requests_that_a_command_may_take_fit_into_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def opened(*_: Any, timeout_seconds: float) -> Any:
        waits.append(timeout_seconds)
        return world.carrier

    monkeypatch.setattr(manage_app, "open_carrier", opened)
    assert control(world, a_call(world).id, TRANSFER).status == 200
    assert [2 * seconds for seconds in waits] == [CARRIER_TIMEOUT.total_seconds()]


def test_a_call_can_be_named_by_the_carriers_id(world: World) -> None:
    call = a_call(world)
    assert control(world, call.carrier_call_id or "", END).status == 200
    assert world.carrier.commands == [{"end": call.carrier_call_id}]


def test_a_command_changes_nothing_of_the_call_itself(world: World) -> None:
    call = a_call(world)
    control(world, call.id, END)
    assert stored_call(world, call.organization_id, call.id) == call


def test_the_timeline_tells_each_command_and_its_result_without_texts_and_numbers(world: World) -> None:
    call = a_call(world)
    control(world, call.id, {**TRANSFER, "message": "I connect you with Mrs Example."})
    world.carrier.command_errors.append(CarrierUnavailable("Busy.", carrier="twilio"))
    world.clock.sleep(1)
    control(world, call.id, END)
    first, second = told(world, call.id)
    assert {name: first[name] for name in ("command", "result", "destination")} == {
        "command": "transfer",
        "result": "applied",
        "destination": "+1555***77",
    }
    assert (second["command"], second["result"]) == ("end-call", "carrier_unavailable")
    assert first["at"] < second["at"]
    tables = dict(zip(asdict(world.tables), everything(world)[0], strict=True))
    del tables["destinations"]  # whom somebody may ask not to be called
    stored = json.dumps(tables, default=str)
    assert COLLEAGUE not in stored
    assert "Mrs Example" not in stored


@pytest.mark.parametrize(
    ("body", "is_limited"),
    [
        (END, False),
        (TRANSFER, False),
        ({**TRANSFER, "message": "One moment."}, True),
        ({**END, "message": "Goodbye."}, True),
    ],
    ids=str,
)
def test_s3_21_on_a_realtime_model_what_may_not_be_heard_is_reported(
    world: World, body: dict[str, str], is_limited: bool
) -> None:
    call = a_call(world, configuration_json=REALTIME)
    reply = control(world, call.id, body)
    assert reply.json == (SENT | {"reliability": "limited", "result": "applied"} if is_limited else SENT)
    assert reply.headers.get("x-command-reliability") == ("limited" if is_limited else None)


def test_s3_21_on_other_models_a_transfers_announcement_can_be_relied_on(world: World) -> None:
    call = a_call(world, configuration_json=json.dumps({"llm_config": {"provider": "openai"}}))
    assert "x-command-reliability" not in control(world, call.id, {**TRANSFER, "message": "One moment."}).headers


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(set(CallStatus) - {CallStatus.IN_PROGRESS}))
def test_s3_16_only_a_call_in_progress_takes_commands(world: World, status: CallStatus) -> None:
    call = a_call(world, status)
    with unchanged(world):
        problem = assert_problem(control(world, call.id, END), 400, "call_not_in_progress")
    assert status.value in problem["detail"]
    assert problem["call_status"] == status.value
    assert world.carrier.commands == []


@pytest.mark.parametrize("call_id", ["call_01JD0000000000000000NNN001", "CA" + "9" * 32, "nonsense"])
def test_s3_16_an_unknown_call_is_404(world: World, call_id: str) -> None:
    with unchanged(world):
        assert_problem(control(world, call_id, END), 404, "call_not_found")


def test_another_organizations_call_does_not_exist(world: World) -> None:
    call = a_call(world)
    stranger = a_key(world, an_organization(world).id)
    with unchanged(world):
        for call_id in (call.id, str(call.carrier_call_id)):
            assert_problem(control(world, call_id, END, key=stranger), 404, "call_not_found")
            assert_problem(terminate(world, call_id, key=stranger), 404, "call_not_found")


def test_a_key_without_the_scope_controls_nothing(world: World) -> None:
    call = a_call(world)
    key = a_key(world, world.demo.organization_id, "can_read_calls", "can_initiate_calls")
    with unchanged(world):
        for reply in (control(world, call.id, END, key=key), terminate(world, call.id, key=key)):
            assert assert_problem(reply, 403, "permission_denied")["scope"] == "can_control_calls"
        assert_problem(control(world, call.id, END, key=None), 401, "authentication_required")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "inject-context", "content": "The code is 1234.", "trigger_response": True},
        {"type": "say", "content": "Are you still there?", "end_after": False},
    ],
    ids=lambda body: body["type"],
)
def test_s3_17_s3_18_commands_for_a_conversation_are_refused_while_nobody_holds_one(
    world: World, body: dict[str, Any]
) -> None:
    call = a_call(world)
    with unchanged(world):
        problem = assert_problem(control(world, call.id, body), 409, "command_not_available")
    assert problem["command"] == body["type"]


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({}, 400, "invalid_value", "end-call, transfer, inject-context, say"),
        ({"type": "reboot"}, 400, "invalid_value", "end-call, transfer, inject-context, say"),
        ({"type": ["end-call"]}, 400, "invalid_value", "type"),
        ({"type": None}, 400, "invalid_value", "type"),
        ({**END, "destination": COLLEAGUE}, 422, "invalid_fields", "destination"),
        ({**END, "message": 7}, 422, "invalid_fields", "message"),
        ({"type": "transfer"}, 422, "invalid_fields", "destination"),
        ({**TRANSFER, "destination": "555"}, 400, "invalid_phone_number", "destination"),
        ({**TRANSFER, "message": "x" * 5_000}, 400, "invalid_value", "message"),
        ({"type": "say"}, 422, "invalid_fields", "content"),
        ({"type": "say", "content": "Hello.", "end_after": "yes"}, 422, "invalid_fields", "end_after"),
        ({"type": "say", "content": "Hello.", "trigger_response": True}, 422, "invalid_fields", "trigger_response"),
        (b'{"type": ', 422, "invalid_json", "JSON"),
        (b"[]", 422, "invalid_json", "object"),
    ],
    ids=str,
)
def test_what_is_no_command_is_refused_with_what_is_known(
    world: World, body: Any, status: int, code: str, named: str
) -> None:
    call = a_call(world)
    with unchanged(world):
        assert named in assert_problem(control(world, call.id, body), status, code)["detail"]
    assert world.carrier.commands == []


def test_a_transfer_passes_the_gates_of_a_call(world: World) -> None:
    call = a_call(world)
    listed, platform_listed = "+15550150666", "+15550150667"
    world.manage("PUT /dnc/{number}", f"/dnc/{listed}")
    entry = DncEntry(number=platform_listed, source="test", added_at=world.clock.now())
    DestinationStore(world.aws, world.tables).add_dnc_entry(None, entry)
    with unchanged(world):
        for number in (listed, platform_listed):
            reply = control(world, call.id, {**TRANSFER, "destination": number})
            assert_problem(reply, 403, "do_not_call")
        for number in ("+442079460000", "+19002345678"):  # another country; a premium number
            reply = control(world, call.id, {**TRANSFER, "destination": number})
            assert_problem(reply, 403, "destination_not_allowed")
    assert world.carrier.commands == []


def test_a_suspended_organization_may_end_its_calls_and_transfers_none(world: World) -> None:
    call = a_call(world)
    world.stack.provision.suspend_organization(call.organization_id)
    try:
        assert_problem(control(world, call.id, TRANSFER), 403, "organization_suspended")
        assert control(world, call.id, END).status == 200
    finally:
        world.stack.provision.activate_organization(call.organization_id)


# ---- how often ------------------------------------------------------------------------------------------------------


def test_s3_22_ten_commands_a_minute_for_each_call(world: World) -> None:
    call, other = a_call(world), a_call(world)
    world.clock.moment = world.clock.moment.replace(second=15, microsecond=0)
    assert [control(world, call.id, END).status for _ in range(10)] == [200] * 10
    with unchanged(world):
        reply = control(world, call.id, END)
        assert_problem(reply, 429, "commands_limit_reached")
    assert 0 < int(reply.headers["retry-after"]) <= 46
    assert len(world.carrier.commands) == 10
    assert control(world, other.id, END).status == 200
    world.clock.sleep(int(reply.headers["retry-after"]))
    assert control(world, call.id, END).status == 200


def test_commands_that_were_refused_do_not_count(world: World) -> None:
    call = a_call(world)
    for _ in range(12):
        control(world, call.id, {"type": "say", "content": "Hello."})
    assert control(world, call.id, END).status == 200


# ---- what the carrier may answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (CarrierUnavailable("Twilio could not be asked.", carrier="twilio"), 503, "carrier_unavailable"),
        (ControlUnsupported("This carrier cannot transfer."), 409, "control_unsupported"),
        (CallNotInProgress("over"), 400, "call_not_in_progress"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_carrier_cannot_do_is_told_and_put_on_record(
    world: World, error: Exception, status: int, code: str
) -> None:
    call = a_call(world)
    world.carrier.command_errors.append(error)
    assert_problem(control(world, call.id, TRANSFER), status, code)
    assert [event["result"] for event in told(world, call.id)] == [code]


def test_an_error_of_ours_leaves_the_result_open(world: World) -> None:
    call = a_call(world)
    world.carrier.command_errors.append(RuntimeError("a bug"))
    assert_problem(control(world, call.id, END), 500, "internal_error")
    assert [event["result"] for event in told(world, call.id)] == ["accepted"]


# ---- Burki's terminate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", [CallStatus.QUEUED, CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS]
)
def test_s2_33_a_call_can_be_terminated_while_its_phone_rings(world: World, status: CallStatus) -> None:
    call = a_call(world, status)
    reply = terminate(world, str(call.carrier_call_id))
    assert reply.status == 200, reply.body
    assert reply.json == {"message": "Call terminated successfully", "call_sid": call.carrier_call_id}
    assert world.carrier.commands == [{"end": call.carrier_call_id}]


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (CallStatus.COMPLETED, "completed"),
        (CallStatus.NO_ANSWER, "no-answer"),
        (CallStatus.FAILED, "failed"),
    ],
)
def test_s2_33_a_call_that_has_ended_cannot_be_terminated(world: World, status: CallStatus, word: str) -> None:
    call = a_call(world, status)
    with unchanged(world):
        reply = terminate(world, call.id)
    detail = f"Cannot terminate call - current status is '{word}'"
    assert_problem(reply, 400, "call_not_in_progress", detail)


def test_s2_33_a_call_that_the_carrier_may_not_have_cannot_be_terminated(world: World) -> None:
    call = a_call(world, CallStatus.UNCONFIRMED, carrier_call_id=None)
    detail = "Cannot terminate call - current status is 'unconfirmed'"
    assert_problem(terminate(world, call.id), 400, "call_not_in_progress", detail)


def test_s2_33_an_unknown_call_is_404(world: World) -> None:
    assert_problem(terminate(world, "CA" + "8" * 32), 404, "call_not_found")


def test_s2_33_a_carrier_that_fails_is_told_in_the_seeds_words(world: World) -> None:
    call = a_call(world)
    world.carrier.command_errors.append(CarrierUnavailable("Nobody answers.", carrier="twilio"))
    assert_problem(terminate(world, call.id), 503, "carrier_unavailable", "Failed to terminate call via twilio")


def test_terminating_twice_is_harmless_and_both_are_told(world: World) -> None:
    call = a_call(world)
    assert [terminate(world, call.id).status for _ in range(2)] == [200, 200]
    assert [event["result"] for event in told(world, call.id)] == ["applied", "applied"]


def test_an_addition_to_a_list_is_acknowledged_only_when_a_transfer_under_way_is_over(world: World) -> None:
    """The carrier is asked while somebody puts the destination on the list; the acknowledgement waits for that."""
    call, number = a_call(world), "+15550150668"
    moments: list[datetime] = []

    class Asked:
        def transfer_call(self, *_: Any, **__: Any) -> None:
            moments.append(world.clock.now())
            assert world.manage("PUT /dnc/{number}", f"/dnc/{number}").status == 200
            moments.append(world.clock.now())

    with patch.object(manage_app, "open_carrier", lambda *_, **__: Asked()):
        assert control(world, call.id, {**TRANSFER, "destination": number}).status == 200
    asked_at, acknowledged_at = moments
    assert acknowledged_at >= asked_at + CARRIER_TIMEOUT
    assert_problem(control(world, call.id, {**TRANSFER, "destination": number}), 403, "do_not_call")


@pytest.mark.parametrize("organization_id", ["own", None])
def test_a_number_that_is_listed_between_the_gate_and_the_carrier_is_not_dialled(
    world: World, organization_id: str | None
) -> None:
    call, number = a_call(world), f"+1555015067{'0' if organization_id else '1'}"
    entry = DncEntry(number=number, source="test", added_at=world.clock.now())
    owner = call.organization_id if organization_id else None

    def opened(*_: Any, **__: Any) -> Any:
        DestinationStore(world.aws, world.tables).add_dnc_entry(owner, entry)
        return world.carrier

    with patch.object(manage_app, "open_carrier", opened):
        reply = control(world, call.id, {**TRANSFER, "destination": number})
    assert_problem(reply, 403, "do_not_call")
    assert world.carrier.commands == []
    assert [command["result"] for command in told(world, call.id)] == ["do_not_call"]
