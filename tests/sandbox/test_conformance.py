"""One suite for every carrier: whichever one a scenario is lived over, it ends in the same call and the same ledger.

All of it in one process (``live_world``): 161 calls are more than the emulator of the deployed sandbox can take in the
time that a test may have. A smaller set is lived there as well, by ``test_scenarios``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dialplane.carriers.registry import TRAITS
from dialplane.domain.calls import Call
from sandbox.carriers.scenarios import SCENARIOS, Callee
from tests.fakes.carrier_journal import accepted_dials, dial_requests
from tests.fakes.live_world import LiveWorld, a_live_world
from tests.fakes.world import Reply
from tests.sandbox import canonical_ends
from tests.sandbox.canonical_ends import COSTS, ENDS, EXCEPTIONS, NUMBERS, RINGING_TOLD, end_of

# Simulated seconds per second: callers wait for callees, never for this process, which needs a moment for each report.
SPEED = 20.0
SETTLED_SECONDS_MAX = 300.0
RATE_MICROS_PER_MINUTE = 30_000
# Asks its carrier who has answered.
DETECTING_ASSISTANT = 456
_LIVES = [(carrier, scenario.name) for carrier in NUMBERS for scenario in SCENARIOS]
_NUMBER_OF = {scenario.name: scenario.number for scenario in SCENARIOS}
# Those that take longest, first.
_SLOW = ("long-call", "timeout-but-placed", "500-not-placed", "connection-reset", "mute", "terminal-lost")


@dataclass(frozen=True)
class Life:
    """A scenario as it was lived over a carrier."""

    answer: Reply
    call: Call


Lives = dict[tuple[str, str], Life]


@pytest.fixture(scope="module")
def world() -> Iterator[LiveWorld]:
    with a_live_world(speed=SPEED) as made:
        yield made


@pytest.fixture(scope="module")
def lives(world: LiveWorld) -> Lives:
    """Every scenario over every carrier, all at the same time, each to its settlement."""

    def initiate(life: tuple[str, str]) -> Reply:
        carrier, scenario = life
        # What is reported meanwhile goes first: a callee must not wait for other people's dials.
        world.wait_for_backlog(below=3)
        body = {"from_phone_number": NUMBERS[carrier], "to_phone_number": _NUMBER_OF[scenario]}
        detecting = {"assistant_id": DETECTING_ASSISTANT} if _detects_machines(carrier, scenario) else {}
        return world.post("/calls/initiate", body | detecting)

    in_order = sorted(_LIVES, key=lambda life: life[1] not in _SLOW)
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(in_order, pool.map(initiate, in_order), strict=True))
    ids = {life: _call_id(answer) for life, answer in answers.items()}
    world.wait_until_settled(SETTLED_SECONDS_MAX)
    return {life: Life(answers[life], world.call(ids[life])) for life in _LIVES}


@pytest.fixture(scope="module")
def journal(world: LiveWorld, lives: Lives) -> list[Any]:
    """What the carriers were asked and what they sent, in all of these lives."""
    return list(world.journal())


def _detects_machines(carrier: str, scenario: str) -> bool:
    # An agent finds out by itself, and its calls have no other assistant.
    return scenario == "machine" and "agent" not in TRAITS[carrier].engines


def _call_id(answer: Reply) -> str:
    location = answer.headers.get("location")
    return location.removeprefix("/calls/") if location is not None else str(answer.json["call_id"])


def test_every_carrier_and_every_scenario_has_its_expectation() -> None:
    assert set(NUMBERS) == set(TRAITS) == set(COSTS)
    assert [scenario.name for scenario in SCENARIOS] == list(ENDS)
    assert set(EXCEPTIONS) <= set(_LIVES)


@pytest.mark.parametrize(("carrier", "scenario"), _LIVES)
def test_a_scenario_ends_in_the_same_call_and_the_same_charge_over_every_carrier(
    lives: Lives, journal: list[Any], carrier: str, scenario: str
) -> None:
    life, expected = lives[carrier, scenario], end_of(carrier, scenario)
    call = life.call
    assert life.answer.status in expected.answers, life.answer.body
    assert (call.status, call.ended_reason) == (expected.status, expected.ended_reason)
    minutes = -(-(call.duration_seconds or 0) // 60) if expected.is_charged else 0
    assert call.charge_micros == min(RATE_MICROS_PER_MINUTE * minutes, call.hold_micros)
    assert (minutes > 0) == expected.is_charged
    dials = accepted_dials(journal, call.destination, call.caller_number)
    assert len(dials) == expected.dials


@pytest.mark.parametrize("carrier", NUMBERS)
def test_a_machine_is_told_from_a_human(lives: Lives, carrier: str) -> None:
    call = lives[carrier, "machine"].call
    assert call.answered_by == "machine"
    assert call.answered_by_raw


@pytest.mark.parametrize(("carrier", "scenario"), _LIVES)
def test_what_the_carrier_takes_is_kept_in_its_own_currency_beside_our_charge(
    lives: Lives, carrier: str, scenario: str
) -> None:
    call = lives[carrier, scenario].call
    currency, is_reported = COSTS[carrier]
    assert call.carrier_cost_currency in (None, currency)
    assert (call.carrier_cost is None) == (call.carrier_cost_currency is None)
    if is_reported and scenario == "answered":
        assert float(call.carrier_cost or 0) > 0


@pytest.mark.parametrize("carrier", NUMBERS)
def test_what_a_carrier_tells_of_an_answered_call(world: LiveWorld, lives: Lives, carrier: str) -> None:
    call = lives[carrier, "answered"].call
    timeline = world.get("GET /calls/{call_id}/events", f"/calls/{call.id}/events", call_id=call.id)
    words = {entry.get("carrier_status", "") for entry in timeline["events"] if entry["type"] == "carrier_event"}
    assert ("ringing" in words) == (carrier in RINGING_TOLD), words


@pytest.mark.parametrize("carrier", ["telnyx", "sip-telnyx"])
@pytest.mark.parametrize("scenario", ["500-but-placed", "timeout-but-placed", "connection-reset-but-placed"])
def test_a_dial_that_is_repeated_with_its_request_key_is_one_call(
    lives: Lives, journal: list[Any], carrier: str, scenario: str
) -> None:
    call = lives[carrier, scenario].call
    requests = dial_requests(journal, call.destination, call.caller_number)
    assert [request["json"]["command_id"] for request in requests] == [call.id] * 2
    assert {request["call_id"] for request in requests} == {call.carrier_call_id}


@pytest.mark.parametrize("carrier", sorted(set(NUMBERS) - {"telnyx", "sip-telnyx"}))
@pytest.mark.parametrize(
    "scenario", [scenario.name for scenario in SCENARIOS if "but-placed" in scenario.name or "not" in scenario.name]
)
def test_without_a_request_key_a_dial_is_never_sent_twice(
    lives: Lives, journal: list[Any], carrier: str, scenario: str
) -> None:
    call = lives[carrier, scenario].call
    assert len(dial_requests(journal, call.destination, call.caller_number)) == 1


def test_a_call_whose_time_has_no_limit_at_its_carrier_costs_no_more_than_its_hold(lives: Lives) -> None:
    call = lives["elevenlabs", "long-call"].call
    assert (call.duration_seconds, call.time_limit_seconds) == (600, 300)
    assert call.charge_micros == call.hold_micros


def test_after_all_of_it_every_micro_unit_is_accounted_for(world: LiveWorld, lives: Lives) -> None:
    found = world.get("GET /wallet/reconcile", "/wallet/reconcile")
    assert (found["balanced"], found["differences"]) == (True, [])
    assert float(found["wallet"]["held"]["amount"]) == 0
    assert found["wallet"]["active_calls"] == 0
    spent = sum(life.call.charge_micros or 0 for life in lives.values())
    assert round(float(found["wallet"]["spent"]["amount"]) * 1_000_000) == spent


def test_no_callback_was_refused_and_no_report_failed(world: LiveWorld, journal: list[Any]) -> None:
    out = [entry for entry in journal if entry["direction"] == "out" and entry["status"] is not None]
    refused = [(entry["carrier"], entry["path"], entry["status"]) for entry in out if entry["status"] not in (200, 204)]
    assert refused == []
    assert world.failures == []


def test_each_callee_did_what_the_table_says() -> None:
    """The expectations follow the scenario table's callees, so that a new row cannot pass for another one."""
    declined = {scenario.name for scenario in SCENARIOS if scenario.callee is Callee.REJECTS}
    assert {name for name, end in ENDS.items() if end.status == "rejected"} == declined


def test_the_documented_table_is_the_one_that_is_tested() -> None:
    page = (Path(__file__).parents[2] / "docs/conformance.md").read_text()
    assert canonical_ends.table() in page
    assert all(reason in " ".join(page.split()) for _, reason in EXCEPTIONS.values())
