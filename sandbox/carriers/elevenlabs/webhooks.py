"""What ElevenLabs tells a workspace after a call: bodies, their signature, and how often they are tried.

The signature is own code on purpose: the official SDK is what the tests hold it against.
Source: https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks
"""

import hashlib
import hmac
import json
import time
from typing import Any

from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.elevenlabs.conversations import Conversation
from sandbox.carriers.twilio.calls import rfc2822
from sandbox.carriers.twilio.webhooks import standard_parameters
from sandbox.carriers.webhooks import WebhookClient, WebhookRequest, WebhookTimeouts, without_fragment

ATTEMPTS = 3
RETRY_SECONDS = 5.0
TIMEOUTS = WebhookTimeouts(connect_seconds=5.0, read_seconds=10.0, total_seconds=15.0)


def sign(secret: str, body: bytes, timestamp: int) -> str:
    """The ElevenLabs-Signature of a body sent at a time (unix seconds)."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v0={digest}"


def transcription(conversation: Conversation) -> dict[str, Any]:
    """The webhook after a conversation."""
    return _envelope("post_call_transcription", conversation.to_json())


def initiation_failure(conversation: Conversation) -> dict[str, Any]:
    """The webhook of a call that became no conversation. It echoes nothing: neither user_id nor dynamic variables."""
    leg = conversation.leg
    form = [
        *standard_parameters(leg),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "0"),
        ("Timestamp", rfc2822(leg.timeline.now())),
        ("CallDuration", "0"),
        ("Duration", "0"),
    ]
    if leg.sip_response_code is not None:
        form.append(("SipResponseCode", str(leg.sip_response_code)))
    return _envelope(
        "call_initiation_failure",
        {
            "agent_id": conversation.request.agent_id,
            "conversation_id": conversation.id,
            "failure_reason": conversation.failure_reason,
            "metadata": {"type": "twilio", "body": dict(form)},
        },
    )


def _envelope(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "event_timestamp": int(time.time()), "data": data}


class Webhooks:
    """Sends workspaces' webhooks to the one address that each has."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._client = WebhookClient("elevenlabs", surroundings)
        self._clock = surroundings.clock

    async def send(self, conversation: Conversation, document: dict[str, Any]) -> None:
        """Deliver a webhook; one that is not answered, or with 429 or a 5xx, is sent again. Never raises."""
        body = json.dumps(document, separators=(",", ":")).encode()
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._clock.sleep(RETRY_SECONDS)
            # Read each time: whoever configures the address late gets what is still being tried.
            url = conversation.workspace.webhook_url
            if url is None:
                return
            headers = {
                "ElevenLabs-Signature": sign(conversation.workspace.webhook_secret, body, int(time.time())),
                "Content-Type": "application/json",
                "User-Agent": "ElevenLabs/1.0",
            }
            request = WebhookRequest("POST", without_fragment(url), headers, body, json=document)
            reply = await self._client.send(request, conversation.id, TIMEOUTS)
            if reply.status is not None and reply.status != 429 and reply.status < 500:
                return
