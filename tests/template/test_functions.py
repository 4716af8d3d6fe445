"""What every function must have, and what none may have."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from dialplane.domain.calls import DIAL_WINDOW, QUEUE_WINDOW
from functions.status import worker

ROOT = Path(__file__).resolve().parents[2]
Resources = dict[str, dict[str, Any]]


def test_every_function_has_its_own_log_group_with_the_chosen_retention(
    functions: Resources, resources: Resources
) -> None:
    groups = {name: properties["LoggingConfig"]["LogGroup"]["Ref"] for name, properties in functions.items()}
    assert len(set(groups.values())) == len(functions)
    for group in groups.values():
        assert resources[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_every_function_stands_before_its_log_group(functions: Resources, resources: Resources) -> None:
    order = list(resources)
    for name, properties in functions.items():
        assert order[order.index(name) + 1] == properties["LoggingConfig"]["LogGroup"]["Ref"]


def test_every_handler_is_a_function_of_that_name(functions: Resources) -> None:
    for properties in functions.values():
        *path, name = properties["Handler"].split(".")
        module = ast.parse((ROOT / "functions" / Path(*path).with_suffix(".py")).read_text())
        assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}, properties["Handler"]


def test_every_function_is_built_with_bytecode(functions: Resources, resources: Resources) -> None:
    assert {resources[name]["Metadata"]["BuildMethod"] for name in functions} == {"makefile"}
    assert resources["CommonLayer"]["Metadata"] == {
        "BuildMethod": "makefile",
        "BuildArchitecture": {"Ref": "Architecture"},
    }


def test_functions_declare_exactly_the_environment_they_read(functions: Resources) -> None:
    """A missing variable fails the first call after a deployment; one too many is a permission waiting to be used."""
    for name, properties in functions.items():
        declared = set(properties["Environment"]["Variables"])
        assert declared == _environment_read_by(properties["Handler"]), name


def test_no_function_waits_longer_than_an_http_api_does(functions: Resources) -> None:
    behind_an_api = ("InitiateFunction", "TwimlFunction", "StatusWebhookFunction", "ManageFunction")
    for name in (*behind_an_api, "ConversationFunction"):
        assert functions[name]["Timeout"] < 30


def test_variables_of_the_whole_stack_are_declared_once(global_environment: set[str]) -> None:
    assert global_environment == {
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "AWS_ENDPOINT_URL",
    }


def test_the_reconciler_is_scheduled_every_minute_and_its_failures_are_kept(cloudformation: dict[str, Any]) -> None:
    resources = cloudformation["Resources"]
    (schedule,) = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Scheduler::Schedule"]
    dead_letters = {"Fn::GetAtt": ["ReconcilerDeadLetterQueue", "Arn"]}
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["Target"]["DeadLetterConfig"]["Arn"] == dead_letters
    (invocation,) = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Lambda::EventInvokeConfig"]
    assert invocation["FunctionName"] == {"Ref": "ReconcilerFunction"}
    assert invocation["DestinationConfig"]["OnFailure"]["Destination"] == dead_letters


def test_every_function_invoked_asynchronously_has_a_failure_destination(
    functions: Resources, cloudformation: dict[str, Any]
) -> None:
    asynchronous = {
        name
        for name, properties in functions.items()
        for event in properties.get("Events", {}).values()
        if event["Type"] in {"Schedule", "ScheduleV2", "EventBridgeRule", "S3", "SNS"}
    }
    covered = {
        resource["Properties"]["FunctionName"]["Ref"]
        for resource in cloudformation["Resources"].values()
        if resource["Type"] == "AWS::Lambda::EventInvokeConfig"
    }
    assert asynchronous == covered == {"ReconcilerFunction"}


def test_the_worker_reports_single_failures_and_gives_up_to_a_dead_letter_queue(
    functions: Resources, resources: Resources
) -> None:
    event = functions["StatusWorkerFunction"]["Events"]["CarrierEvents"]["Properties"]
    queue = resources["CarrierEventsQueue"]["Properties"]
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5
    # Less than six times, and messages come back while their batch is still being worked on.
    assert queue["VisibilityTimeout"] >= 6 * functions["StatusWorkerFunction"]["Timeout"]
    # A carrier that does not answer is told to speak and then to hang up, either twice.
    slowest_seconds = 4 * worker.CARRIER_TIMEOUT_SECONDS
    assert event["BatchSize"] * slowest_seconds < functions["StatusWorkerFunction"]["Timeout"]


def test_a_dial_waits_for_no_other_and_gives_up_before_it_is_worthless(
    functions: Resources, resources: Resources
) -> None:
    event = functions["DialFunction"]["Events"]["Dials"]["Properties"]
    queue = resources["DialsQueue"]["Properties"]
    assert event["Queue"] == {"Fn::GetAtt": ["DialsQueue", "Arn"]}
    assert (event["BatchSize"], event["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    # Lambda refuses less. More would bring a throttled delivery back when its time is over; twice, it finds the claim.
    assert functions["DialFunction"]["Timeout"] <= queue["VisibilityTimeout"] < QUEUE_WINDOW.total_seconds()
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 10
    assert functions["DialFunction"]["Timeout"] > DIAL_WINDOW.total_seconds()


def test_a_task_of_a_conversation_waits_for_no_other_and_a_chain_of_timers_is_no_loop(
    functions: Resources, resources: Resources
) -> None:
    function = functions["ConversationTasksFunction"]
    event = function["Events"]["ConversationTasks"]["Properties"]
    queue = resources["ConversationTasksQueue"]["Properties"]
    assert event["Queue"] == {"Fn::GetAtt": ["ConversationTasksQueue", "Arn"]}
    assert (event["BatchSize"], event["FunctionResponseTypes"]) == (1, ["ReportBatchItemFailures"])
    assert queue["VisibilityTimeout"] >= function["Timeout"], "a batch is one task"
    # A timer that fails each time is set aside before it is lost; while its delay runs it is kept as well.
    assert (
        queue["MessageRetentionPeriod"] > 900 + queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"]
    )
    assert function["RecursiveLoop"] == "Allow"


def test_only_queues_with_a_worker_are_sent_to_and_each_gives_up_to_a_dead_letter_queue_of_its_own(
    functions: Resources, resources: Resources
) -> None:
    queues = {name for name, resource in resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    letters = {name for name in queues if name.endswith("DeadLetterQueue")}
    worked_on = {
        event["Properties"]["Queue"]["Fn::GetAtt"][0]
        for properties in functions.values()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS"
    }
    assert queues - letters == worked_on == {"CarrierEventsQueue", "ConversationTasksQueue", "DialsQueue"}
    targets = {
        name: resources[name]["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for name in worked_on
    }
    assert targets == {name: name.replace("Queue", "DeadLetterQueue") for name in worked_on}


def test_without_a_number_the_reconciler_reserves_no_concurrency(functions: Resources) -> None:
    """Zero as a value would forbid the function to run at all."""
    reserved = functions["ReconcilerFunction"]["ReservedConcurrentExecutions"]
    assert reserved == {
        "Fn::If": ["HasReconcilerConcurrency", {"Ref": "ReconcilerConcurrency"}, {"Ref": "AWS::NoValue"}]
    }


@pytest.mark.parametrize("name", ["InitiateFunction", "DialFunction", "TwimlFunction", "StatusWebhookFunction"])
def test_callbacks_default_to_the_address_of_the_stacks_own_api(functions: Resources, name: str) -> None:
    condition, own, default = functions[name]["Environment"]["Variables"]["PUBLIC_BASE_URL"]["Fn::If"]
    assert (condition, own) == ("HasPublicBaseUrl", {"Ref": "PublicBaseUrl"})
    assert default["Fn::Sub"].startswith("https://${HttpApi}.execute-api.")


@pytest.mark.parametrize("name", ["TwimlFunction", "ConversationFunction"])
def test_sockets_default_to_the_address_of_the_stacks_own_api(functions: Resources, name: str) -> None:
    """What is written into instructions is what the handshake's signature is checked over."""
    condition, own, default = functions[name]["Environment"]["Variables"]["SOCKET_BASE_URL"]["Fn::If"]
    assert (condition, own) == ("HasPublicSocketUrl", {"Ref": "PublicSocketUrl"})
    assert default["Fn::Sub"] == "wss://${SocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"


