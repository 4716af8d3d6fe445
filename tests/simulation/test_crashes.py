"""A process may die at any moment: no call is lost, none is dialled twice, and every micro-unit stays accounted for."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from tests.simulation.simulation import CALLBACKS, CLIENTS, FUNDS, SCRIPTS, Schedule, Simulation, spread
from tests.simulation.truthful_carrier import ANSWERED, BUSY, NO_ANSWER

pytestmark = pytest.mark.timeout(0)

CIRCUMSTANCES = [
    Schedule(callbacks=callbacks, client=client, funds=funds)
    for callbacks, client, funds in itertools.product(CALLBACKS, CLIENTS, FUNDS)
]
ACTIONS = ("same key", "other key", "changed body", "deposit", "tick", "callbacks", "dnc", "redeliver")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_crash_at_any_io_point_of_initiate_costs_neither_a_call_nor_money(
    simulation: Simulation, script: str
) -> None:
    simulation.run(Schedule(script=script))
    points = simulation.points_of_first_request
    assert points >= 12, "two reads, one secret, one commit, one dial and one record, before and after each"
    for point in range(points):
        schedules = [replace(each, script=script, crash_at=point) for each in CIRCUMSTANCES]
        for schedule in spread(schedules, at_most=1, seed=point):
            simulation.run(schedule)
            assert simulation.crashes == 1


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_crash_at_any_io_point_of_webhook_worker_completion_or_reconciler_is_made_good(
    simulation: Simulation, script: str
) -> None:
    schedules = []
    for callbacks in spread(CALLBACKS, at_most=2, seed=len(script)):
        base = Schedule(script=script, callbacks=callbacks, client="takes another key")
        last = simulation.run(base)
        schedules += [replace(base, crash_at=point) for point in range(simulation.points_of_first_request, last)]
    for schedule in spread(schedules, at_most=4):
        simulation.run(schedule)
        assert simulation.crashes == 1


@pytest.mark.parametrize("action", ACTIONS)
def test_whatever_somebody_else_does_between_any_two_steps_every_rule_holds(
    simulation: Simulation, action: str
) -> None:
    schedules = [
        replace(each, script=script, life=life, act_at=point, action=action)
        for each in CIRCUMSTANCES
        for script in SCRIPTS
        for life in (ANSWERED, BUSY)
        for point in range(60)
    ]
    for schedule in spread(schedules, at_most=6, seed=ACTIONS.index(action)):
        simulation.run(schedule)


def test_conflicting_transactions_and_lost_replies_cost_nothing_but_time(simulation: Simulation) -> None:
    luck = random.Random(18)  # noqa: S311 - repeatable, not secret
    schedules = [
        replace(
            each,
            script=script,
            life=luck.choice((ANSWERED, BUSY, NO_ANSWER)),
            conflict_probability=0.2,
            lost_reply_probability=0.1,
            seed=luck.randrange(1_000_000),
        )
        for each in CIRCUMSTANCES
        for script in SCRIPTS
        for _ in range(4)
    ]
    conflicts = lost_replies = 0
    for schedule in spread(schedules, at_most=20):
        simulation.run(schedule)
        conflicts += simulation.injector.conflicts
        lost_replies += simulation.injector.lost_replies
    assert conflicts > 20
    assert lost_replies > 20


def test_the_schedules_reach_every_interesting_end(simulation: Simulation) -> None:
    """A simulation in which nothing happens finds nothing: what the other tests rely on must have occurred."""
    for schedule in (
        Schedule(script="unknown twice, both placed", callbacks="none", client="takes another key"),
        Schedule(script="unknown, not placed", callbacks="none", client="retries"),
        Schedule(script="rejected", client="retries"),
        Schedule(client="takes another key", funds="scarce", callbacks="reversed"),
        Schedule(client="changes the body"),
        Schedule(client="retries", crash_at=7, callbacks="none"),
    ):
        simulation.run(schedule)
    expected = {f"answer {status}" for status in (200, 202, 402, 409, 422, 502)}
    expected |= {"replay 200", "replay 502", "ends with 0 dials", "ends with 1 dials", "ends with 2 dials", "crashed"}
    assert expected <= set(simulation.reached)
