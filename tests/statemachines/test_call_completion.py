"""The call-completion state machine: its text holds together, and every outcome ends where it should.

Neither `sam validate` nor the emulators check definitions, so this does; then moto's engine runs it with the settlement
function's answers written into it.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from samtranslator.yaml_helper import yaml_parse

from dialplane.usecases.complete_call import CompletionOutcome

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "statemachines/call-completion.asl.json"
TERMINAL = {"Succeed", "Fail"}
RUN_SECONDS_MAX = 30


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SOURCE.read_text())
    return loaded


def _targets(state: dict[str, Any]) -> Iterator[str]:
    yield from (state[key] for key in ("Next", "Default") if key in state)
    for rule in [*state.get("Choices", []), *state.get("Catch", [])]:
        yield rule["Next"]


def test_every_transition_leads_to_a_state_that_exists(definition: dict[str, Any]) -> None:
    states = definition["States"]
    assert definition["StartAt"] in states
    for name, state in states.items():
        for target in _targets(state):
            assert target in states, f"{name} -> {target}"


def test_every_state_is_reached_and_every_path_can_end(definition: dict[str, Any]) -> None:
    states = definition["States"]
    reached, to_visit = set(), [definition["StartAt"]]
    while to_visit:
        name = to_visit.pop()
        if name not in reached:
            reached.add(name)
            to_visit += _targets(states[name])
    assert reached == set(states)
    for name, state in states.items():
        assert state["Type"] in TERMINAL or state.get("End") or [*_targets(state)], name


def test_every_placeholder_is_substituted_and_every_substitution_is_used() -> None:
    placeholders = set(re.findall(r"\$\{(\w+)\}", SOURCE.read_text()))
    template = yaml_parse((ROOT / "template.yaml").read_text())
    properties = template["Resources"]["CallCompletionStateMachine"]["Properties"]
    assert properties["DefinitionUri"] == str(SOURCE.relative_to(ROOT))
    assert placeholders == set(properties["DefinitionSubstitutions"])


def test_errors_are_retried_and_never_told_apart_by_name(definition: dict[str, Any]) -> None:
    """AWS and the emulators disagree about the names of Lambda's errors; outcomes are values instead."""
    for state in definition["States"].values():
        for rule in [*state.get("Retry", []), *state.get("Catch", [])]:
            assert rule["ErrorEquals"] == ["States.ALL"]


def test_the_common_path_enters_three_states_because_aws_bills_each(definition: dict[str, Any]) -> None:
    assert _walk(definition, "settled") == ["SettleCall", "ReadOutcome", "Settled"]


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        ("settled", "Settled"),
        ("already_settled", "Settled"),
        ("not_ended", "LeftToReconciler"),
        ("facts_missing", "LeftToReconciler"),
        ("a word nobody knows", "UnknownOutcome"),
    ],
)
def test_every_outcome_ends_where_it_should(definition: dict[str, Any], outcome: str, end: str) -> None:
    assert _walk(definition, outcome)[-1] == end


def test_every_outcome_of_a_completion_is_one_that_the_workflow_knows(definition: dict[str, Any]) -> None:
    text = json.dumps(definition["States"]["ReadOutcome"])
    assert all(f'"{outcome.value}"' in text for outcome in CompletionOutcome)


def _walk(definition: dict[str, Any], outcome: str) -> list[str]:
    """Run the machine in moto with the task's answer written into it; return the states entered."""
    machine = _with_answer(definition, outcome)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions", region_name="us-east-1")
        arn = client.create_state_machine(
            name="call-completion", definition=json.dumps(machine), roleArn="arn:aws:iam::123456789012:role/any"
        )["stateMachineArn"]
        started = client.start_execution(
            stateMachineArn=arn,
            name="call_1",
            input=json.dumps({"organization_id": "org_1", "call_id": "call_1"}),
        )
        deadline = time.monotonic() + RUN_SECONDS_MAX
        while client.describe_execution(executionArn=started["executionArn"])["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the state machine did not end"
            time.sleep(0.02)
        history = client.get_execution_history(executionArn=started["executionArn"])["events"]
    entered = [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]
    return [name for name in entered if name in definition["States"]]


def _with_answer(definition: dict[str, Any], outcome: str) -> dict[str, Any]:
    """Put a Pass in the place of the task. All transitions stay as they are."""
    machine: dict[str, Any] = json.loads(json.dumps(definition))
    task = machine["States"]["SettleCall"]
    machine["States"]["SettleCall"] = {
        "Type": "Pass",
        "Result": {"outcome": outcome},
        "ResultPath": task["ResultPath"],
        "Next": task["Next"],
    }
    return machine
