"""Bedrock's models: over MiniStack's Converse, and over a server that sends frames of its own, well or badly."""

from __future__ import annotations

import json
import logging
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dialplane.domain.language_model import TEXT_LENGTH_MAX, Message, ModelFailed, ModelRequest, Tool, ToolCall
from dialplane.models import bedrock
from dialplane.models.bedrock import BedrockModel
from dialplane.models.openai import OpenAiModel
from tests.fakes.ministack import running_ministack
from tests.fakes.model_server import Action, ModelServer, Wire, is_silent_after, model_server, vanishes

PROMPT = "PROMPT of the assistant"
WORDS = "WORDS of the callee"
REQUEST = ModelRequest(PROMPT, [Message("user", WORDS)], first_token_seconds=10.0, total_seconds=20.0)
PATIENCE_SECONDS = 10.0
STREAM = "application/vnd.amazon.eventstream"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
END_CALL = Tool("end_call", "End the call.", {"type": "object", "properties": {}})


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setattr(bedrock, "_PAUSE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def running_server() -> Iterator[tuple[ModelServer, Any]]:
    """A server and the module's own client for it, which takes longer to be made than any test here."""
    with model_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": server.url.removesuffix("/v1")}.items():
            patch.setenv(name, value)
        yield server, bedrock._open_client.__wrapped__()


@pytest.fixture
def server(running_server: tuple[ModelServer, Any], monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    server, client = running_server
    server.script, server.asked, server.hung_up = [], [], threading.Semaphore(0)
    monkeypatch.setattr(bedrock, "_open_client", lambda: client)
    return server


@pytest.fixture(scope="module")
def ministack() -> Iterator[str]:
    with running_ministack() as url:
        yield url


@pytest.fixture
def ministack_client(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    bedrock._open_client.cache_clear()
    yield
    bedrock._open_client.cache_clear()


@pytest.fixture
def model() -> BedrockModel:
    return BedrockModel(model="amazon.nova-lite-v1:0", temperature=0.5)


def ask(model: BedrockModel, request: ModelRequest = REQUEST) -> list[str | ToolCall]:
    return list(model.stream(request))


def failure(model: BedrockModel, request: ModelRequest = REQUEST) -> str:
    with pytest.raises(ModelFailed) as raised:
        ask(model, request)
    for secret in ("SECRET", "WORDS", "PROMPT"):
        assert secret not in raised.value.reason
    return raised.value.reason


# ---- MiniStack -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ministack_client")
def test_converse_stream_of_ministack(model: BedrockModel) -> None:
    said = [Message("assistant", "Hello, this is Ada."), Message("user", "Who?")]
    pieces = ask(model, replace(REQUEST, messages=said, tools=[END_CALL]))
    assert len(pieces) > 1, "it comes in tokens"
    text = "".join(map(str, pieces))
    assert text.startswith("[ministack mock nova amazon.nova-lite-v1:0] reply for prompt#")
    assert "".join(map(str, ask(model, replace(REQUEST, messages=said, tools=[END_CALL])))) == text
    assert "".join(map(str, ask(model, replace(REQUEST, messages=said[:1])))) != text
    another = ask(model, replace(REQUEST, model="anthropic.claude-3-haiku-20240307-v1:0"))
    assert "anthropic.claude-3-haiku-20240307-v1:0" in "".join(map(str, another))


@pytest.mark.usefixtures("ministack_client")
def test_a_model_that_does_not_exist() -> None:
    assert failure(BedrockModel(model="arn:aws:bedrock:us-east-1:1:no-model/SECRET")) == "ValidationException"


def test_chat_completions_of_ministack_are_read_by_the_other_module(ministack: str) -> None:
    model = OpenAiModel(f"{ministack}/v1", "any", model="mistral.small")
    pieces = list(model.stream(REQUEST))
    assert len(pieces) > 1
    assert "".join(map(str, pieces)).startswith("[ministack mock mistral mistral.small] reply for prompt#")


# ---- frames of our own -----------------------------------------------------------------------------------------------


def frame(event_type: str, payload: dict[str, Any], message_type: str = "event") -> bytes:
    """One message of an event stream: lengths, headers, payload, and a checksum of each half."""
    kind = "exception-type" if message_type == "exception" else "event-type"
    named = {f":{kind}": event_type, ":message-type": message_type, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in named.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def words(*texts: str) -> list[bytes]:
    return [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}) for text in texts]


def tool(index: int, identity: str, name: str, *inputs: str) -> list[bytes]:
    start = {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": identity, "name": name}}}
    parts = [{"contentBlockIndex": index, "delta": {"toolUse": {"input": each}}} for each in inputs]
    return [frame("contentBlockStart", start), *(frame("contentBlockDelta", each) for each in parts)]


STOP = frame("messageStop", {"stopReason": "end_turn"})
USAGE = frame(
    "metadata", {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}}
)


def streams(*frames: bytes) -> Action:
    """Send these frames and end properly."""

    def act(wire: Wire) -> None:
        wire.head(200, STREAM)
        for each in (frame("messageStart", {"role": "assistant"}), *frames):
            wire.chunk(each)
        wire.end()

    return act


def refuses(status: int, code: str) -> Action:
    """Answer with an error whose words nobody should repeat."""

    def act(wire: Wire) -> None:
        wire.head(status, "application/json", x_amzn_ErrorType=code)
        wire.chunk(b'{"message": "SECRET"}')
        wire.end()

    return act


def test_a_request_in_the_words_of_converse(server: ModelServer, model: BedrockModel) -> None:
    server.script = [streams(*words("Hel", "lo."), STOP, USAGE)]
    said = [
        Message("assistant", "Hello, this is Ada."),
        Message("user", "Who?"),
        Message("user", "Hello?"),
        Message("assistant", "One moment.", (ToolCall("x", "look_up", {"n": 1.5}), ToolCall("y", "end_call"))),
        Message("tool", "Ada", tool_call_id="x"),
        Message("user", "Well?"),
    ]
    assert ask(model, replace(REQUEST, messages=said, tools=[END_CALL], tokens_max=99)) == ["Hel", "lo."]
    [asked] = server.asked
    assert asked.path == "/model/amazon.nova-lite-v1%3A0/converse-stream"
    assert asked.body == {
        "system": [{"text": PROMPT}],
        "inferenceConfig": {"maxTokens": 99, "temperature": 0.5},
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "end_call",
                        "description": "End the call.",
                        "inputSchema": {"json": END_CALL.parameters},
                    }
                }
            ]
        },
        "messages": [
            {"role": "user", "content": [{"text": "(The call was answered.)"}]},
            {"role": "assistant", "content": [{"text": "Hello, this is Ada."}]},
            {"role": "user", "content": [{"text": "Who?\nHello?"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "One moment."},
                    {"toolUse": {"toolUseId": "000000001", "name": "look_up", "input": {"n": 1.5}}},
                    {"toolUse": {"toolUseId": "000000002", "name": "end_call", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "000000001", "content": [{"text": "Ada"}]}},
                    {"toolResult": {"toolUseId": "000000002", "content": [{"text": "(There is no result.)"}]}},
                    {"text": "Well?"},
                ],
            },
        ],
    }


