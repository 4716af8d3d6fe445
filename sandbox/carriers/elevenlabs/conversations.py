"""A simulated conversation as ElevenLabs keeps and shows it, and the store of all. State only."""

import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.carriers.conversations import CALLEE_SAYS
from sandbox.carriers.elevenlabs.errors import invalid
from sandbox.carriers.elevenlabs.parameters import ListQuery, OutboundCall
from sandbox.carriers.elevenlabs.workspaces import Workspace
from sandbox.carriers.scenarios import Callee
from sandbox.carriers.twilio.calls import Call, new_sid

FIRST_MESSAGE_DEFAULT = "Hello, this is your assistant. How can I help you?"
VOICEMAIL_SAYS = "You have reached a voicemail. Please leave a message after the tone."
CREDITS_PER_MINUTE = 667
DOLLARS_PER_MINUTE = 0.1
TURN_SECONDS = 4
TURNS_MAX = 8

# How ElevenLabs names what Twilio says of a leg that nobody answered: in webhooks, and in a conversation.
FAILURE_REASONS = {"busy": "busy", "no-answer": "no-answer"}
_CALL_RESULTS = {"busy": "busy", "no-answer": "no_answer"}


@dataclass
class Conversation:
    """One conversation of an agent over a leg of Twilio's."""

    workspace: Workspace
    request: OutboundCall
    leg: Call
    agent_number: str
    id: str = field(default_factory=lambda: f"conv_{uuid.uuid4().hex}")
    stream_sid: str = field(default_factory=lambda: new_sid("MZ"))
    status: str = "initiated"
    termination_reason: str = ""
    error: dict[str, Any] | None = None

    @property
    def started_at(self) -> datetime:
        """When the agent began to talk; until then, and if it never does, when the call was asked for."""
        is_answered = self.leg.answered_at_elapsed is not None
        return self.leg.start_time if is_answered and self.leg.start_time is not None else self.leg.created_at

    @property
    def start_unix(self) -> int:
        """`started_at` in unix seconds."""
        return int(self.started_at.timestamp())

    @property
    def duration_seconds(self) -> int:
        """Seconds from the answer to the end; 0 while it lasts."""
        return self.leg.duration or 0

    @property
    def failure_reason(self) -> str:
        """Why the call never became a conversation."""
        return FAILURE_REASONS.get(self.leg.status, "unknown")

    def variables(self) -> dict[str, Any]:
        """The request's dynamic variables and those that ElevenLabs adds."""
        return {
            **self.request.dynamic_variables,
            "system__agent_id": self.request.agent_id,
            "system__conversation_id": self.id,
            "system__caller_id": self.agent_number,
            "system__called_number": self.request.to_number,
            "system__call_sid": self.leg.sid,
            "system__call_duration_secs": self.duration_seconds,
        }

    def transcript(self) -> list[dict[str, Any]]:
        """What was said: texts are simulated, and only the first is the agent's own."""
        if self.leg.duration is None or self.error is not None:
            return []
        first = self.request.filled(self.request.override("first_message") or FIRST_MESSAGE_DEFAULT)
        heard = VOICEMAIL_SAYS if self.leg.scenario.callee is Callee.MACHINE_ANSWERS else CALLEE_SAYS
        said = [("agent", first), ("user", heard)]
        said += [("agent", "I am an automated assistant."), ("user", "I see.")] * (TURNS_MAX // 2 - 1)
        turns = min(math.ceil(self.duration_seconds / TURN_SECONDS), TURNS_MAX)
        return [
            {"role": role, "message": message, "time_in_call_secs": index * TURN_SECONDS, "interrupted": False}
            for index, (role, message) in enumerate(said[:turns])
        ]

    def summary(self) -> dict[str, Any]:
        """The conversation as a list shows it."""
        turns = self.transcript()
        return {
            "agent_id": self.request.agent_id,
            "agent_name": "Simulated agent",
            "conversation_id": self.id,
            "start_time_unix_secs": self.start_unix,
            "call_duration_secs": self.duration_seconds,
            **self._cost(),
            "message_count": len(turns),
            "status": self.status,
            "call_successful": self._success(),
            "transcript_summary": None,
            "call_summary_title": None,
            "termination_reason": self.termination_reason,
            "conversation_initiation_source": "twilio",
            "direction": "outbound",
        }

    def to_json(self) -> dict[str, Any]:
        """The whole conversation, as it is fetched and as the webhook after the call carries it."""
        turns, was_answered = self.transcript(), self.leg.answered_at_elapsed is not None
        return {
            "agent_id": self.request.agent_id,
            "agent_name": "Simulated agent",
            "conversation_id": self.id,
            "status": self.status,
            "user_id": self.request.user_id,
            "branch_id": None,
            "version_id": None,
            "environment": "production",
            "transcript": turns,
            "metadata": {
                "start_time_unix_secs": self.start_unix,
                "accepted_time_unix_secs": self.start_unix if was_answered else None,
                "call_duration_secs": self.duration_seconds,
                **self._cost(),
                "phone_call": {
                    "type": "twilio",
                    "direction": "outbound",
                    "phone_number_id": self.request.phone_number_id,
                    "agent_number": self.agent_number,
                    "external_number": self.request.to_number,
                    "call_sid": self.leg.sid,
                    "stream_sid": self.stream_sid,
                    "call_result": self._call_result(),
                },
                "batch_call": None,
                "termination_reason": self.termination_reason,
                "error": self.error,
                "warnings": [],
                "main_language": "en",
                "text_only": False,
                "conversation_initiation_source": "twilio",
                "timezone": None,
            },
            "analysis": self._analysis() if was_answered and self.status in ("done", "failed") else None,
            "conversation_initiation_client_data": {
                **self.request.client_data,
                "dynamic_variables": self.variables(),
            },
            "has_audio": bool(turns),
            "has_user_audio": bool(turns),
            "has_response_audio": bool(turns),
            "has_auxiliary_audio": False,
        }

    def _cost(self) -> dict[str, Any]:
        if self.status not in ("done", "failed"):
            return {"cost": None, "cost_fiat": None}
        minutes = self.duration_seconds / 60
        return {"cost": round(CREDITS_PER_MINUTE * minutes), "cost_fiat": round(DOLLARS_PER_MINUTE * minutes, 6)}

    def _call_result(self) -> str | None:
        if not self.leg.ended:
            return None
        if self.leg.answered_at_elapsed is not None:
            return "voicemail" if self.leg.scenario.callee is Callee.MACHINE_ANSWERS else "answered"
        return _CALL_RESULTS.get(self.leg.status, "failed")

    def _success(self) -> str:
        return {"done": "success", "failed": "failure"}.get(self.status, "unknown")

    def _analysis(self) -> dict[str, Any]:
        return {
            "evaluation_criteria_results": {},
            "data_collection_results": {},
            "call_successful": self._success(),
            "call_success_score": None,
            "transcript_summary": "The agent called and the callee listened.",
            "call_summary_title": "A simulated call",
        }


class ConversationStore:
    """Every conversation of the simulated ElevenLabs, in the order of creation."""

    def __init__(self) -> None:
        self._conversations: dict[str, Conversation] = {}

    def add(self, conversation: Conversation) -> None:
        """Keep a conversation."""
        self._conversations[conversation.id] = conversation

    def find(self, api_key: str, conversation_id: str) -> Conversation | None:
        """A conversation of a workspace."""
        conversation = self._conversations.get(conversation_id)
        return conversation if conversation is not None and conversation.workspace.api_key == api_key else None

    def page(self, api_key: str, query: ListQuery) -> tuple[Sequence[Conversation], str | None]:
        """One page, and the cursor of the next (the id of this one's last). Raises ElevenLabsError."""
        found = [each for each in self._of(api_key) if _matches(each, query)]
        if query.is_descending:
            found.reverse()
        if query.cursor is not None:
            ids = [each.id for each in found]
            if query.cursor not in ids:
                raise invalid(["query", "cursor"], "Value error, no such cursor")
            found = found[ids.index(query.cursor) + 1 :]
        page = found[: query.page_size]
        return page, page[-1].id if len(found) > len(page) else None

    def _of(self, api_key: str) -> Iterator[Conversation]:
        return (each for each in self._conversations.values() if each.workspace.api_key == api_key)

    def clear(self) -> None:
        """Forget every conversation."""
        self._conversations.clear()


def _matches(conversation: Conversation, query: ListQuery) -> bool:
    variables = conversation.variables()
    return (
        query.user_id in (None, conversation.request.user_id)
        and query.agent_id in (None, conversation.request.agent_id)
        and (query.start_after is None or conversation.start_unix >= query.start_after)
        and (query.start_before is None or conversation.start_unix <= query.start_before)
        and all((str(variables.get(each.name, "")) == each.value) is each.is_equal for each in query.variables)
    )
