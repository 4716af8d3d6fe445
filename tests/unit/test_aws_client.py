"""The HTTP side of the AWS client, against a scripted server: what is sent again, what is not, and how errors read."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from dialplane.aws.client import AwsError, HttpAwsClient, RetryPolicy
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

TRANSACTION = {"TransactItems": [{"Put": {"TableName": "t", "Item": {"pk": {"S": "1"}}}}]}
CONDITIONAL_UPDATE = {"TableName": "t", "Key": {}, "UpdateExpression": "ADD n :one", "ConditionExpression": "n < :two"}
UNCONDITIONAL_UPDATE = {"TableName": "t", "Key": {}, "UpdateExpression": "ADD n :one"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def make_client(server: ScriptedServer, sleeps: list[float]) -> Callable[..., HttpAwsClient]:
    def make(**options: Any) -> HttpAwsClient:
        environ = {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": server.url,
            **options.pop("environ", {}),
        }
        retries = RetryPolicy(sleep=sleeps.append, jitter=lambda: 1.0)
        return HttpAwsClient(environ=environ, **{"retries": retries, **options})

    return make


def aws_failure(code: str, status: int = 400, **fields: Any) -> Reply:
    return Reply(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": f"about {code}", **fields})


def canceled(*codes: str) -> Reply:
    return aws_failure("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


def call_failing(client: HttpAwsClient, operation: str, params: dict[str, Any]) -> AwsError:
    with pytest.raises(AwsError) as raised:
        client.call("dynamodb", operation, params)
    return raised.value


def test_one_connection_serves_all_calls(server: ScriptedServer, make_client: Callable[..., HttpAwsClient]) -> None:
    server.script = [Reply(fields={"n": n}) for n in range(5)]
    client = make_client()
    assert [client.call("dynamodb", "GetItem", {})["n"] for _ in range(5)] == list(range(5))
    assert server.connections == 1
    assert client.requests_sent == 5


def test_connection_closed_while_idle_is_reopened_even_for_a_call_that_must_not_repeat(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient], sleeps: list[float]
) -> None:
    server.script = [Reply(then_close=True), Reply()]
    client = make_client()
    client.call("dynamodb", "GetItem", {})
    assert server.closed.wait(5)
    client.call("dynamodb", "UpdateItem", UNCONDITIONAL_UPDATE)
    assert (server.connections, client.requests_sent, sleeps) == (2, 2, [])


def test_connection_closed_under_a_request_is_reopened_without_waiting_or_counting(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient], sleeps: list[float]
) -> None:
    server.script = [Reply(), Reply(status=0), Reply(fields={"done": True})]
    client = make_client(retries=RetryPolicy(attempts_max=1, sleep=sleeps.append))
    client.call("dynamodb", "GetItem", {})
    assert client.call("dynamodb", "GetItem", {}) == {"done": True}
    assert sleeps == []


def test_update_without_condition_is_never_sent_again_after_a_lost_reply(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    for first in (Reply(status=0), Reply(500, {}), Reply(raw=b"<html>", then_close=True)):
        server.script = [first]
        server.received.clear()
        error = call_failing(make_client(), "UpdateItem", UNCONDITIONAL_UPDATE)
        assert error.may_have_taken_effect
        assert len(server.received) == 1


def test_transaction_whose_reply_is_lost_is_sent_again_with_the_same_token(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    server.script = [Reply(status=0), Reply(500, {}), aws_failure("TransactionInProgressException"), Reply()]
    make_client().call("dynamodb", "TransactWriteItems", TRANSACTION)
    tokens = {request.json["ClientRequestToken"] for request in server.received}
    assert len(server.received) == 4
    assert len(tokens) == 1
    assert "ClientRequestToken" not in TRANSACTION


def test_token_of_the_caller_is_kept(server: ScriptedServer, make_client: Callable[..., HttpAwsClient]) -> None:
    server.script = [Reply()]
    make_client().call("dynamodb", "TransactWriteItems", {**TRANSACTION, "ClientRequestToken": "mine"})
    assert server.received[0].json["ClientRequestToken"] == "mine"


def test_failed_condition_after_a_lost_reply_is_marked_as_possibly_our_own(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    server.script = [Reply(status=0), aws_failure("ConditionalCheckFailedException")]
    assert call_failing(make_client(), "UpdateItem", CONDITIONAL_UPDATE).repeated
    server.script = [aws_failure("ThrottlingException"), aws_failure("ConditionalCheckFailedException")]
    assert not call_failing(make_client(), "UpdateItem", CONDITIONAL_UPDATE).repeated


def test_throttled_call_is_sent_again_with_growing_delays_and_gives_up_after_eight_tries(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient], sleeps: list[float]
) -> None:
    server.script = [aws_failure("ProvisionedThroughputExceededException") for _ in range(8)]
    error = call_failing(make_client(), "UpdateItem", UNCONDITIONAL_UPDATE)
    assert error.code == "ProvisionedThroughputExceededException"
    assert sleeps == [0.1, 0.2, 0.4, 0.8, 0.8, 0.8, 0.8]
    assert not error.may_have_taken_effect


def test_no_try_starts_after_the_budget(server: ScriptedServer, make_client: Callable[..., HttpAwsClient]) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    policy = RetryPolicy(
        attempts_max=99, base_delay_seconds=0.5, sleep=sleep, monotonic=lambda: now[0], jitter=lambda: 1.0
    )
    server.script = [aws_failure("ThrottlingException") for _ in range(99)]
    call_failing(make_client(retries=policy), "GetItem", {})
    assert len(server.received) == 5
    assert now[0] < RetryPolicy().budget_seconds


def test_a_reply_that_never_comes_leaves_time_for_a_second_try(make_client: Callable[..., HttpAwsClient]) -> None:
    assert 2 * make_client()._transport.read_timeout_seconds < RetryPolicy().budget_seconds


@pytest.mark.parametrize(
    ("codes", "tries"),
    [
        (("None", "TransactionConflict"), 2),
        (("ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict"), 2),
        (("ConditionalCheckFailed", "TransactionConflict"), 1),
        (("None", "ConditionalCheckFailed"), 1),
        (("ValidationError",), 1),
        (("None", "None"), 1),
    ],
)
def test_canceled_transaction_is_sent_again_only_if_nothing_but_contention_canceled_it(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient], codes: tuple[str, ...], tries: int
) -> None:
    server.script = [canceled(*codes), Reply()]
    client = make_client()
    if tries == 1:
        error = call_failing(client, "TransactWriteItems", TRANSACTION)
        assert [reason["Code"] for reason in error.cancellation_reasons] == list(codes)
    else:
        client.call("dynamodb", "TransactWriteItems", TRANSACTION)
    assert len(server.received) == tries


def test_failed_condition_carries_the_item_found(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    server.script = [aws_failure("ConditionalCheckFailedException", Item={"pk": {"S": "1"}})]
    error = call_failing(make_client(), "PutItem", {})
    assert (error.code, error.http_status, error.item) == ("ConditionalCheckFailedException", 400, {"pk": {"S": "1"}})
    assert str(error) == "dynamodb PutItem: ConditionalCheckFailedException: about ConditionalCheckFailedException"


def test_batch_get_is_asked_until_every_key_is_answered(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    rest = {"t": {"Keys": [{"pk": {"S": "2"}}]}}
    server.script = [
        Reply(fields={"Responses": {"t": [{"pk": {"S": "1"}}], "u": [{"pk": {"S": "9"}}]}, "UnprocessedKeys": rest}),
        Reply(fields={"Responses": {"t": [{"pk": {"S": "2"}}]}, "UnprocessedKeys": {}}),
    ]
    result = make_client().call("dynamodb", "BatchGetItem", {"RequestItems": {"t": {}, "u": {}}})
    assert result["Responses"] == {"t": [{"pk": {"S": "1"}}, {"pk": {"S": "2"}}], "u": [{"pk": {"S": "9"}}]}
    assert server.received[1].json == {"RequestItems": rest}


def test_batch_get_that_stays_incomplete_fails(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    rest = {"t": {"Keys": [{"pk": {"S": "2"}}]}}
    server.script = [Reply(fields={"Responses": {}, "UnprocessedKeys": rest}) for _ in range(8)]
    assert call_failing(make_client(), "BatchGetItem", {"RequestItems": rest}).code == "UnprocessedKeys"


def test_refused_connection_is_tried_again_and_reported_as_never_sent(
    make_client: Callable[..., HttpAwsClient], sleeps: list[float]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = make_client(environ={"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
    error = call_failing(client, "UpdateItem", UNCONDITIONAL_UPDATE)
    assert (error.code, error.may_have_taken_effect, client.requests_sent, len(sleeps)) == (
        "ConnectionFailed",
        False,
        0,
        7,
    )


def test_silent_server_is_given_up_after_the_read_timeout(make_client: Callable[..., HttpAwsClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        client = make_client(environ=environ, read_timeout_seconds=0.05)
        assert call_failing(client, "UpdateItem", UNCONDITIONAL_UPDATE).code == "ReplyLost"


def test_wrong_clock_is_corrected_once_from_the_server(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    refusal = Reply(400, {"__type": "InvalidSignatureException"}, {"Date": formatdate(time.time(), usegmt=True)})
    server.script = [refusal, Reply(), Reply()]
    client = make_client(clock=lambda: time.time() - 3600)
    client.call("dynamodb", "UpdateItem", UNCONDITIONAL_UPDATE)
    client.call("dynamodb", "UpdateItem", UNCONDITIONAL_UPDATE)
    first, second, third = (request.headers["X-Amz-Date"] for request in server.received)
    assert first < second <= third


def test_wrong_secret_is_not_taken_for_a_wrong_clock(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    refusal = Reply(400, {"__type": "InvalidSignatureException"}, {"Date": formatdate(time.time(), usegmt=True)})
    server.script = [refusal]
    assert call_failing(make_client(), "GetItem", {}).code == "InvalidSignatureException"


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_setting_is_named(make_client: Callable[..., HttpAwsClient], missing: str) -> None:
    error = call_failing(make_client(environ={missing: ""}), "GetItem", {})
    assert error.code == "ConfigurationMissing"
    assert missing in error.message


def test_proxy_page_is_reported_by_its_status(
    server: ScriptedServer, make_client: Callable[..., HttpAwsClient]
) -> None:
    server.script = [Reply(403, raw=b"<html>denied</html>")]
    assert call_failing(make_client(), "GetItem", {}).code == "HTTP403"


@pytest.mark.parametrize(
    ("region", "service", "host"),
    [
        ("us-east-1", "dynamodb", "dynamodb.us-east-1.amazonaws.com"),
        ("eu-west-1", "stepfunctions", "states.eu-west-1.amazonaws.com"),
        ("cn-north-1", "sqs", "sqs.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "secretsmanager", "secretsmanager.us-gov-west-1.amazonaws.com"),
        ("us-isob-east-1", "sqs", "sqs.us-isob-east-1.sc2s.sgov.gov"),
    ],
)
def test_default_endpoint_is_the_regional_one(region: str, service: str, host: str) -> None:
    environ = {"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": ""}
    client = HttpAwsClient(environ=environ)
    request = client._request(service, "Any", b"{}")
    assert (request.endpoint.geturl(), request.path) == (f"https://{host}", "/")
    assert client._transport.signed_headers(request)["Host"] == host


def test_endpoint_of_one_service_wins_over_the_endpoint_of_all() -> None:
    environ = {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://127.0.0.1:2",
    }
    client = HttpAwsClient(environ=environ)
    assert client._request("secretsmanager", "Any", b"").endpoint.port == 2
    assert client._request("dynamodb", "Any", b"").endpoint.port == 1


def test_client_loads_nothing_heavy() -> None:
    code = (
        "import sys, dialplane.aws.client as m;"
        "print([n for n in ('boto3','botocore','asyncio','urllib.request','urllib3','requests','typing_extensions')"
        " if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
