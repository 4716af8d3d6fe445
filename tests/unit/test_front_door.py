"""WebSockets through the sandbox's front door: as API Gateway has them on AWS, and nothing on the way is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from yarl import URL

from sandbox.front_door import FRAME_BYTES_MAX, build_app

QUERY = "call=org_1.twilio.acct_1.call_1.t0ken-_"
WAIT_SECONDS = 5


@dataclass
class Emulator:
    """An emulator with one WebSocket API: keeps what it receives, and answers each frame with an echo."""

    status: int = 101
    handshakes: list[web.Request] = field(default_factory=list)
    frames: list[str | bytes] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The API's only path."""
        self.handshakes.append(request)
        if self.status != 101:
            return web.json_response({"message": "no"}, status=self.status)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            self.frames.append(message.data)
            await (socket.send_str if message.type is WSMsgType.TEXT else socket.send_bytes)(message.data)
        self.close_codes.append(socket.close_code)
        self.closed.set()
        return socket


@dataclass
class Running:
    """A server as the sandbox runs it; aiohttp's own one for tests cancels what a client has left."""

    app: web.Application
    port: int = 0

    async def __aenter__(self) -> Running:
        self._runner = web.AppRunner(self.app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        """Stop as the sandbox stops it."""
        await self._runner.cleanup()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass
class Doors:
    """The front door in front of an emulator, and a client before it."""

    emulator: Emulator
    door: Running
    http: aiohttp.ClientSession

    def url(self, query: str = QUERY) -> str:
        return f"ws://127.0.0.1:{self.door.port}/socket?{query}"

    def open(self) -> Any:
        """A WebSocket, to wait for or to enter."""
        return self.http.ws_connect(self.url())


def run(test: Callable[[Doors], Awaitable[None]], *, status: int = 101) -> None:
    """Run a test between both servers."""

    async def between() -> None:
        emulator = Emulator(status)
        app = web.Application()
        app.router.add_get("/_aws/execute-api/abc123/live", emulator.serve)
        async with Running(app) as behind:
            front = build_app(f"http://127.0.0.1:{behind.port}", "http-api", "abc123")
            async with Running(front) as door, aiohttp.ClientSession() as http:
                await asyncio.wait_for(test(Doors(emulator, door, http)), WAIT_SECONDS)

    asyncio.run(between())


def test_the_address_and_the_signature_arrive_as_they_were_sent() -> None:
    """A signature is over the address: written otherwise, even to the same effect, it would not fit any more."""

    async def test(doors: Doors) -> None:
        odd = f"{QUERY}&a=%7e%2F+&a=&%zz"
        raw = URL(doors.url(odd), encoded=True)
        async with doors.http.ws_connect(raw, headers={"X-Twilio-Signature": "c2lnbmVk+/="}):
            pass
        (handshake,) = doors.emulator.handshakes
        assert handshake.raw_path == f"/_aws/execute-api/abc123/live?{odd}"
        assert handshake.headers["X-Twilio-Signature"] == "c2lnbmVk+/="
        assert handshake.headers["X-Forwarded-For"] == "127.0.0.1"

    run(test)


def test_frames_pass_both_ways_in_their_order_and_unchanged() -> None:
    async def test(doors: Doors) -> None:
        frames = [f'{{"n": {n}, "text": "Größe 漢"}}' for n in range(50)]
        async with doors.open() as socket:
            for frame in frames:
                await socket.send_str(frame)
            await socket.send_bytes(b"\x00\xff")
            assert [(await socket.receive()).data for _ in range(51)] == [*frames, b"\x00\xff"]
        assert doors.emulator.frames == [*frames, b"\x00\xff"]

    run(test)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refused_handshake_is_refused_with_the_same_status(status: int) -> None:
    async def test(doors: Doors) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await doors.open()
        assert refused.value.status == status

    run(test, status=status)


def test_a_frame_may_have_32_kb() -> None:
    async def test(doors: Doors) -> None:
        async with doors.open() as socket:
            await socket.send_str("x" * FRAME_BYTES_MAX)
            assert len((await socket.receive()).data) == FRAME_BYTES_MAX == 32768

    run(test)


def test_a_bigger_frame_closes_the_socket_with_1009_and_reaches_nobody() -> None:
    async def test(doors: Doors) -> None:
        async with doors.open() as socket:
            await socket.send_str("x" * (FRAME_BYTES_MAX + 1))
            await socket.receive()
            assert socket.close_code == 1009
        await doors.emulator.closed.wait()
        assert (doors.emulator.frames, doors.emulator.close_codes) == ([], [1009])

    run(test)


def test_what_is_spoken_may_be_longer() -> None:
    """API Gateway cuts what it sends into frames itself; its limit there is that of a message."""

    async def test(doors: Doors) -> None:
        async with doors.open() as socket:
            await socket.send_str("?")
            await socket.receive()
            await doors.emulator.sockets[0].send_str("y" * 100_000)
            assert len((await socket.receive()).data) == 100_000

    run(test)


@pytest.mark.parametrize("code", [1000, 1001, 4000])
def test_whoever_closes_tells_the_other_why(code: int) -> None:
    async def test(doors: Doors) -> None:
        async with doors.open() as socket:
            await socket.close(code=code)
        await doors.emulator.closed.wait()
        assert doors.emulator.close_codes == [code]

        async with doors.open() as socket:
            await socket.send_str("?")
            await socket.receive()
            await doors.emulator.sockets[1].close(code=code)
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert socket.close_code == code

    run(test)


def test_a_client_that_vanishes_closes_the_other_side() -> None:
    async def test(doors: Doors) -> None:
        socket = await doors.open()
        await socket.send_str("?")
        await socket.receive()
        socket._response.connection.transport.abort()
        await doors.emulator.closed.wait()
        assert doors.emulator.close_codes == [1001]

    run(test)


def test_an_emulator_that_is_gone_is_a_502() -> None:
    async def test(doors: Doors) -> None:
        front = build_app("http://127.0.0.1:9", "http-api", "abc123")  # where nobody listens
        async with Running(front) as door:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await doors.http.ws_connect(f"ws://127.0.0.1:{door.port}/socket?{QUERY}")
        assert refused.value.status == 502

    run(test)


def test_a_request_that_opens_no_socket_is_told_so() -> None:
    async def test(doors: Doors) -> None:
        async with doors.http.get(doors.url().replace("ws", "http", 1)) as answer:
            assert answer.status == 426
        assert doors.emulator.handshakes == []

    run(test)
