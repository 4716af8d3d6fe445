"""The simulated ElevenLabs as a whole: its workspaces, their conversations, and whatever runs on their behalf."""

from collections.abc import Sequence

from sandbox.carriers.background import Background
from sandbox.carriers.carrier import Account, Surroundings, keyed
from sandbox.carriers.elevenlabs.conversations import Conversation, ConversationStore
from sandbox.carriers.elevenlabs.errors import call_refused, not_found
from sandbox.carriers.elevenlabs.parameters import OutboundCall
from sandbox.carriers.elevenlabs.runner import ConversationRunner, talk_seconds
from sandbox.carriers.elevenlabs.webhooks import Webhooks
from sandbox.carriers.elevenlabs.workspaces import Workspace, workspace_of
from sandbox.carriers.scenarios import find_scenario
from sandbox.carriers.twilio.errors import TwilioError
from sandbox.carriers.twilio.parameters import parse_create
from sandbox.carriers.twilio.simulator import SimulatedTwilio


class SimulatedElevenLabs:
    """ElevenLabs for a set of workspaces. Must be made and used within one event loop."""

    def __init__(self, accounts: Sequence[Account], surroundings: Surroundings) -> None:
        """Each account has api_key and webhook_secret; for the rest see `workspaces`. Raises AccountError."""
        by_key = keyed("elevenlabs", accounts, "api_key", "webhook_secret")
        self.workspaces = {key: workspace_of(account) for key, account in by_key.items()}
        self.conversations = ConversationStore()
        self.background = Background()
        self._clock = surroundings.clock
        self._webhooks = Webhooks(surroundings)

    def place(self, twilio: SimulatedTwilio, workspace: Workspace, request: OutboundCall) -> Conversation:
        """Call over Twilio and let the conversation live. Raises ElevenLabsError."""
        if workspace.agent_ids is not None and request.agent_id not in workspace.agent_ids:
            raise not_found("agent", request.agent_id)
        agent_number = workspace.number(request.phone_number_id)
        if agent_number is None:
            raise not_found("phone_number", request.phone_number_id)
        # The leg hears silence for as long as the two talk; ElevenLabs hangs up on what it cannot begin.
        seconds = talk_seconds(find_scenario(request.to_number))
        verbs = "<Hangup/>" if request.missing_variables() else f'<Pause length="{seconds}"/>'
        form = {
            "To": [request.to_number],
            "From": [agent_number],
            "Twiml": [f"<Response>{verbs}</Response>"],
            "Timeout": [str(request.ring_timeout_seconds)],
        }
        try:
            leg = twilio.place(workspace.twilio_account_sid, parse_create(form, None))
        except TwilioError as refusal:
            raise call_refused(f"Twilio error {refusal.code}: {refusal.message}") from None
        conversation = Conversation(workspace, request, leg, agent_number)
        self.conversations.add(conversation)
        runner = ConversationRunner(conversation, self._clock, self._webhooks, self.background.spawn)
        self.background.spawn(runner.run())
        return conversation

    async def reset(self) -> None:
        """Stop and forget every conversation; workspaces stay as they are configured."""
        await self.background.stop()
        self.conversations.clear()
