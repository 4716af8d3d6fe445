"""Calls whose dial comes from a queue: whatever dies, comes late or comes twice, each is dialled at most once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from dialplane.dynamodb.calls import CallStore
from tests.simulation.checkers import Violation
from tests.simulation.simulation import CALLBACKS, CLIENTS, FUNDS, SCRIPTS, Schedule, Simulation, spread

pytestmark = pytest.mark.timeout(0)

QUEUED = [
    Schedule(
        callbacks=callbacks,
        client=client,
        funds=funds,
        dials_are_queued=True,
        dial_deliveries=deliveries,
        dial_delay_seconds=delay,
    )
    for callbacks, client, funds, deliveries, delay in itertools.product(
        CALLBACKS, CLIENTS, FUNDS, (1, 3), (0.0, 11.0, 59.0, 61.0)
    )
]


def test_a_crash_at_any_io_point_costs_neither_a_call_nor_money(simulation: Simulation) -> None:
    simulation.run(Schedule(dials_are_queued=True))
    points = simulation.points_of_first_request
    assert points >= 14, "read, secret, commit and queue; read, claim, secret, dial and record"
    schedules = [
        replace(each, script=script, crash_at=point, dial_delay_seconds=0.0)
        for each in QUEUED
        for script in SCRIPTS
        for point in range(points)
    ]
    for schedule in spread(schedules, at_most=25):
        simulation.run(schedule)


@pytest.mark.parametrize("action", ["same key", "other key", "changed body", "tick", "dnc", "callbacks"])
def test_whatever_somebody_else_does_between_any_two_steps_every_rule_holds(
    simulation: Simulation, action: str
) -> None:
    schedules = [
        replace(each, script=script, act_at=point, action=action)
        for each in QUEUED
        for script in SCRIPTS
        for point in range(40)
    ]
    for schedule in spread(schedules, at_most=2, seed=len(action)):
        simulation.run(schedule)


def test_conflicting_transactions_and_lost_replies_cost_nothing_but_time(simulation: Simulation) -> None:
    schedules = [
        replace(each, script=script, conflict_probability=0.2, lost_reply_probability=0.1, seed=number)
        for number, (each, script) in enumerate(itertools.product(QUEUED, SCRIPTS))
    ]
    for schedule in spread(schedules, at_most=8):
        simulation.run(schedule)


def test_a_worker_that_does_not_claim_is_noticed(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkers see a second dial: without this the tests above would prove nothing."""

    def take_anyway(self: CallStore, call: Any, claim: str, **_: Any) -> Any:
        return call

    def all_crashes() -> None:
        for at in range(30):
            simulation.run(Schedule(dials_are_queued=True, dial_deliveries=2, callbacks="none", crash_at=at))

    monkeypatch.setattr(CallStore, "claim_dial", take_anyway)
    with pytest.raises(Violation) as noticed:
        all_crashes()
    assert noticed.value.invariant in ("I2", "I2b")
