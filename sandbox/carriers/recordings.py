"""A recording of a call, whichever carrier makes it. State only: there is no audio to keep."""

from dataclasses import dataclass, field
from datetime import datetime

from sandbox.carriers.clock import CallTimeline

SAVING_SECONDS = 2.0
"""How long after the call's end a recording is there."""


@dataclass
class Recording:
    """From when it was asked for to the call's end. `callback` is told of the `events` among in-progress, completed."""

    id: str
    channels: int
    timeline: CallTimeline
    callback: str | None = None
    callback_method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})
    tells_url: bool = True
    status: str = "in-progress"
    seconds: int = 0
    begun_at: datetime = field(init=False)
    ended_at: datetime | None = None

    def __post_init__(self) -> None:
        self.begun_at = self.timeline.now()

    def open_link(self, file_format: str) -> str:
        """Where anybody can listen to it for a while: Telnyx's way to tell of a recording."""
        return f"https://recordings.telnyx.example/{self.id}.{file_format}?X-Amz-Expires=600&X-Amz-Signature=0"

    def end(self) -> None:
        """The call is over."""
        self.ended_at = self.timeline.now()
        self.seconds = max(round((self.ended_at - self.begun_at).total_seconds()), 1)
        self.status = "completed"
