"""Customers' tools over HTTP: asked at public addresses alone, signed, briefly; and nothing that they do raises."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from dialplane.domain.tool_urls import ToolUrl
from dialplane.tools.http_tool import (
    REPLY_BYTES_MAX,
    SECONDS_MAX,
    TEXT_LENGTH_MAX,
    HttpTools,
    ToolResult,
    is_public,
    resolve_name,
)
from tests.fakes.tool_server import HOST, PUBLIC_ADDRESS, Behaviour, ToolServer, client_context, raw, reply, tool_server
from tests.unit.test_tool_urls import REFUSED

KEY = "whsec_0123456789"
PARAMETERS = {
    "type": "object",
    "properties": {"order": {"type": "string", "maxLength": 10}, "count": {"type": "integer"}},
    "required": ["order"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def _running() -> Iterator[ToolServer]:
    with tool_server() as made:
        yield made


@pytest.fixture
def server(_running: ToolServer) -> ToolServer:
    """The customer's server, with nothing received yet."""
    _running.behaviour = reply({"ok": True})
    _running.requests, _running.names, _running.connections = [], [], 0
    return _running


def public(host: str, port: int) -> Sequence[str]:
    """Where every name leads to."""
    del host, port
    return [PUBLIC_ADDRESS]


def never(*_: object) -> Any:
    """What must not happen."""
    raise AssertionError("this must not be reached")


def declared(url: str = f"https://{HOST}/orders?v=1", **server: Any) -> dict[str, Any]:
    """A tool as an assistant declares it."""
    function = {"name": "find_order", "description": "Finds an order.", "parameters": PARAMETERS}
    return {"type": "function", "function": function, "server": {"url": url, **server}}


def use(
    server: ToolServer,
    tool: dict[str, Any] | None = None,
    arguments: dict[str, Any] | None = None,
    *,
    seconds: float = 5.0,
    key: str | None = KEY,
    **parts: Any,
) -> ToolResult:
    """Use the tool on a network in which every public address is the server's."""
    tools = HttpTools(**{"resolve": public, "connect": server.connect, "tls": client_context, **parts})
    return tools.call(
        tool or declared(),
        {"order": "A-1"} if arguments is None else arguments,
        call_id="call_1",
        organization_id="org_1",
        signing_key=key,
        deadline=time.monotonic() + seconds,
    )


# ---- the request ----------------------------------------------------------------------------------------------------


def test_a_tool_is_asked_once_with_a_signature_over_time_and_body(server: ToolServer) -> None:
    result = use(server, now=lambda: 1_700_000_000.9)
    assert result == ToolResult('{"ok":true}')
    assert server.body() == {"tool": "find_order", "call_id": "call_1", "arguments": {"order": "A-1"}}
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /orders?v=1 HTTP/1.1\r\n")
    headers = server.headers()
    assert (headers["host"], headers["content-type"]) == (HOST, "application/json")
    assert (headers["x-webhook-event"], headers["x-webhook-timestamp"]) == ("tool-call", "1700000000")
    expected = hmac.new(KEY.encode(), b"1700000000." + body, hashlib.sha256).hexdigest()
    assert headers["x-webhook-signature"] == f"sha256={expected}"
    assert headers["x-organization-id"] == "org_1"
    assert server.names == [HOST], "the server is called by its name"


def test_the_published_example_of_the_signature_is_ours() -> None:
    """A secret, a time and a body of that platform's own documentation."""
    from dialplane.tools.http_tool import _headers  # noqa: PLC0415 - its own example is about another body

    url = ToolUrl.parse("https://tools.example.com/", param="url")
    headers = _headers(url, b'{"a":1}', "whsec_test", 1_700_000_000, "org_1")
    assert headers["X-Webhook-Signature"] == ("sha256=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789")


def test_the_other_port_is_asked_where_it_is_written(server: ToolServer) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        asked.append(address)
        return server.connect(address, seconds)

    assert not use(server, declared(f"https://{HOST}:8443/"), connect=connect).is_error
    assert asked == [(PUBLIC_ADDRESS, 8443)]
    assert server.headers()["host"] == f"{HOST}:8443"


@pytest.mark.parametrize(
    "arguments",
    [{}, {"order": 7}, {"order": "A" * 11}, {"order": "A", "count": 1.5}, {"order": "A", "colour": "red"}],
    ids=str,
)
def test_arguments_that_the_tool_does_not_take_are_told_to_the_model_and_to_nobody_else(
    server: ToolServer, arguments: dict[str, Any]
) -> None:
    result = use(server, arguments=arguments, resolve=never)
    assert (result.is_error, result.reason) == (True, "arguments")
    assert "arguments" in result.text
    assert server.connections == 0


