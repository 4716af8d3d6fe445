"""The reconciler: what callbacks, queue, workflow and crashes left open is finished from the carrier's own records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from dialplane.domain.calls import Call
from dialplane.domain.carrier import CarrierCall, Unknown
from dialplane.domain.errors import CarrierUnavailable
from dialplane.dynamodb.calls import CallStore
from functions.status import reconciler
from tests.fakes.world import ACCOUNT_SID, World, a_world
from tests.functional.expectations import SEED2

SID = "CA" + "7" * 32
OTHER_SID = "CA" + "8" * 32


@pytest.fixture
def world() -> Iterator[World]:
    """A world for each test: what the reconciler finds is everything that there is."""
    with a_world() as made:
        yield made


@pytest.fixture(autouse=True)
def _obliging_carrier() -> None:
    """Nothing is shared here that would have to be put back."""


def unconfirmed_call(world: World) -> Call:
    world.carrier.outcomes.append(Unknown(reason="ReadTimeout"))
    reply = world.initiate(SEED2)
    assert reply.status == 202
    return world.call(reply.json["call_id"])


def placed_call(world: World) -> Call:
    assert world.initiate(SEED2).status == 200
    return world.last_call()


def record(
    call: Call, status: str, *, sid: str = SID, duration: int | None = None, ended_at: datetime | None = None
) -> CarrierCall:
    """What the carrier's records say about a call."""
    fields = {"CallSid": sid, "AccountSid": ACCOUNT_SID, "CallStatus": status, "CallbackSource": "call-resource"}
    known = fields | ({"CallDuration": str(duration)} if duration is not None else {})
    return CarrierCall(sid, call.created_at, known, ended_at)


def tick(world: World, *, after: timedelta = timedelta(minutes=10)) -> dict[str, int]:
    """Let time pass, run the reconciler once and take in what it learned."""
    world.clock.moment += after
    summary = world.reconcile()
    world.drain()
    return {name: getattr(summary, name) for name in ("reported", "not_placed", "settled", "failed", "stuck")}


def shown(world: World, call: Call) -> tuple[str, str | None, str | None]:
    document = world.get_call(call.id).json
    return document["status"], document["ended_reason"], document["charge"] and document["charge"]["amount"]


def test_a_call_whose_callbacks_were_all_lost_is_settled_from_the_carriers_record(world: World) -> None:
    call = placed_call(world)
    sid = world.call(call.id).carrier_call_id
    assert sid is not None
    world.carrier.records[sid] = record(call, "completed", sid=sid, duration=61)
    assert tick(world)["reported"] == 1
    assert shown(world, call) == ("completed", "hang_up", "0.060000")
    assert world.differences() == []


def test_a_call_that_has_just_reported_is_left_alone(world: World) -> None:
    placed_call(world)
    assert tick(world, after=timedelta(seconds=30))["reported"] == 0


def test_a_call_that_no_carrier_record_shows_is_released_after_the_grace_and_not_before(world: World) -> None:
    call = unconfirmed_call(world)
    assert tick(world, after=timedelta(minutes=1, seconds=1)) | {"not_placed": 0} == tick(world) | {"not_placed": 0}
    assert shown(world, call) == ("failed", "not_placed", "0.000000")
    assert world.wallet()["held"]["amount"] == "0.000000"
    assert world.differences() == []


def test_within_the_grace_nothing_is_concluded_from_an_empty_list(world: World) -> None:
    call = unconfirmed_call(world)
    for _ in range(2):
        assert tick(world, after=timedelta(seconds=61))["not_placed"] == 0
    assert world.call(call.id).status == "unconfirmed"


def test_a_check_that_failed_is_no_check_that_did_not_find_the_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(**_: object) -> list[CarrierCall]:
        raise CarrierUnavailable("no answer")

    call = unconfirmed_call(world)
    with monkeypatch.context() as away:
        away.setattr(world.carrier, "list_calls", unavailable)
        assert [tick(world)["failed"] for _ in range(3)] == [1, 1, 1]
    assert tick(world)["not_placed"] == 0, "not found for the first time"
    with monkeypatch.context() as away:
        away.setattr(world.carrier, "list_calls", unavailable)
        assert tick(world)["failed"] == 1
    assert tick(world)["not_placed"] == 1
    assert shown(world, call) == ("failed", "not_placed", "0.000000")


def test_a_call_that_was_seen_between_two_checks_has_not_been_missing_twice(world: World) -> None:
    call = unconfirmed_call(world)
    tick(world)
    world.carrier.records[SID] = record(call, "in-progress")  # whose it is does not show yet
    assert tick(world)["not_placed"] == 0
    world.carrier.records.clear()
    assert [tick(world)["not_placed"] for _ in range(2)] == [0, 1]


