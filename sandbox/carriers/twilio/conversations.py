"""The WebSocket sessions of <Connect>: ConversationRelay and bidirectional Media Streams, with a callee at one end.

The callee listens, says one sentence, listens on and hangs up when its talk time is over. Frames follow
https://www.twilio.com/docs/voice/conversationrelay/websocket-messages and
https://www.twilio.com/docs/voice/media-streams/websocket-messages.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import aiohttp

from sandbox.carriers.clock import CallTimeline
from sandbox.carriers.twilio.calls import Call, new_sid
from sandbox.carriers.twilio.errors import (
    RELAY_ATTRIBUTE_INVALID,
    RELAY_CLOSED_BY_APPLICATION,
    RELAY_CONNECT_FAILED,
    RELAY_MESSAGE_INVALID,
    STREAM_HANDSHAKE_FAILED,
)
from sandbox.carriers.twilio.line import CallEnds
from sandbox.carriers.twilio.session import CallSession

CALLEE_SAYS = "Hello, who is calling?"
LISTENS_FIRST_SECONDS = 2.0
# Real Media Streams send 20 ms of audio per frame; ten times as much keeps a sped-up call from flooding the machine.
MEDIA_FRAME_SECONDS = 0.2
_MULAW_SILENCE = base64.b64encode(b"\xff" * int(8000 * MEDIA_FRAME_SECONDS)).decode()
_RELAY_MESSAGES = frozenset({"text", "play", "sendDigits", "language", "end"})
_CLOSING = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


@dataclass
class SessionReport:
    """How a session went, for the action request: completed (callee hung up), ended (by the application), failed."""

    begun_at_elapsed: float
    session_id: str = field(default_factory=lambda: new_sid("VX"))
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


async def converse_over_relay(noun: Element, session: CallSession, report: SessionReport) -> None:
    """Live out a ConversationRelay session; returns when the application ended it. Raises LineInterrupted."""
    call, url = session.call, noun.get("url", "")
    if not _is_socket_url(url):
        report.fail(RELAY_ATTRIBUTE_INVALID, f"url must start with wss://, got {url!r}")
        call.notify(RELAY_ATTRIBUTE_INVALID, report.error_message, url=url, method="GET")
        return
    socket = await session.line.attend(session.sender.open_socket(call, url))
    if socket is None:
        report.fail(RELAY_CONNECT_FAILED, "Unable to connect to the WebSocket server")
        call.notify(RELAY_CONNECT_FAILED, report.error_message, url=url, method="GET")
        return
    await socket.send_json(_setup_frame(noun, call, report))

    async def on_frame(frame: Any) -> bool:
        return await _take_relay_frame(frame, call, socket, report, url)

    async def speak() -> None:
        await socket.send_json({"type": "prompt", "voicePrompt": CALLEE_SAYS, "lang": "en-US", "last": True})

    ended_by_application = await _converse(session, socket, on_frame=on_frame, callee_speaks=speak)
    if not ended_by_application:
        report.fail(RELAY_CLOSED_BY_APPLICATION, "The WebSocket was closed without an end message")
        call.notify(RELAY_CLOSED_BY_APPLICATION, report.error_message, url=url, method="GET")


async def converse_over_stream(noun: Element, session: CallSession, report: SessionReport) -> None:
    """Live out a bidirectional Media Stream; returns when the application closed it. Raises LineInterrupted."""
    call, url = session.call, noun.get("url", "")
    socket = None
    if _is_socket_url(url):
        socket = await session.line.attend(session.sender.open_socket(call, url))
    if socket is None:
        report.fail(STREAM_HANDSHAKE_FAILED, "Stream: the WebSocket handshake failed")
        call.notify(STREAM_HANDSHAKE_FAILED, report.error_message, url=url, method="GET")
        return
    report.session_id = new_sid("MZ")
    stream = _MediaStream(call, socket, report.session_id)
    await stream.start(_custom_parameters(noun))

    async def on_frame(frame: Any) -> bool:
        if isinstance(frame, dict) and frame.get("event") == "mark":
            await stream.send("mark", {"name": frame.get("mark", {}).get("name")})
        return False

    try:
        await _converse(
            session, socket, on_frame=on_frame, callee_speaks=stream.send_silence, every=MEDIA_FRAME_SECONDS
        )
    except CallEnds:
        await stream.stop()
        raise
    report.status = "ended"


class _MediaStream:
    """The frames Twilio sends over a Media Stream, numbered."""

    def __init__(self, call: Call, socket: aiohttp.ClientWebSocketResponse, stream_sid: str) -> None:
        self._call, self._socket, self._stream_sid = call, socket, stream_sid
        self._sequence_number = 0
        self._chunk = 0

    async def start(self, custom_parameters: dict[str, str]) -> None:
        await self._socket.send_json({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        about = {
            "streamSid": self._stream_sid,
            "accountSid": self._call.account_sid,
            "callSid": self._call.sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": custom_parameters,
        }
        await self.send("start", about)

    async def send_silence(self) -> None:
        self._chunk += 1
        timestamp = round((self._chunk - 1) * MEDIA_FRAME_SECONDS * 1000)
        about = {"track": "inbound", "chunk": str(self._chunk), "timestamp": str(timestamp), "payload": _MULAW_SILENCE}
        await self.send("media", about)

    async def stop(self) -> None:
        await self.send("stop", {"accountSid": self._call.account_sid, "callSid": self._call.sid})

    async def send(self, event: str, about: dict[str, Any]) -> None:
        if self._socket.closed:
            return
        self._sequence_number += 1
        frame = {"event": event, "sequenceNumber": str(self._sequence_number), "streamSid": self._stream_sid}
        await self._socket.send_json({**frame, event: about})


async def _converse(
    session: CallSession,
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
        left = session.call.scenario.talks_seconds
        pause = min(every or LISTENS_FIRST_SECONDS, left)
        while left > 0:
            if await session.line.wait(min(pause, left), until=listening):
                return listening.result()
            left -= pause
            if left > 0:
                await callee_speaks()
            pause = every or left
        raise CallEnds
    except ConnectionError:
        # The application went away while the callee was speaking.
        return False
    finally:
        listening.cancel()
        session.spawn(_close(socket))


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.close()


def _setup_frame(noun: Element, call: Call, report: SessionReport) -> dict[str, Any]:
    return {
        "type": "setup",
        "sessionId": report.session_id,
        "accountSid": call.account_sid,
        "parentCallSid": None,
        "callSid": call.sid,
        "from": call.parameters.from_,
        "to": call.parameters.to,
        "forwardedFrom": None,
        "callType": "PSTN",
        "callerName": None,
        "direction": "outbound-api",
        "callStatus": "IN-PROGRESS",
        "customParameters": _custom_parameters(noun),
    }


async def _take_relay_frame(
    frame: Any, call: Call, socket: aiohttp.ClientWebSocketResponse, report: SessionReport, url: str
) -> bool:
    kind = frame.get("type") if isinstance(frame, dict) else None
    if kind not in _RELAY_MESSAGES:
        call.notify(RELAY_MESSAGE_INVALID, f"Invalid message received: type {kind!r}", url=url, method="GET")
        await socket.send_json({"type": "error", "description": f"Invalid message received: type {kind!r}"})
        return False
    if kind != "end":
        return False
    report.status, report.handoff_data = "ended", frame.get("handoffData")
    return True


def _is_socket_url(url: str) -> bool:
    """Twilio insists on wss; plain ws is taken for this machine only, where the sandbox has no certificate."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "wss" or (parts.scheme == "ws" and parts.hostname in ("127.0.0.1", "localhost", "::1"))
    )


def _custom_parameters(noun: Element) -> dict[str, str]:
    return {child.get("name", ""): child.get("value", "") for child in noun if child.tag == "Parameter"}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
