"""What is measured: one subject is one Lambda function with its artefact, its environment and the event it gets."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.events import Event

JOBS = ("initiate", "twiml", "status", "status-telnyx", "status-vonage")


class WrongAnswerError(RuntimeError):
    """A subject answered something else than the happy path; its speed would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One function to measure. `layer` is the directory that becomes /opt/python, None where there is none.

    `event` makes the event anew for each sample: some carriers sign the time as well, and it must not be over.
    """

    job: str
    variant: str
    handler: str
    task_root: Path
    layer: Path | None
    event: Callable[[], Event]
    check: Callable[[dict[str, Any]], bool]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name shown in the tables."""
        return self.variant if self.job == self.variant else f"{self.job}, {self.variant}"

    def verify(self, payload: bytes) -> None:
        """Raise WrongAnswerError unless the payload is the happy path's answer."""
        try:
            answer = json.loads(payload)
            right = self.check(answer)
        except (ValueError, KeyError, TypeError, AttributeError):
            right = False
        if not right:
            raise WrongAnswerError(f"{self.name} answered {payload[:1500].decode(errors='replace')}")


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