def test_words_are_given_as_they_come(server: ModelServer, model: BedrockModel) -> None:
    heard = threading.Event()

    def act(wire: Wire) -> None:
        wire.head(200, STREAM)
        wire.chunk(words("Hello")[0])
        assert heard.wait(10), "the first token is not held back"
        for each in (*words(" there."), STOP, USAGE):
            wire.chunk(each)
        wire.end()

    server.script = [act]
    pieces = model.stream(REQUEST)
    assert next(pieces) == "Hello"
    heard.set()
    assert list(pieces) == [" there."]


def test_tools_are_put_together_and_come_after_the_words(server: ModelServer, model: BedrockModel) -> None:
    look_up = tool(1, "a", "look_up", '{"na', 'me": "Ada"}')
    server.script = [streams(*words("One moment."), *look_up, *tool(2, "b", "end_call"), STOP, USAGE)]
    assert ask(model) == ["One moment.", ToolCall("a", "look_up", {"name": "Ada"}), ToolCall("b", "end_call")]


def test_a_form_is_the_only_tool_and_its_arguments_are_the_answer(server: ModelServer, model: BedrockModel) -> None:
    server.script = [
        streams(*words("Here it is: "), *tool(1, "a", "answer", '{"summary":', ' "é"}'), STOP),
        streams(*words('{"summary": ', '"plain"}'), STOP),
    ]
    request = replace(REQUEST, response_schema={"type": "object", "properties": {}}, tools=[END_CALL])
    assert ask(model, request) == ['{"summary": "é"}']
    assert ask(model, request) == ['{"summary": "plain"}'], "some models cannot be made to use a tool"
    config = server.asked[0].body["toolConfig"]
    assert config["toolChoice"] == {"tool": {"name": "answer"}}
    assert [each["toolSpec"]["inputSchema"]["json"] for each in config["tools"]] == [request.response_schema]


