"""What Vonage tells the application: signed requests, tried again as Vonage does, in the order the scenario allows.

Source: https://developer.vonage.com/en/voice/voice-api/webhook-reference
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from sandbox.carriers.background import Spawn
from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.delivery import DeliveryOrder
from sandbox.carriers.vonage.calls import FAILED_STATUSES, Leg, iso
from sandbox.carriers.vonage.parameters import text_of
from sandbox.carriers.vonage.tokens import Application, sign_webhook
from sandbox.carriers.webhooks import WebhookClient, WebhookReply, WebhookRequest, WebhookTimeouts, without_fragment

Body = Mapping[str, Any]

ATTEMPTS = 2
RETRY_SECONDS = 1.0
_RETRIED_STATUSES = frozenset({None, 429, 503, 504})
# An application's defaults at Vonage.
ANSWER_TIMEOUTS = WebhookTimeouts(connect_seconds=1.0, read_seconds=5.0, total_seconds=6.0)
EVENT_TIMEOUTS = WebhookTimeouts(connect_seconds=1.0, read_seconds=10.0, total_seconds=11.0)


@dataclass(frozen=True)
class Address:
    """Where an application's webhooks go."""

    url: str
    method: str


class Webhooks:
    """Sends applications' webhooks. Every attempt has a token of its own, also of an event that is sent twice."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._client = WebhookClient("vonage", surroundings)
        self._clock = surroundings.clock

    async def send(
        self,
        application: Application,
        leg: Leg,
        address: Address,
        body: Body,
        *,
        timeouts: WebhookTimeouts = EVENT_TIMEOUTS,
    ) -> WebhookReply:
        """Deliver a body, twice at most; the last attempt's outcome. Never raises."""
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._clock.sleep(RETRY_SECONDS)
            reply = await self._client.send(_request(application, address, body), leg.uuid, timeouts)
            if reply.status not in _RETRIED_STATUSES:
                break
        return reply

    async def open_socket(
        self, url: str, headers: Mapping[str, str], leg: Leg
    ) -> aiohttp.ClientWebSocketResponse | None:
        """Open a WebSocket; None when it cannot be opened."""
        return await self._client.open_socket(url, headers, leg.uuid)


def _request(application: Application, address: Address, body: Body) -> WebhookRequest:
    if address.method == "GET":
        query = tuple((name, "" if value is None else str(value)) for name, value in body.items())
        headers = {"Authorization": f"Bearer {sign_webhook(application, b'')}"}
        return WebhookRequest("GET", without_fragment(address.url, query), headers)
    raw = json.dumps(body, separators=(",", ":")).encode()
    headers = {"Authorization": f"Bearer {sign_webhook(application, raw)}", "Content-Type": "application/json"}
    return WebhookRequest("POST", without_fragment(address.url), headers, raw, json=dict(body))


class Events:
    """Raises one leg's events; each is a request of its own, sent beside the call."""

    def __init__(
        self, application: Application, leg: Leg, address: Address | None, webhooks: Webhooks, spawn: Spawn
    ) -> None:
        """Without an `address` nobody is told anything."""
        self.application = application
        self.leg = leg
        self.address = address
        self._webhooks = webhooks
        self._spawn = spawn
        self._order: DeliveryOrder[Body] = DeliveryOrder(leg.scenario.delivery)

    def of_leg(self, leg: Leg, address: Address | None) -> "Events":
        """The events of another leg of the conversation, sent to the same address unless another is given."""
        return Events(self.application, leg, address or self.address, self._webhooks, self._spawn)

    def raise_status(self, status: str, detail: str | None = None) -> None:
        """Report that the leg reached a status."""
        body = {**parties(self.leg), "uuid": self.leg.uuid, "status": status, "direction": "outbound"}
        if detail is not None:
            body["detail"] = detail
        if status == "answered":
            body |= {"start_time": None, "rate": None, "network": None}
        if status == "completed":
            body |= self.leg.billing()
        is_last = status in ("completed", "rejected")
        self._raise(body, terminal=status in FAILED_STATUSES or is_last, overtaken=status == "ringing", last=is_last)

    def raise_detection(self, verdict: str, sub_state: str | None = None) -> None:
        """Report who answered; only here the leg's id is called call_uuid."""
        body = {**parties(self.leg), "call_uuid": self.leg.uuid, "status": verdict}
        if sub_state is not None:
            body["sub_state"] = sub_state
        self._raise(body)

    def raise_other(self, body: Body) -> None:
        """Report something that is no status: an error, a transfer."""
        self._raise(
            {"conversation_uuid": self.leg.conversation_uuid, **body, "timestamp": iso(self.leg.timeline.now())}
        )

    def _raise(self, body: Body, *, terminal: bool = False, overtaken: bool = False, last: bool = False) -> None:
        if self.address is None:
            return
        # The time of what happened; an event that is sent twice says the same both times.
        dated = {"timestamp": iso(self.leg.timeline.now()), **body}
        departing = self._order.departing(dated, terminal=terminal, overtaken=overtaken, last=last)
        if departing:
            self._spawn(self._deliver(self.address, departing))

    async def _deliver(self, address: Address, bodies: list[Body]) -> None:
        for body in bodies:
            await self._webhooks.send(self.application, self.leg, address, body)


def parties(leg: Leg) -> dict[str, Any]:
    """Who speaks with whom, as every webhook of a leg says it."""
    return {"from": text_of(leg.from_), "to": text_of(leg.to), "conversation_uuid": leg.conversation_uuid}
