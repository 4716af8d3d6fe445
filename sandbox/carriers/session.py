"""What following a document or holding a conversation needs of a call, whichever carrier has it."""

from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp

from sandbox.carriers.background import Spawn
from sandbox.carriers.callee import Callees
from sandbox.carriers.line import Line
from sandbox.carriers.scenarios import Scenario
from sandbox.carriers.webhooks import Form, WebhookReply


class MediaStream(Protocol):
    """The frames of a carrier's media stream; audio is silence."""

    @property
    def id(self) -> str:
        """The stream's id."""

    async def start(self, custom_parameters: Mapping[str, str]) -> None:
        """The first frames."""

    async def send_silence(self) -> None:
        """One frame of audio."""

    async def take(self, frame: Any) -> None:
        """Take a frame of the application's."""

    async def stop(self) -> None:
        """The last frame."""


class Talk(Protocol):
    """What holding any conversation needs."""

    @property
    def line(self) -> Line:
        """The call's line."""

    @property
    def spawn(self) -> Spawn:
        """Runs work beside the call that outlives what it is doing."""

    @property
    def talks_seconds(self) -> float:
        """For how long the callee talks before hanging up."""


class SocketSession(Talk, Protocol):
    """What holding ConversationRelay sessions and media streams needs."""

    @property
    def scenario(self) -> Scenario:
        """What the called number makes happen."""

    @property
    def callees(self) -> Callees:
        """Where the callee of the call is found, and what it hears is written down."""

    def notify(self, code: int, text: str, *, url: str = "", method: str = "POST", body: str = "") -> None:
        """Log an error or warning about the call."""

    async def open_socket(self, url: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a WebSocket to the application; None when it cannot be opened."""

    def new_session_id(self) -> str:
        """An id for a ConversationRelay session."""

    def relay_facts(self) -> dict[str, Any]:
        """What the setup frame of a ConversationRelay session says of the call."""

    def media_stream(self, socket: aiohttp.ClientWebSocketResponse) -> MediaStream:
        """The carrier's side of a media stream."""


class CallSession(SocketSession, Protocol):
    """One answered call that follows documents."""

    def find_relay_fault(self, attributes: Mapping[str, str]) -> tuple[int, str] | None:
        """What the carrier does not take about a `<ConversationRelay>`: a code and a text."""

    async def request(self, url: str, method: str, parameters: Form, *, status: str | None = None) -> WebhookReply:
        """Ask the application, with the standard parameters and these; `status` is what to say of the call."""
