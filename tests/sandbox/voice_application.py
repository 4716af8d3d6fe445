"""A customer's voice application for tests of the simulated carriers: serves TwiML, takes callbacks, speaks WebSocket.

It records what reached it. What it answers is set per path; everything else is answered 204.
"""

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

SocketHandler = Callable[[web.WebSocketResponse], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A request that reached the application."""

    method: str
    url: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What to answer: status, body, content type; `delay_seconds` of real time before it."""

    status: int = 200
    body: str = ""
    content_type: str = "text/xml"
    delay_seconds: float = 0.0


@dataclass
class VoiceApplication:
    """`with VoiceApplication() as application:`; answers given as a list are used up one by one, the last one stays."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    received: list[Received] = field(default_factory=list)
    socket_frames: list[Any] = field(default_factory=list)
    socket_handler: SocketHandler | None = None
    port: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def socket_url(self, path: str = "/socket") -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: str, **answer: Any) -> str:
        """Answer a path with TwiML; its URL."""
        self.answers[path].append(Answer(body=f"<Response>{body}</Response>", **answer))
        return self.url(path)

    def at(self, path: str) -> list[Received]:
        """The requests that reached a path, in order."""
        return [request for request in self.received if request.path == path]

    def clear(self) -> None:
        self.answers.clear()
        self.received.clear()
        self.socket_frames.clear()
        self.socket_handler = None

    def __enter__(self) -> Self:
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/socket", self._socket)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._record(request, dict(parse_qsl(body.decode(), keep_blank_values=True)), body)
        answers = self.answers.get(request.path)
        if not answers:
            return web.Response(status=204)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        await asyncio.sleep(answer.delay_seconds)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self._record(request, {})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.socket_handler is not None:
            await self.socket_handler(socket)
        async for message in socket:
            self.socket_frames.append(message.json())
        return socket

    def _record(self, request: web.Request, form: dict[str, str], body: bytes = b"") -> None:
        self.received.append(
            Received(request.method, self.url(request.path_qs), request.path, dict(request.headers), form, body)
        )


class HostRewritingHttpClient(TwilioHttpClient):
    """The SDK's own HTTP client, with api.twilio.com replaced by another base URL: all that a customer changes."""

    def __init__(self, base_url: str, timeout: float | None = None) -> None:
        super().__init__(timeout=timeout)
        self._base_url = base_url

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self._base_url), *arguments, **options)


def sdk_client(base_url: str, account_sid: str, auth_token: str, timeout: float | None = None) -> Client:
    """The official SDK's client against another host."""
    return Client(account_sid, auth_token, http_client=HostRewritingHttpClient(base_url, timeout))


def eventually(check: Callable[[], Any], seconds: float = 8.0) -> Any:
    """Poll until `check` gives something true; its value. Fails when it never does."""
    give_up_at = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.005)
    return value
