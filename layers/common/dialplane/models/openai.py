"""Models behind OpenAI's Chat Completions: OpenAI's own, Mistral's, xAI's, and any server that speaks the same.

A streamed answer is a list of server-sent events, each with a chunk of it as JSON:
https://platform.openai.com/docs/api-reference/chat-streaming
Text and tools are read of it; what else servers put there is left alone. A chunk that is no JSON and an answer that
breaks off are failures of the model, as is what ``ToolCalls`` refuses.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from dialplane.domain.language_model import Message, ModelFailed, ModelRequest, Tool, ToolCall
from dialplane.models.limits import Line, Sign, within_limits
from dialplane.models.messages import in_order
from dialplane.models.tool_calls import ToolCalls
from dialplane.tls import default_context

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Of a whole answer, wrapping included: one token comes in some 300 bytes."""
LINE_BYTES_MAX = 256 * 1024
_READ_BYTES = 65_536
_CONNECT_SECONDS_MAX = 2.0
_GRACE_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_RETRY_AFTER_SECONDS_MAX = 60.0
# How long the end of the stream may be behind the end of the answer for its connection to be kept.
_END_SECONDS = 0.25
_IDLE_CONNECTIONS_MAX = 8
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FAILURES = (HTTPError, http.client.HTTPException, OSError)
# At its level DEBUG it writes what it asks for.
logging.getLogger("urllib3").setLevel(logging.INFO)


class OpenAiModel:
    """A model at the server ``base_url``. Safe to share between threads.

    ``length_field`` is what the server calls the length of an answer. Raises ModelFailed for an address that is none.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        *,
        model: str,
        temperature: float | None = None,
        length_field: str = "max_tokens",
    ) -> None:
        try:
            url = urllib3.util.parse_url(base_url)
        except HTTPError:
            url = urllib3.util.Url()
        if url.scheme not in ("http", "https") or not url.host:
            raise ModelFailed("the address of its server is no URL")
        self._server = _server(f"{url.scheme}://{url.netloc}")
        self._path = f"{(url.path or '').rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._model = model
        self._temperature = temperature
        self._length_field = length_field

    def stream(self, request: ModelRequest) -> Iterator[str | ToolCall]:
        """The answer as it comes; ``LanguageModel`` says more."""
        return within_limits(self._answer, request)

    def _answer(self, request: ModelRequest, line: Line) -> Generator[str | ToolCall | Sign, None, None]:
        connection, response = self._ask(request, line)
        is_usable = False
        try:
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if media_type != "text/event-stream":
                raise ModelFailed("its answer is no stream of events")
            yield from _pieces(_events(_received(response)))
            if line.let_go():
                yield Sign.OF_THE_END
                is_usable = _ends_soon(connection, response)
        except _FAILURES:
            raise ModelFailed("its answer broke off") from None
        finally:
            line.let_go()
            self._server.put_back(connection, is_usable=is_usable)

    def _ask(self, request: ModelRequest, line: Line) -> tuple[HTTPConnection, urllib3.BaseHTTPResponse]:
        """Send the request, once more when nothing was answered and there is time. Returns an answer with HTTP 200."""
        body = json.dumps(self._body(request), separators=(",", ":")).encode()
        give_up_at = time.monotonic() + request.first_token_seconds
        reason, pause = "", 0.0
        for is_repeated in (False, True):
            connection = self._server.take()
            is_held = False
            try:
                response = self._send(connection, body, request, line)
                if response.status == 200:
                    is_held = True
                    return connection, response
                reason, pause = f"HTTP {response.status}", _retry_after_seconds(response)
                is_final = response.status != 429 and response.status < 500
            except _FAILURES as error:
                reason, pause = f"no answer ({type(error).__name__})", 0.0
                # A connection that ends without a word is one that was kept for too long, or a server that restarts.
                is_final = isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError)
            finally:
                if not is_held:
                    line.let_go()
                    connection.close()
            pause = max(pause, _PAUSE_SECONDS)
            if is_final or line.is_closed() or time.monotonic() + pause >= give_up_at:
                break
            if not is_repeated:
                line.pause(pause)
        raise ModelFailed(reason)

    def _send(
        self, connection: HTTPConnection, body: bytes, request: ModelRequest, line: Line
    ) -> urllib3.BaseHTTPResponse:
        if not connection.is_connected:
            connection.close()  # the server has, meanwhile
            connection.timeout = min(_CONNECT_SECONDS_MAX, request.first_token_seconds / 2)
            connection.connect()
        sock = connection.sock
        line.hold(lambda: sock.shutdown(socket.SHUT_RDWR))
        # Longer than anybody waits: whoever does finds out first, and says what was waited for.
        connection.timeout = request.first_token_seconds + _GRACE_SECONDS
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "dialplane",
        }
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        connection.request("POST", self._path, body=body, headers=headers, preload_content=False)
        return connection.getresponse()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        messages = [_to_message(each) for each in in_order(request.messages, has_tools=bool(request.tools))]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        body: dict[str, Any] = {
            "model": request.model or self._model,
            "messages": messages,
            "stream": True,
            self._length_field: request.tokens_max,
        }
        temperature = self._temperature if request.temperature is None else request.temperature
        if temperature is not None:
            body["temperature"] = temperature
        if request.tools:
            body["tools"] = [_to_tool(each) for each in request.tools]
        if request.response_schema is not None:
            # Strict would refuse schemas that leave anything open; what comes is checked by who has asked.
            schema = {"name": "answer", "schema": request.response_schema, "strict": False}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


class _Server:
    """The connections to one server, kept while it keeps them. A key is sent with each request, so all may share."""

    def __init__(self, url: str) -> None:
        self._tls: dict[str, Any] = {"ssl_context": default_context()} if url.startswith("https:") else {}
        self._pool = urllib3.connection_from_url(url, **self._tls)  # makes connections; keeps none here
        self._idle: list[HTTPConnection] = []

    def take(self) -> HTTPConnection:
        """A connection that nobody else has, connected or not."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        new_connection = cast(type[HTTPConnection], self._pool.ConnectionCls)
        return new_connection(self._pool.host, self._pool.port, **self._tls)

    def put_back(self, connection: HTTPConnection, *, is_usable: bool) -> None:
        """Keep a connection on which nothing is under way, and close any other."""
        if is_usable and len(self._idle) < _IDLE_CONNECTIONS_MAX:
            self._idle.append(connection)
        else:
            connection.close()


