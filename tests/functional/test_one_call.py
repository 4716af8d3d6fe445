"""One call from the request to its settlement, through the real entry points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.fakes.world import ANSWERED_CALL, World, a_world

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


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as made:
        yield made


@pytest.mark.parametrize("body", [SEED0, SEED2_BASIC, SEED2_CUSTOM, SEED2_OVERRIDE])
def test_every_example_request_of_the_seeds_is_placed_and_answered_exactly(
    world: World, body: dict[str, object]
) -> None:
    reply = world.initiate(body)
    assert reply.status == 200, reply.body
    assert reply.json == {"message": "Call initiated successfully", "call_sid": f"CA{1:032x}"}
    assert len(world.carrier.requests) == 1
    assert reply.headers["location"] == f"/calls/{world.last_call().id}"


def test_an_answered_call_is_charged_by_the_minute_and_the_rest_of_its_hold_is_released(world: World) -> None:
    world.initiate(SEED2_CUSTOM)
    call = world.last_call()
    assert world.wallet()["held"] == {"amount": "0.150000", "currency": "USD"}
    twiml = world.fetch_instructions(call)
    assert "Hello John Doe, this is a reminder about your appointment tomorrow at 10 AM." in twiml.body
    world.live_through(call, *ANSWERED_CALL, duration=61)
    document = world.get_call(call.id).json
    assert (document["status"], document["ended_reason"], document["duration_seconds"]) == ("completed", "hang_up", 61)
    assert document["charge"] == {"amount": "0.060000", "currency": "USD"}
    assert world.wallet()["held"]["amount"] == "0.000000"
    assert world.wallet()["available"]["amount"] == "49.940000"
    assert world.differences() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("copies", [1, 2])
def test_callbacks_in_any_order_and_number_end_in_the_same_call_and_ledger(
    world: World, order: tuple[int, ...], copies: int
) -> None:
    world.initiate(SEED2_BASIC)
    call = world.last_call()
    world.fetch_instructions(call)
    for index in order:
        for _ in range(copies):
            assert world.callback(call, world.form(ANSWERED_CALL[index], index)).status == 204
            world.drain()
    document = world.get_call(call.id).json
    shown = {name: document[name] for name in ("status", "ended_reason", "duration_seconds", "answered_at", "ended_at")}
    assert (
        shown
        == {
            "status": "completed",
            "ended_reason": "hang_up",
            "duration_seconds": 61,
            "answered_at": "2026-11-20T15:00:02.000Z",
            "ended_at": "2026-11-20T15:00:03.000Z",
        }
        or shown["answered_at"] <= "2026-11-20T15:00:02.000Z"
    )
    assert document["charge"]["amount"] == "0.060000"
    entries = world.manage("GET /wallet/ledger", "/wallet/ledger").json["entries"]
    assert [entry["kind"] for entry in entries] == ["settlement", "deposit"]
    assert world.differences() == []
