"""Models of Amazon Bedrock, through ConverseStream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
The only module that loads boto3, and only once one of its models is opened: a stream of events that are signed binary
frames is not worth a client of our own. Loading takes as long as a model's first words, in a small function longer; so
models are opened before anybody waits for them. The runtime of a Lambda function brings boto3 along.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from functools import cache, partial
from typing import Any

from dialplane.domain.language_model import TEXT_LENGTH_MAX, Message, ModelFailed, ModelRequest, Tool, ToolCall
from dialplane.models.limits import Line, Sign, within_limits
from dialplane.models.messages import in_order
from dialplane.models.tool_calls import ToolCalls

_CONNECT_SECONDS_MAX = 2
# Of single reads, for a thread that nobody waits for any more.
_READ_SECONDS_MAX = 20
_PAUSE_SECONDS = 0.2
# A model answers in a given form most reliably when the form is the only tool that it may use.
_ANSWER_TOOL = "answer"
_ERROR_CODE_LENGTH_MAX = 64
_opening = threading.Lock()


class BedrockModel:
    """A model of the function's own account and region. Safe to share between threads."""

    def __init__(self, *, model: str, temperature: float | None = None) -> None:
        self._model = model
        self._temperature = temperature
        with contextlib.suppress(Exception):  # what stands in its way is told to whoever asks it something
            _client()

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        """The answer as it comes; ``LanguageModel`` says more."""
        return within_limits(self._answer, request)

    def _answer(self, request: ModelRequest, line: Line) -> Generator[str | ToolCall | Sign, None, None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - see above

        events = self._ask(request, line)
        try:
            pieces = _pieces(events)
            yield from (pieces if request.response_schema is None else _only_answer(pieces))
        except ClientError as error:  # an exception may come among the events
            raise ModelFailed(_code_of(error)) from None
        except BotoCoreError as error:
            raise ModelFailed(f"its answer broke off ({type(error).__name__})") from None
        finally:
            line.let_go()
            events.close()

    def _ask(self, request: ModelRequest, line: Line) -> Any:
        """The stream of events; asked for once more when nothing was answered and there is time."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - see above

        params = self._params(request)
        give_up_at = time.monotonic() + request.first_token_seconds
        reason = ""
        for is_repeated in (False, True):
            try:
                events = _client().converse_stream(**params)["stream"]
                line.hold(partial(_hang_up, events))
                return events
            except ClientError as error:
                status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
                reason, is_final = _code_of(error), status != 429 and status < 500
            except BotoCoreError as error:
                reason, is_final = f"no answer ({type(error).__name__})", not isinstance(error, HTTPClientError)
            if is_final or is_repeated or line.is_closed() or time.monotonic() + _PAUSE_SECONDS >= give_up_at:
                break
            line.pause(_PAUSE_SECONDS)
        raise ModelFailed(reason)

    def _params(self, request: ModelRequest) -> dict[str, Any]:
        inference: dict[str, Any] = {"maxTokens": request.tokens_max}
        temperature = self._temperature if request.temperature is None else request.temperature
        if temperature is not None:
            inference["temperature"] = float(temperature)
        params: dict[str, Any] = {
            "modelId": request.model or self._model,
            "messages": _to_messages(request),
            "inferenceConfig": inference,
        }
        if request.system:
            params["system"] = [{"text": request.system}]
        tools = [_to_tool(each) for each in request.tools]
        if request.response_schema is not None:
            tools = [_to_tool(Tool(_ANSWER_TOOL, "Give the answer in this form.", request.response_schema))]
            params["toolConfig"] = {"tools": tools, "toolChoice": {"tool": {"name": _ANSWER_TOOL}}}
        elif tools:
            params["toolConfig"] = {"tools": tools}
        return params


@cache
def _open_client() -> Any:
    import boto3  # noqa: PLC0415 - see above
    from botocore.config import Config  # noqa: PLC0415

    # At its level DEBUG it writes whole requests, and those are conversations.
    logging.getLogger("botocore").setLevel(logging.INFO)
    config = Config(
        connect_timeout=_CONNECT_SECONDS_MAX,
        read_timeout=_READ_SECONDS_MAX,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    return boto3.session.Session().client("bedrock-runtime", config=config)


def _client() -> Any:
    with _opening:  # the default session's loaders are not made for several threads at once
        return _open_client()


def _hang_up(events: Any) -> None:
    """Interrupt whoever reads the events. ``events.close`` would wait for the reader, who may be waiting for ever."""
    events._raw_stream.shutdown()


def _code_of(error: Any) -> str:
    """AWS's name of an error. Its message may have words of the request in it."""
    return str(error.response.get("Error", {}).get("Code") or "an error without a name")[:_ERROR_CODE_LENGTH_MAX]


def _to_messages(request: ModelRequest) -> list[dict[str, Any]]:
    """Results of tools are the user's here, in one message with what the user says after them."""
    messages: list[dict[str, Any]] = []
    for message in in_order(request.messages, has_tools=bool(request.tools)):
        role = "assistant" if message.role == "assistant" else "user"
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += _to_content(message)
        else:
            messages.append({"role": role, "content": _to_content(message)})
    return messages


def _to_content(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": [{"text": message.text}]}}]
    text = [{"text": message.text}] if message.text else []
    uses = [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": dict(call.arguments)}}
        for call in message.tool_calls
    ]
    return [*text, *uses]


def _to_tool(tool: Tool) -> dict[str, Any]:
    schema = {"json": tool.parameters}
    return {"toolSpec": {"name": tool.name, "description": tool.description, "inputSchema": schema}}


def _pieces(events: Iterator[Mapping[str, Any]]) -> Iterator[str | ToolCall | Sign]:
    calls = ToolCalls()
    is_complete = False
    for event in events:
        if (start := event.get("contentBlockStart")) is not None:
            if use := start.get("start", {}).get("toolUse"):
                calls.add(start.get("contentBlockIndex"), id=use.get("toolUseId", ""), name=use.get("name", ""))
                yield Sign.OF_LIFE
        elif (part := event.get("contentBlockDelta")) is not None:
            delta = part.get("delta", {})
            if use := delta.get("toolUse"):
                calls.add(part.get("contentBlockIndex"), arguments=use.get("input", ""))
                yield Sign.OF_LIFE
            yield delta.get("text", "")
        elif "messageStop" in event:
            is_complete = True
    # What follows the end of the message (how many tokens it took) is read, so that the connection can be kept.
    if not is_complete:
        raise ModelFailed("its answer broke off")
    yield from calls.complete()


def _only_answer(pieces: Iterator[str | ToolCall | Sign]) -> Iterator[str | Sign]:
    """The one tool's arguments as text; what else was said only when the tool was not used."""
    said = ""
    for piece in pieces:
        if isinstance(piece, ToolCall):
            yield json.dumps(piece.arguments, ensure_ascii=False)
            return
        if isinstance(piece, str):
            said += piece
        if piece and len(said) <= TEXT_LENGTH_MAX:
            yield Sign.OF_LIFE
    yield said
