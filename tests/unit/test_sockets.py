"""Frames to WebSockets over the management API: what is sent, what is sent again, and how a closed socket reads."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from dialplane.aws.retries import AwsError
from dialplane.aws.sockets import HttpSockets
from dialplane.usecases.sockets import SocketFailed, SocketGone
from tests.fakes.scripted_http import Reply, ScriptedServer, scripted_server

ENVIRONMENT = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
CONNECTION = "L0SM9cOFvHcCIhw="  # as API Gateway makes them
TEXT = {"type": "text", "token": "Hello", "last": False}
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def open_sockets(server: ScriptedServer, sleeps: list[float]) -> Callable[..., HttpSockets]:
    def make(**options: Any) -> HttpSockets:
        defaults = {"environ": ENVIRONMENT, "sleep": sleeps.append}
        return HttpSockets(f"{server.url}/live", **(defaults | options))

    return make


def failure(action: Callable[[], None]) -> AwsError:
    with pytest.raises((AwsError, SocketFailed)) as raised:
        action()
    error = raised.value if isinstance(raised.value, AwsError) else raised.value.__cause__
    assert isinstance(error, AwsError)
    return error


def test_a_frame_is_compact_json_to_the_one_connection(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    server.script = [Reply()]
    open_sockets().send(CONNECTION, {"type": "text", "token": "Größe 漢", "last": True})
    (request,) = server.received
    assert (request.method, request.path) == ("POST", "/live/@connections/L0SM9cOFvHcCIhw%3D")
    assert request.body == '{"type":"text","token":"Größe 漢","last":true}'.encode()


@pytest.mark.parametrize("connection_id", [CONNECTION, "a/../b", "a+b?c#d", "%2F"])
@pytest.mark.parametrize("token", [None, "session-token"])
def test_the_signature_equals_botocores(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets], connection_id: str, token: str | None
) -> None:
    """Byte for byte, whatever a connection is called: the path is encoded once to be sent and twice to be signed."""
    server.script = [Reply(), Reply(status=204, raw=b"")]
    environ = ENVIRONMENT | {"AWS_SESSION_TOKEN": token or ""}
    sockets = open_sockets(environ=environ, clock=AT.timestamp)
    sockets.send(connection_id, TEXT)
    sockets.close(connection_id)

    assert [request.method for request in server.received] == ["POST", "DELETE"]
    for request in server.received:
        assert request.path.count("/") == 3
        theirs = AWSRequest(
            request.method,
            f"{server.url}{request.path}",
            headers={"Content-Type": "application/json"},
            data=request.body,
        )
        with patch("botocore.auth.get_current_datetime", return_value=AT.replace(tzinfo=None)):
            SigV4Auth(Credentials("AKIDEXAMPLE", "secret", token), "execute-api", "eu-west-1").add_auth(theirs)
        assert request.headers["Authorization"] == theirs.headers["Authorization"]
        assert request.headers["X-Amz-Security-Token"] == theirs.headers.get("X-Amz-Security-Token")


def test_one_connection_carries_all_frames_and_their_order(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    server.script = [Reply() for _ in range(20)]
    sockets = open_sockets()
    for number in range(20):
        sockets.send(CONNECTION, {"type": "text", "token": str(number)})
    assert [request.json["token"] for request in server.received] == [str(number) for number in range(20)]
    assert server.connections == 1


def test_a_closed_socket_is_gone_and_asked_for_once(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    server.script = [Reply(410, {"message": "Gone"}, {"x-amzn-ErrorType": "GoneException"})]
    with pytest.raises(SocketGone):
        open_sockets().send(CONNECTION, TEXT)
    assert len(server.received) == 1


def test_closing_twice_is_closing_once(server: ScriptedServer, open_sockets: Callable[..., HttpSockets]) -> None:
    server.script = [Reply(status=204, raw=b""), Reply(410, {"message": "Gone"})]
    sockets = open_sockets()
    sockets.close(CONNECTION)
    sockets.close(CONNECTION)
    assert [request.method for request in server.received] == ["DELETE", "DELETE"]


def test_a_connection_that_the_server_has_closed_costs_nobody_a_frame(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    """While it was idle, as between two turns, or under the very request."""
    server.script = [Reply(then_close=True), Reply(), Reply(status=0), Reply()]
    sockets = open_sockets()
    sockets.send(CONNECTION, {"token": "1"})
    assert server.closed.wait(5)
    sockets.send(CONNECTION, {"token": "2"})
    sockets.send(CONNECTION, {"token": "3"})
    assert [request.json["token"] for request in server.received] == ["1", "2", "3", "3"]
    assert server.connections == 3


def test_a_connection_that_cannot_be_opened_is_tried_once_more(sleeps: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/live"
    sockets = HttpSockets(endpoint, environ=ENVIRONMENT, sleep=sleeps.append)
    error = failure(lambda: sockets.send(CONNECTION, TEXT))
    assert (error.code, error.operation) == ("ConnectionFailed", "PostToConnection")
    assert sleeps == []


def test_a_throttled_frame_waits_a_moment_and_is_sent_once_more(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets], sleeps: list[float]
) -> None:
    throttled = Reply(429, {"message": "Too Many"}, {"x-amzn-ErrorType": "LimitExceededException"})
    server.script = [throttled, Reply(), throttled, throttled]
    sockets = open_sockets()
    sockets.send(CONNECTION, TEXT)
    assert failure(lambda: sockets.send(CONNECTION, TEXT)).code == "LimitExceededException"
    assert len(server.received) == 4
    assert sleeps == [0.1, 0.1]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(status=0), "ReplyLost"),
        (Reply(500, raw=b"<html>"), "HTTP500"),
        (Reply(403, {"message": "no"}, {"x-amzn-ErrorType": "ForbiddenException"}), "ForbiddenException"),
        (Reply(413, {"message": "big"}, {"x-amzn-ErrorType": "PayloadTooLargeException"}), "PayloadTooLargeException"),
    ],
    ids=["no reply", "5xx", "forbidden", "too large"],
)
def test_a_frame_that_may_have_been_delivered_or_never_will_be_is_not_sent_again(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets], reply: Reply, code: str
) -> None:
    server.script = [reply]
    assert failure(lambda: open_sockets().send(CONNECTION, TEXT)).code == code
    assert len(server.received) == 1


def test_a_management_api_that_does_not_answer_is_given_up(open_sockets: Callable[..., HttpSockets]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/live"
        sockets = HttpSockets(endpoint, environ=ENVIRONMENT, read_timeout_seconds=0.05)
        assert failure(lambda: sockets.send(CONNECTION, TEXT)).code == "ReplyLost"


def test_half_a_character_is_no_reason_to_fail(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    server.script = [Reply()]
    open_sockets().send(CONNECTION, {"token": "ok \ud83d"})
    assert server.received[0].json == {"token": "ok ?"}


def test_a_wrong_clock_is_corrected_from_the_server(
    server: ScriptedServer, open_sockets: Callable[..., HttpSockets]
) -> None:
    now = "Fri, 20 Nov 2026 12:00:00 GMT"
    server.script = [Reply(403, {}, {"x-amzn-ErrorType": "InvalidSignatureException", "Date": now}), Reply()]
    open_sockets(clock=lambda: AT.timestamp() - 3600).send(CONNECTION, TEXT)
    assert [request.headers["X-Amz-Date"][:11] for request in server.received] == ["20261120T11", "20261120T12"]


def test_a_missing_setting_is_named(open_sockets: Callable[..., HttpSockets]) -> None:
    error = failure(lambda: open_sockets(environ={}).send(CONNECTION, TEXT))
    assert (error.code, "AWS_REGION" in error.message) == ("ConfigurationMissing", True)


def test_the_stages_endpoint_may_end_in_a_slash(server: ScriptedServer) -> None:
    server.script = [Reply()]
    HttpSockets(f"{server.url}/_aws/execute-api/abc/live/", environ=ENVIRONMENT).send("id", TEXT)
    assert urlsplit(server.received[0].path).path == "/_aws/execute-api/abc/live/@connections/id"


def test_sockets_load_nothing_heavy() -> None:
    code = (
        "import sys, dialplane.aws.sockets;"
        "print([n for n in ('boto3','botocore','asyncio','urllib.request','urllib3','requests','pydantic')"
        " if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout.replace("'", '"')) == []
