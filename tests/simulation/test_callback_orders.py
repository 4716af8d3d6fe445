"""Whatever order a carrier's requests come in, and whenever the dial is answered: the same call, the same charge."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dialplane.carriers.twilio.events import to_call_event
from dialplane.domain.calls import Call, CallEvent, apply_event, settlement_charge
from dialplane.domain.carrier import DialRequest
from dialplane.domain.instructions import Instructions
from dialplane.domain.statuses import CallStatus, DialOutcome
from tests.fakes.world import ACCOUNT_SID
from tests.simulation.simulation import DESTINATION, Schedule, Simulation, scaled
from tests.simulation.truthful_carrier import ANSWERED, BUSY, NO_ANSWER, Leg

pytestmark = pytest.mark.timeout(0)

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def sequences() -> Iterator[tuple[int, ...]]:
    """All 2,520 orders of four callbacks, each of which comes twice."""

    def extend(prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == 8:
            yield prefix
            return
        for index in range(4):
            if prefix.count(index) < 2:
                yield from extend((*prefix, index))

    return extend(())


def a_call() -> Call:
    return Call(
        id="call_1",
        organization_id="org_1",
        dialect="burki",
        request_id="request",
        api_key_id="key_1",
        assistant_id=123,
        assistant_name="Reminder",
        caller_number="+15551234567",
        destination=DESTINATION,
        carrier="twilio",
        carrier_account_id="account",
        status=CallStatus.DIALING,
        created_at=START,
        dial_deadline=START + timedelta(seconds=10),
        ring_timeout_seconds=30,
        time_limit_seconds=300,
        machine_detection=False,
        instructions=Instructions(engine="say", welcome_message="Hello"),
        variables_json="{}",
        currency="USD",
        rate_micros_per_minute=30_000,
        billing_increment_seconds=60,
        hold_micros=150_000,
    )


def events(life: str) -> list[CallEvent]:
    request = DialRequest(
        call_id="call_1",
        destination=DESTINATION,
        caller_number="+15551234567",
        instructions_url="https://x.test/call_1",
        status_url="https://x.test/call_1",
        ring_timeout_seconds=30,
        time_limit_seconds=300,
        instructions=Instructions(engine="say", welcome_message="Hello"),
    )
    leg = Leg(f"CA{1:032x}", request, START, life)
    ids = {"CallSid": leg.carrier_call_id, "AccountSid": ACCOUNT_SID}
    received_at = START + timedelta(seconds=120)
    return [to_call_event(ids | form, received_at) for _, form in leg.reports()]


def served(call: Call) -> Call:
    """What the conditional write of the instructions does to a call: nothing once it has ended."""
    if call.status.is_terminal:
        return call
    at = START + timedelta(seconds=7)
    bound = replace(call, carrier_call_id=f"CA{1:032x}", dial_outcome=DialOutcome.PLACED)
    return replace(bound, status=CallStatus.IN_PROGRESS, answered_at=call.answered_at or at)


def test_all_22680_orders_of_four_doubled_callbacks_and_the_answer_end_in_the_same_call() -> None:
    received_at = START + timedelta(seconds=120)
    reports = events(ANSWERED)
    ends = set()
    schedules = 0
    for sequence in sequences():
        for position in range(9):
            call = a_call()
            for step, index in enumerate(sequence):
                if step == position:
                    call = served(call)
                call = apply_event(call, reports[index], received_at=received_at).call
            schedules += 1
            assert settlement_charge(call) == 60_000
            ends.add(repr([(name, getattr(call, name)) for name in _SHOWN]))
    assert schedules == 22_680
    assert len(ends) == 1, "\n".join(ends)


_SHOWN = (
    "status",
    "carrier_call_id",
    "dial_outcome",
    "answered_at",
    "ended_at",
    "duration_seconds",
    "ended_reason",
    "sip_response_code",
)


@pytest.mark.parametrize("life", [BUSY, NO_ANSWER])
def test_every_order_of_an_unanswered_calls_callbacks_ends_in_the_same_call(life: str) -> None:
    reports = events(life) * 2
    ends = set()
    for order in itertools.permutations(reports):
        call = a_call()
        for event in order:
            call = apply_event(call, event, received_at=START + timedelta(seconds=120)).call
        ends.add(repr([(name, getattr(call, name)) for name in _SHOWN]))
        assert settlement_charge(call) == 0
    assert len(ends) == 1


def test_callbacks_may_overtake_the_answer_to_the_dial_in_any_order(simulation: Simulation) -> None:
    """The real entry points, a sample of the 22,680 orders; callbacks before ``position`` come while we still dial."""
    luck = random.Random(6)  # noqa: S311 - repeatable, not secret
    all_sequences = list(sequences())
    ends = set()
    for number in range(scaled(18)):
        sequence, position = luck.choice(all_sequences), number % 9
        simulation.start(Schedule())

        def deliver(indexes: tuple[int, ...]) -> None:
            leg = simulation.carrier.legs[0]
            for index in indexes:
                simulation.callback(leg, leg.reports()[index][1])
                if luck.random() < 0.5:
                    simulation.drain()

        def overtake(request: DialRequest, carrier_call_id: str, early: tuple[int, ...] = sequence[:position]) -> None:
            simulation.wait(90)
            deliver(early)

        simulation.carrier.on_create = overtake
        reply = simulation.request("key")
        simulation.carrier.on_create = lambda request, carrier_call_id: None
        assert reply is not None
        assert reply.status == 200
        deliver(sequence[position:])
        simulation.run_until_quiet()
        simulation.check_replays()
        (call,) = simulation.checkers.calls().values()
        shown = ("status", "ended_reason", "duration_seconds", "charge_micros", "answered_at", "ended_at")
        ends.add(tuple(str(call[name]) for name in shown))
    expected = ("completed", "hang_up", "61", "60000", "2026-11-20T15:00:06.000Z", "2026-11-20T15:01:07.000Z")
    assert ends == {expected}
