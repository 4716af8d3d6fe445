"""Parameters, data stores, alarms and outputs of the stack."""

import re
from dataclasses import fields
from typing import Any

import pytest

from dialplane.domain.calls import DIAL_WINDOW, QUEUE_WINDOW, Call
from dialplane.domain.conversations import Conversation

Resources = dict[str, dict[str, Any]]


def test_every_parameter_is_described_bounded_and_shown(template: dict[str, Any]) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(template["Parameters"])
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"], name
        bounded = {"AllowedPattern", "AllowedValues", "MinValue"} & set(parameter)
        assert bounded, name


def test_every_default_is_allowed(template: dict[str, Any]) -> None:
    for name, parameter in template["Parameters"].items():
        if "AllowedPattern" in parameter:
            assert re.fullmatch(parameter["AllowedPattern"], parameter["Default"]), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PublicBaseUrl", "https://calls.example.com/"),
        ("PublicBaseUrl", "https://calls.example.com?x=1"),
        ("PublicBaseUrl", "ftp://calls.example.com"),
        ("PublicBaseUrl", "https://calls.example.com\n"),
        ("CarrierSecretsPrefix", ""),
        ("CarrierSecretsPrefix", "carriers/"),
        ("CarrierSecretsPrefix", "*"),
        ("PublicSocketUrl", "wss://calls.example.com/live/"),
        ("PublicSocketUrl", "wss://calls.example.com/live?x=1"),
        ("PublicSocketUrl", "https://calls.example.com/live"),
        ("PublicSocketUrl", "wss://calls.example.com/live\n"),
        ("OrganizationSecretsPrefix", ""),
        ("OrganizationSecretsPrefix", "organizations/*"),
        ("AwsEndpointUrl", "http://127.0.0.1:4566/"),
        ("AlarmTopicArn", "alarms"),
    ],
)
def test_values_that_would_only_fail_later_are_refused_at_deployment(
    template: dict[str, Any], name: str, value: str
) -> None:
    assert not re.fullmatch(template["Parameters"][name]["AllowedPattern"], value)


def test_every_table_is_on_demand_recoverable_and_encrypted(resources: Resources) -> None:
    tables = {n: r["Properties"] for n, r in resources.items() if r["Type"] == "AWS::DynamoDB::Table"}
    assert len(tables) == 6
    for name, table in tables.items():
        assert table["BillingMode"] == "PAY_PER_REQUEST", name
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name
        assert table["SSESpecification"] == {"SSEEnabled": True}, name


def test_what_is_kept_for_a_while_only_expires_by_itself(resources: Resources) -> None:
    expiring = {
        name: resource["Properties"]["TimeToLiveSpecification"]
        for name, resource in resources.items()
        if "TimeToLiveSpecification" in resource["Properties"]
    }
    by_time = {"AttributeName": "expires_at", "Enabled": True}
    assert expiring == {"CallsTable": by_time, "IdempotencyTable": by_time, "UsageTable": by_time}


def test_of_calls_only_what_was_said_expires() -> None:
    """A call explains the ledger: nothing of it may have the attribute by which the table forgets."""
    assert "expires_at" in {field.name for field in fields(Conversation)}
    assert "expires_at" not in {field.name for field in fields(Call)}


def test_records_of_money_calls_and_opt_outs_outlive_the_stack(resources: Resources) -> None:
    for name in ("WalletsTable", "CallsTable", "DestinationsTable"):
        assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_every_dead_letter_queue_has_an_alarm(resources: Resources) -> None:
    watched = {
        dimension["Value"]["Fn::GetAtt"][0]
        for alarm in _alarms(resources).values()
        for dimension in alarm.get("Dimensions", ())
        if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    }
    assert watched == {name for name, r in resources.items() if "DeadLetterQueue" in name}


