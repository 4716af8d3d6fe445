"""A Twilio call as following a document and holding a conversation see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sandbox.carriers import relay_attributes
from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import Callees
from sandbox.carriers.conversations import MEDIA_FRAME_SECONDS, MULAW_SILENCE
from sandbox.carriers.line import Line
from sandbox.carriers.relay_attributes import find_fault
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.twilio.calls import Call, new_sid
from sandbox.carriers.twilio.webhooks import WebhookSender, standard_parameters
from sandbox.carriers.webhooks import Form, WebhookReply


@dataclass
class TwilioSession:
    """One call being lived out; `detection` is what machine detection found."""

    call: Call
    line: Line
    sender: WebhookSender
    spawn: Spawn
    detection: Form = ()

    @property
    def talks_seconds(self) -> float:
        """For how long the callee talks."""
        return self.call.scenario.talks_seconds

    @property
    def scenario(self) -> Scenario:
        """What the called number makes happen."""
        return self.call.scenario

    @property
    def callees(self) -> Callees:
        """Where the callee is found, and what it hears is written down."""
        return self.sender.callees

    def notify(self, code: int, text: str, *, url: str = "", method: str = "POST", body: str = "") -> None:
        """Log an error or warning."""
        self.call.notify(code, text, url=url, method=method, body=body)

    async def request(self, url: str, method: str, parameters: Form, *, status: str | None = None) -> WebhookReply:
        """Ask the application."""
        form = (*standard_parameters(self.call, status=status), *self.detection, *parameters)
        return await self.sender.send(self.call, url, method, form)

    async def open_socket(self, url: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a signed WebSocket."""
        return await self.sender.open_socket(self.call, url)

    def new_session_id(self) -> str:
        """An id for a ConversationRelay session."""
        return new_sid("VX")

    def find_relay_fault(self, attributes: Mapping[str, str]) -> tuple[int, str] | None:
        """What Twilio does not take about a `<ConversationRelay>`."""
        return find_fault(attributes, relay_attributes.TWILIO, relay_attributes.TWILIO_VOICES_NOT)

    def relay_facts(self) -> dict[str, Any]:
        """What the setup frame says of the call."""
        return {
            "accountSid": self.call.account_sid,
            "parentCallSid": None,
            "callSid": self.call.sid,
            "from": self.call.parameters.from_,
            "to": self.call.parameters.to,
            "forwardedFrom": None,
            "callType": "PSTN",
            "callerName": None,
            "direction": "outbound-api",
            "callStatus": "IN-PROGRESS",
        }

    def media_stream(self, socket: aiohttp.ClientWebSocketResponse) -> "TwilioMediaStream":
        """Twilio's side of a Media Stream."""
        return TwilioMediaStream(self.call, socket)


@dataclass
class TwilioMediaStream:
    """The frames Twilio sends over a Media Stream, numbered."""

    call: Call
    socket: aiohttp.ClientWebSocketResponse
    id: str = field(default_factory=lambda: new_sid("MZ"))
    _sequence_number: int = 0
    _chunk: int = 0

    async def start(self, custom_parameters: Mapping[str, str]) -> None:
        """`connected` and `start`."""
        await self.socket.send_json({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        about = {
            "streamSid": self.id,
            "accountSid": self.call.account_sid,
            "callSid": self.call.sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(custom_parameters),
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
        if isinstance(frame, dict) and frame.get("event") == "mark":
            await self._send("mark", {"name": frame.get("mark", {}).get("name")})

    async def stop(self) -> None:
        """The last frame."""
        await self._send("stop", {"accountSid": self.call.account_sid, "callSid": self.call.sid})

    async def _send(self, event: str, about: dict[str, Any]) -> None:
        if self.socket.closed:
            return
        self._sequence_number += 1
        frame = {"event": event, "sequenceNumber": str(self._sequence_number), "streamSid": self.id}
        await self.socket.send_json({**frame, event: about})
