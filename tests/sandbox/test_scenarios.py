"""Every scenario number against the deployed stack: the right end, the right money, at most one accepted dial."""

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

# name: (status of the create answer, status of the call, why it ended, whether connected time was charged)
ENDS: dict[str, tuple[int, str, str, bool]] = {
    "answered": (200, "completed", "hang_up", True),
    "busy": (200, "busy", "busy", False),
    "no-answer": (200, "no_answer", "no_answer", False),
    "rejected": (200, "busy", "declined", False),
    "failed": (200, "failed", "carrier_failed", False),
    "machine": (200, "completed", "hang_up", True),
    "invalid-number": (400, "failed", "carrier_rejected", False),
    "rate-limited": (503, "failed", "carrier_rejected", False),
    "rate-limited-twice": (200, "completed", "hang_up", True),
    "500-but-placed": (202, "completed", "hang_up", True),
    "500-not-placed": (202, "failed", "not_placed", False),
    "timeout-but-placed": (202, "completed", "hang_up", True),
    "connection-reset": (202, "failed", "not_placed", False),
    "connection-reset-but-placed": (202, "completed", "hang_up", True),
    "callbacks-duplicated": (200, "completed", "hang_up", True),
    "callbacks-reordered": (200, "completed", "hang_up", True),
    "mute": (200, "completed", "hang_up", True),
    "only-terminal": (200, "completed", "hang_up", True),
    "terminal-lost": (200, "completed", "hang_up", True),
    "completed-before-ringing": (200, "completed", "hang_up", True),
    "long-call": (200, "completed", "hang_up", True),
    "hangs-up-early": (200, "completed", "hang_up", True),
    "slow-to-queue": (200, "completed", "hang_up", True),
}
NEVER_PLACED = {"invalid-number", "rate-limited", "500-not-placed", "connection-reset"}


@pytest.fixture(scope="module")
def scenario_calls(sandbox_client: SandboxClient) -> dict[str, tuple[int, Any]]:
    """Every scenario called once, all at the same time, and lived to its settlement."""
    scenarios = {scenario["name"]: scenario["number"] for scenario in sandbox_client.carrier("/_scenarios")}
    with ThreadPoolExecutor(4) as pool:
        answers = dict(zip(scenarios, pool.map(sandbox_client.initiate, scenarios.values()), strict=True))
    ids = {
        name: answer.headers["location"].removeprefix("/calls/")
        if "location" in answer.headers
        else answer.json["call_id"]
        for name, answer in answers.items()
    }
    sandbox_client.until(
        lambda: all(sandbox_client.call(call_id)["settled_at"] for call_id in ids.values()), reconciling=True
    )
    return {name: (answers[name].status, sandbox_client.call(call_id)) for name, call_id in ids.items()}


def test_every_scenario_of_the_carrier_has_its_expectation_here(sandbox_client: SandboxClient) -> None:
    assert {scenario["name"] for scenario in sandbox_client.carrier("/_scenarios")} == set(ENDS)


@pytest.mark.parametrize("name", ENDS)
def test_a_scenario_ends_as_it_must_and_costs_what_it_must(
    scenario_calls: dict[str, tuple[int, Any]], sandbox_client: SandboxClient, name: str
) -> None:
    status, call = scenario_calls[name]
    expected_status, call_status, ended_reason, is_charged = ENDS[name]
    # A callback may prove a call placed before its lost answer is given up: then the answer is the ordinary one.
    assert status in ({200, 202} if expected_status == 202 and name not in NEVER_PLACED else {expected_status})
    assert (call["status"], call["ended_reason"]) == (call_status, ended_reason)
    minutes = -(-call["duration_seconds"] // 60) if is_charged else 0
    assert sandbox_client.amount(call["charge"]) == Decimal("0.03") * minutes
    assert (minutes > 0) == is_charged
    assert len(sandbox_client.accepted_dials(call["to"])) == (0 if name in NEVER_PLACED else 1)


def test_after_all_scenarios_every_micro_unit_is_accounted_for(
    scenario_calls: dict[str, tuple[int, Any]], sandbox_client: SandboxClient
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
    scenario_calls: dict[str, tuple[int, Any]], sandbox_client: SandboxClient
) -> None:
    requests = sandbox_client.carrier("/_requests")
    # Without a status there was no answer yet, or not within the carrier's patience: a busy machine, not a refusal.
    answered = [entry for entry in requests if entry["direction"] == "out" and entry["status"] is not None]
    statuses = Counter((entry["path"].split("/")[1], entry["status"]) for entry in answered)
    assert set(statuses) == {("twiml", 200), ("status", 204)}


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
