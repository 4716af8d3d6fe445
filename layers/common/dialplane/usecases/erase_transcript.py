"""Erase what was said on a call: the conversation, what was made of it, and the texts and values that it began with.

That the call took place, with whom, how long and for how much, stays: the ledger points at it. A recording lies with
the carrier; its reference is erased here, it is not deleted there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dialplane.domain.calls import Call, without_words
from dialplane.domain.errors import CallNotSettled

logger = logging.getLogger(__name__)


class Calls(Protocol):
    """Where calls are kept."""

    def replace(self, before: Call, after: Call) -> bool:
        """Write what has changed; False when the call is not as it was read any more."""


class Conversations(Protocol):
    """Where conversations are kept."""

    def erase(self, organization_id: str, call_id: str, *, at: datetime) -> bool:
        """Remove every word of a conversation; False when there is none."""


@dataclass(frozen=True, slots=True)
class EraseTranscriptUseCase:
    """Erases transcripts. ``get_call`` takes an organization and any id of a call, and raises CallNotFound."""

    get_call: Callable[[str, str], Call]
    calls: Calls
    conversations: Conversations
    now: Callable[[], datetime]

    def erase(self, organization_id: str, any_id: str) -> None:
        """Erase what was said on a call that is settled; done before, it is done. Raises CallNotFound, CallNotSettled.

        Who is told that it is done can rely on it: the call says so only when its conversation is gone.
        """
        while True:
            call = self.get_call(organization_id, any_id)
            if call.is_open:
                raise CallNotSettled(call.status.value)
            if call.transcript_erased_at is not None:
                return
            at = self.now()
            self.conversations.erase(organization_id, call.id, at=at)
            if self.calls.replace(call, without_words(call, at=at)):
                logger.info("transcript_erased", extra={"call_id": call.id})
                return
