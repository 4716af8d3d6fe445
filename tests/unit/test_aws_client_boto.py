"""The boto3 client, and the moto helpers it is tested with: isolation, request tokens, injected faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dialplane.aws.boto import BotoAwsClient
from dialplane.aws.client import AwsError, RetryPolicy
from tests.fakes.moto_dynamodb import Crash, FaultInjector, transactional_dynamodb

TABLE = "wallets"


@pytest.fixture(autouse=True)
def _moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with transactional_dynamodb():
        new_boto3_client().create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield


def new_boto3_client() -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.session.Session().client("dynamodb", region_name="us-east-1", config=config)


def new_client(faults: FaultInjector | None = None, **policy: Any) -> BotoAwsClient:
    client = new_boto3_client()
    if faults:
        faults.attach(client)
    retries = RetryPolicy(**{"sleep": lambda _: None, "budget_seconds": 60.0, **policy})
    return BotoAwsClient(clients={"dynamodb": client}, retries=retries)


def deposit(amount: int = 1, *, item_key: str = "wallet") -> dict[str, Any]:
    update = {
        "TableName": TABLE,
        "Key": {"pk": {"S": item_key}},
        "UpdateExpression": "ADD balance :amount",
        "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
    }
    return {"TransactItems": [{"Update": update}]}


def balance() -> int:
    reply = new_client().call("dynamodb", "GetItem", {"TableName": TABLE, "Key": {"pk": {"S": "wallet"}}})
    return int(reply.get("Item", {}).get("balance", {}).get("N", "0"))


def test_transaction_repeated_with_its_token_takes_effect_once() -> None:
    client = new_client()
    for _ in range(2):
        client.call("dynamodb", "TransactWriteItems", {**deposit(), "ClientRequestToken": "t1"})
    assert balance() == 1


def test_token_used_for_another_transaction_is_refused() -> None:
    client = new_client()
    client.call("dynamodb", "TransactWriteItems", {**deposit(1), "ClientRequestToken": "t1"})
    with pytest.raises(AwsError) as raised:
        client.call("dynamodb", "TransactWriteItems", {**deposit(2), "ClientRequestToken": "t1"})
    assert raised.value.code == "IdempotentParameterMismatchException"
    assert balance() == 1


def test_transactions_of_many_threads_under_conflicts_and_lost_replies_all_count_once() -> None:
    faults = FaultInjector(seed=7, conflict_probability=0.2, lost_reply_probability=0.1)

    def work() -> None:
        client = new_client(faults, attempts_max=50)
        for _ in range(15):
            client.call("dynamodb", "TransactWriteItems", deposit())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults.conflicts > 0
    assert faults.lost_replies > 0
    assert balance() == 90


def test_single_item_write_in_conflict_is_sent_again() -> None:
    faults = FaultInjector(seed=1, conflict_probability=0.5)
    client = new_client(faults, attempts_max=50)
    put = {"TableName": TABLE, "Item": {"pk": {"S": "wallet"}, "balance": {"N": "5"}}}
    for _ in range(10):
        client.call("dynamodb", "PutItem", put)
    assert faults.conflicts > 0
    assert balance() == 5


def test_unconditional_update_whose_reply_is_lost_is_reported_and_not_repeated() -> None:
    client = new_client(FaultInjector(lost_reply_probability=1.0))
    with pytest.raises(AwsError) as raised:
        client.call("dynamodb", "UpdateItem", deposit()["TransactItems"][0]["Update"])
    assert raised.value.code == "ReplyLost"
    assert balance() == 1


@pytest.mark.parametrize(("point", "expected"), [(0, 0), (1, 1), (2, 1), (3, 2)])
def test_crash_stops_before_or_after_the_effect_of_the_chosen_call(point: int, expected: int) -> None:
    faults = FaultInjector(crash_at=point)
    client = new_client(faults)
    for _ in range(point // 2):
        client.call("dynamodb", "TransactWriteItems", deposit())
    with pytest.raises(Crash):
        client.call("dynamodb", "TransactWriteItems", deposit())
    assert balance() == expected
    assert faults.points == point + 1


def test_parameters_boto3_refuses_are_named_and_never_sent() -> None:
    faults = FaultInjector()
    with pytest.raises(AwsError) as raised:
        new_client(faults).call("dynamodb", "GetItem", {"TableName": TABLE, "Key": "not a map"})
    assert raised.value.code == "ParamValidationError"
    assert "Key" in raised.value.message
    assert faults.points == 0


def test_session_makes_the_clients() -> None:
    client = BotoAwsClient(boto3.session.Session(region_name="us-east-1"))
    assert client.call("dynamodb", "ListTables", {})["TableNames"] == [TABLE]
