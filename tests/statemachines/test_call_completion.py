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


def test_what_an_execution_may_have_been_started_without_is_looked_for_before_it_is_read(
    definition: dict[str, Any],
) -> None:
    """On AWS a choice that reads what is not there fails the execution; moto goes on to the next one."""
    optional = {"$.has_conversation"}
    for choice in definition["States"]["ReadOutcome"]["Choices"]:
        read = [rule for rule in choice.get("And", []) if rule.get("Variable") in optional]
        assert [rule.get("IsPresent") for rule in read] in ([], [True, None])
    assert json.dumps(definition).count("$.has_conversation") == 2


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
@pytest.mark.parametrize("has_conversation", [False, None], ids=["without conversation", "as it was started before"])
def test_every_outcome_ends_where_it_should(
    definition: dict[str, Any], outcome: str, end: str, has_conversation: bool | None
) -> None:
    assert _walk(definition, outcome, has_conversation=has_conversation)[-1] == end


@pytest.mark.parametrize(
    ("outcome", "path"),
    [
        ("settled", ["AnalyzeCall", "Analyzed"]),
        ("already_settled", ["AnalyzeCall", "Analyzed"]),
        # The reconciler settles, and nobody comes back for the summary: all that was said is known already.
        ("facts_missing", ["AnalyzeCall", "Analyzed"]),
        ("not_ended", ["LeftToReconciler"]),
        ("a word nobody knows", ["UnknownOutcome"]),
    ],
)
def test_what_was_said_is_summed_up_once_the_call_is_settled(
    definition: dict[str, Any], outcome: str, path: list[str]
) -> None:
    assert _walk(definition, outcome, has_conversation=True) == ["SettleCall", "ReadOutcome", *path]


def test_an_analysis_that_fails_fails_nothing_else(definition: dict[str, Any]) -> None:
    machine = _with_answer(definition, "settled", analysis=None)
    status, entered, output = _run(machine, has_conversation=True)
    assert (status, entered[-1]) == ("SUCCEEDED", "NotAnalyzed")
    assert output["settlement"] == {"outcome": "settled"}


def test_money_is_moved_before_anything_is_summed_up(definition: dict[str, Any]) -> None:
    states = definition["States"]
    assert definition["StartAt"] == "SettleCall"
    assert states["AnalyzeCall"]["Parameters"]["FunctionName"] == "${AnalyzeCallFunctionArn}"
    assert states["SettleCall"]["Parameters"]["FunctionName"] == "${SettleCallFunctionArn}"
    assert {states[target]["Type"] for target in _targets(states["AnalyzeCall"])} == {"Succeed"}


def test_each_task_is_told_which_call_and_nothing_else(definition: dict[str, Any]) -> None:
    call = {"organization_id.$": "$.organization_id", "call_id.$": "$.call_id"}
    tasks = [state for state in definition["States"].values() if state["Type"] == "Task"]
    assert [task["Parameters"]["Payload"] for task in tasks] == [call, call]


def test_a_task_may_take_as_long_as_its_function(definition: dict[str, Any]) -> None:
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    functions = {"SettleCall": "CallCompletionFunction", "AnalyzeCall": "CallAnalysisFunction"}
    for state, function in functions.items():
        assert definition["States"][state]["TimeoutSeconds"] > resources[function]["Properties"]["Timeout"], state


def test_every_outcome_of_a_completion_is_one_that_the_workflow_knows(definition: dict[str, Any]) -> None:
    text = json.dumps(definition["States"]["ReadOutcome"])
    assert all(f'"{outcome.value}"' in text for outcome in CompletionOutcome)


def _walk(definition: dict[str, Any], outcome: str, *, has_conversation: bool | None = False) -> list[str]:
    """Run the machine in moto with the tasks' answers written into it; return the states entered."""
    return _run(_with_answer(definition, outcome, analysis="analyzed"), has_conversation=has_conversation)[1]


def _run(machine: dict[str, Any], *, has_conversation: bool | None) -> tuple[str, list[str], dict[str, Any]]:
    """Status, states entered and output of one execution; None for an input that does not say it."""
    task: dict[str, Any] = {"organization_id": "org_1", "call_id": "call_1"}
    if has_conversation is not None:
        task["has_conversation"] = has_conversation
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        client = boto3.client("stepfunctions", region_name="us-east-1")
        arn = client.create_state_machine(
            name="call-completion", definition=json.dumps(machine), roleArn="arn:aws:iam::123456789012:role/any"
        )["stateMachineArn"]
        started = client.start_execution(stateMachineArn=arn, name="call_1", input=json.dumps(task))
        deadline = time.monotonic() + RUN_SECONDS_MAX
        while (ended := client.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
            assert time.monotonic() < deadline, "the state machine did not end"
            time.sleep(0.02)
        history = client.get_execution_history(executionArn=started["executionArn"])["events"]
    entered = [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]
    output = json.loads(ended.get("output") or "{}")
    return ended["status"], [name for name in entered if name in machine["States"]], output


def _with_answer(definition: dict[str, Any], outcome: str, *, analysis: str | None) -> dict[str, Any]:
    """Put something without functions in the place of each task; None fails. All transitions stay as they are."""
    machine: dict[str, Any] = json.loads(json.dumps(definition))
    states = machine["States"]
    states["SettleCall"] = _pass(states["SettleCall"], outcome)
    states["AnalyzeCall"] = (
        _pass(states["AnalyzeCall"], analysis) if analysis is not None else _failure(states["AnalyzeCall"])
    )
    return machine


def _pass(task: dict[str, Any], outcome: str) -> dict[str, Any]:
    return {"Type": "Pass", "Result": {"outcome": outcome}, "ResultPath": task["ResultPath"], "Next": task["Next"]}


def _failure(task: dict[str, Any]) -> dict[str, Any]:
    """What fails as the task does when it has been retried: with the task's own transitions."""
    branch = {"StartAt": "Fails", "States": {"Fails": {"Type": "Fail", "Error": "Any", "Cause": "for the test"}}}
    kept = {name: task[name] for name in ("Catch", "ResultPath", "Next") if name in task}
    return {"Type": "Parallel", "Branches": [branch], **kept}
