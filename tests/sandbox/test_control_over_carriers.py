"""What a call under way can be told over each carrier: to end, and to go on with somebody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dialplane.domain.calls import Call
from tests.fakes.carrier_journal import accepted_dials
from tests.fakes.live_world import LiveWorld, a_live_world
from tests.fakes.world import Reply
from tests.sandbox.canonical_ends import NUMBERS

# The callee of the scenario "long-call", who never hangs up.
DESTINATION = "+15550100121"
COMMANDS: dict[str, dict[str, Any]] = {
    "end-call": {"type": "end-call"},
    "transfer": {"type": "transfer", "destination": "+15559870801"},
    "transfer to somebody busy": {"type": "transfer", "destination": "+15550100102"},
}
# Slow enough to say something while somebody speaks.
SPEED = 2.0
SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
def world() -> Iterator[LiveWorld]:
    with a_live_world(speed=SPEED) as made:
        yield made


@pytest.fixture(scope="module")
def told(world: LiveWorld) -> dict[tuple[str, str], tuple[Reply, Call]]:
    """Over each carrier two calls at a time, one of which is told each of the commands; the answer, and its end."""
    lives = [(carrier, command) for command in COMMANDS for carrier in NUMBERS]
    with ThreadPoolExecutor(len(lives)) as pool:
        return dict(zip(lives, pool.map(lambda life: _tell(world, *life), lives), strict=True))


def _tell(world: LiveWorld, carrier: str, command: str) -> tuple[Reply, Call]:
    body = {"from_phone_number": NUMBERS[carrier], "to_phone_number": DESTINATION}
    call_id = world.post("/calls/initiate", body).headers["location"].removeprefix("/calls/")
    _when(world, call_id, lambda call: call.status == "in_progress")
    reply = world.control(call_id, COMMANDS[command])
    if reply.status != 200:
        world.control(call_id, COMMANDS["end-call"])
    return reply, _when(world, call_id, lambda call: not call.is_open)


def _when(world: LiveWorld, call_id: str, is_so: Callable[[Call], bool]) -> Call:
    deadline = time.monotonic() + SECONDS_MAX
    while not is_so(call := world.call(call_id)):
        assert time.monotonic() < deadline, call
        time.sleep(0.5)
    return call


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("carrier", NUMBERS)
def test_a_call_under_way_can_be_ended_and_transferred_where_its_carrier_can(
    told: dict[tuple[str, str], tuple[Reply, Call]], carrier: str, command: str
) -> None:
    reply, call = told[carrier, command]
    if carrier == "elevenlabs" and command.startswith("transfer"):
        assert (reply.status, reply.json["code"]) == (409, "control_unsupported")
    else:
        assert (reply.status, reply.json) == (200, {"success": True, "message": "Command sent successfully"})
    assert (call.status, call.ended_reason) == ("completed", "hang_up")


def test_each_of_those_calls_rang_once(world: LiveWorld, told: dict[tuple[str, str], tuple[Reply, Call]]) -> None:
    rang = accepted_dials(world.journal(), DESTINATION)
    assert rang == {call.carrier_call_id for _, call in told.values()}


def test_after_all_of_it_every_micro_unit_is_accounted_for(
    world: LiveWorld, told: dict[tuple[str, str], tuple[Reply, Call]]
) -> None:
    assert world.get("GET /wallet/reconcile", "/wallet/reconcile")["differences"] == []
    assert world.failures == []
