"""dry_run: what a request would do, gate by gate, and nothing is done."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.world import World
from tests.functional.expectations import (
    SEED0,
    SEED2,
    SEED2_CUSTOM,
    SEED2_OVERRIDE,
    a_caller,
    a_key,
    assert_problem,
    unchanged,
)

GATES = [
    "authentication",
    "scope",
    "caller_number",
    "assistant",
    "configuration",
    "texts",
    "do_not_call",
    "destination",
    "balance",
    "active_calls",
]


def dry_run(world: World, body: dict[str, Any], **how: Any) -> dict[str, Any]:
    with unchanged(world):
        reply = world.initiate({**body, "dry_run": True}, **how)
    assert reply.status == 200, reply.body
    document: dict[str, Any] = reply.json
    assert document["dry_run"] is True
    assert [gate["gate"] for gate in document["gates"]] == list(GATES)
    assert document["allowed"] is all(gate["verdict"] == "passed" for gate in document["gates"])
    return document


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {gate["gate"]: gate["verdict"] for gate in document["gates"] if gate["verdict"] != "passed"}


def test_a_request_that_would_pass_shows_its_plan(world: World) -> None:
    document = dry_run(world, SEED2_CUSTOM)
    assert (document["allowed"], document["code"]) == (True, None)
    assert (document["assistant"]["id"], document["assistant"]["name"]) == (123, "Appointment reminder")
    assert (document["from"], document["to"], document["carrier"]) == ("+15551234567", "+15559876543", "twilio")
    assert document["welcome_message"].startswith("Hello John Doe, this is a reminder")
    assert document["agenda"] == "Remind John Doe about their upcoming dental appointment."
    assert document["hold"] == {"amount": "0.150000", "currency": "USD"}
    assert document["time_limit_seconds"] == 300


def test_the_plan_is_what_the_call_becomes(world: World) -> None:
    document = dry_run(world, SEED0)
    world.initiate(SEED0)
    call = world.get_call(world.last_call().id).json
    for name in ("from", "to", "carrier", "welcome_message", "agenda", "hold", "time_limit_seconds"):
        assert document[name] == call[name]
    assert document["assistant"]["id"] == call["assistant_id"]


def test_s2_7_it_shows_who_could_have_spoken_and_the_rule_that_decided(world: World) -> None:
    by_number = dry_run(world, SEED2)
    assert by_number["resolution"] == {
        "rule": "number",
        "candidates": [{"rule": "number", "id": 123, "verdict": "chosen"}],
    }
    by_request = dry_run(world, SEED2_OVERRIDE)
    assert by_request["resolution"] == {
        "rule": "override",
        "candidates": [
            {"rule": "override", "id": 456, "verdict": "chosen"},
            {"rule": "number", "id": 123, "verdict": "outranked"},
        ],
    }
    assert by_request["caller_number_reason"] == "requested"
    assert dry_run(world, SEED0)["caller_number_reason"] == "assistant"


@pytest.mark.parametrize("query", ["true", "TRUE", "True"])
def test_it_can_be_asked_for_in_the_query(world: World, query: str) -> None:
    with unchanged(world):
        reply = world.initiate(SEED2, query={"dry_run": query})
    assert reply.json["dry_run"] is True


def test_false_means_that_the_call_is_made(world: World) -> None:
    assert world.initiate({**SEED2, "dry_run": False}, query={"dry_run": "false"}).json["call_sid"]


def test_either_of_them_is_enough(world: World) -> None:
    with unchanged(world):
        assert world.initiate({**SEED2, "dry_run": False}, query={"dry_run": "true"}).json["dry_run"] is True


@pytest.mark.parametrize(
    ("change", "failed", "skipped"),
    [
        ({"from_phone_number": "+15557654321"}, ["caller_number"], ["assistant", "configuration", "texts", "balance"]),
        ({"from_phone_number": "+15551234569"}, ["assistant"], ["configuration", "texts", "balance"]),
        ({"assistant_id": 789}, ["assistant"], ["configuration", "texts", "balance"]),
        ({"welcome_message": "{{nobody}}"}, ["texts"], []),
        ({"agenda": "{{"}, ["texts"], []),
        ({"to_phone_number": "+15550199001"}, ["do_not_call"], []),
        ({"to_phone_number": "+442079460123"}, ["destination"], []),
    ],
    ids=str,
)
def test_every_gate_is_run_and_says_why_it_failed(
    world: World, change: dict[str, Any], failed: list[str], skipped: list[str]
) -> None:
    document = dry_run(world, {**SEED2, **change})
    assert verdicts(document) == dict.fromkeys(failed, "failed") | dict.fromkeys(skipped, "skipped")
    for gate in document["gates"]:
        assert ("detail" in gate) is (gate["verdict"] == "failed")
    with unchanged(world):
        refusal = world.initiate({**SEED2, **change}).json
    assert document["code"] == refusal["code"]
    first = next(gate for gate in document["gates"] if gate["verdict"] == "failed")
    assert (first["code"], first["detail"]) == (refusal["code"], refusal["detail"])


def test_many_gates_fail_at_once_and_the_first_is_the_answer(world: World) -> None:
    body = {**SEED2, "welcome_message": "{{nobody}}", "to_phone_number": "+442079460123"}
    document = dry_run(world, body)
    assert verdicts(document) == {"texts": "failed", "destination": "failed"}
    assert document["code"] == "missing_variables"


def test_an_empty_wallet_and_a_full_line_are_shown(world: World) -> None:
    _, poor = a_caller(world, number="+15550100980", micros=1)
    document = dry_run(world, {"assistant_id": 1, "to_phone_number": "+15559876543"}, key=poor)
    assert verdicts(document) == {"balance": "failed"}
    _, busy = a_caller(world, number="+15550100981", active_calls_max=1)
    body = {"assistant_id": 1, "to_phone_number": "+15559876543"}
    world.initiate(body, key=busy)
    assert verdicts(dry_run(world, body, key=busy)) == {"active_calls": "failed"}


def test_bad_input_is_refused_as_without_it(world: World) -> None:
    with unchanged(world):
        reply = world.initiate({**SEED2, "to_phone_number": "x", "dry_run": True})
        assert_problem(reply, 400, "invalid_phone_number")
        assert_problem(world.initiate({"dry_run": True}), 400, "missing_field")
        assert_problem(world.initiate({**SEED2, "agenda": 5, "dry_run": True}), 422, "invalid_fields")


def test_strangers_and_readers_learn_nothing_from_it(world: World) -> None:
    reader = a_key(world, world.demo.organization_id, "can_read_calls")
    with unchanged(world):
        assert_problem(world.initiate({**SEED2, "dry_run": True}, key=None), 401, "authentication_required")
        assert_problem(world.initiate({**SEED2, "dry_run": True}, key=reader), 403, "permission_denied")
