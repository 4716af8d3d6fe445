"""Is the simulation able to notice anything? Bugs are planted, one at a time, and it must name the rule they break.

A bug that no schedule notices says that a schedule or a checker is missing, whatever else is green.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dialplane.domain import admission, calls
from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.idempotency import IdempotencyRecord
from dialplane.dynamodb import admissions
from dialplane.dynamodb.admissions import AdmissionStore
from dialplane.dynamodb.destinations import DestinationStore
from dialplane.dynamodb.settlements import SettlementStore
from dialplane.usecases import complete_call
from dialplane.usecases.complete_call import CompleteCallUseCase
from dialplane.usecases.dial_call import DialCallUseCase
from dialplane.usecases.reconcile_calls import ReconcileCallsUseCase
from tests.simulation.checkers import Violation
from tests.simulation.simulation import CALLBACKS, CLIENTS, SCRIPTS, Schedule, Simulation, spread
from tests.simulation.truthful_carrier import BUSY

pytestmark = pytest.mark.timeout(0)

Patch = pytest.MonkeyPatch

# The schedules every planted bug meets, in this order: none is made for one of them.
COMMON = [
    Schedule(client="changes the body", callbacks="reversed"),
    *(Schedule(life=BUSY, act_at=point, action="dnc") for point in (5, 7)),
    *(Schedule(script=script, callbacks="none", client="takes another key") for script in list(SCRIPTS)[::-1]),
    *(Schedule(client="takes another key", callbacks=callbacks, funds="scarce") for callbacks in CALLBACKS),
    *(Schedule(script=script, crash_at=9, callbacks="none") for script in SCRIPTS),
    *(Schedule(act_at=point, action="redeliver") for point in range(40, 60)),
    *(Schedule(life=BUSY, act_at=point, action="same key") for point in (3, 5, 7, 9, 11)),
    *(
        Schedule(script=script, callbacks=callbacks, client=client)
        for (script, callbacks), client in zip(
            itertools.product(SCRIPTS, CALLBACKS), itertools.cycle(CLIENTS), strict=False
        )
    ),
]


def drop_idempotency_record(patch: Patch) -> None:
    """The key is not part of the commit."""
    commit = AdmissionStore.commit
    patch.setattr(
        AdmissionStore, "commit", lambda self, call, organization, key: commit(self, call, organization, None)
    )


def skip_fingerprint(patch: Patch) -> None:
    """A key is served whatever the body says."""
    patch.setattr(IdempotencyRecord, "check_fingerprint", lambda self, key: None)


def settle_without_conditions(patch: Patch) -> None:
    """Neither the hold nor the call needs to be open."""
    hold, end = SettlementStore._hold, SettlementStore._end

    def careless_hold(self: SettlementStore, call: Any) -> dict[str, Any]:
        return {name: value for name, value in hold(self, call).items() if name != "ConditionExpression"}

    def careless_end(self: SettlementStore, before: Any, settled: Any) -> dict[str, Any]:
        return {**end(self, before, settled), "ConditionExpression": "#version >= :version_before"}

    patch.setattr(SettlementStore, "_hold", careless_hold)
    patch.setattr(SettlementStore, "_end", careless_end)
    # Without holds in the way of a second settlement the wallet's own condition must fall too.
    move = SettlementStore._move_money
    patch.setattr(
        SettlementStore,
        "_move_money",
        lambda self, call, charge: {**move(self, call, charge), "ConditionExpression": "attribute_exists(pk)"},
    )


def forget_to_release(patch: Patch) -> None:
    """A rejected dial keeps its hold; the reconciler is left to find out."""
    patch.setattr(SettlementStore, "settle", _only_if(SettlementStore.settle, lambda ended: ended.dial_error is None))


def _only_if(settle: Callable[..., bool], condition: Callable[[Any], bool]) -> Callable[..., bool]:
    def sometimes(self: Any, before: Any, ended: Any, *, charge_micros: int, at: Any) -> bool:
        return condition(ended) and settle(self, before, ended, charge_micros=charge_micros, at=at)

    return sometimes


def keep_the_change(patch: Patch) -> None:
    """Settlement takes the hold off and forgets to give the rest back."""
    move = SettlementStore._move_money

    def keep(self: SettlementStore, call: Any, charge_micros: int) -> dict[str, Any]:
        update = move(self, call, charge_micros)
        return update | {"ExpressionAttributeValues": {**update["ExpressionAttributeValues"], ":release": {"N": "0"}}}

    patch.setattr(SettlementStore, "_move_money", keep)


def release_on_unknown(patch: Patch) -> None:
    """A lost answer is taken for a refusal."""
    record = DialCallUseCase._record

    def pessimistic(self: DialCallUseCase, call: Any, outcome: Any) -> Any:
        lost = Rejected(cause="other", code="timeout", message="") if isinstance(outcome, Unknown) else outcome
        return record(self, call, lost)

    patch.setattr(DialCallUseCase, "_record", pessimistic)


def dial_again_after_unknown(patch: Patch) -> None:
    """A lost answer is taken for a reason to ask again."""
    dial = DialCallUseCase._ask_in_window

    def insistent(self: DialCallUseCase, carrier: Any, call: Any) -> Any:
        outcome = dial(self, carrier, call)
        return dial(self, carrier, call) if isinstance(outcome, Unknown) else outcome

    patch.setattr(DialCallUseCase, "_ask_in_window", insistent)


def drop_dnc_condition(patch: Patch) -> None:
    """The do-not-call list is read, but it is no condition of the commit."""
    step = AdmissionStore._open_call_to_destination

    def unconditional(self: AdmissionStore, call: Any) -> dict[str, Any]:
        update = dict(step(self, call)["Update"])
        del update["ConditionExpression"]
        return {"Update": update}

    patch.setattr(AdmissionStore, "_open_call_to_destination", unconditional)


def acknowledge_dnc_at_once(patch: Patch) -> None:
    """The addition does not wait for dials under way, and the dial has no window."""
    add = DestinationStore.add_dnc_entry
    patch.setattr(DestinationStore, "add_dnc_entry", lambda self, *ids: (add(self, *ids)[0], frozenset(), None))


def reopen_ended_calls(patch: Patch) -> None:
    """Every report moves a call, also back."""

    def naive(call: Any, event: Any, *context: Any, **more: Any) -> Any:
        return replace(call, status=event.status) if event.status is not None else call

    patch.setattr(calls, "_move", naive)


def void_too_early(patch: Patch) -> None:
    """A call that is not in the carrier's list at once is taken for never placed."""
    patch.setattr(ReconcileCallsUseCase, "_is_certainly_not_placed", lambda self, *_: True)