@lru_cache(maxsize=64)
def _server(url: str) -> _Server:
    return _Server(url)


def _retry_after_seconds(response: urllib3.BaseHTTPResponse) -> float:
    wait = response.headers.get("Retry-After", "")
    return min(float(wait), _RETRY_AFTER_SECONDS_MAX) if wait.isascii() and wait.isdigit() else 0.0


def _to_message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.text}
    if not message.tool_calls:
        return {"role": message.role, "content": message.text}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.arguments)}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": message.text or None, "tool_calls": calls}


def _to_tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


# ---- reading ---------------------------------------------------------------------------------------------------------


def _received(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """What has come, as soon as it has. Raises ModelFailed for megabytes."""
    length = 0
    while data := response.read1(_READ_BYTES):
        length += len(data)
        if length > ANSWER_BYTES_MAX:
            raise ModelFailed("its answer has megabytes")
        yield data


def _lines(received: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends, which are \\n, \\r\\n or \\r and may come in two parts."""
    rest, was_return = b"", False
    for data in received:
        more = data.removeprefix(b"\n") if was_return else data
        was_return = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(rest + more)
        if len(rest) > LINE_BYTES_MAX:
            raise ModelFailed("its answer has a line without an end")
        yield from lines
    yield rest


def _events(received: Iterable[bytes]) -> Iterator[bytes]:
    """The data of each event; names, ids and comments are left out."""
    data: list[bytes] = []
    for line in _lines(received):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data.clear()
    if data:
        yield b"\n".join(data)


def _pieces(events: Iterable[bytes]) -> Iterator[str | ToolCall | Sign]:
    calls = ToolCalls()
    for event in events:
        if event.strip() == b"[DONE]":
            break
        choice = _choice(event)
        delta = _object(choice.get("delta"))
        yield _text(delta.get("content"))
        if parts := delta.get("tool_calls"):
            _collect(parts, calls)
            yield Sign.OF_LIFE
        if choice.get("finish_reason"):
            break
    else:
        raise ModelFailed("its answer broke off")
    yield from calls.complete()


def _choice(event: bytes) -> Mapping[str, Any]:
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError):
        raise ModelFailed("a chunk of its answer is no JSON") from None
    if not isinstance(chunk, dict) or chunk.get("error"):
        raise ModelFailed("an error instead of a chunk")
    choices = chunk.get("choices")
    return _object(choices[0]) if isinstance(choices, list) and choices else {}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object) -> str:
    """Text, or the texts among typed parts, which is how some models keep their thoughts apart."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in map(_object, content) if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _collect(parts: object, calls: ToolCalls) -> None:
    for part in parts if isinstance(parts, list) else ():
        function = _object(_object(part).get("function"))
        arguments = function.get("arguments") or ""
        calls.add(
            _object(part).get("index"),
            id=_text(_object(part).get("id")),
            name=_text(function.get("name")),
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
        )


def _ends_soon(connection: HTTPConnection, response: urllib3.BaseHTTPResponse) -> bool:
    """Read what follows the answer. True when the connection can be used again."""
    if connection.sock is None:  # the server said that it would close it
        return False
    connection.sock.settimeout(_END_SECONDS)
    until = time.monotonic() + _END_SECONDS
    while not response.closed and time.monotonic() < until:
        response.read1(_READ_BYTES)
    return response.closed
