"""OpenAI-compatible models over a real connection: what they are asked, what is read, and all the ways to fail."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplane.domain.language_model import (
    TEXT_LENGTH_MAX,
    TOOL_CALLS_MAX,
    Message,
    ModelFailed,
    ModelRequest,
    Tool,
    ToolCall,
)
from dialplane.models import openai
from dialplane.models.openai import OpenAiModel
from tests.fakes.model_server import (
    DONE,
    Action,
    ModelServer,
    Wire,
    answer,
    breaks_off_after,
    drips,
    event,
    is_silent_after,
    model_server,
    refuses,
    says,
    streams,
    vanishes,
)

KEY = "sk-SECRET"
PROMPT = "PROMPT of the assistant"
WORDS = "WORDS of the callee"
REQUEST = ModelRequest(PROMPT, [Message("user", WORDS)], first_token_seconds=5.0, total_seconds=10.0)
IMPATIENT = replace(REQUEST, first_token_seconds=0.15)
BRIEF = replace(REQUEST, total_seconds=0.3)
# A machine may be busy; no silence here is as short.
PATIENCE_SECONDS = 10.0
END_CALL = Tool("end_call", "End the call.", {"type": "object", "properties": {}})


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as scripted:
        yield scripted


@pytest.fixture
def model(server: ModelServer) -> OpenAiModel:
    return OpenAiModel(server.url, KEY, model="m-1")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai, "_PAUSE_SECONDS", 0.0)


def ask(model: OpenAiModel, request: ModelRequest = REQUEST) -> list[str | ToolCall]:
    return list(model.stream(request))


def failure(model: OpenAiModel, request: ModelRequest = REQUEST) -> str:
    with pytest.raises(ModelFailed) as raised:
        ask(model, request)
    for secret in ("SECRET", "WORDS", "PROMPT"):
        assert secret not in raised.value.reason
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value.reason


def tool_part(index: int | None, arguments: str | None = None, **more: Any) -> bytes:
    function = {name: value for name, value in (("name", more.pop("name", None)), ("arguments", arguments)) if value}
    part = {"function": function, **more} if index is None else {"index": index, "function": function, **more}
    return event({"tool_calls": [part]})


# ---- what is asked ---------------------------------------------------------------------------------------------------


def test_a_request_in_the_words_of_chat_completions(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says("Hello.")]
    request = ModelRequest(
        PROMPT,
        [
            Message("assistant", "Hello, this is Ada."),
            Message("user", "Who?"),
            Message("assistant", "One moment.", (ToolCall("of_another_model", "look_up", {"name": "Ada"}),)),
            Message("tool", "Ada Lovelace", tool_call_id="of_another_model"),
        ],
        tools=[END_CALL],
        temperature=0.3,
        tokens_max=99,
    )
    assert ask(model, request) == ["Hello."]
    [asked] = server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Accept"] == "text/event-stream"
    call = {
        "id": "000000001",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"name": "Ada"}'},
    }
    assert asked.body == {
        "model": "m-1",
        "stream": True,
        "temperature": 0.3,
        "max_tokens": 99,
        "messages": [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": "(The call was answered.)"},
            {"role": "assistant", "content": "Hello, this is Ada."},
            {"role": "user", "content": "Who?"},
            {"role": "assistant", "content": "One moment.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "000000001", "content": "Ada Lovelace"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "end_call", "description": "End the call.", "parameters": END_CALL.parameters},
            }
        ],
    }


def test_the_request_wins_over_the_configuration_and_no_more_is_sent_than_is_set(server: ModelServer) -> None:
    server.script = [says("a"), says("b")]
    model = OpenAiModel(server.url, None, model="m-1", temperature=0.9, length_field="max_completion_tokens")
    ask(model, ModelRequest("", [Message("user", "Hi")]))
    ask(model, ModelRequest("", [Message("user", "Hi")], model="m-2", temperature=0))
    first, second = server.asked
    hello = [{"role": "user", "content": "Hi"}]
    fields = {"messages": hello, "stream": True, "max_completion_tokens": 400}
    assert first.body == {"model": "m-1", "temperature": 0.9, **fields}
    assert second.body == {"model": "m-2", "temperature": 0, **fields}
    assert "Authorization" not in first.headers


def test_a_form_for_the_answer(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says('{"summary":', '"s"}')]
    schema = {"type": "object", "properties": {"summary": {"type": "string"}}}
    request = ModelRequest("", [Message("user", "Hi")], response_schema=schema)
    assert "".join(map(str, ask(model, request))) == '{"summary":"s"}'
    form = server.asked[0].body["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": False}}


# ---- what is read ----------------------------------------------------------------------------------------------------


def test_words_are_given_as_they_come(server: ModelServer, model: OpenAiModel) -> None:
    heard = threading.Event()

    def waits_until_it_was_heard(wire: Wire) -> None:
        wire.head()
        wire.chunk(event({"content": "Hello"}))
        assert heard.wait(10), "the first token is not held back"
        wire.chunk(event({"content": " there."}) + event({}, "stop") + DONE)
        wire.end()

    server.script = [waits_until_it_was_heard]
    pieces = model.stream(REQUEST)
    assert next(pieces) == "Hello"
    heard.set()
    assert list(pieces) == [" there."]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_events_are_read_however_their_lines_end_and_wherever_they_are_cut(line_end: bytes) -> None:
    two_lines = 'data: {"choices":\ndata: [{"delta": {"content": "Schöne"}}]}\n\n'.encode()
    data = b"".join([b": ping\n\n", b"event: x\nid: 7\nretry: 5\n", two_lines, *answer(" Grüße, 😀")])
    data = data.replace(b"\n", line_end)
    for size in (1, 2, 3, 7, len(data)):
        cut = [data[start : start + size] for start in range(0, len(data), size)]
        assert "".join(_words(cut)) == "Schöne Grüße, 😀"


@given(st.lists(st.integers(0, 400), max_size=12))
def test_an_answer_is_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    data = b"".join(answer("a", "b\r\n", "\u2028c")).replace(b"\n\n", b"\r\n\r\n")
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    assert "".join(_words([data[a:b] for a, b in itertools.pairwise(places)])) == "ab\r\n\u2028c"


def _words(received: list[bytes]) -> list[str]:
    return [piece for piece in openai._pieces(openai._events(received)) if isinstance(piece, str)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([b"data:" + event({"content": "no space"})[6:], DONE], "no space"),
        ([event({"content": "no blank line"}, "stop")[:-2]], "no blank line"),
        ([event({"content": "no reason to stop"}), b"data: [DONE]"], "no reason to stop"),
        ([event({"content": "no [DONE]"}, "stop")], "no [DONE]"),
        ([event({"content": "it had to stop"}, "length")], "it had to stop"),
        (
            [event({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "aloud"}]}), DONE],
            "aloud",
        ),
        ([event({"reasoning_content": "hm", "content": None}), event({"content": "aloud"}), DONE], "aloud"),
        ([b'data: {"choices": []}\n\n', b"data: {}\n\n", b'data: {"choices": [null]}\n\n', DONE], ""),
        ([b'data: {"choices":\ndata: [{"delta": {"content": "two lines"}}]}\n\n', DONE], "two lines"),
        ([event({"content": 7}), event({"content": {"text": "x"}}), DONE], ""),
    ],
)
def test_what_servers_do_differently_is_read_all_the_same(
    server: ModelServer, model: OpenAiModel, events: list[bytes], expected: str
) -> None:
    server.script = [streams(*events)]
    assert "".join(map(str, ask(model))) == expected


def test_a_model_that_answers_nothing_has_answered_nothing(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says()]
    assert ask(model) == []


def test_tools_are_put_together_from_their_parts_and_come_after_the_words(
    server: ModelServer, model: OpenAiModel
) -> None:
    server.script = [
        streams(
            tool_part(0, "", id="a", name="look_up"),
            tool_part(0, '{"na'),
            event({"content": "One moment."}),
            tool_part(1, "", id="b", name="end_call"),
            tool_part(0, 'me": "Ada"}'),
            event({}, "tool_calls"),
            DONE,
        )
    ]
    assert ask(model) == ["One moment.", ToolCall("a", "look_up", {"name": "Ada"}), ToolCall("b", "end_call")]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([tool_part(0, "{}", id="a", name="x"), tool_part(0, "{}", id="b", name="y")], [("a", "x"), ("b", "y")]),
        ([tool_part(None, "{}", name="x"), tool_part(None, "{}", name="y")], [("call_0", "x"), ("call_1", "y")]),
        ([tool_part(0, "{}", id="a", name="x"), tool_part(1, "{}", id="a", name="y")], [("a", "x"), ("call_1", "y")]),
        ([tool_part(0, "{}", id="a", name="x"), tool_part(0, " ", id="a", name="x")], [("a", "x")]),
        ([tool_part(0, None, id="a", name="x")], [("a", "x")]),
        ([tool_part(0, "null", id="a", name="x")], [("a", "x")]),
        ([tool_part(0, "{}", id="a", name="find slot\ud800\n")], [("a", "find slot??")]),
        ([event({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "x", "arguments": {}}}]})], [("a", "x")]),
    ],
    ids=[
        "one number for all",
        "no number and no id",
        "one id for all",
        "name repeated",
        "no arguments",
        "null",
        "a name that is none",
        "object",
    ],
)
def test_tools_are_told_apart_whatever_the_server_calls_them(
    server: ModelServer, model: OpenAiModel, parts: list[bytes], expected: list[tuple[str, str]]
) -> None:
    server.script = [streams(*parts, DONE)]
    assert ask(model) == [ToolCall(identity, name) for identity, name in expected]


# ---- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([tool_part(0, '{"name": "A', id="a", name="x")], "a tool's arguments are no JSON"),
        ([tool_part(0, '{"n": NaN}', id="a", name="x")], "a tool's arguments are no JSON"),
        ([tool_part(0, '{"n": 1e999}', id="a", name="x")], "a tool's arguments are no JSON"),
        ([tool_part(0, "[" * 100_000, id="a", name="x")], "a tool's arguments have more than 16,384 characters"),
        ([tool_part(0, "[" * 9_000, id="a", name="x")], "a tool's arguments are no JSON"),
        ([tool_part(0, "[1]", id="a", name="x")], "a tool's arguments are no JSON object"),
        ([tool_part(0, "{}", id="a")], "a tool without a name"),
        ([tool_part(0, "{}", id="a", name="x" * 201)], "a tool's name has more than 200 characters"),
        ([tool_part(0, "x" * 9_000, id="a", name="x")] * 2, "a tool's arguments have more than 16,384 characters"),
        ([tool_part(n, "{}", name="x") for n in range(TOOL_CALLS_MAX + 1)], "more than 64 tools at once"),
    ],
    ids=[
        "half a JSON",
        "NaN",
        "infinite",
        "megabytes",
        "deep",
        "a list",
        "no name",
        "a long name",
        "long in parts",
        "many",
    ],
)
def test_a_tool_that_cannot_be_used_is_a_failure(
    server: ModelServer, model: OpenAiModel, parts: list[bytes], reason: str
) -> None:
    server.script = [streams(*parts, event({}, "tool_calls"), DONE)]
    assert failure(model) == reason


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 204])
def test_a_refusal_is_a_failure_and_is_not_asked_for_again(
    server: ModelServer, model: OpenAiModel, status: int
) -> None:
    server.script = [refuses(status, Location=f"{server.url}/elsewhere"), says("never")]
    assert failure(model) == f"HTTP {status}"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "first", [refuses(429), refuses(500), refuses(503), vanishes], ids=["429", "500", "503", "reset"]
)
def test_who_could_not_answer_is_asked_once_more(server: ModelServer, model: OpenAiModel, first: Action) -> None:
    server.script = [first, says("Hello.")]
    assert ask(model) == ["Hello."]
    assert [asked.body for asked in server.asked] == [server.asked[0].body] * 2


@pytest.mark.parametrize("action", [refuses(429), refuses(500), vanishes], ids=["429", "500", "reset"])
def test_and_no_third_time(server: ModelServer, model: OpenAiModel, action: Action) -> None:
    server.script = [action, action, says("never")]
    assert failure(model) in ("HTTP 429", "HTTP 500", "no answer (RemoteDisconnected)")
    assert len(server.asked) == 2


def test_nobody_is_waited_for_who_wants_more_time_than_there_is(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [refuses(429, Retry_After="30"), says("never")]
    began = time.monotonic()
    assert failure(model) == "HTTP 429"
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert len(server.asked) == 1


def test_nothing_is_asked_again_once_anything_was_heard(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [breaks_off_after(event({"content": "Hello"})), says("never")]
    pieces = model.stream(REQUEST)
    assert next(pieces) == "Hello"
    with pytest.raises(ModelFailed, match="broke off"):
        next(pieces)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert failure(OpenAiModel(url, KEY, model="m")) == "no answer (NewConnectionError)"


@pytest.mark.parametrize(
    "url", ["", "ftp://a.example", "a.example/v1", "http://", "http://[::1", "https:///v1", "http://a:b"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ModelFailed, match="no URL"):
        OpenAiModel(url, KEY, model="m")


def test_a_key_that_no_header_can_carry_is_not_told_to_anybody(server: ModelServer) -> None:
    assert failure(OpenAiModel(server.url, "sk-SECRET\r\nX: y", model="m")) == "ValueError"
    assert server.asked == []


def html(wire: Wire) -> None:
    wire.head(200, "text/html; charset=utf-8")
    wire.chunk(b"<html>SECRET</html>")
    wire.end()


def plain_json(wire: Wire) -> None:
    wire.head(200, "application/json")
    wire.chunk(b'{"choices": [{"message": {"content": "SECRET"}}]}')
    wire.end()


def html_as_events(wire: Wire) -> None:
    wire.head()
    wire.chunk(b"<html>\n\nSECRET</html>")
    wire.end()


def no_http(wire: Wire) -> None:
    wire.raw(b"220 mail.example.com SECRET\r\n")
    wire.hang_up()


def half_a_chunk(wire: Wire) -> None:
    wire.head()
    wire.raw(b"ff\r\ndata: {")
    wire.hang_up()


def wrong_chunks(wire: Wire) -> None:
    wire.head()
    wire.raw(b"SECRET no length\r\n")
    wire.hang_up()


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (html, "its answer is no stream of events"),
        (plain_json, "its answer is no stream of events"),
        (html_as_events, "its answer broke off"),
        (no_http, "no answer (BadStatusLine)"),
        (half_a_chunk, "its answer broke off"),
        (wrong_chunks, "its answer broke off"),
        (streams(), "its answer broke off"),
        (streams(b"data: SECRET no json\n\n", DONE), "a chunk of its answer is no JSON"),
        (streams(b"data: " + b"[" * 50_000 + b"\n\n", DONE), "a chunk of its answer is no JSON"),
        (streams(b"data: [1]\n\n", DONE), "an error instead of a chunk"),
        (streams(b'event: error\ndata: {"error": {"message": "SECRET"}}\n\n'), "an error instead of a chunk"),
        (streams(event({"content": None}), event({"tool_calls": [{"index": 0}]})), "its answer broke off"),
        (streams(b"x" * (openai.LINE_BYTES_MAX + 1)), "its answer has a line without an end"),
    ],
    ids=[
        "HTML",
        "JSON instead of a stream",
        "HTML as a stream",
        "no HTTP",
        "half a chunk",
        "chunks without lengths",
        "no events",
        "broken JSON",
        "deep JSON",
        "a list",
        "an error event",
        "no end",
        "an endless line",
    ],
)
def test_what_is_no_answer_is_a_failure(server: ModelServer, model: OpenAiModel, action: Action, reason: str) -> None:
    server.script = [action]
    assert failure(model) == reason
    assert server.hung_up.acquire(timeout=5), "its connection is not kept"


# ---- time ------------------------------------------------------------------------------------------------------------


def accepts_and_is_silent(wire: Wire) -> None:
    wire.is_over.wait(30)
    wire.hang_up()


@pytest.mark.parametrize(
    "action",
    [
        accepts_and_is_silent,
        is_silent_after(),
        is_silent_after(event({"role": "assistant", "content": ""})),
        drips(b": ping\n\n"),
        drips(event({"content": ""})),
        drips(event({"reasoning_content": "hm"})),
        drips(b"d"),
        drips(b"x", in_head=True),
    ],
    ids=[
        "no response",
        "a response without a body",
        "a role and nothing more",
        "comments",
        "empty tokens",
        "thoughts",
        "a line byte by byte",
        "a header byte by byte",
    ],
)
def test_who_says_nothing_has_failed_in_time_however_busy_it_is(
    server: ModelServer, model: OpenAiModel, action: Action
) -> None:
    server.script = [action]
    began = time.monotonic()
    assert failure(model, IMPATIENT) == "no token within 0.15 s"
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert len(server.asked) <= 1, "there is no time to ask again"


def test_who_goes_silent_in_the_middle_has_failed_in_time(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [is_silent_after(event({"content": "Hello"}))]
    began = time.monotonic()
    pieces = model.stream(replace(REQUEST, first_token_seconds=0.6))
    assert next(pieces) == "Hello"
    with pytest.raises(ModelFailed, match=r"^no token within 0\.6 s$"):
        next(pieces)
    assert time.monotonic() - began < PATIENCE_SECONDS


@pytest.mark.parametrize(
    "delta",
    [{"content": "blah "}, {"tool_calls": [{"index": 0, "function": {"name": "x", "arguments": " "}}]}],
    ids=["words", "a tool that is never complete"],
)
def test_who_never_stops_is_cut_off_in_time(server: ModelServer, model: OpenAiModel, delta: dict[str, Any]) -> None:
    server.script = [drips(event(delta))]
    began = time.monotonic()
    assert failure(model, BRIEF) == "not complete within 0.3 s"
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert server.hung_up.acquire(timeout=5)


def test_a_handshake_that_never_ends_and_a_name_that_is_never_found_count_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        model = OpenAiModel(f"https://127.0.0.1:{silent.getsockname()[1]}", KEY, model="m")
        began = time.monotonic()
        assert failure(model, IMPATIENT) in ("no token within 0.15 s", "no answer (ConnectTimeoutError)")
        assert time.monotonic() - began < PATIENCE_SECONDS
    is_over = threading.Event()
    lookup = socket.getaddrinfo

    def never(*args: Any, **more: Any) -> Any:
        is_over.wait(30)
        return lookup(*args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", never)
    began = time.monotonic()
    assert failure(OpenAiModel("http://127.0.0.1:9", KEY, model="m"), IMPATIENT) == "no token within 0.15 s"
    assert time.monotonic() - began < PATIENCE_SECONDS
    is_over.set()


def test_who_keeps_talking_may_take_longer_than_a_first_token(server: ModelServer, model: OpenAiModel) -> None:
    def talks(wire: Wire) -> None:
        wire.head()
        for _ in range(6):
            wire.chunk(event({"content": "blah "}))
            wire.is_over.wait(0.1)
        wire.chunk(DONE)
        wire.end()

    server.script = [talks]
    assert "".join(map(str, ask(model, replace(REQUEST, first_token_seconds=0.4)))) == "blah " * 6


def test_a_slow_listener_is_no_slow_model(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says("one ", "two ", "three")]
    pieces = model.stream(replace(REQUEST, first_token_seconds=0.7, total_seconds=0.7))
    heard = [next(pieces)]
    threading.Event().wait(0.8)
    assert [*heard, *pieces] == ["one ", "two ", "three"], "all of it had come in time"


# ---- megabytes, and hanging up ---------------------------------------------------------------------------------------


def test_of_an_answer_of_megabytes_so_much_is_read_and_no_more(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [drips(event({"content": "blah " * 1_000}), every_seconds=0.0)]
    text = "".join(map(str, ask(model)))
    assert len(text) == TEXT_LENGTH_MAX
    assert server.hung_up.acquire(timeout=5), "the rest is not read"


def test_megabytes_of_nothing_are_a_failure(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [drips(b": " + b"x" * 100_000 + b"\n\n", every_seconds=0.0)]
    assert failure(model) == "its answer has megabytes"
    assert server.hung_up.acquire(timeout=5)


def test_who_stops_listening_hangs_up_though_the_model_is_silent(server: ModelServer, model: OpenAiModel) -> None:
    was_left = threading.Event()

    def waits(wire: Wire) -> None:
        wire.head()
        wire.chunk(event({"content": "Hello"}))
        if wire.is_left():
            was_left.set()

    server.script = [waits]
    pieces = model.stream(REQUEST)
    assert next(pieces) == "Hello"
    pieces.close()  # type: ignore[attr-defined] # an iterator that can be closed
    assert was_left.wait(REQUEST.first_token_seconds / 2), "an interruption ends the request at once"


# ---- connections -----------------------------------------------------------------------------------------------------


def test_a_connection_is_used_again(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says("one"), says("two"), says("three")]
    another = OpenAiModel(server.url, "another key", model="m")
    heard = [ask(each)[0] for each in (model, model, another) if _settles(server, each)]
    assert heard == ["one", "two", "three"]
    assert server.connections == 1
    assert [asked.headers["Authorization"] for asked in server.asked][1:] == [f"Bearer {KEY}", "Bearer another key"]


def _settles(server: ModelServer, model: OpenAiModel) -> bool:
    """The connection is put back after the answer was given, by a thread of its own."""
    until = time.monotonic() + 5
    while server.connections and not model._server._idle and time.monotonic() < until:
        time.sleep(0.001)
    return True


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(server: ModelServer, model: OpenAiModel) -> None:
    def says_and_leaves(wire: Wire) -> None:
        says("one")(wire)
        wire.hang_up()

    server.script = [says_and_leaves, refuses(500), says("two")]
    assert ask(model) == ["one"]
    assert server.hung_up.acquire(timeout=5)
    assert ask(model) == ["two"], "it was noticed before anything was asked over it"
    assert server.connections == 3


def test_nobody_waits_for_a_server_that_does_not_end_what_is_complete(server: ModelServer, model: OpenAiModel) -> None:
    def never_ends(wire: Wire) -> None:
        wire.head()
        wire.chunk(b"".join(answer("one")))
        wire.is_left()
        wire.hang_up()

    server.script = [never_ends, says("two")]
    assert ask(model, replace(REQUEST, first_token_seconds=30.0, total_seconds=30.0)) == ["one"]
    assert server.hung_up.acquire(timeout=5), "its connection is given up"
    assert ask(model) == ["two"]


def test_many_threads_ask_one_model(server: ModelServer, model: OpenAiModel) -> None:
    server.script = [says("Hello", " there.")] * 24
    heard: list[list[str | ToolCall]] = []
    threads = [threading.Thread(target=lambda: heard.extend(ask(model) for _ in range(3))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [["Hello", " there."]] * 24


def test_nothing_of_it_is_logged(server: ModelServer, model: OpenAiModel, caplog: pytest.LogCaptureFixture) -> None:
    server.script = [says("Hello."), refuses(401), streams(b"data: SECRET\n\n")]
    with caplog.at_level(logging.DEBUG):
        ask(model)
        failure(model)
        failure(model)
    assert not [record for record in caplog.records if record.name.startswith(("urllib3", "dialplane"))]
