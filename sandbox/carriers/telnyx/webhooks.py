"""The requests Telnyx sends to an application: signed, and tried again until they are answered 2xx."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.telnyx.keys import Signer
from sandbox.carriers.webhooks import (
    Form,
    WebhookClient,
    WebhookReply,
    WebhookRequest,
    WebhookTimeouts,
    without_fragment,
)

# How Telnyx spaces its attempts is not published; these stay within what webhook_retries_policies allows.
RETRIES_MS_DEFAULT = (500, 1000, 2000, 4000, 8000)
_TIMEOUTS = WebhookTimeouts(connect_seconds=5, read_seconds=10, total_seconds=10)
_USER_AGENT = "telnyx-webhooks"


@dataclass(frozen=True)
class Content:
    """The body of a webhook: a form or JSON."""

    body: bytes
    content_type: str
    form: Form = ()
    json: Any = None


def json_content(document: Any) -> Content:
    """A document as a body."""
    return Content(json.dumps(document).encode(), "application/json", json=document)


def form_content(form: Form) -> Content:
    """A form as a body."""
    return Content(urlencode(form).encode(), "application/x-www-form-urlencoded", form=form)


class TelnyxSender:
    """Sends the webhooks of one kind of application. Delays between attempts are real milliseconds."""

    def __init__(self, carrier: str, surroundings: Surroundings) -> None:
        self._client = WebhookClient(carrier, surroundings)
        self.callees = surroundings.callees

    async def deliver(
        self,
        signer: Signer,
        url: str,
        content_of: Callable[[int], Content],
        call_id: str,
        retries_ms: Sequence[int] = RETRIES_MS_DEFAULT,
    ) -> WebhookReply:
        """Post a webhook until it is answered 2xx; `content_of` makes the body of an attempt, counted from 1."""
        reply = await self.post(signer, url, content_of(1), call_id)
        for attempt, delay_ms in enumerate(retries_ms, start=2):
            if reply.succeeded:
                break
            await asyncio.sleep(delay_ms / 1000)
            reply = await self.post(signer, url, content_of(attempt), call_id)
        return reply

    async def post(self, signer: Signer, url: str, content: Content, call_id: str) -> WebhookReply:
        """Post once. Never raises."""
        headers = {
            **signer.headers(content.body),
            "Content-Type": content.content_type,
            "User-Agent": _USER_AGENT,
        }
        request = WebhookRequest("POST", without_fragment(url), headers, content.body, content.form, content.json)
        return await self._client.send(request, call_id, _TIMEOUTS)

    async def get(self, signer: Signer, url: str, query: Form, call_id: str) -> WebhookReply:
        """Ask once, with the parameters in the URL and the signature of an empty body. Never raises."""
        headers = {**signer.headers(b""), "User-Agent": _USER_AGENT}
        return await self._client.send(WebhookRequest("GET", without_fragment(url, query), headers), call_id, _TIMEOUTS)

    async def open_socket(self, url: str, call_id: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a WebSocket; None when it cannot be opened."""
        return await self._client.open_socket(without_fragment(url), {"User-Agent": _USER_AGENT}, call_id)
