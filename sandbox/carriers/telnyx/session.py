"""A Telnyx call as a conversation over a WebSocket sees it.

Frames: https://developers.telnyx.com/api-reference/websockets/conversationrelay-websocket-channel and
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import Callees
from sandbox.carriers.conversations import MEDIA_FRAME_SECONDS, MULAW_SILENCE
from sandbox.carriers.line import Line
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.telnyx.leg import Leg, new_uuid
from sandbox.carriers.telnyx.webhooks import TelnyxSender


@dataclass
class TelnyxSession:
    """One call being lived out; `account_sid` is what Telnyx calls its account towards the application."""

    leg: Leg
    account_sid: str
    line: Line
    sender: TelnyxSender
    spawn: Spawn
    client_state: str | None = None

    @property
    def talks_seconds(self) -> float:
        """For how long the callee talks."""
        return self.leg.scenario.talks_seconds

    @property
    def scenario(self) -> Scenario:
        """What the called number makes happen."""
        return self.leg.scenario

    @property
    def callees(self) -> Callees:
        """Where the callee is found, and what it hears is written down."""
        return self.sender.callees

    def notify(self, code: int, text: str, *, url: str = "", method: str = "POST", body: str = "") -> None:
        """Keep an error or warning; Telnyx shows it in its portal only."""
        self.leg.faults.append((code, text))

    async def open_socket(self, url: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a WebSocket."""
        return await self.sender.open_socket(url, self.leg.call_control_id)

    def new_session_id(self) -> str:
        """An id for a ConversationRelay session."""
        return new_uuid()

    def relay_facts(self) -> dict[str, Any]:
        """What the setup frame says of the call."""
        return {
            "accountSid": self.account_sid,
            "callSid": self.leg.call_control_id,
            "callControlId": self.leg.call_control_id,
            "callSessionId": self.leg.call_session_id,
            "callLegId": self.leg.call_leg_id,
            "from": self.leg.from_,
            "to": self.leg.to,
            "direction": "outbound",
            "callerName": "",
            "callStatus": "active",
        }

    def media_stream(self, socket: aiohttp.ClientWebSocketResponse) -> "TelnyxMediaStream":
        """Telnyx's side of a media stream."""
        return TelnyxMediaStream(self.leg, self.account_sid, socket, self.client_state)


@dataclass
class TelnyxMediaStream:
    """The frames Telnyx sends over a media stream, numbered."""

    leg: Leg
    account_sid: str
    socket: aiohttp.ClientWebSocketResponse
    client_state: str | None = None
    id: str = field(default_factory=new_uuid)
    _sequence_number: int = 0
    _chunk: int = 0

    async def start(self, custom_parameters: Mapping[str, str]) -> None:
        """`connected` and `start`."""
        await self.socket.send_json({"event": "connected", "version": "1.0.0"})
        about: dict[str, Any] = {
            "user_id": self.account_sid,
            "call_control_id": self.leg.call_control_id,
            "call_session_id": self.leg.call_session_id,
            "client_state": self.client_state,
            "from": self.leg.from_,
            "to": self.leg.to,
            "tags": [],
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
            "custom_parameters": dict(custom_parameters),
        }
        await self._send("start", about)

    async def send_silence(self) -> None:
        """One frame of audio."""
        self._chunk += 1
        timestamp = round((self._chunk - 1) * MEDIA_FRAME_SECONDS * 1000)
        about = {"track": "inbound", "chunk": str(self._chunk), "timestamp": str(timestamp), "payload": MULAW_SILENCE}
        await self._send("media", about)

    async def take(self, frame: Any) -> None:
        """A mark comes back when what was sent before it has been played."""
        if isinstance(frame, dict) and frame.get("event") == "mark" and isinstance(frame.get("mark"), dict):
            await self._send("mark", {"name": frame["mark"].get("name")})

    async def stop(self) -> None:
        """The last frame."""
        await self._send("stop", {"user_id": self.account_sid, "call_control_id": self.leg.call_control_id})

    async def _send(self, event: str, about: dict[str, Any]) -> None:
        if self.socket.closed:
            return
        self._sequence_number += 1
        frame = {"event": event, "sequence_number": str(self._sequence_number), "stream_id": self.id}
        await self.socket.send_json({**frame, event: about})
