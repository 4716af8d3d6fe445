"""One call from the request to its settlement, through the real entry points."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from tests.fakes.clock import FakeClock
from tests.fakes.world import ANSWERED_CALL, World
from tests.functional.expectations import SEED0, SEED2, SEED2_CUSTOM, SEED2_OVERRIDE

pytestmark = pytest.mark.usefixtures("forgotten_calls")


@pytest.mark.parametrize("body", [SEED0, SEED2, SEED2_CUSTOM, SEED2_OVERRIDE])
def test_every_example_request_of_the_seeds_is_placed_and_answered_exactly(
    world: World, body: dict[str, object]
) -> None:
    dials = len(world.carrier.requests)
    reply = world.initiate(body)
    assert reply.status == 200, reply.body
    assert reply.json == {"message": "Call initiated successfully", "call_sid": f"CA{dials + 1:032x}"}
    assert len(world.carrier.requests) == dials + 1
    assert reply.headers["location"] == f"/calls/{world.last_call().id}"


def test_an_answered_call_is_charged_by_the_minute_and_the_rest_of_its_hold_is_released(world: World) -> None:
    before = world.wallet()
    world.initiate(SEED2_CUSTOM)
    call = world.last_call()
    assert _micros(world.wallet()["held"]) - _micros(before["held"]) == 150_000
    twiml = world.fetch_instructions(call)
    assert "Hello John Doe, this is a reminder about your appointment tomorrow at 10 AM." in twiml.body
    world.live_through(call, *ANSWERED_CALL, duration=61)
    document = world.get_call(call.id).json
    assert (document["status"], document["ended_reason"], document["duration_seconds"]) == ("completed", "hang_up", 61)
    assert document["hold"] == {"amount": "0.150000", "currency": "USD"}
    assert document["charge"] == {"amount": "0.060000", "currency": "USD"}
    after = world.wallet()
    assert after["held"] == before["held"]
    assert _micros(before["available"]) - _micros(after["available"]) == 60_000
    assert world.differences() == []


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_callbacks_in_any_order_and_number_end_in_the_same_call_and_ledger(
    world: World, order: tuple[int, ...], copies: int
) -> None:
    """Single ones are taken in one by one, duplicated ones as one batch."""
    world.clock.moment = FakeClock().moment  # the carrier of these tests states fixed times
    world.initiate(SEED2)
    call = world.last_call()
    world.fetch_instructions(call)
    world.clock.moment += timedelta(minutes=2)
    for index in order:
        for _ in range(copies):
            assert world.callback(call, world.form(ANSWERED_CALL[index], index)).status == 204
        if copies == 1:
            world.drain()
    world.drain()
    document = world.get_call(call.id).json
    assert (document["status"], document["ended_reason"], document["duration_seconds"]) == ("completed", "hang_up", 61)
    assert document["answered_at"] == "2026-11-20T15:00:02.000Z"
    assert document["ended_at"] == "2026-11-20T15:00:03.000Z"
    assert document["charge"]["amount"] == "0.060000"
    entries = world.manage("GET /wallet/ledger", "/wallet/ledger").json["entries"]
    assert [entry["call_id"] for entry in entries if entry.get("call_id") == call.id] == [call.id]
    assert entries[0]["call_id"] == call.id
    assert world.differences() == []


def _micros(money: dict[str, str]) -> int:
    return int(money["amount"].replace(".", ""))


def test_a_fault_of_ours_while_the_carrier_is_asked_leaves_the_call_unconfirmed_and_its_hold_open(world: World) -> None:
    world.carrier.outcomes = [ValueError("a bug")]
    reply = world.initiate(SEED2)
    assert (reply.status, reply.json["status"]) == (202, "unknown")
    call = world.call(reply.json["call_id"])
    assert (call.status, call.is_open) == ("unconfirmed", True)
