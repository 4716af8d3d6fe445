"""What is measured: one subject is one Lambda function with its artefact, its environment and the event it gets."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.events import Event
from bench.stub import Tally

JOBS = ("initiate", "twiml", "status", "status-telnyx", "status-vonage")
"""What the peers do as well."""
CONVERSATION_JOBS = (
    "conversation-twiml",
    "conversation-open",
    "conversation-setup",
    "conversation-turn",
    "conversation-late-turn",
)
"""What only ours does."""
MEMORY_MB = 512
"""Of functions that say nothing else; the emulator does not keep to it."""


class WrongAnswerError(RuntimeError):
    """A subject answered something else than the happy path; its speed would mean nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """An event that follows the cold one in the same environment, in the world that the one before has left.

    `says` is how the first frame begins that is sent to the WebSocket meanwhile; None when none need be sent.
    """

    name: str
    event: Callable[[], Event]
    says: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One function to measure. `layer` is the directory that becomes /opt/python, None where there is none.

    `event` makes the event anew for each sample: some carriers sign the time as well, and it must not be over.
    `says` is how the first frame begins that it sends to a WebSocket, for one that answers there.
    """

    job: str
    variant: str
    handler: str
    task_root: Path
    layer: Path | None
    event: Callable[[], Event]
    check: Callable[[dict[str, Any]], bool]
    environment: dict[str, str] = field(default_factory=dict)
    memory_mb: int = MEMORY_MB
    says: str | None = None
    following: tuple[Step, ...] = ()

    @property
    def name(self) -> str:
        """Name shown in the tables."""
        return self.variant if self.job == self.variant else f"{self.job}, {self.variant}"

    def verify(self, payload: bytes, tally: Tally) -> None:
        """Raise WrongAnswerError unless the payload, and the first frame that was sent, are the happy path's."""
        try:
            answer = json.loads(payload)
            right = self.check(answer)
        except (ValueError, KeyError, TypeError, AttributeError):
            right = False
        if not right:
            raise WrongAnswerError(f"{self.name} answered {payload[:1500].decode(errors='replace')}")
        verify_frames(self.name, self.says, tally)


def verify_frames(name: str, says: str | None, tally: Tally) -> None:
    """Raise WrongAnswerError unless the first frame that was sent begins with these words."""
    if says is None:
        return
    frames = tally.frames
    frame = json.loads(frames[0].body) if frames else {}
    if frame.get("type") != "text" or not str(frame.get("token")).startswith(says):
        raise WrongAnswerError(f"{name} sent {frame} instead of a text that begins with {says!r}")


def is_ok(answer: dict[str, Any]) -> bool:
    """True for a 200."""
    return bool(answer["statusCode"] == 200)


def is_accepted(answer: dict[str, Any]) -> bool:
    """True for any 2xx."""
    return bool(200 <= answer["statusCode"] < 300)


def is_call_initiated(answer: dict[str, Any]) -> bool:
    """True for the 200 that carries the carrier's call id."""
    return is_ok(answer) and str(json.loads(answer["body"])["call_sid"]).startswith("CA")


def is_connecting_twiml(answer: dict[str, Any]) -> bool:
    """True for TwiML that connects the call to the assistant."""
    return is_ok(answer) and "<ConversationRelay" in answer["body"]


def is_let_in(answer: dict[str, Any]) -> bool:
    """True for a policy that allows the handshake."""
    (statement,) = answer["policyDocument"]["Statement"]
    return bool(statement["Effect"] == "Allow")
