"""What a carrier is told to do when the callee answers. How that is worded for a carrier belongs to ``carriers``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Engine = Literal["conversation", "relay", "stream", "say", "agent"]


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the carrier is told to do when the callee answers; rendered once, when the call is admitted.

    ``conversation`` hands the words to our own WebSocket over ConversationRelay, whose address is made when the carrier
    is told; ``relay`` hands them to the customer's server at ``url`` (wss) in the same frames, ``stream`` hands the
    audio to the customer's own media server at ``url`` (wss), ``say`` speaks ``welcome_message`` and
    ``goodbye_message`` and hangs up, ``agent`` lets the carrier's own agent ``agent_id`` hold the conversation by
    ``prompt``.
    """

    engine: Engine
    welcome_message: str
    url: str | None = None
    goodbye_message: str | None = None
    voice: str | None = None
    language: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    """What the assistant is to do and how, with its placeholders filled."""
    agent_id: str | None = None
    is_welcome_interruptible: bool = True
    """False for a disclosure, which is spoken to its end whatever the callee says."""
    stt_config: Mapping[str, Any] | None = None
    tts_config: Mapping[str, Any] | None = None
    """Speech recognition and voice as the customer configured them, for engines that leave both to the carrier."""
