"""WebSocket sessions: ConversationRelay and bidirectional media streams, with a callee at one end.

How a ConversationRelay session is lived is in `relay`. At the end of a media stream the callee is silent and hangs up
when its talk time is over; frames follow https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.faults import (
    RELAY_ATTRIBUTE_INVALID,
    RELAY_CLOSED_BY_APPLICATION,
    RELAY_CONNECT_FAILED,
    STREAM_HANDSHAKE_FAILED,
)
from sandbox.carriers.line import CallEnds, Ending
from sandbox.carriers.relay import LISTENS_FIRST_SECONDS, RelaySession, RelaySettings
from sandbox.carriers.session import SocketSession, Talk

CALLEE_SAYS = "Hello, who is calling?"
# Real Media Streams send 20 ms of audio per frame; ten times as much keeps a sped-up call from flooding the machine.
MEDIA_FRAME_SECONDS = 0.2
MULAW_SILENCE = base64.b64encode(b"\xff" * int(8000 * MEDIA_FRAME_SECONDS)).decode()
_CLOSING = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@dataclass
class SessionReport:
    """How a session went, for the action request: completed (callee hung up), ended (by the application), failed."""

    begun_at_elapsed: float
    session_id: str
    status: str = "completed"
    handoff_data: str | None = None
    error_code: int | None = None
    error_message: str = ""

    def fail(self, code: int, message: str) -> None:
        """Note a failure."""
        self.status, self.error_code, self.error_message = "failed", code, message

    def parameters(self, timeline: CallTimeline) -> tuple[tuple[str, str], ...]:
        """The parameters that the action request carries besides the standard ones."""
        seconds = max(round(timeline.elapsed_seconds - self.begun_at_elapsed), 0)
        form = [("SessionId", self.session_id), ("SessionStatus", self.status), ("SessionDuration", str(seconds))]
        if self.handoff_data is not None:
            form.append(("HandoffData", self.handoff_data))
        if self.error_code is not None:
            form += [("ErrorCode", str(self.error_code)), ("ErrorMessage", self.error_message)]
        return tuple(form)


def begin_report(session: SocketSession) -> SessionReport:
    """The report of a session that begins now."""
    return SessionReport(session.line.timeline.elapsed_seconds, session.new_session_id())


async def converse_over_relay(url: str, settings: RelaySettings, session: SocketSession, report: SessionReport) -> None:
    """Live out a ConversationRelay session; returns when the application ended it. Raises LineInterrupted."""
    if not _is_socket_url(url):
        report.fail(RELAY_ATTRIBUTE_INVALID, f"url must start with wss://, got {url!r}")
        session.notify(RELAY_ATTRIBUTE_INVALID, report.error_message, url=url, method="GET")
        return
    facts = session.relay_facts()
    callee = session.callees.on_call(
        facts["callSid"], from_number=facts["from"], to_number=facts["to"], scenario=session.scenario
    )
    callee.sessions += 1
    socket = await session.line.attend(session.open_socket(url))
    if socket is None:
        callee.record.note(session.line.timeline.elapsed_seconds, "unreachable")
        report.fail(RELAY_CONNECT_FAILED, "Unable to connect to the WebSocket server")
        session.notify(RELAY_CONNECT_FAILED, report.error_message, url=url, method="GET")
        return
    relay = RelaySession(socket, session, settings, callee, url)
    setup = {"type": "setup", "sessionId": report.session_id, **facts}
    if await relay.run({**setup, "customParameters": dict(settings.custom_parameters)}):
        report.status, report.handoff_data = "ended", relay.handoff_data
    else:
        report.fail(RELAY_CLOSED_BY_APPLICATION, "The WebSocket was closed without an end message")
        session.notify(RELAY_CLOSED_BY_APPLICATION, report.error_message, url=url, method="GET")


async def converse_over_stream(
    url: str, custom_parameters: Mapping[str, str], session: SocketSession, report: SessionReport
) -> None:
    """Live out a bidirectional media stream; returns when the application closed it. Raises LineInterrupted."""
    socket = None
    if _is_socket_url(url):
        socket = await session.line.attend(session.open_socket(url))
    if socket is None:
        report.fail(STREAM_HANDSHAKE_FAILED, "Stream: the WebSocket handshake failed")
        session.notify(STREAM_HANDSHAKE_FAILED, report.error_message, url=url, method="GET")
        return
    stream = session.media_stream(socket)
    report.session_id = stream.id
    await stream.start(custom_parameters)

    async def on_frame(frame: Any) -> bool:
        await stream.take(frame)
        return False

    try:
        await converse(session, socket, on_frame=on_frame, callee_speaks=stream.send_silence, every=MEDIA_FRAME_SECONDS)
    except CallEnds:
        await stream.stop()
        raise
    report.status = "ended"


async def converse(
    session: Talk,
    socket: aiohttp.ClientWebSocketResponse,
    *,
    on_frame: Callable[[Any], Awaitable[bool]],
    callee_speaks: Callable[[], Awaitable[None]],
    every: float | None = None,
) -> bool:
    """Live out the callee's side while frames come in.

    `on_frame` tells of each frame whether it ended the session. Returns True for that, False when the application
    closed the socket; raises CallEnds when the callee's talk time is over.
    """

    async def listen() -> bool:
        async for message in socket:
            if message.type in _CLOSING:
                break
            if message.type == aiohttp.WSMsgType.TEXT and await on_frame(_decoded(message.data)):
                return True
        return False

    listening = asyncio.ensure_future(listen())
    try:
        left = session.talks_seconds
        pause = min(every or LISTENS_FIRST_SECONDS, left)
        while left > 0:
            if await session.line.wait(min(pause, left), until=listening):
                return listening.result()
            left -= pause
            if left > 0:
                await callee_speaks()
            pause = every or left
        raise CallEnds(Ending.CALLEE_HUNG_UP)
    except ConnectionError:
        # The application went away while the callee was speaking.
        return False
    finally:
        listening.cancel()
        session.spawn(_close(socket))


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.close()


def _is_socket_url(url: str) -> bool:
    """Carriers insist on wss; plain ws is taken for this machine only, where the sandbox has no certificate."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "wss" or (parts.scheme == "ws" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
    )


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