@pytest.mark.parametrize("name", ["ConversationFunction", "ConversationTasksFunction"])
def test_frames_go_to_the_stacks_own_stage_or_to_the_emulators(functions: Resources, name: str) -> None:
    condition, emulated, own = functions[name]["Environment"]["Variables"]["SOCKET_API_ENDPOINT"]["Fn::If"]
    assert condition == "HasAwsEndpointUrl"
    assert emulated["Fn::Sub"] == "${AwsEndpointUrl}/_aws/execute-api/${SocketApi}/live"
    assert own["Fn::Sub"] == "https://${SocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"


def _environment_read_by(handler: str) -> set[str]:
    """Names read through `Settings` in the handler's module and in whatever it hands its settings to."""
    return _environment_read_in(ROOT / "functions" / Path(*handler.split(".")[:-1]).with_suffix(".py"))


def _environment_read_in(path: Path, function: str | None = None) -> set[str]:
    """Of a module, or of one function in it and the neighbours that it hands its settings to."""
    module = ast.parse(path.read_text())
    own = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}
    origins = {
        alias.name: node.module
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    names: set[str] = set()
    for node in ast.walk(module if function is None else own[function]):
        if isinstance(node, ast.Attribute) and node.attr == "public_base_url":
            names.add("PUBLIC_BASE_URL")
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and _is_given_settings(node):
            if node.func.id in origins:
                other = ROOT / "layers/common" / f"{origins[node.func.id].replace('.', '/')}.py"
                names |= _environment_read_in(other, node.func.id)
            elif function is not None and node.func.id in own:
                names |= _environment_read_in(path, node.func.id)
        if not isinstance(node.func, ast.Attribute):
            continue
        texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if node.func.attr == "tables":
            names |= {f"{text.upper()}_TABLE_NAME" for text in texts}
        elif node.func.attr in {"text", "duration"}:
            names |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[A-Z_]+", text)}
    return names


def _is_given_settings(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Name) and argument.id == "settings" for argument in call.args)


def test_an_addition_to_the_do_not_call_list_may_wait_for_the_whole_dial_window(resources: Resources) -> None:
    waiting = DIAL_WINDOW.total_seconds() + 2
    assert resources["ManageFunction"]["Properties"]["Timeout"] >= waiting + 5