@pytest.mark.parametrize("value", [float("nan"), "a" * 70_000, {1, 2}], ids=["no number", "too long", "no JSON"])
def test_arguments_that_cannot_be_sent_are_not(server: ToolServer, value: object) -> None:
    tool = declared()
    del tool["function"]["parameters"]
    result = use(server, tool, {"order": value}, resolve=never)
    assert (result.is_error, result.reason) == (True, "arguments")


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_to_sign_with_nobody_is_asked(server: ToolServer, key: str | None) -> None:
    result = use(server, key=key, resolve=never)
    assert (result.is_error, result.reason) == (True, "no_signing_key")


# ---- where it goes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", REFUSED, ids=lambda url: ascii(url)[:80])
def test_an_address_that_could_not_be_kept_is_not_asked_either(server: ToolServer, url: str) -> None:
    """Whatever way it came into a conversation's settings."""
    result = use(server, declared(url), resolve=never, connect=never)
    assert (result.is_error, result.reason) == (True, "url")


PRIVATE = [
    *("0.0.0.0", "0.255.255.255", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),  # noqa: S104
    *("127.0.0.1", "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "64:ff9b::a00:1"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:20::1", "2001:db8::1"),
    *("2002:a00:1::", "2002:808:808::", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
    *("fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_an_address_that_is_not_public_is_not_followed(server: ToolServer, address: str) -> None:
    for found in ([address], [PUBLIC_ADDRESS, address], [address, PUBLIC_ADDRESS]):
        result = use(server, resolve=lambda host, port, found=found: found, connect=never)
        assert (result.is_error, result.reason) == (True, "address_refused")
        assert address not in result.text


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "tools.example.com", "1.1.1", "0x1.1.1.1", "1.1.1.1 ", "[::1]"])
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


def test_a_name_is_looked_up_once_so_that_a_second_answer_changes_nothing(server: ToolServer) -> None:
    answers = [[PUBLIC_ADDRESS], ["127.0.0.1"], ["169.254.169.254"]]
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        connected.append(address)
        return server.connect(address, seconds)

    assert use(server, resolve=lambda host, port: answers.pop(0), connect=connect).text == '{"ok":true}'
    assert connected == [(PUBLIC_ADDRESS, 443)]
    assert len(answers) == 2


def test_an_address_of_several_is_tried_after_another_and_only_one_is_asked(server: ToolServer) -> None:
    tried: list[str] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        tried.append(address[0])
        if len(tried) < 3:
            raise ConnectionRefusedError
        return server.connect(address, seconds)

    addresses = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]
    assert not use(server, resolve=lambda host, port: addresses, connect=connect).is_error
    assert tried == addresses[:3]
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data/iam/", "https://127.0.0.1/", f"https://{HOST}/elsewhere"]
)
def test_no_redirect_is_followed(server: ToolServer, status: int, location: str) -> None:
    server.behaviour = reply(b"", status, location=location)
    result = use(server)
    assert (result.is_error, result.reason) == (True, "redirect")
    assert location not in result.text
    assert server.connections == 1


def test_a_server_that_cannot_prove_its_name_is_told_nothing(server: ToolServer) -> None:
    wrong_name = use(server, declared("https://other.example.com/"))
    unknown_authority = use(server, tls=ssl.create_default_context)
    assert [each.reason for each in (wrong_name, unknown_authority)] == ["tls", "tls"]
    assert server.requests == []


def test_a_server_that_speaks_no_tls_is_told_nothing(server: ToolServer) -> None:
    received: list[bytes] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        ours, theirs = socket.socketpair()

        def answer() -> None:
            received.append(theirs.recv(65_536))
            theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            theirs.close()

        threading.Thread(target=answer, daemon=True).start()
        return ours

    assert use(server, connect=connect).reason == "tls"
    assert all(KEY.encode() not in each and b"find_order" not in each for each in received)