def test_a_connection_is_used_again(server: ModelServer, model: BedrockModel) -> None:
    before = server.connections
    server.script = [streams(*words("one"), STOP, USAGE), streams(*words("two"), STOP, USAGE)]
    assert [ask(model), ask(model)] == [["one"], ["two"]]
    assert server.connections <= before + 1


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (streams(*words("SECRET")), "its answer broke off"),
        (streams(*tool(0, "a", "x", '{"half'), STOP), "a tool's arguments are no JSON"),
        (streams(*tool(0, "a", "", "{}"), STOP), "a tool without a name"),
        (streams(frame("throttlingException", {"message": "SECRET"}, "exception")), "throttlingException"),
        (streams(b"\x00\x00\x00\x10SECRET, and no frame at all"), "ChecksumMismatch"),
        (refuses(400, "ValidationException"), "ValidationException"),
        (refuses(403, "AccessDeniedException"), "AccessDeniedException"),
    ],
    ids=["no end", "half a JSON", "no name", "an exception among the events", "no frames", "400", "403"],
)
def test_what_is_no_answer_is_a_failure_and_is_not_asked_for_again(
    server: ModelServer, model: BedrockModel, action: Action, reason: str
) -> None:
    server.script = [action, streams(*words("never"), STOP)]
    assert failure(model) == reason
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "action",
    [refuses(429, "ThrottlingException"), refuses(503, "ServiceUnavailableException"), vanishes],
    ids=["429", "503", "reset"],
)
def test_who_could_not_answer_is_asked_once_more_and_no_third_time(
    server: ModelServer, model: BedrockModel, action: Action
) -> None:
    server.script = [action, streams(*words("Hello."), STOP, USAGE)]
    assert ask(model) == ["Hello."]
    server.script = [action, action, streams(*words("never"), STOP)]
    assert failure(model) in (
        "ThrottlingException",
        "ServiceUnavailableException",
        "no answer (ConnectionClosedError)",
        "no answer (EndpointConnectionError)",
    )
    assert len(server.asked) == 4


def test_nobody_is_asked_without_credentials(monkeypatch: pytest.MonkeyPatch, model: BedrockModel) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    bedrock._open_client.cache_clear()
    assert failure(model) == "no answer (NoCredentialsError)"


def slow_frames(*frames: bytes) -> Action:
    """Send the frames again and again, a byte at a time, until the other side has gone."""

    def act(wire: Wire) -> None:
        wire.head(200, STREAM)
        data = b"".join(frames)
        try:
            while not wire.is_over.is_set():
                for byte in data:
                    if wire.is_over.wait(0.002):
                        return
                    wire.chunk(bytes([byte]))
        except OSError:
            wire.hang_up()

    return act


@pytest.mark.parametrize(
    "action",
    [is_silent_after(), slow_frames(*words("")), lambda wire: wire.is_over.wait(30)],
    ids=["no frame", "empty frames byte by byte", "no response"],
)
def test_who_says_nothing_has_failed_in_time(server: ModelServer, model: BedrockModel, action: Action) -> None:
    server.script = [action]
    began = time.monotonic()
    assert failure(model, replace(REQUEST, first_token_seconds=0.2)) == "no token within 0.2 s"
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_who_stops_listening_hangs_up_though_the_model_is_silent(server: ModelServer, model: BedrockModel) -> None:
    was_left = threading.Event()

    def waits(wire: Wire) -> None:
        wire.head(200, STREAM)
        wire.chunk(words("Hello")[0])
        if wire.is_left():
            was_left.set()

    server.script = [waits]
    pieces = model.stream(REQUEST)
    assert next(pieces) == "Hello"
    pieces.close()  # type: ignore[attr-defined] # an iterator that can be closed
    assert was_left.wait(5), "an interruption ends the request at once"


def test_of_an_answer_of_megabytes_so_much_is_read_and_no_more(server: ModelServer, model: BedrockModel) -> None:
    def act(wire: Wire) -> None:
        wire.head(200, STREAM)
        try:
            while not wire.is_over.is_set():
                wire.chunk(words("blah " * 1_000)[0])
        except OSError:
            wire.hang_up()

    server.script = [act]
    assert len("".join(map(str, ask(model)))) == TEXT_LENGTH_MAX
    assert server.hung_up.acquire(timeout=5), "the rest is not read"


def test_nothing_of_it_is_logged(server: ModelServer, model: BedrockModel, caplog: pytest.LogCaptureFixture) -> None:
    server.script = [streams(*words("SECRET"), STOP), refuses(403, "AccessDeniedException")]
    with caplog.at_level(logging.DEBUG):
        ask(model)
        failure(model)
    for secret in ("SECRET", WORDS, PROMPT):
        assert secret not in caplog.text
