"""How a conversation is to be held: fixed when the call is admitted, and kept with the conversation.

The assistant's settings with the organization's policy, every text filled. Which values an assistant may have belongs
to ``assistants``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

OnFailure = Literal["end", "transfer"]
OnMachine = Literal["hang_up", "leave_message", "continue"]

FALLBACK_MESSAGE = "I am sorry, I am having a technical problem right now."
SILENCE_MESSAGE = "Are you still there?"
OPT_OUT_MESSAGE = "I understand. You will not be called again. Goodbye."
OPT_OUT_DIGIT = "9"
DISCLOSURE = "Hello, this is an automated assistant, an artificial voice, calling on behalf of {{ organization }}."
"""Spoken before anything else unless an organization has its own words or attests that it needs none."""
RECORDING_DISCLOSURE = "This call is recorded."
SILENCE_TIMEOUT_SECONDS = 10
SILENCE_PROMPTS = 1
RESPONSE_TIMEOUT_SECONDS = 6
TURNS_MAX = 200
RETENTION_DAYS = 90


class EndReason(StrEnum):
    """Why a conversation was ended by us; the callee's own hang-up has no word here."""

    ASSISTANT = "assistant"
    """The model has used its tool for it."""
    END_PHRASE = "end_phrase"
    OPT_OUT = "opt_out"
    SILENCE = "silence"
    TURN_LIMIT = "turn_limit"
    MODEL_FAILED = "model_failed"
    TRANSFER = "transfer"
    VOICEMAIL = "voicemail"
    COMMAND = "command"
    CONNECTION_LOST = "connection_lost"


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """Everything a conversation needs beside what is said in it. Texts are filled and ready to be spoken."""

    first_message: str
    disclosure: str | None = None
    goodbye_message: str | None = None
    prompt: str | None = None
    """What the assistant is to do. Placeholders are references into the variables, never their values."""
    agenda: str | None = None
    variables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    organization_name: str = ""
    assistant_name: str = ""
    language: str | None = None
    llm: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """``llm_config`` of the assistant: provider, model, messages, temperature, max_tokens, tools, script."""
    is_realtime: bool = False
    silence_timeout_seconds: int = SILENCE_TIMEOUT_SECONDS
    silence_prompts: int = SILENCE_PROMPTS
    silence_message: str = SILENCE_MESSAGE
    response_timeout_seconds: int = RESPONSE_TIMEOUT_SECONDS
    fallback_message: str = FALLBACK_MESSAGE
    on_failure: OnFailure = "end"
    transfer_number: str | None = None
    end_phrases: tuple[str, ...] = ()
    turns_max: int = TURNS_MAX
    opt_out_digit: str | None = OPT_OUT_DIGIT
    opt_out_message: str = OPT_OUT_MESSAGE
    on_machine: OnMachine = "continue"
    voicemail_message: str | None = None
    analysis_schema: Mapping[str, Any] | None = None
    retention_days: int = RETENTION_DAYS
    is_recorded: bool = False

    def to_json(self) -> str:
        """The settings as text; what is as it is by default is left out."""
        values = {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != _DEFAULTS.get(field.name)
        }
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ConversationSettings:
        """The settings again; what a newer version has written beside them is left out."""
        values = {name: value for name, value in json.loads(text).items() if name in cls.__slots__}
        if "end_phrases" in values:
            values["end_phrases"] = tuple(values["end_phrases"])
        return cls(**values)


_DEFAULTS = dataclasses.asdict(ConversationSettings(first_message=""))
del _DEFAULTS["first_message"]