def fails(error: Exception) -> Callable[..., Any]:
    """Something that fails so."""

    def fail(*_: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"resolve": lambda host, port: []}, "not_found"),
        ({"resolve": fails(socket.gaierror(socket.EAI_NONAME, "no"))}, "not_found"),
        ({"resolve": fails(socket.gaierror(socket.EAI_AGAIN, "later"))}, "not_found"),
        ({"resolve": fails(UnicodeError("label too long"))}, "broken"),
        ({"connect": fails(ConnectionRefusedError())}, "unreachable"),
        ({"connect": fails(OSError(101, "network is unreachable"))}, "unreachable"),
        ({"connect": fails(TimeoutError())}, "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_server_that_is_not_there_is_an_answer_too(server: ToolServer, parts: dict[str, Any], reason: str) -> None:
    result = use(server, **parts)
    assert (result.is_error, result.reason) == (True, reason)
    assert HOST not in result.text
    assert PUBLIC_ADDRESS not in result.text


def test_the_systems_own_look_up_gives_addresses() -> None:
    assert "127.0.0.1" in resolve_name("localhost", 443)


# ---- how long it takes ----------------------------------------------------------------------------------------------


def test_a_look_up_that_hangs_is_given_up(server: ToolServer) -> None:
    is_given_up, returned = threading.Event(), []

    def resolve(host: str, port: int) -> Sequence[str]:
        is_given_up.wait(10)
        returned.append(host)
        return [PUBLIC_ADDRESS]

    assert use(server, resolve=resolve, connect=never, seconds=0.1).reason == "timeout"
    assert returned == [], "nobody waits for it"
    is_given_up.set()


def drips(piece: bytes) -> Behaviour:
    """Give a byte now and then, without end."""

    def drip(connection: ssl.SSLSocket, _: bytes) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            connection.sendall(piece)
            time.sleep(0.02)

    return drip


def hangs(connection: ssl.SSLSocket, _: bytes) -> None:
    """Take the request and say nothing."""
    connection.recv(1)


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        drips(b"X"),
        drips(b"HTTP/1.1 100 Continue\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nA: 1\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n"),
    ],
    ids=["silence", "a status line", "interim answers", "headers", "a body"],
)
def test_a_server_that_takes_its_time_is_given_up_in_time(server: ToolServer, behaviour: Behaviour) -> None:
    server.behaviour = behaviour
    assert use(server, seconds=0.2).reason == "timeout"


def test_a_handshake_that_never_ends_is_given_up(server: ToolServer) -> None:
    pairs: list[socket.socket] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        ours, theirs = socket.socketpair()
        pairs.append(theirs)
        return ours

    assert use(server, connect=connect, seconds=0.1).reason == "timeout"


@pytest.mark.parametrize(
    ("declaration", "deadline", "expected"),
    [
        ({"timeout_seconds": 3}, None, 3.0),
        ({}, None, SECONDS_MAX),
        ({"timeout_seconds": 60}, None, SECONDS_MAX),
        ({"timeout_seconds": 8}, 102.5, 2.5),
        ({"timeout_seconds": 2}, 109.0, 2.0),
    ],
    ids=str,
)
def test_a_tool_has_the_time_it_declares_ten_seconds_at_most_and_what_the_turn_has_left(
    declaration: dict[str, Any], deadline: float | None, expected: float
) -> None:
    given: list[float] = []

    def connect(address: tuple[str, int], seconds: float) -> socket.socket:
        given.append(seconds)
        raise ConnectionRefusedError

    tools = HttpTools(resolve=public, connect=connect, tls=client_context, monotonic=lambda: 100.0)
    tools.call(
        declared(**declaration), {"order": "A"}, call_id="c", organization_id="o", signing_key=KEY, deadline=deadline
    )
    assert given == [expected]


def test_a_turn_that_is_over_asks_nobody(server: ToolServer) -> None:
    assert use(server, seconds=-1, resolve=never).reason == "timeout"


