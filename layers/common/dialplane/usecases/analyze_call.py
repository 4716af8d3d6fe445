"""After the call: find out from the transcript what the customer wants to know of it, and say how long it is kept.

Part of the completion of a call, after its money is settled: nothing here can hold a settlement up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dialplane.domain.analysis import analysis_request, read_analysis
from dialplane.domain.conversations import Conversation, callee_turns, transcript
from dialplane.domain.language_model import LanguageModel, ModelFailed

logger = logging.getLogger(__name__)


class Conversations(Protocol):
    """Where conversations are kept."""

    def get(self, organization_id: str, call_id: str) -> Conversation | None:
        """The conversation of a call, strongly consistent."""

    def conclude(
        self, conversation: Conversation, *, summary: str | None, analysis_json: str | None, at: datetime
    ) -> None:
        """Keep what was found out of a conversation that is over, for as long as it may be kept."""


@dataclass(frozen=True, slots=True)
class AnalyzeCallUseCase:
    """Analyzes one call."""

    conversations: Conversations
    open_model: Callable[[Conversation], LanguageModel]
    """Raises ModelFailed."""
    now: Callable[[], datetime]

    def analyze(self, organization_id: str, call_id: str) -> str:
        """Analyze a call's conversation: ``analyzed``, ``nothing_said``, ``no_conversation`` or ``model_failed``.

        A call that was analyzed before is left as it is.
        """
        conversation = self.conversations.get(organization_id, call_id)
        if conversation is None:
            return "no_conversation"
        if conversation.analyzed_at is not None:
            return "analyzed"
        outcome, summary, analysis_json = "nothing_said", None, None
        if callee_turns(conversation.entries):
            try:
                summary, analysis_json = self._ask(conversation)
                outcome = "analyzed"
            except ModelFailed as failure:
                logger.error("analysis_failed", extra={"call_id": call_id, "reason": failure.reason})
                outcome = "model_failed"
        self.conversations.conclude(conversation, summary=summary, analysis_json=analysis_json, at=self.now())
        return outcome

    def _ask(self, conversation: Conversation) -> tuple[str, str | None]:
        request = analysis_request(conversation.settings, transcript(conversation.entries))
        pieces = self.open_model(conversation).stream(request)
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        return read_analysis(text, conversation.settings.analysis_schema)
