"""The requests Twilio sends to an application: signed, timed out, retried and written down.

Knows how to deliver a form or open a WebSocket; not when, nor what the reply means.
"""

import time
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp

from sandbox.carriers.carrier import Surroundings
from sandbox.carriers.twilio.calls import API_VERSION, Call, WebhookEvent, country_of
from sandbox.carriers.twilio.signature import compute_signature
from sandbox.carriers.webhooks import (
    Form,
    WebhookClient,
    WebhookReply,
    WebhookRequest,
    WebhookTimeouts,
    without_fragment,
)

_USER_AGENT = "TwilioProxy/1.1"
_POLICY_WORDS = frozenset({"4xx", "5xx", "ct", "rt", "all"})


@dataclass(frozen=True)
class ConnectionOverrides:
    """How long and how often to try one webhook; read from the URL's fragment, the defaults are Twilio's.

    `retry_on` names failures: 4xx, 5xx, ct (no connection), rt (no reply in time). By default only a connection that
    fails is tried again, once: a 5xx is not.
    Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
    """

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 15.0
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def of(cls, url: str) -> "ConnectionOverrides":
        """Read the fragment of a URL; what it does not say, or says out of range, keeps its default."""
        given = dict(parse_qsl(urlsplit(url).fragment))

        def number(key: str, least: int, most: int, default: int) -> int:
            text = given.get(key, "")
            return int(text) if text.isascii() and text.isdigit() and least <= int(text) <= most else default

        policy = frozenset(given.get("rp", "ct").split(",")) & _POLICY_WORDS
        return cls(
            connect_seconds=number("ct", 100, 10_000, 5000) / 1000,
            read_seconds=number("rt", 100, 15_000, 15_000) / 1000,
            total_seconds=number("tt", 100, 15_000, 15_000) / 1000,
            retries=number("rc", 0, 5, 1),
            retry_on=frozenset({"4xx", "5xx", "ct", "rt"}) if "all" in policy else policy or frozenset({"ct"}),
        )


def standard_parameters(call: Call, *, status: str | None = None) -> Form:
    """The parameters that every voice request carries; `status` overrides the call's own."""
    to, from_ = call.parameters.to, call.parameters.from_
    parties = (("Called", to), ("Caller", from_), ("From", from_), ("To", to))
    geography = [
        (f"{party}{part}", country_of(number) if part == "Country" else "")
        for party, number in parties
        for part in ("City", "State", "Zip", "Country")
    ]
    return (
        ("AccountSid", call.account_sid),
        ("ApiVersion", API_VERSION),
        ("CallSid", call.sid),
        ("CallStatus", status or call.status),
        ("Direction", "outbound-api"),
        *parties,
        *geography,
    )


class WebhookSender:
    """Sends the webhooks of all accounts."""

    def __init__(self, surroundings: Surroundings, auth_tokens: dict[str, str]) -> None:
        self._client = WebhookClient("twilio", surroundings)
        self.callees = surroundings.callees
        self._auth_tokens = auth_tokens

    async def send(self, call: Call, url: str, method: str, form: Form, token: str | None = None) -> WebhookReply:
        """Deliver a form, trying again as the URL's overrides say; the last attempt's outcome. Never raises.

        `token` is the idempotency token that all attempts share.
        """
        overrides = ConnectionOverrides.of(url)
        give_up_at = time.monotonic() + overrides.total_seconds
        request = self._request(call, url, method, form, token or str(uuid.uuid4()))
        attempts_left = overrides.retries
        while True:
            timeouts = WebhookTimeouts(overrides.connect_seconds, overrides.read_seconds, give_up_at - time.monotonic())
            reply = await self._attempt(call, request, form, timeouts)
            if attempts_left == 0 or _failure_of(reply) not in overrides.retry_on or time.monotonic() >= give_up_at:
                return reply
            attempts_left -= 1

    async def _attempt(
        self, call: Call, request: WebhookRequest, form: Form, timeouts: WebhookTimeouts
    ) -> WebhookReply:
        created_at, begun = call.timeline.now(), time.monotonic()
        reply = await self._client.send(request, call.sid, timeouts)
        call.events.append(
            WebhookEvent(
                url=request.url,
                method=request.method,
                form=form,
                created_at=created_at,
                duration_ms=round((time.monotonic() - begun) * 1000),
                response_code=reply.status,
                content_type=reply.content_type or None,
                response_body=reply.body or None,
            )
        )
        return reply

    def _request(self, call: Call, url: str, method: str, form: Form, token: str) -> WebhookRequest:
        target = without_fragment(url, form if method == "GET" else ())
        posted = () if method == "GET" else form
        headers = {
            "X-Twilio-Signature": compute_signature(self._auth_tokens[call.account_sid], target, posted),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return WebhookRequest(method, target, headers, urlencode(posted).encode(), posted)

    async def open_socket(self, call: Call, url: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a signed WebSocket; None when it cannot be opened."""
        target = without_fragment(url)
        signature = compute_signature(self._auth_tokens[call.account_sid], target)
        return await self._client.open_socket(
            target, {"X-Twilio-Signature": signature, "User-Agent": _USER_AGENT}, call.sid
        )


def _failure_of(reply: WebhookReply) -> str | None:
    if reply.status is None:
        return reply.failure
    return f"{reply.status // 100}xx" if reply.status >= 400 else None
