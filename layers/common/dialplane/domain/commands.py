"""What a call that is in progress can be told. Who carries it out belongs to ``usecases.control_call``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from dialplane.domain.phone_numbers import PhoneNumber


class CommandType(StrEnum):
    """What a call can be told to do."""

    END_CALL = "end-call"
    TRANSFER = "transfer"
    INJECT_CONTEXT = "inject-context"
    SAY = "say"


OF_CONVERSATIONS = frozenset({CommandType.INJECT_CONTEXT, CommandType.SAY})
"""What only somebody can do who holds the conversation."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    ``content`` is what is to be said or known, or of ``end-call`` and ``transfer`` what is said before it is carried
    out. ``destination`` is whom to transfer to.
    """

    type: CommandType
    content: str | None = None
    destination: PhoneNumber | None = None
    end_after: bool = False
    """Whether the call ends when the words were said."""
    trigger_response: bool = False
    """Whether the assistant speaks now that it knows, or when it is its turn anyway."""

    @property
    def fingerprint(self) -> str:
        """A SHA-256 in hex that is equal for equal commands."""
        destination = self.destination.e164 if self.destination is not None else None
        parts = [self.type.value, self.content, destination, self.end_after, self.trigger_response]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
