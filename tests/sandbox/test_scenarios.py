"""Scenario numbers against the deployed stack: the right end, the right money, at most one accepted dial."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from dialplane.domain.accounts import Assistant, Organization
from dialplane.domain.ids import new_id
from tests.fakes.sandbox_client import SandboxClient
from tests.sandbox.canonical_ends import DEPLOYED, NUMBERS, end_of

# Carrier after carrier, since some refuse what comes faster than once in a second; those that take longest first.
_LIVES = [(carrier, scenario) for scenario in sorted(DEPLOYED, key=lambda name: name != "mute") for carrier in NUMBERS]
# Calls that wait for commands wait in simulated time, which passes fast while the emulator is busy with too many.
_CALLS_UNDER_WAY, _CALLS_AT_ONCE = 24, 6


@pytest.fixture(scope="module")
def scenario_calls(sandbox_client: SandboxClient) -> dict[tuple[str, str], tuple[int, Any]]:
    """The most telling scenarios, each called once over every carrier and lived to its settlement."""
    numbers = {scenario["name"]: scenario["number"] for scenario in sandbox_client.carrier("/_scenarios")}
    answers: dict[tuple[str, str], Any] = {}
    ids: dict[tuple[str, str], str] = {}

    def under_way() -> list[str]:
        return [call_id for call_id in ids.values() if not sandbox_client.call(call_id)["ended_at"]]

    for start in range(0, len(_LIVES), _CALLS_AT_ONCE):
        sandbox_client.until(lambda: len(under_way()) <= _CALLS_UNDER_WAY - _CALLS_AT_ONCE, reconciling=True)
        batch = _LIVES[start : start + _CALLS_AT_ONCE]
        with ThreadPoolExecutor(4) as pool:
            got = pool.map(
                lambda life: sandbox_client.initiate(numbers[life[1]], from_phone_number=NUMBERS[life[0]]), batch
            )
            answers |= dict(zip(batch, got, strict=True))
        ids |= {life: _call_id(answers[life]) for life in batch}
    sandbox_client.until(
        lambda: all(sandbox_client.call(call_id)["settled_at"] for call_id in ids.values()), reconciling=True
    )
    return {life: (answers[life].status, sandbox_client.call(call_id)) for life, call_id in ids.items()}


def _call_id(answer: Any) -> str:
    location = answer.headers.get("location")
    assert location is not None or "call_id" in answer.json, answer.body
    return str(location.removeprefix("/calls/") if location is not None else answer.json["call_id"])


@pytest.mark.parametrize(("carrier", "name"), _LIVES)
def test_a_scenario_ends_as_it_must_and_costs_what_it_must(
    scenario_calls: dict[tuple[str, str], tuple[int, Any]], sandbox_client: SandboxClient, carrier: str, name: str
) -> None:
    status, call = scenario_calls[carrier, name]
    end = end_of(carrier, name)
    assert status in end.answers, call
    assert (call["status"], call["ended_reason"]) == (end.status, end.ended_reason)
    minutes = -(-call["duration_seconds"] // 60) if end.is_charged else 0
    assert sandbox_client.amount(call["charge"]) == Decimal("0.03") * minutes
    assert (minutes > 0) == end.is_charged
    assert len(sandbox_client.accepted_dials(call["to"], call["from"])) == end.dials


def test_after_all_scenarios_every_micro_unit_is_accounted_for(
    scenario_calls: dict[tuple[str, str], tuple[int, Any]], sandbox_client: SandboxClient
) -> None:
    assert sandbox_client.wallet_differences() == []
    assert sandbox_client.amount(sandbox_client.request("GET", "/wallet").json["held"]) == 0


def _organization_with(client: SandboxClient, *, holds: int) -> str:
    """A new customer whose wallet affords exactly so many calls; its key."""
    provision = client.stack.provision
    organization = provision.create_organization(Organization(id=new_id("org"), name="Scarce", active_calls_max=500))
    provision.put_assistant(
        Assistant(
            id=1,
            organization_id=organization.id,
            name="Short",
            welcome_message="Hello.",
            caller_number="+15551230001",
            max_duration_seconds=60,
        )
    )
    secret = {
        "account_sid": client.state.carrier_secrets["twilio"]["account_sid"],
        "auth_token": client.state.carrier_secrets["twilio"]["auth_token"],
        "api_base_url": client.state.carrier_url,
    }
    account = provision.create_carrier_account(organization.id, carrier="twilio", name="Main", secret=secret)
    provision.put_number(organization.id, "+15551230001", account, assistant_id=1)
    client.stack.wallets.deposit(organization.id, micros=30_000 * holds, currency="USD", note=None)
    return provision.create_key(organization.id, name="Test").text


def test_200_concurrent_creates_on_a_wallet_that_affords_7_dial_exactly_7(sandbox_client: SandboxClient) -> None:
    key = _organization_with(sandbox_client, holds=7)
    destination = "+15559870007"

    def create(_: int) -> int:
        return sandbox_client.initiate(destination, key=key, from_phone_number="+15551230001").status

    with ThreadPoolExecutor(32) as pool:
        statuses = Counter(pool.map(create, range(200)))
    assert statuses == {200: 7, 402: 193}
    assert len(sandbox_client.accepted_dials(destination)) == 7
    assert sandbox_client.wallet_differences(key=key) == []


def test_64_threads_with_one_idempotency_key_dial_once(sandbox_client: SandboxClient) -> None:
    destination = "+15559870064"

    def create(_: int) -> Any:
        return sandbox_client.initiate(destination, headers={"Idempotency-Key": "one-and-only"})

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(create, range(64)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    replay = create(0)
    assert (replay.status, replay.headers["idempotent-replayed"]) == (200, "true")
    assert len(sandbox_client.accepted_dials(destination)) == 1


def test_no_callback_and_no_fetch_of_the_carrier_was_refused_or_failed(
    scenario_calls: dict[tuple[str, str], tuple[int, Any]], sandbox_client: SandboxClient
) -> None:
    requests = sandbox_client.carrier("/_requests")
    # Without a status there was no answer yet, or not within the carrier's patience: a busy machine, not a refusal.
    answered = [entry for entry in requests if entry["direction"] == "out" and entry["status"] is not None]
    # Handshakes of WebSockets are refused to whoever forges them, in tests of their own.
    asked = {(entry["path"].split("/")[1], entry["status"]) for entry in answered} - {("socket", 101), ("socket", 403)}
    # ElevenLabs takes nothing but 200 for received.
    assert asked == {("twiml", 200), ("status", 200), ("status", 204)}


def test_after_a_dnc_entry_is_acknowledged_no_dial_to_the_number_arrives(sandbox_client: SandboxClient) -> None:
    destination = "+15559870403"
    counter = itertools.count()

    def create(_: int) -> int:
        if next(counter) == 10:
            return sandbox_client.request("PUT", f"/dnc/{destination}", {"reason": "asked"}).status
        return sandbox_client.initiate(destination).status

    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(create, range(40)))
    assert set(statuses) <= {200, 403}
    assert statuses[403] > 0
    acknowledged = sandbox_client.request("GET", f"/dnc/{destination}").json["added_at"]
    dials = sandbox_client.accepted_dials(destination)
    assert len(dials) == statuses[200] - 1
    assert sandbox_client.initiate(destination).status == 403
    assert len(sandbox_client.accepted_dials(destination)) == len(dials)
    assert acknowledged
