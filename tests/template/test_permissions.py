"""Least privilege. That the policies also suffice is proved by the sandbox, whose emulator enforces them."""

import re
from collections.abc import Iterator
from typing import Any

Resources = dict[str, dict[str, Any]]
# CloudWatch's log delivery actions have no resource to name; AWS accepts them with the wildcard only.
WITHOUT_RESOURCES = "DeliverLogs"


def _statements(resources: Resources) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in resources.items():
        for policy in resource["Properties"].get("Policies", []):
            for statement in policy["Statement"]:
                yield name, statement


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_statement_names_every_resource(resources: Resources) -> None:
    for name, statement in _statements(resources):
        if statement["Sid"] != WITHOUT_RESOURCES:
            assert "*" not in _as_list(statement["Resource"]), (name, statement["Sid"])


def test_the_only_exception_is_the_log_delivery_of_the_state_machine(resources: Resources) -> None:
    exceptions = [(name, s) for name, s in _statements(resources) if s["Sid"] == WITHOUT_RESOURCES]
    assert [name for name, _ in exceptions] == ["CallCompletionStateMachine"]
    assert all(action.startswith("logs:") for action in exceptions[0][1]["Action"])


def test_no_statement_allows_wildcard_actions_or_scans(resources: Resources) -> None:
    for name, statement in _statements(resources):
        for action in _as_list(statement["Action"]):
            assert "*" not in action, (name, action)
            assert action not in {"dynamodb:Scan", "dynamodb:DeleteTable"}, (name, action)


def test_every_statement_says_what_it_is_for(resources: Resources) -> None:
    for name, statement in _statements(resources):
        assert statement["Sid"], name


def test_carrier_credentials_are_readable_below_the_prefix_only(resources: Resources) -> None:
    webhooks = {"TwimlFunction", "StatusWebhookFunction", "ConversationFunction"}
    asking = {"InitiateFunction", "DialFunction", "StatusWorkerFunction", "ReconcilerFunction", "ManageFunction"}
    assert _reading(resources, "CarrierSecretsPrefix") == asking | webhooks | {"ConversationTasksFunction"}


def test_secrets_of_organizations_are_readable_by_what_asks_their_models_and_tools_only(resources: Resources) -> None:
    conversations = {"ConversationFunction", "ConversationTasksFunction", "CallAnalysisFunction"}
    assert _reading(resources, "OrganizationSecretsPrefix") == conversations


def test_no_other_secret_is_readable(resources: Resources) -> None:
    known = re.compile(r":secret:\$\{(Carrier|Organization)SecretsPrefix\}/\*$")
    for name, statement in _statements(resources):
        if any(action.startswith("secretsmanager:") for action in _as_list(statement["Action"])):
            assert _as_list(statement["Action"]) == ["secretsmanager:GetSecretValue"], name
            assert known.search(statement["Resource"]["Fn::Sub"]), name


def _reading(resources: Resources, prefix: str) -> set[str]:
    """The functions that may read secrets under the prefix."""
    return {
        name
        for name, statement in _statements(resources)
        if "secretsmanager:GetSecretValue" in _as_list(statement["Action"])
        and statement["Resource"]["Fn::Sub"].endswith(f":secret:${{{prefix}}}/*")
    }


def test_only_conversations_ask_models_and_speak_to_sockets_of_their_own_api(resources: Resources) -> None:
    speaking = {"ConversationFunction", "ConversationTasksFunction"}
    assert _allowed(resources, "execute-api:ManageConnections") == speaking
    assert _allowed(resources, "bedrock:InvokeModelWithResponseStream") == speaking | {"CallAnalysisFunction"}
    for _, statement in _statements(resources):
        if statement["Action"] == "execute-api:ManageConnections":
            own = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${SocketApi}/live"
            assert [resource["Fn::Sub"] for resource in statement["Resource"]] == [
                f"{own}/POST/@connections/*",
                f"{own}/DELETE/@connections/*",
            ]


def _allowed(resources: Resources, action: str) -> set[str]:
    return {name for name, statement in _statements(resources) if action in _as_list(statement["Action"])}