def test_lists_that_do_not_reach_back_to_a_call_prove_nothing_and_somebody_is_told(world: World) -> None:
    call = unconfirmed_call(world)
    world.carrier.list_keeps = timedelta(hours=24)
    for _ in range(5):
        assert tick(world, after=timedelta(hours=25)) | {"stuck": 0} == {
            "reported": 0,
            "not_placed": 0,
            "settled": 0,
            "failed": 0,
            "stuck": 0,
        }
    assert tick(world)["stuck"] == 1
    assert world.call(call.id).status == "unconfirmed"
    assert world.wallet()["held"]["amount"] == "0.150000"


def test_lists_that_still_reach_back_to_a_call_prove_that_it_was_not_placed(world: World) -> None:
    call = unconfirmed_call(world)
    world.carrier.list_keeps = timedelta(hours=24)
    tick(world, after=timedelta(hours=12))
    assert tick(world, after=timedelta(hours=11))["not_placed"] == 1
    assert shown(world, call) == ("failed", "not_placed", "0.000000")


def test_a_call_that_shows_our_address_is_ours(world: World) -> None:
    call = unconfirmed_call(world)
    world.carrier.records[SID] = record(call, "completed", duration=30)
    world.carrier.urls[SID] = [f"https://calls.example.test/twiml/twilio/o/a/{call.id}"]
    assert tick(world)["reported"] == 1
    assert shown(world, call) == ("completed", "hang_up", "0.030000")
    assert world.call(call.id).carrier_call_id == SID


def test_somebody_elses_call_between_the_same_numbers_neither_is_ours_nor_keeps_our_hold(world: World) -> None:
    call = unconfirmed_call(world)
    world.carrier.records[SID] = record(call, "completed", duration=30)
    world.carrier.urls[SID] = ["https://another-application.example.test/voice"]
    tick(world)
    tick(world)
    assert shown(world, call) == ("failed", "not_placed", "0.000000")
    assert world.call(call.id).carrier_call_id is None


def test_a_call_without_any_address_is_ours_only_once_its_record_is_overdue(world: World) -> None:
    call = unconfirmed_call(world)
    ended_at = world.clock.now() + timedelta(minutes=1)
    world.carrier.records[SID] = record(call, "completed", duration=30, ended_at=ended_at)
    assert tick(world)["reported"] == 0
    assert world.call(call.id).status == "unconfirmed"
    assert tick(world)["reported"] == 1
    assert shown(world, call) == ("completed", "hang_up", "0.030000")


def test_of_two_calls_without_addresses_none_is_taken_and_somebody_is_told(world: World) -> None:
    call = unconfirmed_call(world)
    for sid in (SID, OTHER_SID):
        ended_at = world.clock.now() + timedelta(minutes=1)
        world.carrier.records[sid] = record(call, "completed", sid=sid, duration=30, ended_at=ended_at)
    summaries = [tick(world, after=timedelta(minutes=20)) for _ in range(3)]
    assert world.call(call.id).status == "unconfirmed"
    assert summaries[-1]["stuck"] == 1


def test_a_call_bound_to_another_one_of_ours_is_not_taken(world: World) -> None:
    first = placed_call(world)
    sid = world.call(first.id).carrier_call_id
    assert sid is not None
    second = unconfirmed_call(world)
    world.carrier.records[sid] = record(first, "completed", sid=sid, duration=30)
    tick(world)
    tick(world)
    assert shown(world, first)[0] == "completed"
    assert shown(world, second) == ("failed", "not_placed", "0.000000")


def test_an_ended_call_that_its_workflow_did_not_settle_is_settled(world: World) -> None:
    call = placed_call(world)
    world.callback(call, world.form("busy", 0))
    while world._deliver_batch():  # the workflow never runs
        pass
    assert shown(world, call) == ("busy", "busy", None)
    assert tick(world)["settled"] == 1
    assert shown(world, call) == ("busy", "busy", "0.000000")
    assert world.differences() == []


def test_an_ended_call_whose_duration_was_lost_waits_for_the_carriers_record(world: World) -> None:
    call = placed_call(world)
    form = world.form("completed", 0)
    del form["CallDuration"]
    world.callback(call, form)
    world.drain()
    assert shown(world, call)[2] is None
    sid = world.call(call.id).carrier_call_id
    assert sid is not None
    world.carrier.records[sid] = record(call, "completed", sid=sid, duration=61)
    tick(world)  # brings the duration, and with it there is something for the workflow to do
    assert shown(world, call) == ("completed", "hang_up", "0.060000")


def test_a_carrier_that_cannot_be_asked_proves_nothing_and_keeps_no_other_call_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, known = unconfirmed_call(world), placed_call(world)
    sid = world.call(known.id).carrier_call_id
    assert sid is not None
    world.carrier.records[sid] = record(known, "completed", sid=sid, duration=30)

    def unavailable(**_: object) -> list[CarrierCall]:
        raise CarrierUnavailable("no answer")

    monkeypatch.setattr(world.carrier, "list_calls", unavailable)
    summaries = [tick(world) for _ in range(3)]
    assert [summary["failed"] for summary in summaries] == [1, 1, 1]
    assert world.call(lost.id).status == "unconfirmed"
    assert shown(world, known)[0] == "completed"


