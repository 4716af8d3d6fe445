"""Both AWS clients against the four services as MiniStack runs them: same results, same errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsClient, AwsError, HttpAwsClient
from tests.fakes.ministack import running_ministack

REGION = "us-east-1"
ROLE_ARN = "arn:aws:iam::000000000000:role/any"
MACHINE = '{"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with running_ministack() as url:
        yield url


def http_client(endpoint: str) -> AwsClient:
    return HttpAwsClient(
        environ={
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": endpoint,
        },
        read_timeout_seconds=10,  # an emulator's first answer takes longer than DynamoDB's ever does
    )


def boto_client(endpoint: str) -> AwsClient:
    session: Any = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    names = ("dynamodb", "sqs", "secretsmanager", "stepfunctions")
    return BotoAwsClient(clients={name: session.client(name, endpoint_url=endpoint) for name in names})


@pytest.fixture(params=[http_client, boto_client], ids=["http", "boto"])
def client(request: pytest.FixtureRequest, endpoint: str) -> AwsClient:
    make: Callable[[str], AwsClient] = request.param
    return make(endpoint)


@pytest.fixture
def table(client: AwsClient, request: pytest.FixtureRequest) -> str:
    name = "".join(letter for letter in request.node.name if letter.isalnum())
    client.call(
        "dynamodb",
        "CreateTable",
        {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    return name


def failure(client: AwsClient, service: str, operation: str, params: dict[str, Any]) -> AwsError:
    with pytest.raises(AwsError) as raised:
        client.call(service, operation, params)
    return raised.value


def test_item_reads_back_as_written(client: AwsClient, table: str) -> None:
    item = {"pk": {"S": "ключ \u0001 \U0001f600"}, "n": {"N": "12345678901234567890"}, "b": {"BOOL": True}}
    client.call("dynamodb", "PutItem", {"TableName": table, "Item": item})
    assert client.call("dynamodb", "GetItem", {"TableName": table, "Key": {"pk": item["pk"]}}) == {"Item": item}
    assert client.call("dynamodb", "GetItem", {"TableName": table, "Key": {"pk": {"S": "absent"}}}) == {}
    batch = client.call("dynamodb", "BatchGetItem", {"RequestItems": {table: {"Keys": [{"pk": item["pk"]}]}}})
    assert batch == {"Responses": {table: [item]}, "UnprocessedKeys": {}}


def test_failed_conditions_show_the_item_in_the_way(client: AwsClient, table: str) -> None:
    put = {
        "TableName": table,
        "Item": {"pk": {"S": "1"}},
        "ConditionExpression": "attribute_not_exists(pk)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    client.call("dynamodb", "PutItem", put)
    error = failure(client, "dynamodb", "PutItem", put)
    assert (error.code, error.item, error.http_status) == ("ConditionalCheckFailedException", {"pk": {"S": "1"}}, 400)

    other = {"Put": {"TableName": table, "Item": {"pk": {"S": "2"}}}}
    error = failure(client, "dynamodb", "TransactWriteItems", {"TransactItems": [other, {"Put": put}]})
    assert error.code == "TransactionCanceledException"
    assert [reason["Code"] for reason in error.cancellation_reasons] == ["None", "ConditionalCheckFailed"]
    assert error.cancellation_reasons[1]["Item"] == {"pk": {"S": "1"}}
    assert error.item is None


def test_queue_secret_and_state_machine_answer(client: AwsClient, table: str) -> None:
    queue = client.call("sqs", "CreateQueue", {"QueueName": table})["QueueUrl"]
    assert client.call("sqs", "SendMessage", {"QueueUrl": queue, "MessageBody": "{}"})["MessageId"]
    assert failure(client, "sqs", "SendMessage", {"QueueUrl": f"{queue}-x", "MessageBody": "{}"}).code == (
        "QueueDoesNotExist"
    )

    client.call("secretsmanager", "CreateSecret", {"Name": f"a/{table}", "SecretString": "swordfish"})
    assert client.call("secretsmanager", "GetSecretValue", {"SecretId": f"a/{table}"})["SecretString"] == "swordfish"
    error = failure(client, "secretsmanager", "GetSecretValue", {"SecretId": "a/absent"})
    assert error.code == "ResourceNotFoundException"

    machine = {"name": table, "definition": MACHINE, "roleArn": ROLE_ARN}
    arn = client.call("stepfunctions", "CreateStateMachine", machine)["stateMachineArn"]
    start = {"stateMachineArn": arn, "name": "once", "input": "{}"}
    assert client.call("stepfunctions", "StartExecution", start)["executionArn"]
    error = failure(client, "stepfunctions", "StartExecution", {**start, "stateMachineArn": f"{arn}x"})
    assert error.code == "StateMachineDoesNotExist"
