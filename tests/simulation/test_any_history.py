"""Hypothesis makes up histories: whatever clients, carriers, strangers and crashes do, in whatever order."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.simulation.simulation import (
    BODY,
    CHANGED_BODY,
    DESTINATION,
    FUNDS,
    Schedule,
    Simulation,
    a_simulation,
    scaled,
)
from tests.simulation.truthful_carrier import (
    ANSWERED,
    BUSY,
    LOST_NOT_PLACED,
    LOST_PLACED,
    NO_ANSWER,
    PLACED,
    RATE_LIMITED,
    REJECTED,
    Leg,
)

pytestmark = pytest.mark.timeout(0)

OTHER_DESTINATION = "+15559876544"
BODIES = (BODY, CHANGED_BODY, {**BODY, "to_phone_number": OTHER_DESTINATION})
KEYS = ("first", "second", None)
OUTCOMES = (PLACED, REJECTED, LOST_PLACED, LOST_NOT_PLACED, RATE_LIMITED)
numbers = st.integers(min_value=0, max_value=50)
_shared: list[Simulation] = []


@pytest.fixture(scope="module", autouse=True)
def deployment() -> Iterator[None]:
    logging.getLogger("dialplane").setLevel(logging.CRITICAL)
    with a_simulation() as simulation:
        _shared.append(simulation)
        yield
        _shared.clear()
    logging.getLogger("dialplane").setLevel(logging.INFO)


class Histories(RuleBasedStateMachine):
    """Each rule is one thing that somebody does; the checkers look after every one, and between any two I/Os."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = _shared[0]

    def teardown(self) -> None:
        """Then the bad luck ends, and everything must come to rest."""
        self.simulation.injector.crash_at = None
        self.simulation.run_until_quiet()
        self.simulation.check_replays()

    @initialize(funds=st.sampled_from(sorted(FUNDS)), life=st.sampled_from((ANSWERED, BUSY, NO_ANSWER)))
    def begin(self, funds: str, life: str) -> None:
        self.simulation.start(Schedule(funds=funds, life=life))

    @rule(outcome=st.sampled_from(OUTCOMES))
    def the_carrier_will(self, outcome: str) -> None:
        self.simulation.carrier.script.append(outcome)

    @rule(key=st.sampled_from(KEYS), body=st.sampled_from(BODIES))
    def client_asks(self, key: str | None, body: dict[str, str]) -> None:
        self.simulation.request(key, body=body)

    @rule(micros=st.integers(min_value=1, max_value=400_000))
    def customer_pays(self, micros: int) -> None:
        self.simulation.deposit(micros)

    @precondition(lambda self: self.simulation.carrier.legs)
    @rule(leg=numbers, report=numbers, times=st.integers(min_value=1, max_value=2))
    def carrier_reports(self, leg: int, report: int, times: int) -> None:
        chosen = self._leg(leg)
        reports = chosen.reports()
        at, form = reports[report % len(reports)]
        self.simulation.wait_until(at)
        for _ in range(times):
            self.simulation.callback(chosen, form)

    @precondition(lambda self: self.simulation.carrier.legs)
    @rule(leg=numbers)
    def carrier_asks_what_to_say(self, leg: int) -> None:
        chosen = self._leg(leg)
        answered_at = dict(chosen.moments).get("in-progress")
        if answered_at is not None and self.simulation.world.clock.now() < chosen.ended_at:
            self.simulation.ask_at(chosen, answered_at)

    @precondition(lambda self: self.simulation.carrier.legs)
    @rule(leg=numbers, wrong=st.sampled_from(({"token": "wrong"}, {"signature": None}, {"signature": "AAAA"})))
    def stranger_forges_a_report(self, leg: int, wrong: dict[str, str | None]) -> None:
        chosen = self._leg(leg)
        before = self.simulation.world.fingerprint()
        reply = self.simulation.callback(chosen, chosen.reports()[-1][1], **wrong)
        assert reply is None or reply.status in (403, 500), "500 only if the process died"
        assert self.simulation.world.fingerprint() == before

    @precondition(lambda self: any(self._is_bound(leg) for leg in self.simulation.carrier.legs))
    @rule(leg=numbers)
    def a_second_carrier_call_asks_what_to_say(self, leg: int) -> None:
        bound = [each for each in self.simulation.carrier.legs if self._is_bound(each)]
        chosen = bound[leg % len(bound)]
        ghost = Leg("CA" + "f" * 32, chosen.request, chosen.created_at, ANSWERED)
        twiml = self.simulation.fetch_instructions(ghost)
        assert twiml is None or twiml.status == 500 or "<Response><Hangup" in twiml.body

    @rule(number=st.sampled_from((DESTINATION, OTHER_DESTINATION)))
    def callee_objects(self, number: str) -> None:
        self.simulation.block(number)

    @rule(number=st.sampled_from((DESTINATION, OTHER_DESTINATION)))
    def callee_agrees_again(self, number: str) -> None:
        self.simulation.unblock(number)

    @rule()
    def queue_is_delivered(self) -> None:
        self.simulation.drain()

    @rule()
    def messages_and_completions_come_again(self) -> None:
        self.simulation.act("redeliver")

    @rule()
    def reconciler_runs(self) -> None:
        self.simulation.tick()

    @rule(seconds=st.sampled_from((1, 11, 61, 300)))
    def time_passes(self, seconds: int) -> None:
        self.simulation.wait(seconds)

    @rule(points=st.integers(min_value=0, max_value=20))
    def process_will_die_soon(self, points: int) -> None:
        self.simulation.injector.crash_at = self.simulation.injector.points + points

    def _leg(self, number: int) -> Leg:
        legs = self.simulation.carrier.legs
        return legs[number % len(legs)]

    def _is_bound(self, leg: Leg) -> bool:
        return "carrier_call_id" in self.simulation.checkers.calls()[leg.call_id]


Histories.TestCase.settings = settings(
    max_examples=scaled(25),
    stateful_step_count=25,
    deadline=None,
    derandomize=scaled(1) == 1,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestHistories = Histories.TestCase