def test_what_must_wake_somebody_has_an_alarm(resources: Resources) -> None:
    watched = {
        (name["Fn::Sub"] if isinstance(name := alarm["Namespace"], dict) else name, alarm["MetricName"])
        for alarm in _alarms(resources).values()
    }
    assert watched == {
        ("Dialplane/${AWS::StackName}", "ConversationFaults"),
        ("Dialplane/${AWS::StackName}", "ModelFailures"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage"),
        ("Dialplane", "StuckHolds"),
        ("AWS/ApiGateway", "5xx"),
        ("AWS/ApiGateway", "IntegrationError"),
        ("AWS/States", "ExecutionsFailed"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "Invocations"),
    }


def test_the_metric_of_stuck_holds_is_watched_under_the_dimension_it_is_published_with(
    template: dict[str, Any], resources: Resources
) -> None:
    """Powertools publishes with the service name as its one dimension; an alarm on any other would stay silent."""
    environment = template["Globals"]["Function"]["Environment"]["Variables"]
    alarm = resources["StuckHoldsAlarm"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": environment["POWERTOOLS_SERVICE_NAME"]}]
    assert alarm["Namespace"] == environment["POWERTOOLS_METRICS_NAMESPACE"]


def test_dials_that_wait_until_their_window_has_closed_raise_an_alarm(resources: Resources) -> None:
    """Nobody is answered with an error for them, and no message of theirs is ever dead."""
    alarm = resources["DialsLateAlarm"]["Properties"]
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DialsQueue", "QueueName"]}}]
    assert DIAL_WINDOW.total_seconds() < alarm["Threshold"] < QUEUE_WINDOW.total_seconds()


def test_timers_raise_no_alarm_while_they_run(resources: Resources) -> None:
    alarm = resources["ConversationTasksLateAlarm"]["Properties"]
    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Threshold"] >= 900  # the longest delay of SQS


def test_faults_of_conversations_are_noticed(resources: Resources) -> None:
    watched = [
        dimension["Value"]
        for alarm in _alarms(resources).values()
        for dimension in alarm.get("Dimensions", ())
        if alarm["MetricName"] in {"Errors", "IntegrationError"}
    ]
    for name in ("ConversationFunction", "CallAnalysisFunction", "SocketApi"):
        assert {"Ref": name} in watched, name


@pytest.mark.parametrize("metric", ["ConversationFaults", "ModelFailures"])
def test_what_callees_hear_an_apology_for_is_counted_in_the_logs(resources: Resources, metric: str) -> None:
    """Functions that have apologized have not failed, and no metric of theirs says that anything was wrong."""
    (alarm,) = (each for each in _alarms(resources).values() if each["MetricName"] == metric)
    filters = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Logs::MetricFilter"]
    counted = {}
    for each in filters:
        (transformation,) = each["MetricTransformations"]
        if transformation["MetricName"] == metric:
            assert transformation["MetricNamespace"] == alarm["Namespace"]
            counted[each["LogGroupName"]["Ref"]] = each["FilterPattern"]
    assert counted.keys() == {"ConversationLogGroup", "ConversationTasksLogGroup"}
    operator = "=" if metric == "ModelFailures" else "!="
    assert all(f'$.message {operator} "model_failed"' in pattern for pattern in counted.values())


def test_words_are_not_kept_in_queues_for_long(resources: Resources) -> None:
    """Commands carry what is to be said."""
    for name in ("ConversationTasksQueue", "ConversationTasksDeadLetterQueue"):
        assert resources[name]["Properties"]["MessageRetentionPeriod"] <= 4 * 86400, name
        assert resources[name]["Properties"]["SqsManagedSseEnabled"] is True, name


def test_every_alarm_notifies_the_topic_when_there_is_one_and_says_what_to_do(resources: Resources) -> None:
    for name, alarm in _alarms(resources).items():
        assert alarm["AlarmActions"] == {
            "Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
        }
        assert len(alarm["AlarmDescription"]) > 20, name


def test_every_output_is_described(template: dict[str, Any]) -> None:
    expected = {"ApiUrl", "PublicBaseUrl", "SocketApiId", "PublicSocketUrl", "CallCompletionStateMachineArn"}
    assert expected | {"CarrierSecretsPrefix", "OrganizationSecretsPrefix"} <= set(template["Outputs"])
    for name, output in template["Outputs"].items():
        assert output["Description"], name


def _alarms(resources: Resources) -> dict[str, dict[str, Any]]:
    return {n: r["Properties"] for n, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"}
