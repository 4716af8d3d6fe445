"""How any carrier is asked: when a dial is certainly not placed, when nobody can know, and that nothing is repeated."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dialplane.carriers.http import CarrierHttp, Reply, to_body, unavailable
from dialplane.carriers.registry import TRAITS
from dialplane.domain.carrier import Rejected, Unknown
from dialplane.domain.errors import CarrierUnavailable
from tests.fakes import scripted_http
from tests.fakes.scripted_http import ScriptedServer, scripted_server

TOO_LONG = Rejected("unreachable", "ConnectTimeout", "It took too long to connect.")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as scripted:
        yield scripted


@pytest.fixture
def http(server: ScriptedServer) -> CarrierHttp:
    return CarrierHttp("vonage", server.url, 2.0, {"X-Key": "k"})


def answer(status: int = 200, fields: Any = None, **more: Any) -> scripted_http.Reply:
    return scripted_http.Reply(status, fields if fields is not None else {"id": 1}, **more)


@contextlib.contextmanager
def raw_server(then: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that does ``then`` with each connection once it has a request; and the requests that it has had."""
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = connection.recv(65536)
            while not request.endswith((b"\r\n\r\n", b"{}")) or (request[:4] == b"POST" and request[-2:] != b"{}"):
                request += connection.recv(65536)
            received.append(request)
            then(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=[listening.accept()[0]]))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", received
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_an_answer(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")


def half_a_status(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 40")


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def nothing(connection: socket.socket) -> None:
    del connection


def unused_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def look_up(monkeypatch: pytest.MonkeyPatch, *, after_seconds: float) -> None:
    lookup = socket.getaddrinfo

    def slow_lookup(*args: Any, **kwargs: Any) -> Any:
        threading.Event().wait(after_seconds)
        return lookup(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow_lookup)


def test_a_refused_connection_is_a_rejection_that_says_why() -> None:
    outcome = CarrierHttp("vonage", unused_address(), 1.0).dial("/", b"{}")
    assert isinstance(outcome, Rejected)
    assert (outcome.cause, outcome.code) == ("unreachable", "NewConnectionError")
    assert "refused" in outcome.message
    assert "127.0.0.1" not in outcome.message


def test_a_name_that_nobody_knows_is_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    outcome = CarrierHttp("vonage", "https://host.invalid", 1.0).dial("/", b"{}")
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert "Name or service not known" in outcome.message


def test_a_failed_tls_handshake_is_a_rejection(server: ScriptedServer) -> None:
    outcome = CarrierHttp("vonage", server.url.replace("http", "https"), 1.0).dial("/", b"{}")
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"
    assert server.received == []


def test_a_handshake_that_never_ends_is_given_up_before_anything_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = CarrierHttp("vonage", f"https://127.0.0.1:{silent.getsockname()[1]}", 0.2)
        outcome = http.dial("/", b"{}")
    assert isinstance(outcome, Rejected)
    assert outcome.cause == "unreachable"


def test_the_look_up_of_the_name_counts(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up(monkeypatch, after_seconds=0.4)
    assert CarrierHttp("vonage", server.url, 0.3).dial("/", b"{}") == TOO_LONG
    assert server.received == []


def test_a_dial_may_be_given_less_time_than_other_requests(
    server: ScriptedServer, http: CarrierHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = [answer(201)]
    look_up(monkeypatch, after_seconds=0.4)
    assert http.dial("/", b"{}", timeout_seconds=0.3) == TOO_LONG
    assert isinstance(http.dial("/", b"{}"), Reply)
    assert len(server.received) == 1


@pytest.mark.parametrize("after_request", [nothing, reset, half_a_status, half_an_answer, no_http])
def test_a_dial_without_a_whole_answer_is_unknown_and_not_repeated(
    after_request: Callable[[socket.socket], None],
) -> None:
    with raw_server(after_request) as (url, received):
        assert isinstance(CarrierHttp("vonage", url, 2.0).dial("/", b"{}"), Unknown)
    assert len(received) == 1


@pytest.mark.parametrize("after_request", [nothing, reset, half_a_status, half_an_answer, no_http])
def test_another_request_without_a_whole_answer_is_an_error_and_not_repeated(
    after_request: Callable[[socket.socket], None],
) -> None:
    error = r"^Vonage could not be asked about its calls \(\w+\)"
    with raw_server(after_request) as (url, received), pytest.raises(CarrierUnavailable, match=error):
        CarrierHttp("vonage", url, 2.0).send("GET", "/")
    assert len(received) == 1


def test_a_slow_answer_counts_within_the_time_and_is_lost_beyond_it() -> None:
    given_up = threading.Event()

    def slowly(connection: socket.socket) -> None:
        given_up.wait(0.5)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")

    with raw_server(slowly) as (url, received):
        # Longer than it may take to connect, which is half of the time.
        assert CarrierHttp("vonage", url, 0.9).dial("/", b"{}") == Reply(201, "Created", b"{}", None)
        assert isinstance(CarrierHttp("vonage", url, 0.2).dial("/", b"{}"), Unknown)
        with pytest.raises(CarrierUnavailable, match="ReadTimeoutError"):
            CarrierHttp("vonage", url, 0.2).send("GET", "/")
        given_up.set()
    assert len(received) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: ScriptedServer, http: CarrierHttp, status: int) -> None:
    server.script = [answer(status, headers={"Location": f"{server.url}/elsewhere"})] * 2
    dialled = http.dial("/calls", b"{}")
    assert isinstance(dialled, Reply)
    assert (dialled.status, dialled.proves_rejection) == (status, False)
    assert http.send("GET", "/calls").status == status
    assert [request.path for request in server.received] == ["/calls", "/calls"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_no_answer_is_asked_for_again(server: ScriptedServer, http: CarrierHttp, status: int) -> None:
    server.script = [answer(status, headers={"Retry-After": "0"}), answer(status, headers={"Retry-After": "0"})]
    dialled = http.dial("/", b"{}")
    assert isinstance(dialled, Reply)
    assert (dialled.status, http.send("GET", "/").status) == (status, status)
    assert len(server.received) == 2


@pytest.mark.parametrize(
    ("status", "proves_rejection"),
    [
        *((status, True) for status in (400, 401, 403, 404, 407, 409, 422, 429, 499)),
        *((status, False) for status in (200, 201, 202, 299, 302, 399, 408, 500, 502, 503, 599)),
    ],
)
def test_only_a_4xx_that_is_the_carriers_own_proves_a_rejection(status: int, *, proves_rejection: bool) -> None:
    assert Reply(status, "", b"", None).proves_rejection is proves_rejection


def test_each_dial_has_a_connection_of_its_own_and_other_requests_share_one(
    server: ScriptedServer, http: CarrierHttp
) -> None:
    server.script = [answer()] * 4
    http.send("GET", "/")
    http.send("GET", "/")
    assert server.connections == 1
    http.dial("/", b"{}")
    http.dial("/", b"{}")
    assert server.connections == 3


def test_requests_of_many_threads_do_not_mix(server: ScriptedServer, http: CarrierHttp) -> None:
    server.script = [answer(200, {"n": n}) for n in range(32)]
    replies: list[Reply | Rejected | Unknown] = []
    threads = [
        threading.Thread(target=lambda ask=ask: replies.append(ask()))
        for _ in range(16)
        for ask in (lambda: http.dial("/", b"{}"), lambda: http.send("GET", "/"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = [reply.json_object() for reply in replies if isinstance(reply, Reply)]
    assert sorted(content["n"] for content in contents if content) == list(range(32))


def test_headers_go_with_every_request_and_a_content_type_with_bodies(server: ScriptedServer) -> None:
    server.script = [answer()] * 3
    http = CarrierHttp("vonage", server.url, 2.0, {"X-Key": "k"}, content_type="text/x-form")
    http.dial("/a", b"a=1", headers={"X-Once": "1"})
    http.send("PUT", "/b", b"b=2")
    http.send("GET", "/c?d=e", headers={"X-Once": "2"})
    sent = [
        [request.headers[name] for name in ("X-Key", "Accept", "User-Agent", "X-Once", "Content-Type")]
        for request in server.received
    ]
    assert sent == [
        ["k", "application/json", "dialplane", "1", "text/x-form"],
        ["k", "application/json", "dialplane", None, "text/x-form"],
        ["k", "application/json", "dialplane", "2", None],
    ]
    assert [(request.method, request.path, request.body) for request in server.received] == [
        ("POST", "/a", b"a=1"),
        ("PUT", "/b", b"b=2"),
        ("GET", "/c?d=e", b""),
    ]


@pytest.mark.parametrize("end", ["", "/"])
def test_the_addresss_own_path_precedes_every_other(server: ScriptedServer, end: str) -> None:
    server.script = [answer()] * 2
    http = CarrierHttp("vonage", f"{server.url}/eu/api{end}", 2.0)
    http.dial("/calls", b"{}")
    http.send("GET", "/calls")
    assert [request.path for request in server.received] == ["/eu/api/calls"] * 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("1763650800000", 3_600.0),  # a date, in milliseconds
        ("9" * 400, 3_600.0),
        ("Fri, 31 Dec 2027 23:59:59 GMT", None),
    ],
)
def test_only_whole_seconds_are_a_time_to_wait_and_an_hour_is_the_longest(
    server: ScriptedServer, http: CarrierHttp, text: str, seconds: float | None
) -> None:
    server.script = [answer(429, headers={"Retry-After": text})]
    assert http.send("GET", "/").retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'{"a": 1.5}', {"a": 1.5}),
        (b"{}", {}),
        (b"", None),
        (b"{", None),
        (b"[1]", None),
        (b"null", None),
        (b'"text"', None),
        (b"\xff\xfe\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_a_body_is_a_json_object_or_nothing(body: bytes, content: dict[str, Any] | None) -> None:
    assert Reply(200, "OK", body, None).json_object() == content


def test_a_body_may_be_read_in_a_carriers_own_way() -> None:
    def as_texts(body: bytes) -> Any:
        return json.loads(body, parse_float=str)

    assert Reply(200, "OK", b'{"price": 0.10}', None).json_object(as_texts) == {"price": "0.10"}


def test_a_body_is_worded_without_spaces_and_in_its_own_letters() -> None:
    assert to_body({"a": [1, "é"], "b": {}}) == '{"a":[1,"é"],"b":{}}'.encode()


def test_no_log_has_the_numbers_that_are_asked_for(
    server: ScriptedServer, http: CarrierHttp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.script = [answer(), scripted_http.Reply(status=0)]
    http.send("GET", "/calls?To=%2B15559876543")
    with pytest.raises(CarrierUnavailable):
        http.send("GET", "/calls?To=%2B15559876543")
    assert "5559876543" not in caplog.text


@pytest.mark.parametrize("carrier", TRAITS)
def test_the_error_names_the_carrier_as_people_do(carrier: str) -> None:
    error = unavailable(carrier, "HTTP 500")
    name = TRAITS[carrier].display_name
    assert error.message == f"{name} could not be asked about its calls (HTTP 500). Ask again later."
    assert error.details["carrier"] == carrier