# ---- what it says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (reply({"a": [1, "é"]}), '{"a":[1,"é"]}'),
        (reply(b' {"a" :\n 1} '), '{"a":1}'),
        (reply("shipped"), '"shipped"'),
        (reply([]), "[]"),
        (reply({"a": 1}, content_type="application/problem+json; charset=utf-8"), '{"a":1}'),
        (reply({"a": 1}, content_type="APPLICATION/JSON;charset=UTF-8"), '{"a":1}'),
        (reply({"a": 1}, 201), '{"a":1}'),
        (reply(b"It was shipped.\n", content_type="text/plain"), "It was shipped."),
        (reply(b"caf\xe9", content_type="text/plain; charset=latin-1"), "caf\ufffd"),
        (reply(b"a\x00b\x1b[31m", content_type="text/plain"), "a b [31m"),
        (reply({"half": "\ud800"}), '{"half":" "}'),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end"), "until the end"),
        (
            raw(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nIt \r\n4\r\nwas.\r\n0\r\n\r\n"
            ),
            "It was.",
        ),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nyes"), "yes"),
        (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "The tool has answered without a word: it is done."),
        (reply(b""), "The tool has answered without a word: it is done."),
        (reply(b"x" * TEXT_LENGTH_MAX, content_type="text/plain"), "x" * TEXT_LENGTH_MAX),
        (reply(b"x" * REPLY_BYTES_MAX, content_type="text/plain"), "x" * (TEXT_LENGTH_MAX - 4) + " […]"),
    ],
)
def test_json_and_plain_text_are_read_and_worded_briefly(server: ToolServer, behaviour: Behaviour, text: str) -> None:
    server.behaviour = behaviour
    result = use(server)
    assert result == ToolResult(text)
    assert len(result.text) <= TEXT_LENGTH_MAX
    result.text.encode()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (reply(b"<html><script>", content_type="text/html"), "content_type"),
        (reply(b'{"a":1}', content_type="text/html; charset=application/json"), "content_type"),
        (reply(b'{"a":1}', content_type=""), "content_type"),
        (reply(b"<a/>", content_type="application/xml"), "content_type"),
        (reply(b"\x89PNG", content_type="image/png"), "content_type"),
        (reply(b"<html>"), "content_type"),
        (reply(b'{"a":'), "content_type"),
        (reply(b"[" * 10_000), "content_type"),
        (reply(b"9" * 10_000), "content_type"),
        (reply(b"\x1f\x8b", content_encoding="gzip"), "content_type"),
        (reply(b"x" * (REPLY_BYTES_MAX + 1), content_type="text/plain"), "too_long"),
        (reply(b"x" * 1_000_000, content_type="text/plain"), "too_long"),
        (reply(b"x" * 1_000_000, content_type="text/html"), "too_long"),
        (reply(b"{}", **{"x": "y" * 60_000, "z": "y" * 60_000, "w": "y" * 60_000}), "too_long"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf"), "broken"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "broken"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf"), "broken"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"), "broken"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n"), "broken"),
        (raw(b"220 mail.example.com ESMTP\r\n"), "broken"),
        (raw(b"HTTP/1.1 9"), "broken"),
        (raw(b"HTTP/1.1 two OK\r\n\r\n"), "broken"),
        (raw(b""), "broken"),
        (reply({}, 101), "status_101"),
        (reply({}, 500), "status_500"),
        (reply({"detail": "stack trace"}, 503), "status_503"),
        (reply({}, 999), "status_999"),
    ],
)
def test_whatever_else_a_server_says_is_an_error_for_the_model(
    server: ToolServer, behaviour: Behaviour, reason: str
) -> None:
    server.behaviour = behaviour
    result = use(server)
    assert (result.is_error, result.reason) == (True, reason)
    assert 0 < len(result.text) < 100
    assert not any(word in result.text for word in ("html", "stack", "half", "yyy", "xxx"))


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (reply({"error": "no such order"}, 404), 'The tool has refused (status 404): {"error":"no such order"}'),
        (reply(b"no", 400, content_type="text/plain"), "The tool has refused (status 400): no"),
        (reply(b"<html>", 403, content_type="text/html"), "The tool has refused (status 403)."),
        (reply(b"x" * 5_000, 422, content_type="text/plain"), None),
    ],
)
def test_a_refusal_of_the_tools_own_is_told_with_its_reason(
    server: ToolServer, behaviour: Behaviour, text: str | None
) -> None:
    server.behaviour = behaviour
    result = use(server)
    assert result.is_error
    assert result.text == text if text is not None else len(result.text) == TEXT_LENGTH_MAX


def resets(connection: ssl.SSLSocket, _: bytes) -> None:
    """Hang up in the rudest way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def test_a_connection_that_is_reset_is_an_error_for_the_model_and_not_tried_again(server: ToolServer) -> None:
    server.behaviour = resets
    assert use(server).reason == "broken"
    assert server.connections == 1


def test_a_log_has_the_reason_and_no_word_of_the_call(server: ToolServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.behaviour = reply({"error": "order of Ada Lovelace is unknown"}, 404)
    use(server, declared(f"https://{HOST}/orders?token=s3cret"))
    (record,) = caplog.records
    assert (record.message, record.__dict__["reason"]) == ("tool_failed", "status_404")
    logged = json.dumps(record.__dict__, default=str)
    assert not any(secret in logged for secret in (KEY, "s3cret", "Lovelace", "A-1"))


def test_many_threads_use_tools_side_by_side(server: ToolServer) -> None:
    def echo(connection: ssl.SSLSocket, request: bytes) -> None:
        reply(json.loads(request.partition(b"\r\n\r\n")[2])["arguments"])(connection, request)

    server.behaviour = echo
    results: dict[int, ToolResult] = {}

    def one(number: int) -> None:
        results[number] = use(server, arguments={"order": str(number)})

    threads = [threading.Thread(target=one, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: ToolResult(f'{{"order":"{number}"}}') for number in range(16)}
