"""Living a conversation out: the leg is Twilio's and lives by itself; this follows it and reports how it ended."""

import asyncio

from sandbox.carriers.background import Spawn
from sandbox.carriers.clock import SimulatedClock
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.elevenlabs.conversations import Conversation
from sandbox.carriers.elevenlabs.webhooks import Webhooks, initiation_failure, transcription
from sandbox.carriers.scenarios import Scenario

# An agent's own limit where it sets none.
CONVERSATION_SECONDS_MAX = 600
# Transcript and analysis take ElevenLabs a while.
PROCESSING_SECONDS = 3.0
_MISSING_VARIABLES = 1008


def talk_seconds(scenario: Scenario) -> int:
    """For how long the callee and the agent talk."""
    return int(min(scenario.talks_seconds, CONVERSATION_SECONDS_MAX))


class ConversationRunner:
    """One conversation being lived out."""

    def __init__(self, conversation: Conversation, clock: SimulatedClock, webhooks: Webhooks, spawn: Spawn) -> None:
        self._conversation = conversation
        self._clock = clock
        self._webhooks = webhooks
        self._spawn = spawn

    async def run(self) -> None:
        """From the dial to the webhook."""
        conversation, leg = self._conversation, self._conversation.leg
        await self._leg_changed_to("in-progress")
        if leg.answered_at_elapsed is None:
            conversation.status, conversation.termination_reason = "failed", f"Call failed: {leg.status}"
            self._report(initiation_failure(conversation))
            return
        conversation.status = "in-progress"
        await self._leg_changed_to()
        missing = conversation.request.missing_variables()
        if missing:
            reason = f"Missing required dynamic variables: {missing}"
            conversation.error = {"code": _MISSING_VARIABLES, "reason": reason}
            conversation.termination_reason = reason
        elif conversation.duration_seconds >= CONVERSATION_SECONDS_MAX:
            conversation.termination_reason = "Conversation exceeded its maximum duration"
        else:
            conversation.termination_reason = "Call ended by remote party"
        conversation.status = "processing"
        await self._clock.sleep(PROCESSING_SECONDS)
        conversation.status = "failed" if missing else "done"
        self._report(transcription(conversation))

    async def _leg_changed_to(self, *statuses: str) -> None:
        """Wait until the leg has one of the statuses, or has ended."""
        leg = self._conversation.leg
        while not leg.ended and leg.status not in statuses:
            changed = asyncio.Event()
            leg.on_status = changed.set
            await changed.wait()

    def _report(self, document: dict[str, object]) -> None:
        order: DeliveryOrder[dict[str, object]] = DeliveryOrder(self._conversation.leg.scenario.delivery)
        departing = order.departing(document, terminal=True)
        if departing:
            self._spawn(self._deliver(departing))

    async def _deliver(self, documents: list[dict[str, object]]) -> None:
        for document in documents:
            await self._webhooks.send(self._conversation, document)
