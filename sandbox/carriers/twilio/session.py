"""What following a call needs at hand: the call, its line, and the way to the application."""

from dataclasses import dataclass

from sandbox.carriers.twilio.calls import Call
from sandbox.carriers.twilio.line import Line
from sandbox.carriers.twilio.status_callbacks import Spawn
from sandbox.carriers.twilio.webhooks import WebhookSender


@dataclass(frozen=True)
class CallSession:
    """One call being lived out; `spawn` runs work beside it that outlives a verb."""

    call: Call
    line: Line
    sender: WebhookSender
    spawn: Spawn
