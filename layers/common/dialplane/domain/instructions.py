"""What a carrier is told to do when the callee answers. How that is worded for a carrier belongs to ``carriers``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Engine = Literal["relay", "stream", "say"]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the carrier is told to do when the callee answers; rendered once, when the call is admitted.

    ``relay`` hands the words to ConversationRelay at ``url`` (wss), ``stream`` hands the audio to the customer's own
    media server at ``url`` (wss), ``say`` speaks ``welcome_message`` and ``goodbye_message`` and hangs up.
    """

    engine: Engine
    welcome_message: str
    url: str | None = None
    goodbye_message: str | None = None
    voice: str | None = None
    language: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