def test_a_call_without_its_hold_fails_alone_and_does_not_stop_the_others(world: World) -> None:
    broken, other = placed_call(world), placed_call(world)
    for call in (broken, other):
        world.callback(call, world.form("busy", 0))
    while world._deliver_batch():
        pass
    key = {"pk": {"S": f"ORG#{broken.organization_id}#WALLET"}, "sk": {"S": f"HOLD#{broken.id}"}}
    world.session.client("dynamodb").delete_item(TableName=world.tables.wallets, Key=key)
    world.clock.moment += timedelta(minutes=10)
    summary = world.reconcile()
    assert (summary.settled, summary.failed) == (1, 1)
    assert shown(world, other) == ("busy", "busy", "0.000000")


def test_a_run_that_has_no_time_left_leaves_the_rest_due(world: World) -> None:
    placed_call(world)
    world.clock.moment += timedelta(minutes=10)
    use_case = reconciler.build(world.settings, world.aws, now=world.clock.now)
    assert use_case.run(has_time=lambda: False).checked == 0
    assert use_case.run().checked == 1


class Killed(BaseException):
    """What a function meets whose time is over: nothing of it catches that."""


def test_a_check_that_takes_the_whole_run_with_it_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = unconfirmed_call(world)
    world.clock.sleep(60)
    other = unconfirmed_call(world)

    def listed(*, created_after: datetime, **_: object) -> list[CarrierCall]:
        if created_after < endless.created_at:
            raise Killed
        return []

    monkeypatch.setattr(world.carrier, "list_calls", listed)
    for _ in range(6):
        world.clock.moment += timedelta(minutes=1)
        with contextlib.suppress(Killed):
            world.reconcile()
    assert shown(world, other) == ("failed", "not_placed", "0.000000")
    assert world.call(endless.id).status == "unconfirmed"
    assert world.differences() == []


def test_a_call_that_changes_while_its_check_is_put_off_is_left_to_what_changed_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = placed_call(world)
    read = CallStore.due_call

    def meanwhile(store: CallStore, reference: str, now: datetime) -> Call | None:
        found = read(store, reference, now)
        world.callback(call, world.form("ringing", 0))
        world.drain()
        return found

    monkeypatch.setattr(CallStore, "due_call", meanwhile)
    assert tick(world) == {"reported": 0, "not_placed": 0, "settled": 0, "failed": 0, "stuck": 0}
    assert world.call(call.id).status == "ringing"


def test_a_call_that_nobody_can_tell_whose_it_is_does_not_hide_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = unconfirmed_call(world)
    world.carrier.records = {
        OTHER_SID: record(call, "completed", sid=OTHER_SID, duration=5),
        SID: record(call, "completed", duration=61),
    }

    def requested(carrier_call_id: str) -> tuple[str, ...]:
        if carrier_call_id == OTHER_SID:
            raise CarrierUnavailable("keeps nothing of the kind")
        return (f"https://calls.example.test/twiml/{call.id}",) if is_shown else ("https://example.test/other",)

    monkeypatch.setattr(world.carrier, "requested_urls", requested)
    is_shown = False
    assert tick(world)["failed"] == 1
    is_shown = True
    assert tick(world)["reported"] == 1
    assert shown(world, call) == ("completed", "hang_up", "0.060000")


def ended_without_a_duration(world: World, call: Call, *, status: str = "in-progress") -> None:
    """All that is heard of the call: that it was answered (or another state), and a minute later that it ended."""
    world.callback(call, world.form(status, 0, Timestamp="Fri, 20 Nov 2026 15:00:00 +0000"))
    world.clock.moment += timedelta(seconds=61)
    form = world.form("completed", 1, Timestamp="Fri, 20 Nov 2026 15:01:01 +0000")
    del form["CallDuration"]
    world.callback(call, form)
    world.drain()


def test_an_ended_call_that_its_carrier_has_forgotten_is_settled_by_what_was_reported(world: World) -> None:
    answered, silent = placed_call(world), placed_call(world)
    ended_without_a_duration(world, silent, status="ringing")
    ended_without_a_duration(world, answered)
    assert [tick(world, after=timedelta(minutes=5))["settled"] for _ in range(2)] == [0, 0]
    assert tick(world, after=timedelta(minutes=15))["settled"] == 2
    assert shown(world, answered) == ("completed", "hang_up", "0.060000")
    assert world.call(answered.id).duration_seconds == 61
    assert shown(world, silent) == ("completed", "hang_up", "0.000000")
    assert world.wallet()["held"]["amount"] == "0.000000"
    assert world.differences() == []


def test_a_call_that_has_not_ended_is_not_settled_because_its_carrier_does_not_know_it(world: World) -> None:
    call = placed_call(world)
    world.callback(call, world.form("in-progress", 0))
    world.drain()
    assert [tick(world)["settled"] for _ in range(4)] == [0] * 4
    assert shown(world, call) == ("in_progress", None, None)
