"""A server on loopback that speaks OpenAI's streamed Chat Completions from a script, well or badly."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Message
    body: dict[str, Any]


class Wire:
    """The way back to whoever has asked: a response in chunks, or bytes of one's own."""

    def __init__(self, handler: http.server.BaseHTTPRequestHandler, is_over: threading.Event) -> None:
        self._handler = handler
        self.is_over = is_over
        """Set when the test is over: whoever keeps silent is silent until then."""

    def raw(self, data: bytes) -> None:
        """Send bytes at once."""
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def head(self, status: int = 200, content_type: str = "text/event-stream", **headers: str) -> None:
        """Begin a response in chunks."""
        self._handler.send_response_only(status)
        fields = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
        for name, value in {**fields, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def chunk(self, data: bytes) -> None:
        """Part of the body."""
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        """The end of the body; without it the answer has broken off."""
        self.raw(b"0\r\n\r\n")

    def is_left(self) -> bool:
        """Wait until the other side has closed the connection; False when it sends something instead."""
        with contextlib.suppress(ConnectionError):
            return self._handler.rfile.read(1) == b""
        return True

    def hang_up(self) -> None:
        """Close the connection after this request."""
        self._handler.close_connection = True


Action = Callable[[Wire], None]


class ModelServer(http.server.ThreadingHTTPServer):
    """Answers requests with the actions of ``script`` in order."""

    daemon_threads = True

    def __init__(self) -> None:
        self.script: list[Action] = []
        self.asked: list[Asked] = []
        self.connections = 0
        self.hung_up = threading.Semaphore(0)
        """Released for each connection that is over."""
        self.is_over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base URL, with a path as the providers have it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.hung_up.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up on us is no error of a test."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(Asked(self.path, self.headers, body))
        self.server.script.pop(0)(Wire(self, self.server.is_over))

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


@contextlib.contextmanager
def model_server() -> Iterator[ModelServer]:
    """Run a ModelServer for the length of a test."""
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


# ---- what a server does ----------------------------------------------------------------------------------------------

DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    """One chunk of an answer as an event."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def answer(*texts: str) -> list[bytes]:
    """The events of an answer in words."""
    return [
        event({"role": "assistant", "content": ""}),
        *(event({"content": text}) for text in texts),
        event({}, "stop"),
        b'data: {"id": "c", "choices": [], "usage": {"total_tokens": 9}}\n\n',
        DONE,
    ]


def says(*texts: str) -> Action:
    """Answer in words."""
    return streams(*answer(*texts))


def streams(*data: bytes) -> Action:
    """Send these bytes, each as a chunk, and end properly."""

    def act(wire: Wire) -> None:
        wire.head()
        for each in data:
            wire.chunk(each)
        wire.end()

    return act


def breaks_off_after(*data: bytes) -> Action:
    """Send these bytes and close the connection in the middle of the body."""

    def act(wire: Wire) -> None:
        wire.head()
        for each in data:
            wire.chunk(each)
        wire.hang_up()

    return act


def refuses(status: int, **headers: str) -> Action:
    """Answer with a status, and with a body that nobody should repeat."""

    def act(wire: Wire) -> None:
        wire.head(status, "application/json", **headers)
        wire.chunk(b'{"error": {"message": "SECRET body"}}')
        wire.end()

    return act


def is_silent_after(*data: bytes) -> Action:
    """Send these bytes, then nothing for as long as the test takes."""

    def act(wire: Wire) -> None:
        wire.head()
        for each in data:
            wire.chunk(each)
        wire.is_over.wait(30)
        wire.hang_up()

    return act


def drips(piece: bytes, *, in_head: bool = False, every_seconds: float = 0.01) -> Action:
    """Send a piece again and again until the other side has gone; in the head of the response if that is wanted."""

    def act(wire: Wire) -> None:
        if in_head:
            wire.raw(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        else:
            wire.head()
        with contextlib.suppress(OSError):
            while not wire.is_over.wait(every_seconds):
                (wire.raw if in_head else wire.chunk)(piece)
        wire.hang_up()

    return act


def vanishes(wire: Wire) -> None:
    """Close the connection without a word."""
    wire.hang_up()