def take_any_candidate(patch: Patch) -> None:
    """The only call between the same numbers is taken for ours before the carrier's record of it is due."""
    patch.setattr(ReconcileCallsUseCase, "_is_record_due", lambda self, candidate: True)


def charge_the_hold(patch: Patch) -> None:
    """A completed call costs all that was held for it."""
    charge = calls.settlement_charge
    patch.setattr(complete_call, "settlement_charge", lambda call: call.hold_micros if charge(call) else charge(call))


def refuse_too_early(patch: Patch) -> None:
    """The balance gate wants twice the hold."""
    check = admission.check_balance

    def stingy(wallet: Any, required: Any) -> None:
        check(wallet, replace(required, micros=2 * required.micros))

    patch.setattr(admission, "check_balance", stingy)
    patch.setattr(admissions, "check_balance", stingy)


def never_complete(patch: Patch) -> None:
    """Nothing ever settles an ended call."""
    patch.setattr(CompleteCallUseCase, "complete", lambda self, *ids: complete_call.CompletionOutcome.NOT_ENDED)


def run(simulation: Simulation, schedules: Sequence[Schedule]) -> None:
    """Live through them, one after the other."""
    for schedule in schedules:
        simulation.run(schedule)


@pytest.mark.parametrize(
    ("plant", "broken"),
    [
        (drop_idempotency_record, {"I2", "I12"}),
        (skip_fingerprint, {"I12"}),
        (settle_without_conditions, {"I1", "I1b"}),
        (forget_to_release, {"I12"}),
        (keep_the_change, {"I1"}),
        (release_on_unknown, {"I2b", "I4"}),
        (dial_again_after_unknown, {"I2"}),
        (drop_dnc_condition, {"I3"}),
        (acknowledge_dnc_at_once, {"I3"}),
        (reopen_ended_calls, {"I4"}),
        (void_too_early, {"I2b"}),
        (take_any_candidate, {"I2b"}),
        (charge_the_hold, {"I2b"}),
        (refuse_too_early, {"I13"}),
        (never_complete, {"I7"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_bug_is_noticed(
    simulation: Simulation, monkeypatch: Patch, plant: Callable[[Patch], None], broken: set[str]
) -> None:
    plant(monkeypatch)
    with pytest.raises(Violation) as noticed:
        run(simulation, COMMON)
    assert noticed.value.invariant in broken


def test_without_a_planted_bug_the_same_schedules_pass(simulation: Simulation) -> None:
    run(simulation, spread(COMMON, at_most=20))
