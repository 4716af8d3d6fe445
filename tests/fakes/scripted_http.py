"""An HTTP server on loopback that answers from a script and keeps what it received."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any


@dataclass
class Reply:
    """One scripted answer: ``raw`` or else ``fields`` as JSON. ``status=0``: read the request, close without a word."""

    status: int = 200
    fields: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    then_close: bool = False
    raw: bytes | None = None


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body of a JSON request."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields


class ScriptedServer(http.server.ThreadingHTTPServer):
    """Answers requests from ``script`` in order. ``closed`` is set once it has closed a connection."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 resets connections when a test opens many at once

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.received: list[Received] = []
        self.connections = 0
        self.closed = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.set()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.received.append(Received(self.command, self.path, self.headers, body))
        reply = self.server.script.pop(0)
        self.close_connection = reply.then_close or reply.status == 0
        if reply.status == 0:
            return
        content = json.dumps(reply.fields).encode() if reply.raw is None else reply.raw
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - http.server finds methods by these names

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""


@contextlib.contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a ScriptedServer for the length of a test."""
    server = ScriptedServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
