"""The requests Twilio sends to an application: signed, timed out, retried and written down.

Knows how to deliver a form or open a WebSocket; not when, nor what the reply means.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from sandbox.carriers.journal import Journal
from sandbox.carriers.twilio.calls import API_VERSION, Call, WebhookEvent, country_of
from sandbox.carriers.twilio.signature import compute_signature

Form = tuple[tuple[str, str], ...]

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


@dataclass(frozen=True)
class WebhookReply:
    """What came of a webhook: a reply, or `status` None and the `failure` (ct or rt) that prevented one."""

    status: int | None
    content_type: str = ""
    body: str = ""
    failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the application answered 2xx."""
        return self.status is not None and 200 <= self.status < 300


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


@dataclass(frozen=True)
class _Request:
    """A signed request; `body` is what is posted of `form` (nothing, when a GET carries it in its URL)."""

    method: str
    url: str
    headers: dict[str, str]
    body: Form
    form: Form


class WebhookSender:
    """Sends an account's webhooks over one HTTP session."""

    def __init__(self, session: aiohttp.ClientSession, journal: Journal, auth_tokens: dict[str, str]) -> None:
        self._session = session
        self._journal = journal
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
            reply = await self._attempt(call, request, overrides, give_up_at - time.monotonic())
            if attempts_left == 0 or _failure_of(reply) not in overrides.retry_on or time.monotonic() >= give_up_at:
                return reply
            attempts_left -= 1

    async def _attempt(
        self, call: Call, request: _Request, overrides: ConnectionOverrides, seconds: float
    ) -> WebhookReply:
        entry = self._journal.add(
            carrier="twilio",
            direction="out",
            method=request.method,
            url=request.url,
            headers=request.headers,
            form=request.body,
            call_sid=call.sid,
        )
        created_at, begun = call.timeline.now(), time.monotonic()
        reply = await self._exchange(request, overrides, seconds)
        entry.status, entry.error = reply.status, reply.failure
        call.events.append(
            WebhookEvent(
                url=request.url,
                method=request.method,
                form=request.form,
                created_at=created_at,
                duration_ms=round((time.monotonic() - begun) * 1000),
                response_code=reply.status,
                content_type=reply.content_type or None,
                response_body=reply.body or None,
            )
        )
        return reply

    async def _exchange(self, request: _Request, overrides: ConnectionOverrides, seconds: float) -> WebhookReply:
        timeout = aiohttp.ClientTimeout(
            total=seconds, sock_connect=overrides.connect_seconds, sock_read=overrides.read_seconds
        )
        try:
            async with self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=urlencode(request.body).encode() if request.body else None,
                headers=request.headers,
                timeout=timeout,
            ) as response:
                raw = await response.read()
                return WebhookReply(response.status, response.content_type, raw.decode("utf-8", "replace"))
        except aiohttp.ConnectionTimeoutError:
            return WebhookReply(None, failure="ct")
        except TimeoutError:
            return WebhookReply(None, failure="rt")
        except aiohttp.ClientConnectorError:
            return WebhookReply(None, failure="ct")
        except (aiohttp.ClientError, ValueError, OSError):
            # The connection stood but no HTTP reply came over it.
            return WebhookReply(None, failure="rt")

    def _request(self, call: Call, url: str, method: str, form: Form, token: str) -> _Request:
        target, body = _target(url, form if method == "GET" else ()), () if method == "GET" else form
        headers = {
            "X-Twilio-Signature": compute_signature(self._auth_tokens[call.account_sid], target, body),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return _Request(method, target, headers, body, form)

    async def open_socket(self, call: Call, url: str) -> aiohttp.ClientWebSocketResponse | None:
        """Open a signed WebSocket; None when it cannot be opened."""
        target = _target(url, ())
        signature = compute_signature(self._auth_tokens[call.account_sid], target)
        headers = {"X-Twilio-Signature": signature, "User-Agent": _USER_AGENT}
        entry = self._journal.add(
            carrier="twilio", direction="out", method="GET", url=target, headers=headers, call_sid=call.sid
        )
        try:
            async with asyncio.timeout(15):
                socket = await self._session.ws_connect(URL(target, encoded=True), headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            entry.status = error.status
            return None
        except (aiohttp.ClientError, ValueError, OSError, TimeoutError) as error:
            entry.error = type(error).__name__
            return None
        entry.status = 101
        return socket


def _target(url: str, query: Form) -> str:
    """The URL as called: without fragment, with a GET's parameters."""
    scheme, netloc, path, old_query, _ = urlsplit(url)
    new_query = "&".join(part for part in (old_query, urlencode(query)) if part)
    return urlunsplit((scheme, netloc, path, new_query, ""))


def _failure_of(reply: WebhookReply) -> str | None:
    if reply.status is None:
        return reply.failure
    return f"{reply.status // 100}xx" if reply.status >= 400 else None