def test_conversations_cannot_touch_money_or_delete_anything(resources: Resources) -> None:
    for name, statement in _statements(resources):
        if name in {"ConversationFunction", "ConversationTasksFunction", "CallAnalysisFunction"}:
            assert "WalletsTable" not in str(statement["Resource"])
            assert not any("Delete" in action for action in _as_list(statement["Action"]))


def test_only_what_settles_calls_may_delete_and_only_holds_are_deleted(resources: Resources) -> None:
    deleting = {
        (name, str(statement["Resource"]))
        for name, statement in _statements(resources)
        if "dynamodb:DeleteItem" in _as_list(statement["Action"])
    }
    wallets = str({"Fn::GetAtt": ["WalletsTable", "Arn"]})
    assert deleting == {
        ("InitiateFunction", wallets),
        ("DialFunction", wallets),
        ("CallCompletionFunction", wallets),
        ("ReconcilerFunction", wallets),
    }


def test_the_public_webhooks_cannot_touch_money(resources: Resources) -> None:
    for name, statement in _statements(resources):
        if name in {"TwimlFunction", "StatusWebhookFunction"}:
            assert "WalletsTable" not in str(statement["Resource"])


def _environment(resources: Resources, name: str) -> dict[str, Any]:
    variables: dict[str, Any] = resources[name]["Properties"].get("Environment", {}).get("Variables", {})
    return variables


def _functions(resources: Resources) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, [statement for owner, statement in _statements(resources) if owner == name]


def test_a_function_may_touch_the_tables_it_is_told_of_and_no_other(resources: Resources) -> None:
    for name, statements in _functions(resources):
        told = {value["Ref"] for key, value in _environment(resources, name).items() if key.endswith("_TABLE_NAME")}
        allowed = set(re.findall(r"[A-Z][a-z]+Table", str([statement["Resource"] for statement in statements])))
        assert allowed == told, name


def test_a_function_may_send_to_the_queues_it_is_told_of_and_no_other(resources: Resources) -> None:
    for name, statements in _functions(resources):
        told = {value["Ref"] for key, value in _environment(resources, name).items() if key.endswith("_QUEUE_URL")}
        allowed = {
            statement["Resource"]["Fn::GetAtt"][0]
            for statement in statements
            if statement["Action"] == "sqs:SendMessage"
        }
        assert allowed == told, name


def test_a_function_that_may_read_secrets_is_told_where_they_are(resources: Resources) -> None:
    prefixes = {
        "CARRIER_SECRETS_PREFIX": "CarrierSecretsPrefix",
        "ORGANIZATION_SECRETS_PREFIX": "OrganizationSecretsPrefix",
    }
    for variable, prefix in prefixes.items():
        told = {name for name, _ in _functions(resources) if variable in _environment(resources, name)}
        assert _reading(resources, prefix) == told, variable


def test_only_the_request_can_queue_a_dial(resources: Resources) -> None:
    """Whoever could would make phones ring."""
    allowed = {
        name
        for name, statement in _statements(resources)
        if "sqs:SendMessage" in _as_list(statement["Action"]) and "DialsQueue" in str(statement["Resource"])
    }
    assert allowed == {"InitiateFunction"}


def test_only_what_belongs_to_conversations_can_queue_their_tasks(resources: Resources) -> None:
    """Whoever could would put words into calls."""
    allowed = {
        name
        for name, statement in _statements(resources)
        if "sqs:SendMessage" in _as_list(statement["Action"]) and "ConversationTasksQueue" in str(statement["Resource"])
    }
    conversations = {"ConversationFunction", "ConversationTasksFunction"}
    assert allowed == conversations | {"ManageFunction", "StatusWorkerFunction"}


def test_what_is_counted_can_only_be_counted_and_read(resources: Resources) -> None:
    """No function can take a count away; it goes when its time is over."""
    actions = {
        action
        for _, statement in _statements(resources)
        if "UsageTable" in str(statement["Resource"])
        for action in _as_list(statement["Action"])
    }
    reading = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}
    assert actions <= {"dynamodb:UpdateItem"} | reading
